"""What a baseline can detect, and what would make it better: said when it is recorded, and with it in reports. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_sgdiff.data import Doubt, Finding, MetricClass, Verdict
from pytest_sgdiff.judging.estimator import CLIP, Noise, centre, centres, logs, median, middle, spread
from pytest_sgdiff.judging.rules import CLASS_MARGINS, ModeratedRule, Prior
from pytest_sgdiff.judging.rules.prior import DEFAULT
from pytest_sgdiff.judging.rules.sample import invalid, variation
from pytest_sgdiff.judging.rules.three_way import bounds, moderated
from pytest_sgdiff.judging.series import Series
from pytest_sgdiff.metrics import cost, costs

NOISY_CV = 0.012
"""CV between launches above which five launches of a primary metric are too few."""
FEW = 10
"""Launches from which the printed resolution can be trusted at any noise."""
APART = 4.0
"""Two modes: a gap between launches this many times as wide as the wider of the two groups, and as the prior noise."""


def detectable(s: Series, looks: Sequence[int], priors: Mapping[MetricClass, Prior]) -> float | None:
    """The minimum detectable slowdown (a fraction) of a gate with these checkpoints on GPUs that the baseline knows, as
    `resolution` has it."""
    return resolution(s, ModeratedRule(priors.get(s.metric_class, DEFAULT)), looks=looks, same_node=True)


def resolution(s: Series, rule: ModeratedRule, *, looks: Sequence[int], same_node: bool) -> float | None:
    """The minimum detectable slowdown (a fraction) of a series whose gate judges by `rule`: the one place that says it,
    of a run, a recording and a committed baseline alike. None if it cannot be told.

    No size of a pause is promised: it is judged by how often it comes.
    """
    if s.metric_class == "pause" or s.stop is not None:
        return None
    return rule.detectable(s.baseline, s.margins, looks=looks, secondary=not s.deciding, same_node=same_node)


def prospect(s: Series, launches: int, *, same_node: bool) -> float | None:
    """The slowdown (a fraction) that so many launches of *each* side find with 95 % probability; None if that cannot
    be told.

    They are thought to vary as the launches at hand do, or as the class of the metric does where these are too few to
    vary by more.
    """
    then, now = ([v for v in side if v is not None and math.isfinite(v) and v > 0] for side in (s.baseline, s.now))
    if s.metric_class == "pause" or not then or not now or launches < 2:
        return None
    usual, freedom = median(then), len(then) + len(now) - 2
    s0 = Noise(cv=s.margins.cv0, floor=s.margins.noise_abs).at(usual)
    squares = sum((len(side) - 1) * (variation(side) or 0.0) ** 2 for side in (then, now))
    variance, _ = moderated(squares, freedom, s0, DEFAULT.weight)
    # A baseline of so many launches that has just this spread.
    evenly = [i - (launches - 1) / 2 for i in range(launches)]
    unit = math.sqrt(variance / statistics.variance(evenly))
    try:
        typical = [usual * math.exp(unit * x) for x in evenly]
    except OverflowError:
        return None
    return ModeratedRule().detectable(typical, s.margins, looks=(launches,), same_node=same_node)


WEAK = 1.5
"""A baseline is weak where it finds a slowdown only from this many times `detect` on; usual figures are in table 6 of
docs/decision-evidence.md."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Power:
    """What a baseline finds of one metric: `detectable` is the smallest slowdown (a fraction), None for none at all;
    `allow` the one that is accepted and `detect` the one that a pass has to rule out, `spread` the CV of the launches,
    `centre` theirs in `unit`."""

    metric: str
    metric_class: MetricClass
    unit: str
    detectable: float | None
    allow: float
    detect: float
    spread: float | None
    centre: float | None

    @property
    def weak(self) -> bool:
        """Whether slowdowns far beyond what a pass rules out are missed."""
        return self.detectable is None or self.detectable > WEAK * self.detect


def powers(own: Sequence[Series], *, looks: Sequence[int], priors: Mapping[MetricClass, Prior]) -> tuple[Power, ...]:
    """What a baseline finds with these checkpoints by its `own_series`. Pauses, and what is too small to be
    judged by size, are left out."""
    found = []
    for s in own:
        values = [v for v in s.baseline if v is not None]
        if s.metric_class == "pause" or s.stop or not values or max(values) <= s.margins.allow_abs:
            continue
        usual = middle(values)
        lo, hi = bounds(usual, s.margins, same_node=True) if usual else (0.0, 0.0)
        found.append(
            Power(
                metric=s.metric,
                metric_class=s.metric_class,
                unit=s.unit,
                detectable=detectable(s, looks, priors),
                allow=math.expm1(lo),
                detect=math.expm1(hi),
                spread=variation(s.baseline),
                centre=cost(s.metric, centre(values, s.metric_class) or 0.0) or None,
            )
        )
    return tuple(found)


def doubts(series: Sequence[Series]) -> tuple[Doubt, ...]:
    """Why a baseline, by its side of the series, should be recorded with more launches, or what disturbs it; empty
    where it is good."""
    return tuple(doubt for s in series for doubt in (*_launches(s), *_pauses(s)))


def recorded_at_most(stated: int | None, usual: int) -> int:
    """How many launches a recording takes at most: what the case states, and FEW where it states nothing and its
    `usual` launches leave doubts."""
    return max(usual, FEW) if stated is None else stated


def first_figures(
    own: Sequence[Series], *, looks: Sequence[int], priors: Mapping[MetricClass, Prior] | None = None
) -> tuple[Verdict, ...]:
    """The gated metrics of a baseline that replaces none, of which these are the `own_series`: centre, spread and what
    these checkpoints detect by it, judged by nothing."""
    found = []
    for s in own:
        cv0 = (priors or {}).get(s.metric_class, DEFAULT).cv0
        noise = Noise(cv=s.margins.cv0 if cv0 is None else cv0, floor=s.margins.noise_abs)
        (now,), estimator = centres(s.metric_class, s.now, noise=noise)
        verdict = Verdict(
            metric=s.metric,
            metric_class=s.metric_class,
            unit=s.unit,
            outcome="no-baseline",
            finding=Finding(code="first-recording"),
            net=s.net,
            now=None if now is None else cost(s.metric, now),
            estimator=estimator,
            now_values=costs(s.metric, s.now),
            spread=variation(s.now),
            detectable=detectable(s, looks, priors or {}),
            primary=s.primary,
            deciding=s.deciding,
        )
        found.append(verdict)
    return tuple(found)


def with_figures_of(
    own: Sequence[Series],
    verdicts: Sequence[Verdict],
    *,
    looks: Sequence[int],
    priors: Mapping[MetricClass, Prior] | None = None,
) -> tuple[Verdict, ...]:
    """Verdicts against the baseline that is replaced, with what the fresh one can detect by its `own_series`."""
    found = {v.metric: v.detectable for v in first_figures(own, looks=looks, priors=priors)}
    return tuple(replace(v, detectable=found.get(v.metric)) for v in verdicts)


def _launches(s: Series) -> Iterator[Doubt]:
    if s.metric_class != "primary" or len(s.baseline) < 3 or invalid(s.baseline, zeros=False):
        return
    values = logs(s.baseline)
    middle, of = statistics.median(values), len(values)
    s0 = math.hypot(CLASS_MARGINS["primary"].cv0, s.margins.noise_abs / math.exp(middle))
    modes = _modes(values, s0)
    high = sorted(
        (i for i, x in enumerate(values) if x > middle + CLIP * max(spread(values), s0)), key=lambda i: values[i]
    )
    few = FEW if of < FEW else None
    if modes is not None:
        low, upper = sorted(cost(s.metric, math.exp(m)) for m in modes)
        yield Doubt(code="two-modes", metric=s.metric, unit=s.unit, of=of, low=low, high=upper, needed=few)
    elif high and few:
        above = math.expm1(values[high[-1]] - middle)
        yield Doubt(code="outlier", metric=s.metric, unit=s.unit, of=of, launch=high[-1], size=above, needed=few)
    cv = variation(s.baseline)
    if cv is None or cv <= NOISY_CV or modes is not None:
        return
    if few and not high:
        yield Doubt(code="varies", metric=s.metric, unit=s.unit, of=of, size=cv, limit=NOISY_CV, needed=few)
    elif not few and len(high) > 1:
        # Clipped as outliers, they are missing from the figure that `detectable` promises.
        above = math.expm1(values[high[0]] - middle)
        yield Doubt(code="outliers", metric=s.metric, unit=s.unit, of=of, count=len(high), size=above)


def _pauses(s: Series) -> Iterator[Doubt]:
    """Launches that pause, where the baseline is too small to tell rare pauses from recurring ones later."""
    values = [v for v in s.baseline if v is not None]
    if s.metric_class != "pause" or len(values) < 2 or len(values) >= FEW:
        return
    long = [v for v in values if v > min(values) + s.margins.detect_abs]
    if long:
        yield Doubt(
            code="pauses",
            metric=s.metric,
            unit=s.unit,
            of=len(values),
            count=len(long),
            low=min(long),
            high=max(long),
            needed=FEW,
        )


def _modes(values: list[float], s0: float) -> tuple[float, float] | None:
    """Centres of two groups of two or more launches with a wide gap between them, None if there are none such."""
    ordered = sorted(values)
    best = max(range(1, len(ordered)), key=lambda i: ordered[i] - ordered[i - 1])
    low, high = ordered[:best], ordered[best:]
    if min(len(low), len(high)) < 2:
        return None
    width = max(low[-1] - low[0], high[-1] - high[0], s0)
    return (statistics.median(low), statistics.median(high)) if high[0] - low[-1] > APART * width else None
