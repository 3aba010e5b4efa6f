"""The gate of a case: judged against its baseline checkpoint by checkpoint, until its outcome is certain.

It works on a `Source` of launches and does not know whether an engine runs or a recording is replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from pytest_sgdiff.data import (
    Baseline,
    CaseResult,
    Difference,
    Measurement,
    Quality,
    Reason,
    Verdict,
    Warned,
)
from pytest_sgdiff.gpus import runs_alone
from pytest_sgdiff.judging.judge import confirms_pauses, differences, judge, outcome_of, verdicts_on
from pytest_sgdiff.judging.power import doubts
from pytest_sgdiff.judging.series import series_of
from pytest_sgdiff.runner.accepting import all_settled, with_accepted
from pytest_sgdiff.runner.collect import (
    LaunchSet,
    collect,
    committed,
    measurement_of,
)
from pytest_sgdiff.runner.drawn import pictures
from pytest_sgdiff.runner.job import Job
from pytest_sgdiff.runner.result import environment_reason, finish


def gate(job: Job) -> CaseResult:
    """Judge the case at each look; stop as soon as every deciding metric is settled.

    A case that is compared with another one of the run takes all its launches: one against one settles nothing. Where
    all launches pause and a small baseline does not, a few more than the case plans show whether they all do.
    """
    collected = LaunchSet()
    verdicts: tuple[Verdict, ...] = ()
    baseline: Baseline | None = None
    missing: Reason | None = None
    quality: Quality | None = None
    looks = list(job.case.launches.looks)
    for number, look in enumerate(looks, 1):
        collect(job, collected, until=look, alone=runs_alone(job.isolation, look=number), hold_clocks=True)
        if collected.problems or collected.too_many_disturbed or not collected.counted:
            break
        baseline, verdicts, missing = compare(job, collected)
        quality = pictures(job, collected, baseline) if missing is None else None
        done = missing is not None or all_settled(job, verdicts, partial(_verdicts, job, collected, baseline))
        if collected.exhausted or (done and not job.compared):
            break
        if number == len(looks) and missing is None and (more := confirms_pauses(verdicts, look)):
            looks.extend(range(look + 1, more + 1))
    if collected.problems:
        return finish(job, collected, baseline, (), "invalid", Reason(code="problem"))
    if collected.too_many_disturbed:
        return finish(job, collected, baseline, (), "inconclusive", environment_reason(collected))
    if not collected.counted:
        return finish(job, collected, baseline, (), "invalid", Reason(code="empty-recording"))
    if missing is not None:
        return finish(job, collected, baseline, (), "no-baseline", missing)
    outcome, by = outcome_of(verdicts)
    reason = Reason()
    if quality is not None and quality.other_picture and outcome != "regressed":
        # No time makes up for another picture.
        outcome, by, reason = "regressed", (), Reason(code="picture-changed")
    if outcome == "inconclusive" and collected.exhausted and len(collected.counted) < looks[-1]:
        reason = Reason(launches=len(collected.counted), of=looks[-1])
    result = finish(job, collected, baseline, verdicts, outcome, reason, decided_by=by, quality=quality)
    result = with_accepted(job, result, partial(_verdicts, job, collected, baseline))
    seen = doubts(collected.series) if baseline is not None and baseline.kind == "recorded" else ()
    return replace(result, warnings=(*result.warnings, *(Warned(code="baseline-doubt", doubts=(d,)) for d in seen)))


def compare(job: Job, collected: LaunchSet) -> tuple[Baseline | None, tuple[Verdict, ...], Reason | None]:
    """The baseline, the verdicts against it, and why there are none (None if there are)."""
    if collected.machine is None:
        return None, (), Reason(code="no-machine")
    baseline = committed(job, collected)
    if baseline is None:
        others = tuple(job.other_machines())
        return None, (), Reason(code="no-baseline", machine=collected.machine.slug, others=others)
    now = measurement_of(job, collected)
    apart = apart_from(now, baseline)
    if apart:
        return baseline, (), Reason(code="not-comparable", differences=apart)
    case, priors = job.case, job.priors_for(collected.machine)
    collected.series = series_of(now, baseline, case.metrics)
    return baseline, verdicts_on(collected.series, now, baseline, looks=case.launches.looks, priors=priors), None


def _verdicts(
    job: Job, collected: LaunchSet, baseline: Baseline | None, accepted: Mapping[str, float]
) -> tuple[Verdict, ...]:
    if baseline is None or collected.machine is None:
        return ()
    now, priors = measurement_of(job, collected), job.priors_for(collected.machine)
    choice, looks = job.case.metrics, job.case.launches.looks
    return judge(now, baseline, choice, looks=looks, priors=priors, accepted=accepted)


def apart_from(now: Measurement, baseline: Baseline) -> tuple[Difference, ...]:
    """Why the launches are not comparable with the baseline."""
    environment = now.launches[0].environment
    return differences(now.machine, now.workload, environment, baseline, launches=now.launches)
