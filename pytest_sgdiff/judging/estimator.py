"""The centre of a sample of launches: one estimator for what is judged, what is shown, and what is kept. Pure.

It is the geometric mean over the launches with high outliers pulled in (`mean`). Values that have no logarithm, zeros
among them, have a median instead (`median`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_sgdiff.data import Estimator, MetricClass

CLIP = 3.0
"""Launches above median + CLIP x max(MAD, s0) are pulled down to it: the outlier still counts, its size does not."""

MAD_TO_SD = 1.482602218505602
"""The MAD of a normal sample times this estimates its standard deviation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Noise:
    """What is expected between launches: `cv`, a coefficient of variation, and `floor` in the metric's unit."""

    cv: float
    floor: float

    def at(self, median: float) -> float:
        """The standard deviation of the logarithms near `median`."""
        return math.hypot(self.cv, self.floor / median)


NOISE: Mapping[MetricClass, Noise] = {
    "primary": Noise(cv=0.008, floor=0.5),
    "stage": Noise(cv=0.03, floor=0.5),
    "memory": Noise(cv=0.002, floor=8),
    "pause": Noise(cv=0, floor=0),
}
"""By metric class, in ms or MiB. Source: docs/decision-evidence.md, "Margins"."""


def logs(values: Sequence[float | None]) -> list[float]:
    """Natural logarithms of values that are finite and positive; None is left out."""
    return [math.log(v) for v in values if v is not None]


def spread(sample: Sequence[float]) -> float:
    """The normalised median absolute deviation: an estimate of the standard deviation that outliers do not move."""
    middle = statistics.median(sample)
    return MAD_TO_SD * statistics.median(abs(x - middle) for x in sample)


def clipped(sample: Sequence[float], s0: float) -> list[float]:
    """`sample` with its high outliers pulled down; a launch is only ever too slow by accident, never too fast."""
    top = statistics.median(sample) + CLIP * max(spread(sample), s0)
    return [min(x, top) for x in sample]


def mean(values: Sequence[float], s0: float) -> float:
    """The geometric mean of positive values, high outliers pulled in; `s0` is the noise expected of their logs."""
    return near(statistics.fmean(clipped(logs(values), s0)), median(values))


def near(log: float, anchor: float) -> float:
    """exp(`log`) of a value near `anchor`, which it is exactly where it is that value's logarithm."""
    return anchor * math.exp(log - math.log(anchor))


def over(now: float | None, baseline: float | None) -> float | None:
    """The ratio of two centres, None where one is missing or zero, or where it is too large for a float."""
    ratio = now / baseline if now and baseline else None
    return ratio if ratio is not None and math.isfinite(ratio) else None


def median(values: Sequence[float]) -> float:
    """The median, of the largest floats, too: the sum of two of them is none."""
    ordered, half = sorted(values), len(values) // 2
    if len(values) % 2:
        return ordered[half]
    both = ordered[half - 1] + ordered[half]
    return both / 2 if math.isfinite(both) else ordered[half - 1] / 2 + ordered[half] / 2


def middle(values: Sequence[float | None]) -> float | None:
    """The median of the finite values, None if there is none."""
    finite = _finite(values)
    return median(finite) if finite else None


def centres(
    metric_class: MetricClass, *sides: Sequence[float | None], noise: Noise | None = None
) -> tuple[tuple[float | None, ...], Estimator]:
    """The centre of each side, all by the estimator that is named; None for a side without a finite value.

    The mean, with `noise` or that of the metric's class. The median if a side holds a zero, and for pauses.
    """
    known = [_finite(side) for side in sides]
    if metric_class == "pause" or any(v <= 0 for side in known for v in side):
        return tuple(middle(side) for side in known), "median"
    noise = noise or NOISE[metric_class]
    return tuple(mean(side, noise.at(median(side))) if side else None for side in known), "mean"


def centre(values: Sequence[float | None], metric_class: MetricClass) -> float | None:
    """The centre of one side alone, as `centres` has it."""
    (found,), _ = centres(metric_class, values)
    return found


def _finite(values: Sequence[float | None]) -> list[float]:
    return [v for v in values if v is not None and math.isfinite(v)]
