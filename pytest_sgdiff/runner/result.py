"""The result of a case, with everything that reports want to know."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from pytest_sgdiff.data import (
    Baseline,
    Case,
    CaseResult,
    Changed,
    LaunchRecord,
    NextStep,
    Outcome,
    Quality,
    Reason,
    Verdict,
    Warned,
    Workload,
)
from pytest_sgdiff.judging.attribution import attribution, long_pause
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.judging.inherited import changes
from pytest_sgdiff.judging.judge import new_stages
from pytest_sgdiff.judging.step_profile import step_findings
from pytest_sgdiff.judging.suite_prior import used
from pytest_sgdiff.runner.collect import LaunchSet, measurement_of
from pytest_sgdiff.runner.drawn import noisy, not_compared
from pytest_sgdiff.runner.job import Job
from pytest_sgdiff.runner.next_step import next_step, settles

_KEEPS_UP = 0.75
"""Share of the requests that are due which a server answers in the meantime, at least, where it keeps up. Below one,
since the last request is answered after it was due."""


def finish(
    job: Job,
    collected: LaunchSet,
    baseline: Baseline | None,
    verdicts: tuple[Verdict, ...],
    outcome: Outcome,
    reason: Reason,
    *,
    decided_by: Sequence[Verdict] = (),
    quality: Quality | None = None,
) -> CaseResult:
    """The result of the case, with everything that reports want to know."""
    case, launches = job.case, (*collected.counted, *collected.discarded)
    old = baseline.measurement.launches if baseline else ()
    # Published numbers come without an environment; the base engine's launches have that of the current one's.
    recorded = baseline is not None and baseline.kind == "recorded"
    changed = (
        changes(*((launch.environment for launch in counted(side)) for side in (old, launches))) if recorded else ()
    )
    step = next_step(
        outcome,
        job.next_command,
        cause=collected.problems[0].cause if collected.problems else None,
        disturbed=collected.too_many_disturbed,
        settled_by=settles(verdicts, baseline, job.next_command) if baseline else None,
        looks=case.launches.looks[-1],
        changed=changed,
    )
    if reason.code == "empty-recording":
        step = NextStep(code="name-recording")  # no engine ran, whose log could be read
    if outcome == "regressed" and quality is not None and quality.other_picture:
        step = NextStep(code="accept-picture", command=job.next_command)
    if reason.code == "odd-picture":
        step = NextStep(code="odd-picture", command=job.next_command)
    return CaseResult(
        case=case.id,
        node_id=case.node_id,
        location=case.location,
        outcome=outcome,
        reason=reason,
        decided_by=tuple(v.metric for v in decided_by),
        next_step=None if step is None else launching(step, job),
        summary=case.summary,
        faster_than=case.faster_than,
        machine=collected.machine,
        gpu_indices=job.gpu_indices,
        workload=collected.workload or job.workload,
        launches=tuple(sorted(launches, key=lambda entry: entry.number)),
        verdicts=verdicts,
        attribution=attribution(old, launches, verdicts) if verdicts and recorded else None,
        changed=changed,
        warnings=(
            *tuned(collected),
            *could_stay(collected),
            *behind_rate(collected),
            *inherited_otherwise(changed),
            *(seen_beside(job, collected, baseline, verdicts) if verdicts and baseline else ()),
            # Of a recording the reason has it.
            *(() if reason.code == "odd-picture" else not_compared(quality)),
            *(noisy(quality) if case.quality.mode == "lossless" else ()),
        ),
        noise=used(job.priors_for(collected.machine)) if verdicts and collected.machine else (),
        problems=collected.problems,
        baseline_path=baseline.path if baseline else None,
        baseline_recorded=baseline.recorded if baseline else None,
        baseline_engine=baseline.engine_version if baseline else None,
        baseline_source=baseline.source if baseline else "",
        baseline_records=old,
        baseline_launches=len(old),
        command=job.command,
        folder=collected.kept_in,
        elapsed_s=time.monotonic() - collected.started,
        measured=bool(collected.counted),
        quality=quality,
    )


def launching(step: NextStep, job: Job) -> NextStep:
    """The step, with why its command launches where the recording that is replayed is too short for a baseline."""
    if not step.command or job.replayed is None:
        return step
    return replace(step, launches=job.case.recorded_launches, have=job.replayed)


def unmeasured(case: Case, error: str, *, fix: str = "") -> CaseResult:
    """The result of a case that could not be launched through no fault of its own, as `error` says; `fix` is what helps
    where waiting for a quiet machine does not."""
    stated = NextStep(code="stated", fix=fix) if fix else None
    return CaseResult(
        case=case.id,
        node_id=case.node_id,
        location=case.location,
        outcome="inconclusive",
        reason=Reason(code="environment", error=error),
        next_step=next_step("inconclusive", "", disturbed=not fix, settled_by=stated),
        summary=case.summary,
    )


def environment_reason(collected: LaunchSet, *, recording: bool = False) -> Reason:
    """Why a case was given up although no launch failed."""
    return Reason(
        code="environment",
        disturbed=len(collected.discarded),
        disturbances=tuple(one for entry in collected.discarded for one in entry.disturbances),
        recording=recording,
    )


def tuned(collected: LaunchSet) -> tuple[Warned, ...]:
    """A warning if the engine chose settings by itself: such a figure moves when its heuristics do."""
    lines = tuple(dict.fromkeys(line for entry in collected.counted for line in entry.auto_tuned))
    return (Warned(code="auto-tuned", names=lines),) if lines else ()


def could_stay(collected: LaunchSet) -> tuple[Warned, ...]:
    """A hint at components that every launch offloads although the GPU has room for them, as SGLang's guide says to
    look for."""
    told = [entry.could_stay for entry in collected.counted]
    if not told or None in told:
        return ()
    kept = [one for one in told if one is not None]
    names = tuple(name for name in kept[0].components if all(name in one.components for one in kept))
    flags = tuple(flag for flag in kept[0].flags if all(flag in one.flags for one in kept))
    return (Warned(code="could-stay", names=names, flags=flags),) if names else ()


def behind_rate(collected: LaunchSet) -> tuple[Warned, ...]:
    """A warning about loads whose requests came faster than every launch answered them. How long they waited then says
    how many there were, and little of the server."""
    seen = [_behind(entry) for entry in collected.counted]
    names = tuple(name for name in seen[0] if all(name in one for one in seen)) if seen else ()
    return (Warned(code="behind-rate", names=names),) if names else ()


def _behind(entry: LaunchRecord) -> tuple[str, ...]:
    due: dict[str, list[float]] = {}
    for one in entry.requests:
        if one.load and one.intended_s is not None:
            due.setdefault(one.load, []).append(one.intended_s)
    return tuple(
        load
        for load, times in due.items()
        if (answered := entry.metrics.get(f"throughput:{load}")) is not None
        and answered * (max(times) - min(times)) < _KEEPS_UP * (len(times) - 1)
    )


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


def seen_beside(job: Job, collected: LaunchSet, baseline: Baseline, verdicts: Sequence[Verdict]) -> tuple[Warned, ...]:
    """What the launches show beside what is judged: pauses in most of them, stages that the baseline lacks, the profile
    of the steps, and what could not be judged but does not decide, which a case that passes does not show."""
    if baseline.kind == "reference":
        return ()
    idle = [v for v in verdicts if v.outcome in ("inconclusive", "no-baseline") and v.ratio is None and not v.deciding]
    pause = long_pause(counted(baseline.measurement.launches), collected.counted)
    often = [v for v in verdicts if v.metric_class == "pause" and v.outcome == "pass" and v.suspect]
    fresh = new_stages(measurement_of(job, collected), baseline)
    steps = step_findings(baseline.measurement.launches, collected.counted)
    return (
        *(Warned(code="pauses", metric=v.metric) for v in often),
        *([Warned(code="long-pause", pause=pause)] if pause is not None else []),
        *(Warned(code="not-judged", metric=v.metric) for v in idle),
        *([Warned(code="new-stages", names=tuple(fresh))] if fresh else []),
        *(Warned(code="steps", step=found) for found in steps),
    )
