"""What a case is doing, as values: what a process that runs cases sends, and what is known after it. Pure."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import Case

Side = Literal["base", "current"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What has been happening to a case since `at` (the host's monotonic clock, seconds).

    `launch` of `of` counts from 1 (0: there is none yet), at most that many unless `exact`; `profiled`: it is one with
    the profiler, after the others; `side` is the engine that is launched in an A/B run; `stage` is where the engine is
    by its log; `waits_for` is the reason for a wait, empty where the case does not wait; `expected_s` is how long such
    a launch took for the baseline; `node` is the node of a cluster on which it runs.
    """

    node_id: str
    at: float
    gpus: tuple[int, ...] = ()
    launch: int = 0
    of: int = 0
    exact: bool = False
    profiled: bool = False
    side: Side | None = None
    stage: str = ""
    waits_for: str = ""
    expected_s: float | None = None
    node: str = ""

    @property
    def phase(self) -> tuple[str, Side | None, int, bool]:
        """The launch or the wait that it belongs to."""
        return self.node_id, self.side, self.launch, bool(self.waits_for)


@dataclass(frozen=True, kw_only=True)
class Running:
    """A case with its latest progress; its launch or wait began at `since`."""

    now: Progress
    since: float

    @property
    def fresh(self) -> bool:
        """True if the latest progress is that a launch or a wait begins."""
        return self.since == self.now.at


def followed(before: Running | None, progress: Progress) -> Running:
    """The case after more progress."""
    if before is not None and before.now.phase == progress.phase:
        return Running(now=progress, since=before.since)
    return Running(now=progress, since=progress.at)


def waiting(case: Case, message: str) -> Progress:
    """Progress of a case that has no GPUs yet."""
    return Progress(node_id=case.node_id, at=time.monotonic(), waits_for=message)
