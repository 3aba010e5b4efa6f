"""What the engine's own profiler says of one launch, and two of them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_sgdiff.data.measurements import Problem

Part = Literal["operator", "kernel", "python"]
"""What a row of a profile is: an operator of torch by name and input shape, a kernel on the device, or a function in
Python outside of any operator."""

ProfileReach = Literal["stages", "steps"]
"""What of a request is profiled: all stages of the pipeline, or denoising steps alone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfilePlan:
    """What the engine is asked to profile: `reach`, and up to how many denoising `steps` where it is steps alone."""

    reach: ProfileReach
    steps: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileRow:
    """One operator, kernel or Python function in one stage ("" where the trace does not say), summed up over a launch.

    `self_ms` is its own time, without what it calls: on the device where the launch used one, and on the CPU
    otherwise. Single calls that took more than ten times the median of the row count as that much: the rest,
    `held_ms`, is the time for which something held them up. `steps_ms` are the parts of `self_ms` in the steps of the
    summary, empty where there are none.
    """

    part: Part
    name: str
    shape: str = ""
    stage: str = ""
    count: int
    self_ms: float
    held_ms: float = 0.0
    steps_ms: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileSummary:
    """A trace, summed up: its largest rows, and the rest of each part in `rest_ms`.

    `clock` is whose time the operators' is. `steps` are the numbers of the denoising steps that the trace holds, from
    0 over all denoising stages; `stages_ms` is how long each stage took in the profiled launch.
    """

    reach: ProfileReach
    clock: Literal["device", "cpu"]
    rows: tuple[ProfileRow, ...]
    steps: tuple[int, ...] = ()
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    rest_ms: Mapping[str, float] = field(default_factory=dict)
    engine_version: str | None = None


ProfileCode = Literal[
    # There are figures.
    "compared",
    "alone",
    # There are none.
    "unsupported-server",
    "unsupported-cluster",
    "unsupported-engine",
    "interrupted",
    "launch-failed",
    "no-trace",
    "torn",
    "too-large",
    "empty",
    # What it was to be compared with.
    "no-baseline-profile",
    "bad-baseline-profile",
    "other-work",
    "other-reach",
    "base-failed",
]
"""What came of a profile.

`compared`: both sides are there. `alone`: only this one was asked for (a recording of a baseline). The `unsupported`
ones: a server, a launch on a node of a cluster, or an engine of a plugin. `interrupted`: somebody ended the run while
it was profiled, and the verdict stands. `launch-failed`, `no-trace`, `torn`, `too-large` and `empty`: the launch
failed, or wrote no trace, a damaged one, one beyond the limit, or one without any operator. The others: this side is
there, and the other one is not kept, not readable, of a different workload, of another reach or clock, or failed (A/B).
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowChange:
    """One row on both sides; None where a side does not have it. `beyond_ms` is the change beyond what the typical call
    of all rows changed by; `first` to `last` are the denoising steps in which nearly all of the change lies, None where
    the trace has none or the change is not in the steps."""

    part: Part
    name: str
    shape: str = ""
    stage: str = ""
    then_ms: float | None = None
    now_ms: float | None = None
    then_count: int = 0
    now_count: int = 0
    beyond_ms: float = 0.0
    first: int | None = None
    last: int | None = None

    @property
    def change_ms(self) -> float:
        """Now minus then; a side that lacks the row has 0 of it."""
        return (self.now_ms or 0.0) - (self.then_ms or 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class StageChange:
    """How long one stage took on both sides (ms); None where a side does not have it."""

    stage: str
    then_ms: float | None = None
    now_ms: float | None = None

    @property
    def change_ms(self) -> float:
        """Now minus then; a side that lacks the stage has 0 of it."""
        return (self.now_ms or 0.0) - (self.then_ms or 0.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileChange:
    """Two profiles side by side: `rows`, the largest change first, of those that changed by half a percent of all time.

    `then_ms` and `now_ms` are the time of all operators (on the device of all kernels) that was compared. `typical` is
    the ratio of the median call, None with too few rows. `steps` are the steps that both have; `stage` is the one
    whose rows changed most, "" where the traces do not say, and `stages` are all of them. `held_then_ms` and
    `held_now_ms` are the times of calls that were held up.
    """

    clock: Literal["device", "cpu"]
    rows: tuple[RowChange, ...]
    then_ms: float
    now_ms: float
    typical: float | None = None
    steps: tuple[int, ...] = ()
    stage: str = ""
    stages: tuple[StageChange, ...] = ()
    held_then_ms: float = 0.0
    held_now_ms: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Profiled:
    """What came of profiling a case: `code`, and the figures where there are any. `why` is what the system or the
    trace says of a failure, `problem` what the launch does. `trace` and `base_trace` are the files that were kept,
    `dropped_bytes` is the size of one that was too large to be kept."""

    code: ProfileCode
    now: ProfileSummary | None = None
    change: ProfileChange | None = None
    why: str = ""
    problem: Problem | None = None
    trace: str | None = None
    base_trace: str | None = None
    dropped_bytes: int | None = None
