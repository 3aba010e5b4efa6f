"""What `--sgdiff-gpus` means: the GPUs that a run may lease, and how many of them at a time.

all | auto        every GPU that the caller can see | those of them that are idle now
N                 a budget: any that the caller can see, at most N held by this run at a time
i,j | idx:i       positions among those that the caller can see, as CUDA counts them
GPU-... | MIG-... UUIDs or their beginnings
none | 0          no GPU: only cases with `gpus: 0` can run
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_sgdiff.data import Gpu, Machine, is_one_of
from pytest_sgdiff.errors import LeaseError, OptionError
from pytest_sgdiff.gpus.devices import cliques, fabric_problem, inventory, refused, use_of
from pytest_sgdiff.gpus.nvml import NvmlReader, default_reader
from pytest_sgdiff.machine import machine_of

OPTION = "--sgdiff-gpus"
VISIBLE, ORDER, PCI = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "PCI_BUS_ID"
# Where CUDA_VISIBLE_DEVICES is not set, these tell which GPUs a container or a job was given. They count as NVML does.
_ALLOTTED = ("NVIDIA_VISIBLE_DEVICES", "SLURM_STEP_GPUS", "SLURM_JOB_GPUS")
# Digits of a UUID that are shown where one is to be typed, unless it takes more.
_SHOWN = len("MIG-377e0049")
_MOST_NAMED = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Eligible:
    """The GPUs that a run may lease. `budget` bounds how many at a time (None: all); `note` says why there are fewer
    than one would expect; `cliques` maps a UUID to its NVLink group; `apart` says why no case may have several;
    `driver` is the NVIDIA driver's version, empty if it is unknown; `gpu_0` the UUID of a MIG slice that CUDA shows
    as GPU 0, since it is all that there is; `place` is what has them, for messages."""

    gpus: tuple[Gpu, ...]
    spec: str
    budget: int | None = None
    auto: bool = False
    note: str = ""
    apart: str = ""
    cliques: Mapping[str, int] = field(default_factory=dict)
    driver: str = ""
    gpu_0: str = ""
    place: str = "this machine"

    @property
    def total(self) -> int:
        """The GPUs that cases of one run can have at a time."""
        return self.size

    @property
    def size(self) -> int:
        """The most GPUs that one case can have."""
        return len(self.gpus) if self.budget is None else min(self.budget, len(self.gpus))

    @property
    def handoff(self) -> str:
        """The value of `--sgdiff-gpus` that gives an xdist worker the same GPUs, whatever is idle by then."""
        return ",".join(gpu.uuid for gpu in self.gpus) or "none" if self.auto else self.spec

    def of(self, products: Sequence[str]) -> Eligible:
        """Those of the GPUs that are one of `products`; all of them where none is named."""
        return replace(self, gpus=tuple(gpu for gpu in self.gpus if is_one_of(gpu.name, products)))

    def machines(self, count: int) -> Iterator[Machine]:
        """The machine that a case with `count` of the GPUs is likely to be measured on."""
        yield machine_of(self.gpus[:count])

    def ways(self, count: int) -> Iterator[Machine]:
        """The machines that a case with `count` GPUs may be measured on: of several products nobody knows yet which it
        gets."""
        yield from map(machine_of, itertools.combinations(self.gpus, count))

    def refusal(self, count: int) -> str | None:
        """Why a case with `count` GPUs can never run here; None if it can."""
        if count == 0:
            return None
        if count > 1 and any(gpu.mig_profile for gpu in self.gpus):
            return f"needs {count} GPUs, and MIG slices cannot be combined"
        if count > 1 and self.apart:
            return f"needs {count} GPUs, and {self.apart}"
        if count > self.size:
            have = f"only {self.size} of them" if self.size else "none of them"
            return f"needs {count} GPU{'s' * (count > 1)}, and {OPTION}={self.spec} gives {have}" + (
                f": {self.note}" if self.note else ""
            )
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    """Which GPUs a job sees: the value of the variable that says so (None: all of them), and the one of
    CUDA_DEVICE_ORDER."""

    visible: str | None = None
    variable: str = VISIBLE
    order: str | None = PCI


def sight(gpus: Sequence[Gpu], env: Mapping[str, str]) -> Sight:
    """What the environment says. NVIDIA_VISIBLE_DEVICES and SLURM's variables count only where they leave fewer GPUs
    than there are: in most containers the others cannot be seen at all, and the rest are numbered anew."""
    visible, order = env.get(VISIBLE), env.get(ORDER)
    if visible is not None:
        return Sight(visible=visible, order=order)
    for variable in _ALLOTTED:
        given = _allotted(gpus, env.get(variable, ""))
        if given:
            return Sight(visible=",".join(gpu.uuid for gpu in given), variable=variable, order=order)
    return Sight(order=order)


def _allotted(gpus: Sequence[Gpu], value: str) -> tuple[Gpu, ...]:
    """The GPUs that the variable names, where those are some of them and not all; else none."""
    whole = [gpu for gpu in gpus if gpu.mig_profile is None]
    words = [word.strip() for word in value.split(",") if word.strip()]
    found: list[Gpu] = []
    for word in words:
        numbers = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", word, re.ASCII)
        if numbers:
            wanted = range(int(numbers[1]), int(numbers[2] or numbers[1]) + 1)
            found += [gpu for gpu in whole if gpu.index in wanted]
            if len(wanted) != sum(gpu.index in wanted for gpu in whole):
                return ()  # numbers of a host of which this container sees a part
        elif word.startswith(("GPU-", "MIG-")):
            found += [gpu for gpu in gpus if gpu.uuid.lower() == word.lower()]
        else:
            return ()  # all, none, void, names of CDI devices: what is seen is what was given
    chosen = tuple(dict.fromkeys(found))
    return () if chosen == tuple(whole) or len(chosen) >= len(gpus) else chosen


def resolve(
    spec: str,
    *,
    visible: str | None = None,
    reader: NvmlReader | None = None,
    env: Mapping[str, str] | None = None,
) -> Eligible:
    """`parse` on this machine's GPUs. `visible` is CUDA_VISIBLE_DEVICES, by default what `env` says, by default the
    environment.

    `none` does not touch the driver. `all` and `auto` where there is no GPU give an empty pool whose `note` says why;
    everything else that cannot be had raises OptionError, or LeaseError if the driver does not answer.
    """
    spec = spec.strip()
    if spec in ("none", "0"):
        return Eligible(gpus=(), spec=spec, budget=0)
    env = os.environ if env is None else env
    reader = reader or default_reader()
    try:
        gpus = inventory(reader)
    except LeaseError as error:
        if spec in ("all", "auto"):
            return Eligible(gpus=(), spec=spec, note=str(error))
        raise LeaseError(f"{OPTION}={spec}: {error}") from None
    seen = sight(gpus, env if visible is None else {**env, VISIBLE: visible})
    facts = reader.facts()
    out = refused(facts)
    usable = [gpu for gpu in gpus if gpu.uuid not in out]
    note = "; ".join(f"GPU {gpu.index} is not used ({out[gpu.uuid]})" for gpu in gpus if gpu.uuid in out)
    eligible = parse(spec, gpus, seen)
    chosen = tuple(gpu for gpu in eligible.gpus if gpu in usable)
    if eligible.auto:
        busy = {gpu.uuid: use for gpu in chosen if (use := use_of(gpu, reader))}
        chosen = tuple(gpu for gpu in chosen if gpu.uuid not in busy)
        left_out = (f"GPU {gpu.index} is busy ({busy[gpu.uuid][0]})" for gpu in gpus if gpu.uuid in busy)
        note = "; ".join(filter(None, (note, *left_out)))
    if eligible.budget is not None and eligible.budget > len(chosen):
        raise OptionError(
            f"{OPTION}={spec} asks for {_gpus(eligible.budget)}, but only {len(chosen)} can be used: {note}"
        )
    note = note or eligible.note
    names = {gpu.uuid for gpu in chosen}
    return replace(
        eligible,
        gpus=chosen,
        note=note,
        apart=fabric_problem([fact for fact in facts if fact.uuid in names]) or "",
        cliques=cliques(chosen, reader) if len(chosen) > 1 else {},
        driver=reader.driver() or "",
        gpu_0=_only_slice(gpus),
    )


def parse(spec: str, gpus: Sequence[Gpu], seen_by: Sight | str | None) -> Eligible:
    """What `spec` picks among `gpus`, of which the caller sees those of `seen_by` (None: all; a text is the value of
    CUDA_VISIBLE_DEVICES under PCI order).

    Raises OptionError for a value that means nothing, for GPUs that the caller does not have, and for numbers of which
    only CUDA knows what they mean.
    """
    spec = spec.strip()
    at = seen_by if isinstance(seen_by, Sight) else Sight(visible=seen_by)
    if spec in ("none", "0"):
        return Eligible(gpus=(), spec=spec, budget=0)
    _refuse_fastest_first(spec, gpus, at)
    seen = visible_gpus(gpus, at.visible)
    have = _have(gpus, seen, at)
    if spec in ("all", "auto"):
        return Eligible(gpus=seen, spec=spec, auto=spec == "auto", note="" if seen else have)
    if re.fullmatch(r"\d+", spec):
        budget = int(spec)
        if budget > len(seen):
            fix = f"; ask for at most {len(seen)}, or for `all`" if seen else "; `all` runs the cases that need none"
            if not seen and at.visible is None and _slices(gpus):
                fix = ""  # it is said already which slice to name
            raise OptionError(f"{OPTION}={spec} asks for {_gpus(budget)}, but {have}{fix}")
        return Eligible(gpus=seen, spec=spec, budget=budget)
    chosen: list[Gpu] = []
    for word in spec.removeprefix("idx:").split(","):
        gpu = _one(word.strip(), spec, gpus, seen, have)
        if gpu in chosen:
            raise OptionError(f"{OPTION}={spec} names GPU {gpu.index} twice; name each GPU once")
        chosen.append(gpu)
    return Eligible(gpus=tuple(chosen), spec=spec)


def visible_gpus(gpus: Sequence[Gpu], visible: str | None) -> tuple[Gpu, ...]:
    """The GPUs that CUDA gives a process with this CUDA_VISIBLE_DEVICES, in its order.

    As the CUDA Programming Guide says: an entry that is not valid hides itself and all after it, UUIDs may be
    shortened while they are unique, an empty value hides everything; and a repeated entry is an error, so nothing is
    seen. Numbers count whole GPUs in PCI order. MIG slices are seen only where they are named; but the only slice of a
    machine without a whole GPU, as of a container that was given one, is what CUDA shows as its GPU 0.
    """
    whole = [gpu for gpu in gpus if gpu.mig_profile is None]
    counted = {gpu.index: gpu for gpu in whole}
    if _only_slice(gpus):
        counted = {0: gpus[0]}
    if visible is None:
        return tuple(counted.values())
    seen: list[Gpu] = []
    for word in (word.strip() for word in visible.split(",")):
        if re.fullmatch(r"\d+", word):
            found = [gpu for number, gpu in counted.items() if number == int(word)]
        elif word.startswith(("GPU-", "MIG-")):
            found = [gpu for gpu in gpus if gpu.uuid.lower().startswith(word.lower())]
        else:
            found = []
        if len(found) != 1:
            break
        if found[0] in seen:
            return ()
        seen.append(found[0])
    return tuple(seen)


def _refuse_fastest_first(spec: str, gpus: Sequence[Gpu], at: Sight) -> None:
    """Raises OptionError where a number may mean another GPU to CUDA: of several products it counts the fastest as 0,
    unless CUDA_DEVICE_ORDER says otherwise, and only it knows which that is."""
    whole = [gpu for gpu in gpus if gpu.mig_profile is None]
    kinds = {(gpu.name, None if gpu.memory_mb is None else round(gpu.memory_mb / 1024)) for gpu in whole}
    if at.order == PCI or len(kinds) < 2:
        return
    words = [] if at.visible is None else [word.strip() for word in at.visible.split(",")]
    numbers = {int(word) for word in words if re.fullmatch(r"\d{1,4}", word)}
    # Whichever GPU a number means, all of them together are all GPUs.
    if numbers and numbers != {gpu.index for gpu in whole}:
        what = f"{at.variable}={at.visible}"
    elif (numbers or at.visible is None) and re.search(r"(?:^|[:,])\s*\d+\s*(?:,|$)", spec) and not spec.isdecimal():
        what = f"{OPTION}={spec}"
    else:
        return
    listed = ", ".join(f"{gpu.index}: {gpu.name}, {gpu.uuid}" for gpu in whole)
    value = "is not set" if at.order is None else f"is {at.order}"
    raise OptionError(
        f"{what} has numbers that only CUDA can resolve: CUDA counts the fastest GPU as 0 where {ORDER} {value}, and "
        f"this machine has several products (in PCI order {listed}). Set {ORDER}={PCI} if the numbers are in PCI "
        "order, like those of nvidia-smi and Slurm, or write UUIDs in their place"
    )


def _slices(gpus: Sequence[Gpu]) -> list[Gpu]:
    return [gpu for gpu in gpus if gpu.mig_profile is not None]


def _only_slice(gpus: Sequence[Gpu]) -> str:
    """The UUID of a MIG slice where that is all that there is: CUDA shows it as GPU 0."""
    return gpus[0].uuid if len(gpus) == 1 and gpus[0].mig_profile is not None else ""


def _shortened(gpu: Gpu, gpus: Sequence[Gpu]) -> str:
    """The beginning of its UUID by which a GPU can be named."""
    length = _SHOWN
    while length < len(gpu.uuid) and sum(other.uuid.startswith(gpu.uuid[:length]) for other in gpus) > 1:
        length += 1
    return gpu.uuid[:length]


def _one(word: str, spec: str, gpus: Sequence[Gpu], seen: Sequence[Gpu], have: str) -> Gpu:
    """The GPU that one entry of the option names."""
    if re.fullmatch(r"\d+", word):
        if int(word) < len(seen):
            return seen[int(word)]
        places = f", at the positions 0 to {len(seen) - 1}" if len(seen) > 1 else ", at position 0" if seen else ""
        raise OptionError(f"{OPTION}={spec}: there is no GPU at position {word}; {have}{places}")
    if word.upper().startswith(("GPU-", "MIG-")):
        # A slice may be named though CUDA_VISIBLE_DEVICES is unset: without it CUDA shows no slice but the first.
        pool = [*seen, *(gpu for gpu in gpus if gpu.mig_profile and gpu not in seen and len(seen) == _whole(gpus))]
        found = [gpu for gpu in pool if gpu.uuid.lower().startswith(word.lower())]
        if len(found) == 1:
            return found[0]
        if found:
            matches = ", ".join(gpu.uuid for gpu in found)
            raise OptionError(
                f"{OPTION}={spec}: {word} begins the UUIDs of several GPUs ({matches}); write more characters"
            )
        if any(gpu.uuid.lower().startswith(word.lower()) for gpu in gpus):
            raise OptionError(f"{OPTION}={spec}: {word} is on this machine but hidden from this job; {have}")
        names = ", ".join(gpu.uuid for gpu in pool) or "none"
        raise OptionError(f"{OPTION}={spec}: no GPU has a UUID that begins with {word}; there are: {names}")
    raise OptionError(
        f"{OPTION}={spec} is not understood; write a number of GPUs (4), `all`, `auto`, `none`, "
        "positions (0,1 or idx:0) or UUIDs (GPU-...)"
    )


def _whole(gpus: Sequence[Gpu]) -> int:
    return sum(gpu.mig_profile is None for gpu in gpus)


def _have(gpus: Sequence[Gpu], seen: Sequence[Gpu], at: Sight) -> str:
    if at.visible is None and seen:
        return f"this machine has {len(seen)}"
    if at.visible is None:
        slices = _slices(gpus)
        named = ", ".join(f"{OPTION}={_shortened(gpu, gpus)}" for gpu in slices[:_MOST_NAMED])
        more = f", and {len(slices) - _MOST_NAMED} more" if len(slices) > _MOST_NAMED else ""
        return f"every GPU of this machine is split into MIG slices; name a slice: {named}{more}"
    shown = f"{at.variable}={at.visible}" if at.visible else f"{at.variable} is empty"
    return f"{len(seen) or 'none'} {'is' if len(seen) < 2 else 'are'} visible to this job ({shown})"


def _gpus(count: int) -> str:
    return f"{count} GPU" + "s" * (count != 1)
