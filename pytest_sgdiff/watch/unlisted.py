"""GPU memory that no listed process accounts for: how much of it, on how many GPUs, is somebody. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sgdiff.data import Watch

# Memory that stays, on each GPU: within launches of real H200s it moved by 11 to 14 MiB over one GPU and by 14 to 20
# MiB over two, some 6 MiB for each process.
HIDDEN_MB = 64
# Over more GPUs than that it has not been measured, and each may bear more processes.
MEASURED_GPUS = 2


def judged_hidden(watch: Watch) -> Mapping[str, int]:
    """The lasting growth of unlisted memory (MiB) by GPU, as far as it is judged: over at most MEASURED_GPUS, where the
    recording says which GPU it was on."""
    if len(watch.gpus) > MEASURED_GPUS:
        return {}
    if not watch.hidden_by_gpu and len(watch.gpus) == 1 and watch.hidden_mb is not None:
        return {watch.gpus[0].gpu_uuid: watch.hidden_mb}  # a recording of the older form
    return {gpu.gpu_uuid: mb for gpu in watch.gpus if (mb := watch.hidden_by_gpu.get(gpu.gpu_uuid)) is not None}
