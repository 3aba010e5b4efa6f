"""Change points in a series of runs, found with Apache Otava; creep that no single gate sees. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from pytest_sgdiff.data import ChangePoint, HistoryPoint, MetricClass, Trend
from pytest_sgdiff.errors import MissingExtraError
from pytest_sgdiff.judging.estimator import spread
from pytest_sgdiff.judging.rules import CLASS_MARGINS
from pytest_sgdiff.metrics import cost, metric_class, more_is_better, steadier

MAX_PVALUE = 0.001
"""Otava's default for its t-test between the parts before and after a change point."""
MIN_CHANGE = 0.01
"""Changes below 1 % are not worth a line: no gate of ours fails for less by default."""
FEWEST_POINTS = 7
"""With fewer runs no split leaves both sides enough points for a test."""


MATTERS: Mapping[MetricClass, float] = {"primary": 2.0, "stage": 5.0, "memory": 32.0, "pause": 20.0}
"""ms or MiB by which a metric must grow to be worth a line."""
CREEP = 0.5
"""Slower than the best by this part of what a pass rules out is worth saying: 2.1 % of a primary metric, 10 % of a
stage."""
MEDIAN_OF_THREE = 0.67
"""Standard deviation of the median of three normal values, in theirs."""
RECENT = 30
"""Runs, a month of nights, for which the report of a run tells of a change."""


def trend(case: str, metric: str, points: Sequence[HistoryPoint], *, with_changes: bool = True) -> Trend:
    """What one series of runs, oldest first, shows. Raises MissingExtraError as `change_points`."""
    changes, drift = change_points(points) if with_changes else (), creep(_costs(metric, points))
    return Trend(
        case=case,
        metric=metric,
        runs=len(points),
        latest=points[-1].value,
        creep=drift,
        changes=changes,
        worse=_worse(metric, points, drift, changes),
    )


def _worse(metric: str, points: Sequence[HistoryPoint], drift: float | None, changes: Sequence[ChangePoint]) -> bool:
    points = _costs(metric, points)
    margins, latest = CLASS_MARGINS[metric_class(metric)], points[-1].value
    step = cost(metric, changes[-1].after / changes[-1].before) - 1 if changes else 0.0
    floor = 0.0 if more_is_better(metric) else MATTERS[metric_class(metric)]
    # A tenth of a millisecond more is no slowdown, whatever part of the stage it is.
    return (step > 0 and step * latest >= floor) or (
        drift is not None and drift >= max(CREEP * margins.detect, best_by_chance(points)) and drift * latest >= floor
    )


def _costs(metric: str, points: Sequence[HistoryPoint]) -> list[HistoryPoint]:
    return [replace(point, value=cost(metric, point.value)) for point in points]


def trends_of(
    history: Mapping[str, Mapping[str, Sequence[HistoryPoint]]],
) -> tuple[tuple[Trend, ...], str]:
    """What the histories of cases show, slowdowns first, and why change points were not looked for (or nothing).

    Only what creeps, or changed in the latest RECENT runs: what has been so for long is no news of a run.
    """
    missing, found = "", []
    for case, metrics in history.items():
        for metric, points in metrics.items():
            if steadier(metric) in metrics:
                # What rare pauses lengthen is left out, as the gate does (docs/decision.md).
                continue
            try:
                one = trend(case, metric, points, with_changes=not missing)
            except MissingExtraError as error:
                missing = str(error)
                one = trend(case, metric, points, with_changes=False)
            recent = tuple(change for change in one.changes if change.index >= one.runs - RECENT)
            one = replace(one, changes=recent, worse=_worse(metric, points, one.creep, recent))
            found += [one] if one.changes or one.worse else []
    return tuple(sorted(found, key=lambda one: not one.worse)), missing


def change_points(points: Sequence[HistoryPoint]) -> tuple[ChangePoint, ...]:
    """Change points of one series, oldest first; none if there are fewer than FEWEST_POINTS.

    Raises:
        MissingExtraError: Apache Otava is not installed; the message names the extra.
    """
    if len(points) < FEWEST_POINTS:
        return ()
    try:
        from otava.series import AnalysisOptions, Metric, Series
    except ImportError:
        raise MissingExtraError("change points need Apache Otava: pip install 'pytest-sgdiff[trend]'") from None

    options = AnalysisOptions()
    options.max_pvalue, options.min_magnitude = MAX_PVALUE, MIN_CHANGE
    # Otava takes times as whole numbers; the order is all that it uses.
    series = Series(
        "history", None, list(range(len(points))), {"value": Metric(-1)}, {"value": [p.value for p in points]}, {}
    )
    found = series.analyze(options).change_points["value"]
    return tuple(
        ChangePoint(
            at=points[int(change.index)].at,
            index=int(change.index),
            before=float(change.stats.mean_1),
            after=float(change.stats.mean_2),
            pvalue=float(change.stats.pvalue),
            engine_version=points[int(change.index)].engine_version,
        )
        for change in found
    )


def creep(points: Sequence[HistoryPoint]) -> float | None:
    """How much slower the latest three runs are than the best three in a row, as a fraction; None with fewer than six.

    Medians, so that one run that was disturbed makes neither a best nor a latest figure.
    """
    if len(points) < 6:
        return None
    windows = [sorted(p.value for p in points[i : i + 3])[1] for i in range(len(points) - 2)]
    return windows[-1] / min(windows) - 1


def best_by_chance(points: Sequence[HistoryPoint]) -> float:
    """How far the latest runs of an unchanged series may be above its best ones, for the best of many are lucky.

    The lowest of n medians of three lies about sqrt(2 ln n) of their standard deviations below the middle, and the
    latest is above by chance as well: 2.3 more. The noise is that of the steps from run to run, net of their drift.
    """
    steps = [math.log(b.value / a.value) for a, b in pairwise(points)]
    of_medians = MEDIAN_OF_THREE * spread(steps) / math.sqrt(2)
    return math.expm1(of_medians * (math.sqrt(2 * math.log(len(points))) + 2.3))
