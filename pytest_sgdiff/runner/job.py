"""What the runner works on: a job, what has been launched of it so far, and the result that comes of it. Pure but for
the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

from pytest_sgdiff.data import (
    Baseline,
    Case,
    CaseResult,
    Changed,
    Launch,
    LaunchRecord,
    Machine,
    Measurement,
    MetricClass,
    Outcome,
    PerfDump,
    Problem,
    Reading,
    Reason,
    Verdict,
    Warned,
    Workload,
)
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.isolation import Isolation
from pytest_sgdiff.judging.comparable import counted, mixture, other_work
from pytest_sgdiff.judging.inherited import changes
from pytest_sgdiff.judging.judge import new_stages
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.series import Series
from pytest_sgdiff.judging.step_profile import step_findings
from pytest_sgdiff.judging.suite_prior import told
from pytest_sgdiff.runner.next_step import next_step, settles

REPLACED_AT_MOST = 2
"""Disturbed launches of one case that are replaced before it is given up as `environment` (docs/gpus.md)."""


class Source(Protocol):
    """Where launches come from."""

    def launch(self, *, alone: bool) -> Launch | None:
        """The next launch of the case, None when there are no more. `alone`: with no other launch on the host."""
        ...


@dataclass(frozen=True, kw_only=True)
class Job:
    """One case to be measured, and everything that is needed for it.

    `baseline_for` finds the committed baseline for a machine; `extra_metrics` lets users add their own figures;
    `priors_for` tells what the suite's own baselines on a machine say of the noise between launches, by metric class;
    `extend`: the launches that are recorded are added to those of the baseline; `compared`: a `faster_than` of this
    run needs the case's launches; `problems`: why the recording that is replayed cannot be judged at all;
    `isolation` is the mode of `--sgdiff-isolation`; `next_command` is what `next_step` names: the command that records
    a baseline or, in an A/B run, the one that compares the launches of both engines.
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
    isolation: Isolation = "confirm"
    extend: bool = False
    compared: bool = False
    problems: tuple[Problem, ...] = ()
    gpu_indices: tuple[int, ...] = ()
    next_command: str = ""
    command: str = ""


@dataclass
class Taken:
    """What has been launched so far, and the committed `baseline` of its machine once it was `sought`;
    `series` are what was judged at the latest look."""

    counted: list[LaunchRecord] = field(default_factory=list)
    excluded: list[LaunchRecord] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()
    machine: Machine | None = None
    workload: Workload | None = None
    exhausted: bool = False
    baseline: Baseline | None = None
    series: tuple[Series, ...] = ()
    sought: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def spoiled(self) -> bool:
        """True when more launches were disturbed than may be replaced, or nothing is left to replace them."""
        return len(self.excluded) > REPLACED_AT_MOST or (self.exhausted and bool(self.excluded) and not self.counted)

    @property
    def kept_in(self) -> str | None:
        """The folder to look into: of the launch that failed or was the only one, otherwise the one of them all."""
        folders = [entry.folder for entry in (*self.counted, *self.excluded) if entry.folder]
        if not folders or self.problems or len(folders) == 1:
            return folders[-1] if folders else None
        return folders[0].rpartition("/")[0]


def committed(job: Job, taken: Taken) -> Baseline | None:
    """The committed baseline for the launches' machine, asked for once; None where there is none, or no machine is
    known. Raises BaselineError for one that is wrong."""
    if taken.machine is not None and not taken.sought:
        taken.baseline, taken.sought = job.baseline_for(taken.machine), True
    return taken.baseline


def made_for_other_work(job: Job, launch: Launch) -> tuple[Problem, ...]:
    """A problem where a recorded launch did other work than the case asks for now: its numbers are not the case's."""
    apart = other_work(launch.workload, job.workload)
    return (Problem(kind="invalid", code="other-work", cause="other-work", differences=apart),) if apart else ()


def of_two_measurements(launches: Sequence[Launch]) -> tuple[Problem, ...]:
    """A problem where launches of a recording are not of one measurement, as when two jobs' are copied into one folder.

    Told of the whole recording, whichever of its launches are looked at: nobody knows which of the two is meant.
    """
    for one, other in combinations(launches, 2):
        if apart := mixture(one, other):
            two = (one.number, other.number)
            return (Problem(kind="invalid", code="two-measurements", cause="mixture", launches=two, differences=apart),)
    return ()


def record_of(launch: Launch, reading: Reading, job: Job) -> LaunchRecord:
    """One launch as results and baselines keep it."""
    dump = reading.dump
    extra = {} if dump is None or reading.problems else dict(job.extra_metrics(dump))
    return LaunchRecord(
        number=launch.number,
        metrics={**reading.metrics, **extra},
        steps_ms=() if dump is None else dump.steps_ms,
        started_at=launch.started_at,
        wall_s=launch.wall_s,
        session=launch.session,
        environment=launch.environment,
        watch=launch.watch,
        warmup=reading.warmup,
        pipeline=reading.pipeline,
        generation=None if dump is None else dump.generation,
        auto_tuned=reading.auto_tuned,
        conditioning_cache=reading.conditioning_cache,
        server_args=reading.server_args,
        alone=None if launch.watch is None else launch.watch.alone,
        folder=launch.folder,
    )


def measurement_of(job: Job, taken: Taken) -> Measurement:
    """The launches that count, as a measurement. Only called once a machine is known."""
    if taken.machine is None:
        raise AssertionError("a measurement needs a machine")
    return Measurement(
        case=job.case.id,
        machine=taken.machine,
        workload=taken.workload or job.workload,
        launches=tuple(taken.counted),
    )


def finish(
    job: Job,
    taken: Taken,
    baseline: Baseline | None,
    verdicts: tuple[Verdict, ...],
    outcome: Outcome,
    reason: Reason,
    *,
    decided_by: Sequence[Verdict] = (),
) -> CaseResult:
    """The result of the case, with everything that reports want to know."""
    case, launches = job.case, (*taken.counted, *taken.excluded)
    old = baseline.measurement.launches if baseline else ()
    # Published numbers come without an environment; the base engine's launches have that of the current one's.
    recorded = baseline is not None and baseline.kind == "recorded"
    changed = (
        changes(*((launch.environment for launch in counted(side)) for side in (old, launches))) if recorded else ()
    )
    return CaseResult(
        case=case.id,
        node_id=case.node_id,
        location=case.location,
        outcome=outcome,
        reason=reason,
        decided_by=tuple(v.metric for v in decided_by),
        next_step=next_step(
            outcome,
            job.next_command,
            cause=taken.problems[0].cause if taken.problems else None,
            disturbed=taken.spoiled,
            settled_by=settles(verdicts, baseline, job.next_command) if baseline else "",
            looks=case.launches.looks[-1],
            changed=changed,
        ),
        summary=case.summary,
        faster_than=case.faster_than,
        machine=taken.machine,
        gpu_indices=job.gpu_indices,
        workload=taken.workload or job.workload,
        launches=tuple(sorted(launches, key=lambda entry: entry.number)),
        verdicts=verdicts,
        changed=changed,
        warnings=(
            *tuned(taken),
            *inherited_otherwise(changed),
            *(seen_beside(job, taken, baseline, verdicts) if verdicts and baseline else ()),
        ),
        noise=told(job.priors_for(taken.machine)) if verdicts and taken.machine else "",
        problems=taken.problems,
        baseline_path=baseline.path if baseline else None,
        baseline_recorded=baseline.recorded if baseline else None,
        baseline_engine=baseline.engine_version if baseline else None,
        baseline_source=baseline.source if baseline else "",
        baseline_records=old,
        baseline_launches=len(old),
        command=job.command,
        folder=taken.kept_in,
        elapsed_s=time.monotonic() - taken.started,
        measured=bool(taken.counted),
    )


def unmeasured(case: Case, error: str, *, fix: str = "") -> CaseResult:
    """The result of a case that could not be launched through no fault of its own, as `error` says; `fix` is what helps
    where waiting for a quiet machine does not."""
    return CaseResult(
        case=case.id,
        node_id=case.node_id,
        location=case.location,
        outcome="inconclusive",
        reason=Reason(code="environment", error=error),
        next_step=next_step("inconclusive", "", disturbed=not fix, settled_by=fix),
        summary=case.summary,
    )


def environment_reason(taken: Taken, *, recording: bool = False) -> Reason:
    """Why a case was given up although no launch failed."""
    return Reason(
        code="environment",
        disturbed=len(taken.excluded),
        disturbances=tuple(one for entry in taken.excluded for one in entry.disturbances),
        recording=recording,
    )


def tuned(taken: Taken) -> tuple[Warned, ...]:
    """A warning if the engine chose settings by itself: such a figure moves when its heuristics do."""
    lines = tuple(dict.fromkeys(line for entry in taken.counted for line in entry.auto_tuned))
    return (Warned(code="auto-tuned", names=lines),) if lines else ()


def inherited_otherwise(changed: Sequence[Changed]) -> tuple[Warned, ...]:
    """Warnings about variables that the launches inherited otherwise than those of the baseline, and about those of
    which the baseline tells nothing."""
    known, untold = (tuple(one for one in changed if one.recorded is told) for told in (True, False))
    return (
        *([Warned(code="inherited-otherwise", changed=known)] if known else []),
        *([Warned(code="inherited-unrecorded", changed=untold)] if untold else []),
    )


def inherited_work(workload: Workload) -> tuple[Warned, ...]:
    """A warning about inherited variables that a baseline is recorded with: every later launch must inherit them."""
    names = workload.inherited or ()
    changed = tuple(Changed(name=name, now=str(workload.fields.get(f"env.{name}"))) for name in names)
    return (Warned(code="inherited-work", changed=changed),) if changed else ()


def seen_beside(job: Job, taken: Taken, baseline: Baseline, verdicts: Sequence[Verdict]) -> tuple[Warned, ...]:
    """What the launches show beside what is judged: pauses in most of them, stages that the baseline lacks, the profile
    of the steps, and what could not be judged but does not decide, which a case that passes does not show."""
    if baseline.kind == "reference":
        return ()
    idle = [v for v in verdicts if v.outcome in ("inconclusive", "no-baseline") and v.ratio is None and not v.deciding]
    often = [v for v in verdicts if v.metric_class == "pause" and v.outcome == "pass" and v.suspect]
    fresh = new_stages(measurement_of(job, taken), baseline)
    steps = step_findings(baseline.measurement.launches, taken.counted)
    return (
        *(Warned(code="pauses", metric=v.metric) for v in often),
        *(Warned(code="not-judged", metric=v.metric) for v in idle),
        *([Warned(code="new-stages", names=tuple(fresh))] if fresh else []),
        *(Warned(code="steps", step=found) for found in steps),
    )
