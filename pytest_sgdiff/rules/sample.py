"""One value per launch, as the rules see it: what counts as a value and what is decided without any,
logarithms, outliers, spread, words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_sgdiff.data import Decision, MetricClass
from pytest_sgdiff.rules.protocol import Margins

CLIP = 3.0
"""Launches above median + CLIP x max(MAD, s0) are pulled down to it: the outlier still counts, its size does not."""

_MAD_TO_SD = 1.482602218505602
"""The MAD of a normal sample times this estimates its standard deviation."""


def invalid(values: Sequence[float | None], *, zeros: bool) -> int:
    """How many of `values` are no measurement: None, NaN, infinite, negative, or zero where zero is not a value."""
    return sum(v is None or not math.isfinite(v) or v < 0 or (v == 0 and not zeros) for v in values)


def screened(baseline: Sequence[float | None], candidate: Sequence[float | None], margins: Margins) -> Decision | None:
    """The decision where there is nothing to compute with, None where there is."""
    if not baseline:
        return Decision(outcome="no-baseline", why="no baseline: record one with --sgdiff-update")
    if not candidate:
        return Decision(outcome="inconclusive", why="missing or invalid: no launch gave a value")
    for side, values in (("the baseline's", baseline), ("the candidate's", candidate)):
        bad = invalid(values, zeros=margins.zeros)
        if bad:
            return Decision(outcome="inconclusive", why=f"missing or invalid in {bad} of {side} {len(values)} launches")
    return None


def floored(b: Sequence[float], c: Sequence[float], margins: Margins, *, enough: bool) -> Decision | None:
    """The decision where values are too small to be compared as ratios, None where they are not.

    `enough` tells whether there are launches enough to pass.
    """
    small, floor = max(*b, *c) <= margins.ignore_abs, f"below the absolute floor of {margins.ignore_abs:g} ms"
    if small and enough:
        return Decision(outcome="pass", why=floor)
    if small and min(*b, *c) == 0:
        return Decision(outcome="inconclusive", why=f"{floor}, in too few launches to pass")
    if min(*b, *c) == 0:
        return Decision(outcome="inconclusive", why="missing or invalid: zero beside values above the floor")
    return None


def logs(values: Sequence[float | None]) -> list[float]:
    """Natural logarithms of values that `invalid` found nothing wrong with."""
    return [math.log(v) for v in values if v is not None]


def spread(sample: Sequence[float]) -> float:
    """The normalised median absolute deviation: an estimate of the standard deviation that outliers do not move."""
    middle = statistics.median(sample)
    return _MAD_TO_SD * statistics.median(abs(x - middle) for x in sample)


def clipped(sample: Sequence[float], s0: float) -> list[float]:
    """`sample` with its high outliers pulled down; a launch is only ever too slow by accident, never too fast."""
    top = statistics.median(sample) + CLIP * max(spread(sample), s0)
    return [min(x, top) for x in sample]


def centre(values: Sequence[float | None]) -> float | None:
    """The median of the finite values, None if there is none."""
    finite = [v for v in values if v is not None and math.isfinite(v)]
    return statistics.median(finite) if finite else None


def variation(values: Sequence[float | None]) -> float | None:
    """The coefficient of variation between launches (on the log scale, where it is the standard deviation).

    None for fewer than two values or where one is not a positive number.
    """
    if len(values) < 2 or invalid(values, zeros=False):
        return None
    return statistics.stdev(logs(values))


def growth(log_ratio: float) -> float | None:
    """exp(x) - 1, None where it is too large for a float."""
    return math.expm1(log_ratio) if log_ratio < 700 else None


def percent(fraction: float | None) -> str:
    """`4 %`, `1.9 %`, `-0.3 %`: one digit, none where it would be zero or says nothing."""
    if fraction is None:
        return "any amount"
    rounded = round(100 * fraction, 1 if abs(fraction) < 1 else 0)
    return f"{rounded + 0.0:g} %"


def change(fraction: float | None) -> str:
    """`5.3 % slower`, `2 % faster`, `no change`."""
    if fraction is None:
        return "slower by any amount"
    if percent(fraction) == "0 %":
        return "no change"
    return f"{percent(abs(fraction))} {'slower' if fraction > 0 else 'faster'}"


def worded(why: str, metric_class: MetricClass) -> str:
    """Rules speak of time; `why` in the words of the metric's class."""
    memory = {"slower": "more", "faster": "less", " ms": " MiB"}
    words = {"memory": memory, "pause": {"slower": "longer"}}.get(metric_class, {})
    for said, meant in words.items():
        why = why.replace(said, meant)
    return why
