"""Tuning: the variants of a case, what was measured of each, and how they rank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_sgdiff.data.cases import Advice, ArgValue, Case
from pytest_sgdiff.data.measurements import Problem

Axis = Literal[
    "topology", "compile", "offload", "attention", "cache", "precision", "quantised", "device-mode", "matrix"
]
"""What a setting is about; a variant has at most one setting of each. `offload` is where weights are kept, FSDP among
them; `matrix` is whatever a variant of a case file's own matrix changes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One choice on an axis: the flags and variables that it gives a case; None takes one away. `gpus` is the number of
    GPUs that it gives a case, None where it leaves that as it is. `lossy`: the picture changes. `source` says who
    recommends it, and what they claim of it."""

    axis: Axis
    name: str
    args: Mapping[str, ArgValue | None] = field(default_factory=dict)
    env: Mapping[str, str | None] = field(default_factory=dict)
    gpus: int | None = None
    lossy: bool = False
    source: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A case with some settings. `case` is what is launched, under an id of its own; the variant without settings is
    the case as it is written."""

    name: str
    case: Case
    settings: tuple[Setting, ...] = ()

    @property
    def lossy(self) -> bool:
        """Whether the picture may change."""
        return any(setting.lossy for setting in self.settings)


PruneCode = Literal["advice", "flag", "lossy", "gpus", "same"]
"""Why a variant is not launched: advice calls it an error, the engine has no such flag or value, it is lossy and only
lossless ones were asked for, it needs other GPUs than there are, or it is another variant in other words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pruned:
    """A variant that is not launched. `advice` says what is known against it; `same` is the variant that it is."""

    name: str
    settings: tuple[Setting, ...]
    code: PruneCode
    advice: tuple[Advice, ...] = ()
    same: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Space:
    """All that may be launched, the case as it is written first, and all that may not. The case itself may be one of
    these."""

    variants: tuple[Variant, ...]
    pruned: tuple[Pruned, ...] = ()

    @property
    def written(self) -> Variant | None:
        """The case as it is written; None where it cannot be launched."""
        return next((one for one in self.variants if not one.settings), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """One launch of a variant that counts: the time in ms that variants are ranked by, the share of it (0 to 1) that
    the launch visibly lost to what held it up (None where it does not show that), the peak of memory in MiB on the GPU
    that had most in use (None where the engine reports none), and the seconds of GPUs that it took."""

    variant: str
    ms: float
    lost: float | None = None
    memory_mib: float | None = None
    gpu_s: float = 0.0


DropCode = Literal["slower", "memory", "failed", "disturbed", "picture"]
"""Why a variant is launched no more: it cannot be among the best, it needs more memory than there may be, its launches
do not count, other work disturbed too many of them, or it draws another picture although none of its settings should
change it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """Why a variant was given up: `by` is the variant that is faster, `problem` why a launch of it does not count,
    `why` are the words of whoever noticed where there is no problem."""

    code: DropCode
    by: str = ""
    why: str = ""
    problem: Problem | None = None


RequestPart = Literal["model", "prompt", "inputs", "size", "frames", "steps", "outputs", "guidance", "seed"]
"""What a request asks for, whatever the settings that it runs with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OtherRequest:
    """A variant that is not the same request as the case as it is written, and in what."""

    variant: str
    parts: tuple[RequestPart, ...]


TuneTroubleCode = Literal["disk", "model", "gpus", "project"]
"""What keeps variants from being measured that is no fault of theirs: a disk is full, the model of the case cannot be
had, others hold the GPUs, or pytest itself failed (a fixture, a hook, a folder)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneTrouble:
    """Why nothing is said of a variant, empty for all of them: `why` are the words of whoever noticed, `problem` is
    what the launch shows."""

    code: TuneTroubleCode
    variant: str = ""
    why: str = ""
    problem: Problem | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What is known of a variant: its launches, their geometric mean in ms and its interval, and the peak of memory in
    MiB. `ratio` is its time over that of the first, and its interval that over the true quickest, whichever it is; both
    hold for all variants together, at the confidence of `Tuned`. What was not measured is None. `group` counts from 1:
    variants of a group are not told apart from its quickest; None for those without a time, or that cannot be used."""

    variant: str
    launches: int = 0
    ms: float | None = None
    low: float | None = None
    high: float | None = None
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    memory_mib: float | None = None
    group: int | None = None
    dropped: Dropped | None = None

    @property
    def given_up(self) -> bool:
        """Whether it does not run, does not fit into the memory, or draws another picture: no slower one."""
        return self.dropped is not None and self.dropped.code != "slower"

    @property
    def usable(self) -> bool:
        """Whether it was measured, and was not given up for another reason than its time."""
        return self.ms is not None and not self.given_up


TuneCode = Literal["decided", "equal", "budget", "launches", "nothing"]
"""How a search ended: one variant is the best or within the tolerance of it, several cannot be told apart within it,
the time is used up, every variant left had as many launches as it may have, or no variant can be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tuned:
    """How the variants rank, the quickest first. With `confidence` (0.95) all intervals hold at once
    (`pytest_sgdiff.tuning.search` has the small print); the first is within its `ratio_high` of the best, which is
    `within` (a fraction) where the search was `decided` or `equal`. `memory_mib` is what a launch may use."""

    code: TuneCode
    standings: tuple[Standing, ...]
    confidence: float
    within: float
    memory_mib: float | None = None
    launches: int = 0
    gpu_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneLeft:
    """What a search still has to launch, as it looks now: launches, and seconds of GPUs (None before the first)."""

    launches: int
    gpu_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneLaunch:
    """What came of one try at launching a variant: a launch that counts, or why there is none.

    `round` is the run of pytest that it was in, `took_s` how long that took of it on this machine, with what pytest
    does around it. `e2e_ms` is the time of the whole request, None where the launch does not say. `alone`: nothing else
    of the search ran beside it."""

    round: int
    variant: str
    tried: Tried | None = None
    dropped: Dropped | None = None
    took_s: float = 0.0
    e2e_ms: float | None = None
    alone: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneStep:
    """What a search does: it launches variants at the same time, or one of them `came` to an end. `launches` count by
    now, about `left` are left, which take about `left_s` (None where nobody knows)."""

    round: int
    variants: tuple[str, ...]
    launches: int = 0
    left: int = 0
    left_s: float | None = None
    came: TuneLaunch | None = None
