"""Which GPUs this machine has, how they are wired, and whether one is idle."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pytest_sgdiff.data import Gpu, GpuFacts
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.gpus.nvml import NvmlReader, default_reader

# An idle H200 reads 0 MiB used once the driver's reserve is taken off; the least that a process with a CUDA context had
# was 518 MiB (docs/gpus.md).
IDLE_MB = 256
IDLE_UTIL_PCT = 5
# A process that just ended may be listed a little longer; one that stays is a stranger's.
PATIENCE_S = 2.0
# nvmlComputeMode_t and nvmlGpuFabricState_t.
_COMPUTE_PROHIBITED, _COMPUTE_EXCLUSIVE_PROCESS = 2, 3
_FABRIC_NOT_SUPPORTED, _FABRIC_COMPLETED = 0, 3


def inventory(reader: NvmlReader | None = None) -> tuple[Gpu, ...]:
    """All GPUs of the machine in PCI order, and in the place of a GPU in MIG mode its slices.

    `Gpu.index` counts whole GPUs in PCI order, as CUDA does under CUDA_DEVICE_ORDER=PCI_BUS_ID. Raises LeaseError if
    the driver does not answer, has no GPU, or numbers them in another order than the PCI bus: SGLang Diffusion takes
    CUDA's number for NVML's, so it would look at the wrong GPU.
    """
    reader = reader or default_reader()
    facts = reader.facts()
    if not facts:
        raise LeaseError(
            f"no GPU was found: the NVIDIA driver {reader.driver() or 'of this machine'} answers but has no GPU; "
            "does nvidia-smi list one, and was the container started with its GPUs (docker run --gpus all)?"
        )
    whole = [fact for fact in facts if fact.parent is None]
    in_pci_order = sorted(whole, key=lambda fact: fact.pci or "")
    if all(fact.pci for fact in whole) and in_pci_order != sorted(whole, key=lambda fact: fact.nvml_index):
        raise LeaseError(
            "the NVIDIA driver numbers the GPUs in another order than the PCI bus "
            f"({', '.join(f'{fact.nvml_index}: {fact.pci}' for fact in whole)}); SGLang Diffusion would measure on "
            "other GPUs than the ones it was given. Reboot, or give the job one GPU"
        )
    return tuple(_gpu(fact) for fact in facts if not fact.mig_enabled)


def _gpu(fact: GpuFacts) -> Gpu:
    return Gpu(
        index=fact.nvml_index,
        uuid=fact.uuid,
        name=fact.name,
        memory_mb=fact.memory_mb,
        pci=fact.pci,
        numa_node=fact.numa_node,
        mig_profile=fact.mig_profile,
    )


def refused(facts: Sequence[GpuFacts]) -> dict[str, str]:
    """UUID -> why that GPU can never be leased as it is set up now."""
    why = {}
    for fact in facts:
        if fact.compute_mode == _COMPUTE_PROHIBITED:
            why[fact.uuid] = "compute mode PROHIBITED: nvidia-smi -c 0"
        elif fact.compute_mode == _COMPUTE_EXCLUSIVE_PROCESS:
            why[fact.uuid] = "compute mode EXCLUSIVE_PROCESS, in which the engine's workers fail: nvidia-smi -c 0"
    return why


def fabric_problem(facts: Sequence[GpuFacts]) -> str | None:
    """Why these GPUs cannot work together: the NVSwitch fabric of one of them is not ready."""
    for fact in facts:
        if fact.fabric_state not in (None, _FABRIC_NOT_SUPPORTED, _FABRIC_COMPLETED):
            return (
                f"the NVSwitch fabric of GPU {fact.nvml_index} is not ready (state {fact.fabric_state}): "
                "systemctl status nvidia-fabricmanager"
            )
    return None


def cliques(gpus: Sequence[Gpu], reader: NvmlReader) -> dict[str, int]:
    """UUID -> number of the group of GPUs that are joined by NVLink, directly or through others of the group."""
    number = {gpu.uuid: place for place, gpu in enumerate(gpus)}
    for place, one in enumerate(gpus):
        for other in gpus[place + 1 :]:
            if number[one.uuid] != number[other.uuid] and reader.linked(one.uuid, other.uuid):
                old, new = number[other.uuid], number[one.uuid]
                number = {uuid: new if clique == old else clique for uuid, clique in number.items()}
    return number


def use_of(gpu: Gpu, reader: NvmlReader) -> tuple[str, ...]:
    """What speaks against the GPU being idle, each in a few words; empty for an idle one.

    A counter that the driver does not tell speaks neither way: with none told at all, only the lock protects.
    """
    found = [
        describe_process(process.pid, process.name, process.used_mb) for process in reader.processes(gpu.uuid) or ()
    ]
    state = reader.state(gpu.uuid)
    if not found and state.used_mb is not None and state.used_mb > IDLE_MB:
        found.append(f"{state.used_mb} MiB held by processes that the driver does not list")
    if not found and state.util_pct is not None and state.util_pct > IDLE_UTIL_PCT:
        found.append(f"{state.util_pct} % utilisation")
    return tuple(found)


def in_use(gpus: Sequence[Gpu], reader: NvmlReader, *, settle_s: float, patience_s: float) -> dict[str, str]:
    """UUID -> by what, for those that are not idle; empty if all are, at two readings `settle_s` apart."""
    give_up = time.monotonic() + patience_s
    idle_since: float | None = None
    while True:
        now = time.monotonic()
        busy = {gpu.uuid: ", ".join(use) for gpu in gpus if (use := use_of(gpu, reader))}
        if busy:
            if now > give_up:
                return busy
            idle_since = None
            time.sleep(0.1)
        elif idle_since is not None and now - idle_since >= settle_s:
            return {}
        else:
            idle_since = now if idle_since is None else idle_since
            if settle_s > 0:
                time.sleep(settle_s)


def describe_process(pid: int, name: str | None, used_mb: int | None) -> str:
    """`process 419 (python3, 1002 MiB)`; says so where it is the MPS daemon, which shares a GPU out."""
    short = (name or "name unknown").rsplit("/", 1)[-1]
    text = f"process {pid} ({short}" + (")" if used_mb is None else f", {used_mb} MiB)")
    return text + (
        ", the MPS daemon: echo quit | nvidia-cuda-mps-control" if short.startswith("nvidia-cuda-mps") else ""
    )
