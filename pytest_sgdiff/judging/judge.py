"""Measurement + baseline -> verdicts -> outcome of the case. Pure.

Primary metrics decide. Stages are secondary: one that is slower beyond doubt by more than it is allowed fails the case,
one that cannot be told holds up a pass only if its figure lies beyond what a pass rules out (`suspect`), which asks for
more launches.
Short stages vary by 10 % and more between launches, and would leave nearly every small case undecided or, now and
then, failed for milliseconds (docs/decision.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_sgdiff.data import (
    Baseline,
    ComparisonCode,
    Decision,
    Finding,
    FindingCode,
    Measurement,
    MetricChoice,
    MetricClass,
    Outcome,
    Verdict,
)
from pytest_sgdiff.judging.comparable import counted, differences, same_node
from pytest_sgdiff.judging.estimator import centres, middle
from pytest_sgdiff.judging.host_bound import host_bound
from pytest_sgdiff.judging.plain_numbers import apply_plain
from pytest_sgdiff.judging.power import resolution
from pytest_sgdiff.judging.rules import RULES, ExcessRule, ModeratedRule, PairedRule, Prior, Rule
from pytest_sgdiff.judging.rules.pause import RECUR_LAUNCHES
from pytest_sgdiff.judging.rules.sample import growth, variation
from pytest_sgdiff.judging.rules.three_way import bounds
from pytest_sgdiff.judging.series import Series, new_stages, series_of
from pytest_sgdiff.metrics import DENOISE_CORE, DENOISE_STEPS, cost, costs, more_is_better

__all__ = [
    "apply_plain",
    "differences",
    "gone",
    "judge",
    "new_stages",
    "outcome_of",
    "same_node",
    "settled",
    "verdicts_on",
]


def judge(
    now: Measurement,
    baseline: Baseline,
    choice: MetricChoice,
    *,
    looks: Sequence[int],
    paired: bool = False,
    priors: Mapping[MetricClass, Prior] | None = None,
    rules: Mapping[MetricClass, Rule] | None = None,
    accepted: Mapping[str, float] | None = None,
) -> tuple[Verdict, ...]:
    """One verdict per metric that the choice gates, as `verdicts_on` has them; `accepted` as of `series_of`."""
    found = series_of(now, baseline, choice, accepted=accepted)
    return verdicts_on(found, now, baseline, looks=looks, paired=paired, priors=priors, rules=rules)


def verdicts_on(
    series: Sequence[Series],
    now: Measurement,
    baseline: Baseline,
    *,
    looks: Sequence[int],
    paired: bool = False,
    priors: Mapping[MetricClass, Prior] | None = None,
    rules: Mapping[MetricClass, Rule] | None = None,
) -> tuple[Verdict, ...]:
    """One verdict per series of the two, the primary one first.

    `looks` are the numbers of launches after which a verdict is sought, by which it is said what can be detected.
    `paired`: the baseline's launches were taken in turn with the candidate's (A/B) and pair up by position. `priors`:
    what the suite's own baselines say of the noise of a class (`pytest_sgdiff.judging.rules.prior.fit_prior`).
    `rules` judge their classes in place of the rule that the baseline asks for.
    """
    near = paired or same_node(now.launches, baseline)
    verdicts = tuple(
        _verdict(
            s,
            (None if s.beyond else (rules or {}).get(s.metric_class))
            or _rule(s, baseline, paired=paired, priors=priors or {}),
            baseline,
            looks=looks,
            near=near,
        )
        for s in series
    )
    cores = next((s.beyond for s in series if s.beyond is not None), None)
    host = host_bound(cores, (*counted(baseline.measurement.launches), *counted(now.launches))) if cores else None
    return verdicts if host is None else tuple(_named(v, host) for v in verdicts)


def _named(verdict: Verdict, host: Finding) -> Verdict:
    """What stays open since the host decides says so: more launches would not help."""
    still_open = verdict.metric_class == "primary" and verdict.outcome == "inconclusive"
    return replace(verdict, finding=host) if still_open and verdict.finding.code in _UNDECIDED else verdict


_UNDECIDED: frozenset[FindingCode | ComparisonCode] = frozenset(
    {"undecided", "interval-undecided", "unconfirmed", "out-of-order"}
)


def settled(verdicts: Sequence[Verdict]) -> bool:
    """Whether more launches would change nothing: something regressed, or nothing is left open."""
    return any(v.outcome == "regressed" for v in verdicts) or not any(_open(v) for v in verdicts)


def outcome_of(verdicts: Sequence[Verdict]) -> tuple[Outcome, tuple[Verdict, ...]]:
    """The outcome of the case as long as no more launches come, and the verdicts that it rests on; none of them where
    no gated metric was measured."""
    if not verdicts:
        return "inconclusive", ()
    worse = tuple(v for v in verdicts if v.outcome == "regressed")
    if worse:
        return "regressed", worse
    unknown = tuple(v for v in verdicts if v.outcome == "no-baseline" and (v.deciding or v.primary))
    if unknown:
        return "no-baseline", unknown
    undecided = [v for v in verdicts if _open(v)]
    undecided += [v for v in verdicts if v.primary and v.outcome == "inconclusive" and v not in undecided]
    if undecided:
        return "inconclusive", tuple(undecided)
    primary = next((v for v in verdicts if v.primary), verdicts[0])
    return ("improved" if primary.outcome == "improved" else "pass"), (primary,)


def confirms_pauses(verdicts: Sequence[Verdict], launches: int) -> int | None:
    """How many launches tell whether a pause that all of the last look's `launches` have is in every launch; None where
    they are told already, or were too few to ask for more."""
    needed = [v.finding.needed or 0 for v in verdicts if v.finding.code == "pauses-unconfirmed"]
    more = max(needed, default=0)
    return more if RECUR_LAUNCHES <= launches < more else None


def gone(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts on what the baseline has and no launch does."""
    return tuple(v for v in verdicts if v.baseline is not None and v.now is None)


def _open(v: Verdict) -> bool:
    return v.outcome == "inconclusive" and (v.deciding or v.suspect)


def _rule(s: Series, baseline: Baseline, *, paired: bool, priors: Mapping[MetricClass, Prior]) -> Rule:
    if baseline.kind == "reference":
        return RULES["reference"]
    if s.beyond is not None:
        return ExcessRule(s.beyond, s.wholes, _means("primary", paired=paired, priors=priors))
    if s.metric_class == "pause":
        return RULES["pause"]
    return _means(s.metric_class, paired=paired, priors=priors)


def _means(kind: MetricClass, *, paired: bool, priors: Mapping[MetricClass, Prior]) -> Rule:
    prior = priors.get(kind)
    if paired:
        return RULES["paired"] if prior is None else PairedRule(prior)
    return RULES["moderated"] if prior is None else ModeratedRule(prior)


def _verdict(s: Series, rule: Rule, baseline: Baseline, *, looks: Sequence[int], near: bool) -> Verdict:
    found = _judged(s, rule, baseline, looks=looks, near=near)
    if not more_is_better(s.metric):
        return found
    before, now, ratio, high, low = costs(s.metric, (found.baseline, found.now, found.ratio, found.low, found.high))
    values = costs(s.metric, s.baseline), costs(s.metric, s.now)
    return replace(
        found,
        baseline=before,
        now=now,
        ratio=ratio,
        low=low,
        high=high,
        baseline_values=values[0],
        now_values=values[1],
    )


def _judged(s: Series, rule: Rule, baseline: Baseline, *, looks: Sequence[int], near: bool) -> Verdict:
    if s.stop is not None:
        decision = Decision(outcome="inconclusive", finding=s.stop)
    else:
        decision = rule.decide(s.baseline, s.now, s.margins, same_node=near)
    # The rules take margins in ms or MiB as parts of the median.
    then = middle(s.baseline)
    (before, now), estimator = centres(s.metric_class, s.baseline, s.now)
    if decision.baseline is not None and decision.now is not None:
        # What is shown is what the change follows from.
        before, now, estimator = decision.baseline, decision.now, "mean"
    verdict = Verdict(
        metric=s.metric,
        metric_class=s.metric_class,
        unit=s.unit,
        outcome=decision.outcome,
        finding=decision.finding,
        net=s.net,
        baseline=before,
        now=now,
        estimator=estimator,
        baseline_values=s.baseline,
        now_values=s.now,
        spread=variation(s.baseline),
        ratio=decision.ratio,
        low=decision.low,
        high=decision.high,
        excluded=decision.excluded,
        primary=s.primary,
        deciding=s.deciding,
        suspect=decision.suspect,
    )
    if s.metric_class == "pause" or not then:
        return verdict
    # The core depends on the baseline: what was best is the sum that it is the core of.
    kept = DENOISE_STEPS if s.metric == DENOISE_CORE else s.metric
    best = None if s.net else baseline.best.get(kept)
    sums = [launch.metrics.get(kept) for launch in counted(baseline.measurement.launches)]
    usual = then if kept == s.metric else middle(sums)
    if best and usual and decision.ratio is not None:
        # `best` is a median: the change as it was judged, on top of how far the baseline's own median is above it.
        verdict = replace(verdict, best_ratio=decision.ratio * usual / cost(s.metric, best))
    if baseline.kind == "reference":
        return replace(verdict, allow=s.margins.allow) if math.isfinite(s.margins.allow) else verdict
    if isinstance(rule, ModeratedRule):
        # An A/B run has no baseline whose resolution could be told beforehand.
        verdict = replace(verdict, detectable=resolution(s, rule, looks=looks, same_node=near))
    if then <= s.margins.allow_abs:
        return verdict
    lo, hi = bounds(then, s.margins, same_node=near)
    return replace(verdict, allow=growth(lo), detect=growth(hi))
