"""What a baseline can detect, and what would make it better: said when it is recorded, and with it in reports. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_sgdiff.data import Baseline, Case, LaunchPlan, Location, MetricClass, Verdict
from pytest_sgdiff.metrics import title
from pytest_sgdiff.rules import CLASS_MARGINS, ModeratedRule, Prior
from pytest_sgdiff.rules.prior import DEFAULT
from pytest_sgdiff.rules.sample import CLIP, centre, invalid, logs, percent, spread, variation
from pytest_sgdiff.series import Series, series_of

FIRST = "recorded for the first time"
"""Why a figure of a new baseline has no verdict."""
NOISY_CV = 0.012
"""CV between launches above which five launches of a primary metric are too few."""
FEW = 10
"""Launches from which the printed resolution can be trusted at any noise."""
APART = 4.0
"""Two modes: a gap between launches this many times as wide as the wider of the two groups, and as the prior noise."""


def detectable(s: Series, launches: int, priors: Mapping[MetricClass, Prior]) -> float | None:
    """The slowdown (a fraction) from which on `launches` launches find it; None if that cannot be told.

    A stage is found only beyond its limit. No size of a pause is promised: it is judged by how often it comes.
    """
    if s.metric_class == "pause":
        return None
    rule = ModeratedRule(priors.get(s.metric_class, DEFAULT))
    return rule.detectable(s.baseline, s.margins, launches=launches, past_limit=s.metric_class == "stage")


def ungated(baseline: Baseline) -> Case:
    """A case that gates everything, in place of the baseline's own where only the baseline is known."""
    return Case(name=baseline.measurement.case, location=Location(path="", line=1, column=1), model="")


def recording_advice(baseline: Baseline, case: Case) -> tuple[str, ...]:
    """Why a baseline should be recorded with more launches, or what disturbs it; empty where it is good."""
    return tuple(f"{seen}: {cure}" for seen, cure in _doubts(baseline, case))


def doubts(baseline: Baseline, case: Case) -> tuple[str, ...]:
    """What of the launches asks for more of them, without the advice: `denoise: launches vary by 1.5 %`."""
    return tuple(seen for seen, _ in _doubts(baseline, case)) if len(baseline.measurement.launches) < FEW else ()


def recorded_at_most(case: Case) -> int:
    """How many launches a recording of the case takes at most: what the case states, and FEW where it states nothing
    and its launches leave doubts."""
    plan = case.launches.baseline
    stated = "launches.baseline" in case.locations or plan != LaunchPlan().baseline
    return plan if stated else max(plan, FEW)


def _doubts(baseline: Baseline, case: Case) -> Iterator[tuple[str, str]]:
    """What is seen, with the metric's name, and what to do about it."""
    for s in series_of(baseline.measurement, baseline, case):
        for seen, cure in (*_advice(s), *_pauses(s)):
            yield f"{title(s.metric)}: {seen}", cure


def first_figures(
    fresh: Baseline, case: Case, *, priors: Mapping[MetricClass, Prior] | None = None
) -> tuple[Verdict, ...]:
    """The gated metrics of a baseline that replaces none: centre, spread and what it can detect, judged by nothing."""
    return tuple(
        Verdict(
            metric=s.metric,
            metric_class=s.metric_class,
            unit=s.unit,
            outcome="no-baseline",
            why=FIRST,
            now=centre(s.now),
            now_values=s.now,
            spread=variation(s.now),
            detectable=detectable(s, max(case.launches.looks), priors or {}),
            primary=s.primary,
            deciding=s.deciding,
        )
        for s in series_of(fresh.measurement, fresh, case)
    )


def with_figures_of(
    fresh: Baseline, verdicts: Sequence[Verdict], case: Case, *, priors: Mapping[MetricClass, Prior] | None = None
) -> tuple[Verdict, ...]:
    """Verdicts against the baseline that is replaced, with what the fresh one can detect."""
    found = {v.metric: v.detectable for v in first_figures(fresh, case, priors=priors)}
    return tuple(replace(v, detectable=found.get(v.metric)) for v in verdicts)


def _advice(s: Series) -> Iterator[tuple[str, str]]:
    if s.metric_class != "primary" or len(s.baseline) < 3 or invalid(s.baseline, zeros=False):
        return
    values = logs(s.baseline)
    middle = statistics.median(values)
    s0 = math.hypot(CLASS_MARGINS["primary"].cv0, s.margins.noise_abs / math.exp(middle))
    modes = _modes(values, s0)
    high = sorted(
        (i for i, x in enumerate(values) if x > middle + CLIP * max(spread(values), s0)), key=lambda i: values[i]
    )
    if modes is not None:
        low, upper = (f"{math.exp(m):.0f}" for m in modes)
        more = f"record {FEW}, which show how often each comes; " if len(values) < FEW else ""
        cure = "find what differs between its launches (an autotuned kernel choice, a second pass) and pin it"
        yield f"two modes, near {low} and {upper} {s.unit}", f"{more}such a case is hardly gated at all; {cure}"
    elif high and len(values) < FEW:
        worst = high[-1]
        above = percent(math.expm1(values[worst] - middle))
        yield f"launch {worst} is an outlier, {above} above the median", f"record {FEW} launches, which tolerate one"
    cv = variation(s.baseline)
    if cv is None or cv <= NOISY_CV or modes is not None:
        return
    if len(values) < FEW and not high:
        yield f"launches vary by {percent(cv)}", f"record {FEW}, {len(values)} are too few above {percent(NOISY_CV)}"
    elif len(values) >= FEW and len(high) > 1:
        # Clipped as outliers, they are missing from the figure that `resolution` promises.
        above = percent(math.expm1(values[high[0]] - middle))
        missed = "slowdowns of the size promised may be missed, and unchanged code be inconclusive"
        yield (
            f"{len(high)} of {len(values)} launches are {above} or more above the median",
            f"{missed}; see whether the host holds up the GPU",
        )


def _pauses(s: Series) -> Iterator[tuple[str, str]]:
    """Launches that pause, where the baseline is too small to tell rare pauses from recurring ones later."""
    values = [v for v in s.baseline if v is not None]
    if s.metric_class != "pause" or len(values) < 2 or len(values) >= FEW:
        return
    long = [v for v in values if v > min(values) + s.margins.limit_abs]
    if long:
        times = f"{min(long):.0f} ms" if len(long) == 1 else f"{min(long):.0f} to {max(long):.0f} ms"
        yield (
            f"{len(long)} of {len(values)} launches pause for {times}",
            f"record {FEW} to tell rare ones from new ones",
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
