"""Which GPUs this machine has, how they are wired, and whether one is idle."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import Gpu, GpuFacts, GpuProcess
from pytest_sgdiff.data.displays import IDLE_MB, drawers, memory_mb, only_draw, short_name, who_draws
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.gpus.nvml import NvmlReader, default_reader
from pytest_sgdiff.printable import printable

IDLE_UTIL_PCT = 5
# A process that just ended may be listed a little longer; one that stays is a foreign process.
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
            f"no GPU was found: the NVIDIA driver {reader.driver() or 'of this machine'} answers, but lists no GPU; "
            "check that nvidia-smi lists one, and that the container was started with GPUs (docker run --gpus "
            "all); --sgdiff-gpus=none runs the cases that need no GPU"
        )
    whole = [fact for fact in facts if fact.parent is None]
    in_pci_order = sorted(whole, key=lambda fact: fact.pci or "")
    if all(fact.pci for fact in whole) and in_pci_order != sorted(whole, key=lambda fact: fact.nvml_index):
        raise LeaseError(
            "the NVIDIA driver does not number the GPUs in the order of the PCI bus "
            f"({', '.join(f'{fact.nvml_index}: {fact.pci}' for fact in whole)}); SGLang Diffusion would measure on "
            "the wrong GPUs. Reboot, or give the job one GPU"
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Use:
    """One thing that speaks against a GPU being idle.

    `process`: somebody's, with a context on it; `display`: processes that only draw, but use much memory; `mps`: the
    MPS daemon, which shares a GPU out; `hidden`: `used_mb` in use by nobody who is listed; `utilisation`: `util_pct`,
    an average over the last second. `processes` are those that are meant, with `utilisation` those that draw.
    """

    kind: Literal["process", "display", "mps", "hidden", "utilisation"]
    processes: tuple[GpuProcess, ...] = ()
    used_mb: int | None = None
    util_pct: int | None = None

    @property
    def lasting(self) -> bool:
        """Whether it never ends by itself, so that waiting is no use."""
        return self.kind in ("display", "mps")

    def __str__(self) -> str:
        """In a few words, with what ends it where that is known."""
        drawing = f"{printable(who_draws(self.processes))} draw{'s' * (len(self.processes) == 1)} on it"
        if self.kind == "display":
            text = f"{drawing} with {memory_mb(self.processes)} MiB, more than {IDLE_MB}: {_NO_DISPLAY}"
        elif self.kind == "hidden":
            text = f"{self.used_mb} MiB held by processes that the driver does not list"
        elif self.kind == "utilisation":
            text = f"{self.util_pct} % utilisation" + (f" while {drawing}: {_NO_DISPLAY}" if self.processes else "")
        else:
            text = ", ".join(map(_process, self.processes)) + (_NO_MPS if self.kind == "mps" else "")
        return text


_NO_DISPLAY = "sudo systemctl isolate multi-user.target ends the display; or close the program that draws"
_NO_MPS = ", the MPS daemon: echo quit | nvidia-cuda-mps-control"


def use_of(gpu: Gpu, reader: NvmlReader) -> tuple[Use, ...]:
    """What speaks against the GPU being idle; empty for an idle one, on which a display may be drawn.

    A counter that the driver does not report speaks neither way: with none told at all, only the lock protects.
    """
    listed = reader.processes(gpu.uuid) or ()
    drawing = only_draw(listed)
    large = drawers(listed) if not drawing else ()
    found = [Use(kind="display", processes=large)] if large else []
    for process in listed:
        if process not in drawing and process not in large:
            daemon = short_name(process.name).startswith("nvidia-cuda-mps")
            found.append(Use(kind="mps" if daemon else "process", processes=(process,)))
    state = reader.state(gpu.uuid)
    if not found and state.used_mb is not None and state.used_mb - memory_mb(drawing) > IDLE_MB:
        found.append(Use(kind="hidden", used_mb=state.used_mb))
    if not found and state.util_pct is not None and state.util_pct > IDLE_UTIL_PCT:
        found.append(Use(kind="utilisation", util_pct=state.util_pct, processes=drawing))
    return tuple(found)


def drawn_on(gpu: Gpu, reader: NvmlReader) -> str:
    """`Xorg, gnome-shell` where they draw on the GPU, which is idle nevertheless; empty where nobody does."""
    return printable(who_draws(only_draw(reader.processes(gpu.uuid) or ())))


def in_words(uses: Sequence[Use]) -> str:
    """All that speaks against a GPU."""
    return ", ".join(map(str, uses))


def never_idle(gpus: Sequence[Gpu], reader: NvmlReader) -> dict[str, tuple[Use, ...]]:
    """UUID -> by what, for those that something uses which does not end by itself."""
    uses = {gpu.uuid: tuple(use for use in use_of(gpu, reader) if use.lasting) for gpu in gpus}
    return {uuid: found for uuid, found in uses.items() if found}


def in_use(
    gpus: Sequence[Gpu], reader: NvmlReader, *, settle_s: float, patience_s: float
) -> Mapping[str, tuple[Use, ...]]:
    """UUID -> by what, for those that are not idle; empty if all are, at two readings `settle_s` apart."""
    give_up = time.monotonic() + patience_s
    idle_since: float | None = None
    while True:
        now = time.monotonic()
        busy = {gpu.uuid: use for gpu in gpus if (use := use_of(gpu, reader))}
        if busy:
            if now > give_up or any(use.lasting for found in busy.values() for use in found):
                return busy
            idle_since = None
            time.sleep(0.1)
        elif idle_since is not None and now - idle_since >= settle_s:
            return {}
        else:
            idle_since = now if idle_since is None else idle_since
            if settle_s > 0:
                time.sleep(settle_s)


def _process(process: GpuProcess) -> str:
    """`process 419 (python3, 1002 MiB)`."""
    short = printable((process.name or "name unknown").rsplit("/", 1)[-1])
    return f"process {process.pid} ({short}" + (")" if process.used_mb is None else f", {process.used_mb} MiB)")
