"""Launches collected: those that count, those that were discarded and why, until there are enough."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_sgdiff.data import (
    Baseline,
    Launch,
    LaunchRecord,
    Machine,
    Measurement,
    Problem,
    Reading,
    Recorded,
    Request,
    RequestReading,
    RequestRecord,
    Workload,
)
from pytest_sgdiff.engines.serving.numbers import steps_of
from pytest_sgdiff.judging.comparable import other_work
from pytest_sgdiff.judging.series import Series
from pytest_sgdiff.judging.workload import chosen_in, with_chosen
from pytest_sgdiff.quality.judge import sample_problems
from pytest_sgdiff.quality.reference import Drawn
from pytest_sgdiff.runner.job import Job
from pytest_sgdiff.watch import disturbances

REPLACED_AT_MOST = 2
"""Disturbed launches of one case that are replaced before it is given up as `environment` (docs/gpus.md)."""


@dataclass
class LaunchSet:
    """What has been launched so far, what the launches that count have `drawn`, and the committed `baseline` of its
    machine once it was `sought`; `series` are what was judged at the latest look."""

    counted: list[LaunchRecord] = field(default_factory=list)
    drawn: list[Drawn] = field(default_factory=list)
    discarded: list[LaunchRecord] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()
    machine: Machine | None = None
    workload: Workload | None = None
    exhausted: bool = False
    baseline: Baseline | None = None
    series: tuple[Series, ...] = ()
    sought: bool = False
    started: float = field(default_factory=time.monotonic)

    @property
    def too_many_disturbed(self) -> bool:
        """True when more launches were disturbed than may be replaced, or nothing is left to replace them."""
        return len(self.discarded) > REPLACED_AT_MOST or (self.exhausted and bool(self.discarded) and not self.counted)

    @property
    def kept_in(self) -> str | None:
        """The folder to look into: of the launch that failed or was the only one, otherwise the one of them all."""
        folders = [entry.folder for entry in (*self.counted, *self.discarded) if entry.folder]
        if not folders or self.problems or len(folders) == 1:
            return folders[-1] if folders else None
        return folders[0].rpartition("/")[0]


def collect(job: Job, collected: LaunchSet, *, until: int, alone: bool, hold_clocks: bool) -> None:
    """Launch until `until` launches count. Stops at the first problem, or when too many launches were disturbed.

    `hold_clocks`: a launch is disturbed too if its clocks are below those of the committed baseline. Only where the two
    are compared or put together: a baseline that is replaced, or plays no part, says nothing of what is usual now.
    """
    collected.problems = collected.problems or job.problems
    while len(collected.counted) < until and not collected.too_many_disturbed and not collected.problems:
        launch = job.source.launch(alone=alone)
        if launch is None:
            collected.exhausted = True
            return
        reading = job.engine.read(launch, job.case)
        entry = record_of(launch, reading, job)
        collected.machine = collected.machine or launch.machine or job.only_machine()
        work = with_chosen(launch.workload or job.workload, reading.chosen)
        collected.workload = collected.workload or work
        otherwise = () if reading.problems else chosen_otherwise(collected.workload, work)
        bad = sample_problems(job.case.quality, launch.samples)
        if problems := (*made_for_other_work(job, launch), *otherwise, *reading.problems, *bad):
            collected.problems = problems
            collected.discarded.append(replace(entry, metrics={}, problem=problems[0]))
            return
        reference = committed(job, collected) if hold_clocks else None
        usual = tuple(old.watch for old in reference.measurement.launches) if reference else ()
        seen = disturbances(launch.watch, baseline=usual) if launch.watch else ()
        if seen:
            collected.discarded.append(replace(entry, disturbances=seen))
        else:
            collected.counted.append(entry)
            collected.drawn.append(Drawn(launch=launch.number, samples=launch.samples))


def committed(job: Job, collected: LaunchSet) -> Baseline | None:
    """The committed baseline for the launches' machine, asked for once; None where there is none, or no machine is
    known. Raises BaselineError for one that is wrong."""
    if collected.machine is not None and not collected.sought:
        collected.baseline, collected.sought = job.baseline_for(collected.machine), True
    return collected.baseline


def chosen_otherwise(first: Workload, now: Workload) -> tuple[Problem, ...]:
    """A problem where the engine chose other work for this launch than for those before it: they are not one sample."""
    then, chosen = chosen_in(first), chosen_in(now)
    if then == chosen:
        return ()
    return (Problem(kind="invalid", code="chosen-otherwise", cause="chosen", wanted=then, found=chosen),)


def made_for_other_work(job: Job, launch: Launch) -> tuple[Problem, ...]:
    """A problem where a recorded launch did other work than the case asks for now: its numbers are not the case's."""
    apart = other_work(launch.workload, job.workload)
    return (Problem(kind="invalid", code="other-work", cause="other-work", differences=apart),) if apart else ()


def record_of(launch: Launch, reading: Reading, job: Job) -> LaunchRecord:
    """One launch as results and baselines keep it; of a server the medians of its measured requests, and each."""
    dump, sent = reading.dump, {one.number: one for one in launch.requests}
    extra = {} if reading.problems else _medians([job.extra_metrics(one) for one in reading.dumps])
    return LaunchRecord(
        number=launch.number,
        metrics={**reading.metrics, **extra},
        steps_ms=steps_of(reading.dumps),
        started_at=launch.started_at,
        wall_s=launch.wall_s,
        session=launch.session,
        environment=launch.environment,
        watch=launch.watch,
        warmup=reading.warmup,
        pipeline=reading.pipeline,
        generation=None if dump is None else dump.generation,
        auto_tuned=reading.auto_tuned,
        could_stay=reading.could_stay,
        conditioning_cache=reading.conditioning_cache,
        chosen=reading.chosen,
        requests=tuple(_request_record(one, sent.get(one.number)) for one in reading.requests),
        server_args=reading.server_args,
        alone=None if launch.watch is None else launch.watch.alone,
        folder=launch.folder,
    )


def _request_record(read: RequestReading, sent: Request | None) -> RequestRecord:
    record = RequestRecord(number=read.number, warmup=read.warmup, metrics=read.metrics)
    if sent is None:
        return record
    return replace(
        record,
        load=sent.load,
        sent_s=sent.sent_s,
        intended_s=sent.intended_s,
        server_ms=sent.server_ms,
        failure=sent.failure,
        status=sent.status,
        said=sent.message,
    )


def _medians(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure that all have."""
    names = dict.fromkeys(name for one in found for name in one)
    return {name: statistics.median(one[name] for one in found) for name in names if all(name in one for one in found)}


def measurement_of(job: Job, collected: LaunchSet) -> Measurement:
    """The launches that count, as a measurement. Only called once a machine is known."""
    if collected.machine is None:
        raise AssertionError("a measurement needs a machine")
    return Measurement(
        case=job.case.id,
        machine=collected.machine,
        workload=collected.workload or job.workload,
        launches=tuple(collected.counted),
    )


def as_baseline(job: Job, collected: LaunchSet) -> Baseline | None:
    """The launches that count as a baseline that nobody has written yet; None where no machine is known."""
    return None if collected.machine is None else baseline_of(job, collected)


def baseline_of(job: Job, collected: LaunchSet) -> Baseline:
    first = collected.counted[0]
    return Baseline(
        measurement=measurement_of(job, collected),
        recorded=Recorded(at=first.started_at or "", command=job.command),
        engine_version=first.environment.engine_version,
    )
