"""A/B: the base and the current engine launched in turn on the same GPUs, and judged pair by pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from pytest_sgdiff.data import (
    Baseline,
    CaseResult,
    MetricClass,
    NextStep,
    Quality,
    Reason,
    Verdict,
)
from pytest_sgdiff.gpus import runs_alone
from pytest_sgdiff.judging import suite_prior
from pytest_sgdiff.judging.judge import gone, judge, outcome_of
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.runner.accepting import all_settled, with_accepted
from pytest_sgdiff.runner.collect import (
    LaunchSet,
    as_baseline,
    collect,
    measurement_of,
)
from pytest_sgdiff.runner.drawn import paired_pictures
from pytest_sgdiff.runner.job import Job
from pytest_sgdiff.runner.result import environment_reason, finish

PAIR_LOOKS = (3, 5, 8)
"""Pairs of launches after which an A/B verdict is sought (docs/decision-evidence.md, "A/B")."""


def against(base: Job, now: Job) -> CaseResult:
    """A/B: launch the base and the current engine in turn and judge pair by pair; needs no baseline.

    The order within a pair alternates (ABBA), so that a drift of the machine falls on both alike. `now.next_command`
    is the command that compares the launches of both.
    """
    result = _pairs(base, now)
    # What `next_step` says is of committed baselines, which an A/B run neither reads nor is changed by.
    named = ("regressed", "improved", "no-baseline", "inconclusive")
    steps = dict.fromkeys(named, NextStep(code="see-differences", command=now.next_command))
    if result.reason_code == "picture-changed":
        steps["regressed"] = NextStep(code="see-pictures")
    if not gone(result.verdicts):
        steps["inconclusive"] = NextStep(code="repeat-pairs")
    return replace(result, next_step=steps.get(result.outcome, result.next_step))


def _pairs(base: Job, now: Job) -> CaseResult:
    then, collected = LaunchSet(), LaunchSet()
    verdicts: tuple[Verdict, ...] = ()
    baseline: Baseline | None = None
    quality: Quality | None = None
    for number, look in enumerate(PAIR_LOOKS, 1):
        while len(collected.counted) < look:
            pair = len(collected.counted)
            sides = ((base, then), (now, collected))
            for job, side in sides if pair % 2 == 0 else sides[::-1]:
                alone = runs_alone(job.isolation, look=number, recording=True)
                collect(job, side, until=pair + 1, alone=alone, hold_clocks=False)
                if len(side.counted) == pair:
                    return given_up(now, then, collected)
        baseline = as_baseline(base, then)
        if baseline is None:
            return finish(now, collected, None, (), "invalid", Reason(code="no-machine", side="base"))
        priors = now.priors_for(baseline.measurement.machine)
        judged = partial(_judged, now, collected, baseline, priors)
        verdicts = judged({})
        quality = paired_pictures(now, then, collected)
        if all_settled(now, verdicts, judged):
            break
    outcome, by = outcome_of(verdicts)
    reason = Reason(pairs=len(collected.counted))
    if quality is not None and quality.other_picture and outcome != "regressed":
        outcome, by, reason = "regressed", (), replace(reason, code="picture-changed")
    result = finish(now, collected, baseline, verdicts, outcome, reason, decided_by=by, quality=quality)
    result = with_accepted(now, result, judged)
    return replace(result, noise=suite_prior.used(priors, paired=True))


def _judged(
    job: Job,
    collected: LaunchSet,
    baseline: Baseline,
    priors: Mapping[MetricClass, Prior],
    accepted: Mapping[str, float],
) -> tuple[Verdict, ...]:
    now, choice = measurement_of(job, collected), job.case.metrics
    return judge(now, baseline, choice, looks=PAIR_LOOKS, paired=True, priors=priors, accepted=accepted)


def given_up(now: Job, then: LaunchSet, collected: LaunchSet) -> CaseResult:
    """The result of an A/B case whose pairs could not be launched; says which engine it was. Its launches are those of
    the current engine, whichever failed: histories and reports take them for that."""
    if then.problems or collected.problems:
        side = then if then.problems else collected
        failed = replace(collected, problems=side.problems, machine=side.machine)
        reason = Reason(code="problem", side="base" if side is then else "current")
        return replace(finish(now, failed, None, (), "invalid", reason), folder=side.kept_in)
    too_many_disturbed = next((side for side in (then, collected) if side.too_many_disturbed), None)
    given = Reason(code="no-more-launches") if too_many_disturbed is None else environment_reason(too_many_disturbed)
    return finish(now, collected, None, (), "inconclusive", given)
