"""One value per launch, as the rules see it: what counts as a value and what is decided without any, spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_sgdiff.data import Decision, Finding
from pytest_sgdiff.judging.estimator import logs
from pytest_sgdiff.judging.rules.protocol import Margins


def invalid(values: Sequence[float | None], *, zeros: bool) -> int:
    """How many of `values` are no measurement: None, NaN, infinite, negative, or zero where zero is not a value."""
    return sum(v is None or not math.isfinite(v) or v < 0 or (v == 0 and not zeros) for v in values)


def screened(baseline: Sequence[float | None], candidate: Sequence[float | None], margins: Margins) -> Decision | None:
    """The decision where there is nothing to compute with, None where there is."""
    if not baseline:
        return Decision(outcome="no-baseline", finding=Finding(code="no-baseline"))
    if not candidate:
        return Decision(outcome="inconclusive", finding=Finding(code="no-values"))
    for values in (baseline, candidate):
        bad = invalid(values, zeros=margins.zeros)
        if bad:
            found = Finding(code="bad-values", count=bad, of=len(values), baseline=values is baseline)
            return Decision(outcome="inconclusive", finding=found)
    return None


def floored(b: Sequence[float], c: Sequence[float], margins: Margins, *, enough: bool) -> Decision | None:
    """The decision where values are too small to be compared as ratios, None where they are not.

    `enough` tells whether there are launches enough to pass.
    """
    small, floor = max(*b, *c) <= margins.allow_abs, margins.allow_abs
    if small and enough:
        return Decision(outcome="pass", finding=Finding(code="below-floor", floor=floor))
    if small and min(*b, *c) == 0:
        return Decision(outcome="inconclusive", finding=Finding(code="below-floor-unconfirmed", floor=floor))
    if min(*b, *c) == 0:
        return Decision(outcome="inconclusive", finding=Finding(code="zero-values", floor=floor))
    return None


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
