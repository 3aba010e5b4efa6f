"""The launches of a new baseline. Nothing is written here: the controller writes what comes back."""

from __future__ import annotations

from dataclasses import replace

from pytest_sgdiff.baselines.renew import refuse_mixture
from pytest_sgdiff.baselines.review import figures
from pytest_sgdiff.data import (
    Baseline,
    Case,
    CaseResult,
    Difference,
    Machine,
    NextStep,
    Reason,
    Warned,
)
from pytest_sgdiff.gpus import runs_alone
from pytest_sgdiff.judging.power import FEW, doubts, recorded_at_most
from pytest_sgdiff.judging.rules.moderated import BASELINE_LAUNCHES
from pytest_sgdiff.judging.series import own_series, unknown_stages
from pytest_sgdiff.runner.collect import (
    LaunchSet,
    as_baseline,
    baseline_of,
    collect,
    committed,
    measurement_of,
)
from pytest_sgdiff.runner.drawn import blank_frames, recorded_pictures
from pytest_sgdiff.runner.gate import apart_from
from pytest_sgdiff.runner.job import Job
from pytest_sgdiff.runner.result import environment_reason, finish, inherited_work


def record(job: Job) -> CaseResult:
    """Take the launches of a new baseline. Nothing is written here: the controller writes what comes back.

    Where the case does not state how many, launches that leave doubts are followed by more of them (docs/decision.md).
    Raises BaselineError after the first launch if it cannot be added to a baseline that is to be extended.
    """
    collected, wanted = LaunchSet(), job.case.recorded_launches
    alone = runs_alone(job.isolation, look=1, recording=True)
    if job.extend:
        collect(job, collected, until=1, alone=alone, hold_clocks=True)
        refuse_extension(job, collected)
    collect(job, collected, until=wanted, alone=alone, hold_clocks=job.extend)
    if (lost := _lost(job, collected)) is not None:
        return lost
    if len(collected.counted) < wanted:
        reason = Reason(code="short-recording", launches=len(collected.counted), of=wanted)
        short = finish(job, collected, None, (), "inconclusive", reason)
        return replace(short, next_step=_too_short(job, collected, wanted))
    told: tuple[Warned, ...] = ()
    if collected.machine is None:
        collected.machine = unknown_machine(job.case)
        told = (Warned(code="unknown-machine", machine=collected.machine.slug),)
    told = (*told, *more_launches(job, collected, alone=alone))
    if (lost := _lost(job, collected)) is not None:
        return lost
    now, baseline = measurement_of(job, collected), committed(job, collected)
    apart = apart_from(now, baseline) if baseline else ()
    quality = recorded_pictures(job, collected, None if apart else baseline)
    if quality.code == "odd-launch":
        # As noise of the baseline it would let any change of its size pass.
        return finish(job, collected, baseline, (), "invalid", Reason(code="odd-picture"), quality=quality)
    if job.extend and quality.other_picture:
        # What is added must be of the same pictures: as noise of the baseline any other would pass from then on.
        other = Reason(code="picture-changed")
        return finish(job, collected, baseline, (), "regressed", other, quality=replace(quality, reference=None))
    fresh, priors = _renewed(job, collected), job.priors_for(collected.machine)
    own = own_series(fresh, job.case.metrics)
    told = (
        *told,
        *(Warned(code="recording-doubt", doubts=(d,)) for d in doubts(own)),
        *inherited_work(now.workload),
        *blank_frames(collected),
        *(
            Warned(code="unknown-stage", stage=one, location=job.case.at(one.key))
            for one in unknown_stages(fresh.measurement.launches, job.case.metrics)
        ),
    )
    looks = job.case.launches.looks
    shown = figures(now, own, baseline, job.case.metrics, looks=looks, apart=apart, priors=priors)
    # What else the launches show is told of comparable ones only.
    done = _done(job, collected, baseline, apart)
    result = finish(job, collected, baseline, () if apart else shown, "pass", done, quality=quality)
    # What was inherited otherwise stands in the review of the new baseline.
    reviewed = ("inherited-otherwise", "inherited-unrecorded")
    warnings = (*told, *(one for one in result.warnings if one.code not in reviewed))
    return replace(result, recorded=True, verdicts=shown, warnings=warnings)


def _lost(job: Job, collected: LaunchSet) -> CaseResult | None:
    """The result of a recording of which a launch failed, or too many were disturbed; None where neither happened."""
    if collected.problems:
        return finish(job, collected, None, (), "invalid", Reason(code="problem"))
    if collected.too_many_disturbed:
        return finish(job, collected, None, (), "inconclusive", environment_reason(collected, recording=True))
    return None


def _too_short(job: Job, collected: LaunchSet, wanted: int) -> NextStep:
    """What to do about a recording that ends too early for a baseline; no case may ask for fewer than three."""
    counted = len(collected.counted)
    fewer = counted if counted >= BASELINE_LAUNCHES else None
    return NextStep(code="record-more", command=job.next_command, launches=wanted, fewer=fewer)


def _done(job: Job, collected: LaunchSet, baseline: Baseline | None, apart: tuple[Difference, ...]) -> Reason:
    """What became of the launches that were recorded."""
    made = Reason(code="recorded", launches=len(collected.counted))
    if baseline is None:
        return replace(made, others=tuple(job.other_machines()))
    if job.extend:
        return replace(made, added_to=len(baseline.measurement.launches))
    return replace(made, replaces=True, differences=apart)


def more_launches(job: Job, collected: LaunchSet, *, alone: bool) -> tuple[Warned, ...]:
    """Take as many launches more as the doubts about those that were taken ask for, and tell why."""
    fresh, planned, most = (
        _renewed(job, collected),
        len(collected.counted),
        recorded_at_most(job.case.launches.baseline, job.case.recorded_launches),
    )
    seen = doubts(own_series(fresh, job.case.metrics)) if len(fresh.measurement.launches) < FEW else ()
    if not seen or most == planned:
        return ()
    until = planned + most - len(fresh.measurement.launches)
    collect(job, collected, until=until, alone=alone, hold_clocks=job.extend)
    more = len(collected.counted) - planned
    return (Warned(code="more-launches", launches=more, usual=planned, doubts=tuple(seen)),) if more else ()


def _renewed(job: Job, collected: LaunchSet) -> Baseline:
    """The baseline that the launches make, those of the old one among them if it is extended."""
    fresh = baseline_of(job, collected)
    old = committed(job, collected) if job.extend else None
    if old is None:
        return fresh
    launches = (*old.measurement.launches, *fresh.measurement.launches)
    return replace(fresh, measurement=replace(fresh.measurement, launches=launches))


def refuse_extension(job: Job, collected: LaunchSet) -> None:
    """Raise BaselineError if the first launch cannot be added to the baseline: no more are wasted on it."""
    fresh = as_baseline(job, collected) if collected.counted else None
    old = None if fresh is None else committed(job, collected)
    if fresh is not None and old is not None:
        refuse_mixture(old, fresh.measurement, fresh.engine_version, fresh.measurement.launches)


def unknown_machine(case: Case) -> Machine:
    """Where launches were made that do not say so; only replays hold such. Launches that do say so are never compared
    with it, and others that do not are, as long as it is the only machine with a baseline of the case."""
    return Machine(kind="gpu" if case.gpus else "cpu", product="unknown", count=max(1, case.gpus))
