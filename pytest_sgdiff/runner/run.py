"""The pipeline on one screen: case -> launches -> verdicts -> outcome.

`gate` judges a case against its baseline, look by look; `record` takes the launches of a new baseline. Both work on
a `Source` of launches and do not know whether an engine runs or a recording is replayed.
"""

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
    Measurement,
    Reason,
    Recorded,
    Verdict,
    Warned,
)
from pytest_sgdiff.gpus import runs_alone
from pytest_sgdiff.judging import suite_prior
from pytest_sgdiff.judging.judge import differences, gone, judge, outcome_of, settled, verdicts_on
from pytest_sgdiff.judging.power import FEW, doubts, recorded_at_most
from pytest_sgdiff.judging.rules.moderated import BASELINE_LAUNCHES
from pytest_sgdiff.judging.series import own_series, series_of, unknown_stages
from pytest_sgdiff.runner.job import (
    Job,
    Taken,
    committed,
    environment_reason,
    finish,
    inherited_work,
    made_for_other_work,
    measurement_of,
    record_of,
)
from pytest_sgdiff.watch import disturbances

PAIR_LOOKS = (3, 5, 8)
"""Pairs of launches after which an A/B verdict is sought (docs/decision-evidence.md, "A/B")."""

AGAIN = "run it again on a quiet machine"


def gate(job: Job) -> CaseResult:
    """Judge the case at each look; stop as soon as every deciding metric is settled.

    A case that is compared with another one of the run takes all its launches: one against one settles nothing.
    """
    taken, verdicts, baseline = Taken(), (), None  # type: tuple[Taken, tuple[Verdict, ...], Baseline | None]
    missing: Reason | None = None
    looks = job.case.launches.looks
    for number, look in enumerate(looks, 1):
        take(job, taken, until=look, alone=runs_alone(job.isolation, look=number), hold_clocks=True)
        if taken.problems or taken.spoiled or not taken.counted:
            break
        baseline, verdicts, missing = compare(job, taken)
        done = missing is not None or settled(verdicts)
        if taken.exhausted or (done and not job.compared):
            break
    if taken.problems:
        return finish(job, taken, baseline, (), "invalid", Reason(code="problem"))
    if taken.spoiled:
        return finish(job, taken, baseline, (), "inconclusive", environment_reason(taken))
    if not taken.counted:
        return finish(job, taken, baseline, (), "invalid", Reason(code="empty-recording"))
    if missing is not None:
        return finish(job, taken, baseline, (), "no-baseline", missing)
    outcome, by = outcome_of(verdicts)
    reason = Reason()
    if outcome == "inconclusive" and taken.exhausted and len(taken.counted) < looks[-1]:
        reason = Reason(launches=len(taken.counted), of=looks[-1])
    result = finish(job, taken, baseline, verdicts, outcome, reason, decided_by=by)
    seen = doubts(taken.series) if baseline is not None and baseline.kind == "recorded" else ()
    return replace(result, warnings=(*result.warnings, *(Warned(code="baseline-doubt", doubts=(d,)) for d in seen)))


def record(job: Job) -> CaseResult:
    """Take the launches of a new baseline. Nothing is written here: the controller writes what comes back.

    Where the case does not state how many, launches that leave doubts are followed by more of them (docs/decision.md).
    Raises BaselineError after the first launch if it cannot be added to a baseline that is to be extended.
    """
    taken, wanted = Taken(), job.case.recorded_launches
    alone = runs_alone(job.isolation, look=1, recording=True)
    if job.extend:
        take(job, taken, until=1, alone=alone, hold_clocks=True)
        refuse_extension(job, taken)
    take(job, taken, until=wanted, alone=alone, hold_clocks=job.extend)
    if (lost := _lost(job, taken)) is not None:
        return lost
    if len(taken.counted) < wanted:
        reason = Reason(code="short-recording", launches=len(taken.counted), of=wanted)
        short = finish(job, taken, None, (), "inconclusive", reason)
        return replace(short, next_step=_too_short(taken, wanted))
    told: tuple[Warned, ...] = ()
    if taken.machine is None:
        taken.machine = unknown_machine(job.case)
        told = (Warned(code="unknown-machine", machine=taken.machine.slug),)
    told = (*told, *more_launches(job, taken, alone=alone))
    if (lost := _lost(job, taken)) is not None:
        return lost
    now, baseline = measurement_of(job, taken), committed(job, taken)
    apart = _apart(now, baseline) if baseline else ()
    fresh, priors = _renewed(job, taken), job.priors_for(taken.machine)
    own = own_series(fresh, job.case.metrics)
    told = (
        *told,
        *(Warned(code="recording-doubt", doubts=(d,)) for d in doubts(own)),
        *inherited_work(now.workload),
        *(
            Warned(code="unknown-stage", stage=one, location=job.case.at(one.key))
            for one in unknown_stages(fresh.measurement.launches, job.case.metrics)
        ),
    )
    looks = job.case.launches.looks[-1]
    shown = figures(now, own, baseline, job.case.metrics, looks=looks, apart=apart, priors=priors)
    # What else the launches show is told of comparable ones only.
    result = finish(job, taken, baseline, () if apart else shown, "pass", _done(job, taken, baseline, apart))
    # What was inherited otherwise stands in the review of the new baseline.
    reviewed = ("inherited-otherwise", "inherited-unrecorded")
    warnings = (*told, *(one for one in result.warnings if one.code not in reviewed))
    return replace(result, recorded=True, verdicts=shown, warnings=warnings)


def _lost(job: Job, taken: Taken) -> CaseResult | None:
    """The result of a recording of which a launch failed, or too many were disturbed; None where neither happened."""
    if taken.problems:
        return finish(job, taken, None, (), "invalid", Reason(code="problem"))
    if taken.spoiled:
        return finish(job, taken, None, (), "inconclusive", environment_reason(taken, recording=True))
    return None


def _too_short(taken: Taken, wanted: int) -> str:
    """What to do about a recording that ends too early for a baseline; no case may ask for fewer than three."""
    counted = len(taken.counted)
    fewer = f", or let the case ask for {counted} (launches.baseline)" if counted >= BASELINE_LAUNCHES else ""
    return f"record {wanted} launches on the machine, with --sgdiff-gpus and --sgdiff-update{fewer}"


def _done(job: Job, taken: Taken, baseline: Baseline | None, apart: tuple[Difference, ...]) -> Reason:
    """What became of the launches that were recorded."""
    made = Reason(code="recorded", launches=len(taken.counted))
    if baseline is None:
        return replace(made, others=tuple(job.other_machines()))
    if job.extend:
        return replace(made, added_to=len(baseline.measurement.launches))
    return replace(made, replaces=True, differences=apart)


def more_launches(job: Job, taken: Taken, *, alone: bool) -> tuple[Warned, ...]:
    """Take as many launches more as the doubts about those that were taken ask for, and tell why."""
    fresh, planned, most = (
        _renewed(job, taken),
        len(taken.counted),
        recorded_at_most(job.case.launches.baseline, job.case.recorded_launches),
    )
    seen = doubts(own_series(fresh, job.case.metrics)) if len(fresh.measurement.launches) < FEW else ()
    if not seen or most == planned:
        return ()
    until = planned + most - len(fresh.measurement.launches)
    take(job, taken, until=until, alone=alone, hold_clocks=job.extend)
    more = len(taken.counted) - planned
    return (Warned(code="more-launches", launches=more, usual=planned, doubts=tuple(seen)),) if more else ()


def _renewed(job: Job, taken: Taken) -> Baseline:
    """The baseline that the launches make, those of the old one among them if it is extended."""
    fresh = _baseline_of(job, taken)
    old = committed(job, taken) if job.extend else None
    if old is None:
        return fresh
    launches = (*old.measurement.launches, *fresh.measurement.launches)
    return replace(fresh, measurement=replace(fresh.measurement, launches=launches))


def refuse_extension(job: Job, taken: Taken) -> None:
    """Raise BaselineError if the launch that was taken cannot be added to the baseline: no more are wasted on it."""
    fresh = as_baseline(job, taken) if taken.counted else None
    old = None if fresh is None else committed(job, taken)
    if fresh is not None and old is not None:
        refuse_mixture(old, fresh.measurement, fresh.engine_version, fresh.measurement.launches)


def against(base: Job, now: Job) -> CaseResult:
    """A/B: launch the base and the current engine in turn and judge pair by pair; needs no baseline.

    The order within a pair alternates (ABBA), so that a drift of the machine falls on both alike. `now.next_command`
    is the command that compares the launches of both.
    """
    result = _pairs(base, now)
    # What `next_step` says is of committed baselines, which an A/B run neither reads nor is changed by.
    named = ("regressed", "improved", "no-baseline", "inconclusive")
    steps = dict.fromkeys(named, f"see what differs: {now.next_command}")
    if not gone(result.verdicts):
        steps["inconclusive"] = AGAIN
    return replace(result, next_step=steps.get(result.outcome, result.next_step))


def _pairs(base: Job, now: Job) -> CaseResult:
    then, taken, verdicts = Taken(), Taken(), ()  # type: tuple[Taken, Taken, tuple[Verdict, ...]]
    baseline: Baseline | None = None
    for number, look in enumerate(PAIR_LOOKS, 1):
        while len(taken.counted) < look:
            pair = len(taken.counted)
            sides = ((base, then), (now, taken))
            for job, side in sides if pair % 2 == 0 else sides[::-1]:
                alone = runs_alone(job.isolation, look=number, recording=True)
                take(job, side, until=pair + 1, alone=alone, hold_clocks=False)
                if len(side.counted) == pair:
                    return given_up(now, then, taken)
        baseline = as_baseline(base, then)
        if baseline is None:
            return finish(now, taken, None, (), "invalid", Reason(code="no-machine", side="base"))
        priors = now.priors_for(baseline.measurement.machine)
        verdicts = judge(
            measurement_of(now, taken), baseline, now.case.metrics, looks=PAIR_LOOKS[-1], paired=True, priors=priors
        )
        if settled(verdicts):
            break
    outcome, by = outcome_of(verdicts)
    reason = Reason(pairs=len(taken.counted))
    result = finish(now, taken, baseline, verdicts, outcome, reason, decided_by=by)
    return replace(result, noise=suite_prior.told(priors, paired=True))


def given_up(now: Job, then: Taken, taken: Taken) -> CaseResult:
    """The result of an A/B case whose pairs could not be launched; says which engine it was. Its launches are those of
    the current engine, whichever failed: histories and reports take them for that."""
    if then.problems or taken.problems:
        side = then if then.problems else taken
        failed = replace(taken, problems=side.problems, machine=side.machine)
        reason = Reason(code="problem", side="base" if side is then else "current")
        return replace(finish(now, failed, None, (), "invalid", reason), folder=side.kept_in)
    spoiled = next((side for side in (then, taken) if side.spoiled), None)
    given = Reason(code="no-more-launches") if spoiled is None else environment_reason(spoiled)
    return finish(now, taken, None, (), "inconclusive", given)


def take(job: Job, taken: Taken, *, until: int, alone: bool, hold_clocks: bool) -> None:
    """Launch until `until` launches count. Stops at the first problem, or when too many launches were disturbed.

    `hold_clocks`: a launch is disturbed too if its clocks are below those of the committed baseline. Only where the two
    are compared or put together: a baseline that is replaced, or plays no part, says nothing of what is usual now.
    """
    taken.problems = taken.problems or job.problems
    while len(taken.counted) < until and not taken.spoiled and not taken.problems:
        launch = job.source.launch(alone=alone)
        if launch is None:
            taken.exhausted = True
            return
        reading = job.engine.read(launch, job.case)
        entry = record_of(launch, reading, job)
        taken.machine = taken.machine or launch.machine or job.only_machine()
        taken.workload = taken.workload or launch.workload or job.workload
        if problems := (*made_for_other_work(job, launch), *reading.problems):
            taken.problems = problems
            taken.excluded.append(replace(entry, metrics={}, problem=problems[0]))
            return
        reference = committed(job, taken) if hold_clocks else None
        usual = tuple(old.watch for old in reference.measurement.launches) if reference else ()
        seen = disturbances(launch.watch, baseline=usual) if launch.watch else ()
        if seen:
            taken.excluded.append(replace(entry, disturbances=seen))
        else:
            taken.counted.append(entry)


def compare(job: Job, taken: Taken) -> tuple[Baseline | None, tuple[Verdict, ...], Reason | None]:
    """The baseline, the verdicts against it, and why there are none (None if there are)."""
    if taken.machine is None:
        return None, (), Reason(code="no-machine")
    baseline = committed(job, taken)
    if baseline is None:
        others = tuple(job.other_machines())
        return None, (), Reason(code="no-baseline", machine=taken.machine.slug, others=others)
    now = measurement_of(job, taken)
    apart = _apart(now, baseline)
    if apart:
        return baseline, (), Reason(code="not-comparable", differences=apart)
    case, priors = job.case, job.priors_for(taken.machine)
    taken.series = series_of(now, baseline, case.metrics)
    return baseline, verdicts_on(taken.series, now, baseline, looks=case.launches.looks[-1], priors=priors), None


def _apart(now: Measurement, baseline: Baseline) -> tuple[Difference, ...]:
    """Why the launches are not comparable with the baseline."""
    environment = now.launches[0].environment
    return differences(now.machine, now.workload, environment, baseline, launches=now.launches)


def unknown_machine(case: Case) -> Machine:
    """Where launches were made that do not say so; only replays hold such. Launches that do say so are never compared
    with it, and others that do not are, as long as it is the only machine with a baseline of the case."""
    return Machine(kind="gpu" if case.gpus else "cpu", product="unknown", count=max(1, case.gpus))


def as_baseline(job: Job, taken: Taken) -> Baseline | None:
    """The launches that count as a baseline that nobody has written yet; None where no machine is known."""
    return None if taken.machine is None else _baseline_of(job, taken)


def _baseline_of(job: Job, taken: Taken) -> Baseline:
    first = taken.counted[0]
    return Baseline(
        measurement=measurement_of(job, taken),
        recorded=Recorded(at=first.started_at or "", command=job.command),
        engine_version=first.environment.engine_version,
    )
