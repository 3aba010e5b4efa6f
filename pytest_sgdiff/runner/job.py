"""What the runner works on: one case, and everything that is needed to measure it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pytest_sgdiff.data import (
    Acceptance,
    Baseline,
    Case,
    Launch,
    Machine,
    MetricClass,
    PerfDump,
    Problem,
    Reference,
    Workload,
)
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.isolation import Isolation
from pytest_sgdiff.judging.rules import Prior


class Source(Protocol):
    """Where launches come from."""

    def launch(self, *, alone: bool) -> Launch | None:
        """The next launch of the case, None when there are no more. `alone`: with no other launch on the host."""
        ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """One case to be measured, and everything that is needed for it.

    `baseline_for` finds the committed baseline for a machine; `extra_metrics` lets users add their own figures;
    `reference_for` reads what its launches drew;
    `priors_for` tells what the suite's own baselines on a machine say of the noise between launches, by metric class;
    `extend`: the launches that are recorded are added to those of the baseline; `compared`: a `faster_than` of this
    run needs the case's launches; `problems`: why the recording that is replayed cannot be judged at all;
    `isolation` is the mode of `--sgdiff-isolation`; `next_command` is what `next_step` names: the command that records
    a baseline or, in an A/B run, the one that compares the launches of both engines; `replayed`: how many launches a
    recording has that is too short for a baseline, so that `next_command` must launch on the machine. `acceptances`
    are the slowdowns of the case that somebody accepted for a time, `expired_acceptances` those whose time is over.
    """

    case: Case
    source: Source
    engine: Engine
    workload: Workload
    baseline_for: Callable[[Machine], Baseline | None]
    only_machine: Callable[[], Machine | None]
    other_machines: Callable[[], Sequence[str]]
    extra_metrics: Callable[[PerfDump], Mapping[str, float]] = field(default=lambda _: {})
    priors_for: Callable[[Machine], Mapping[MetricClass, Prior]] = field(default=lambda _: {})
    reference_for: Callable[[Baseline], Reference | None] = field(default=lambda baseline: baseline.reference)
    isolation: Isolation = "confirm"
    extend: bool = False
    compared: bool = False
    problems: tuple[Problem, ...] = ()
    gpu_indices: tuple[int, ...] = ()
    next_command: str = ""
    replayed: int | None = None
    command: str = ""
    acceptances: tuple[Acceptance, ...] = ()
    expired_acceptances: tuple[Acceptance, ...] = ()
