"""What a series of runs shows: changes of its level, and creep that no single gate sees. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from pytest_sgdiff.data import ChangePoint, HistoryPoint, MetricClass, Trend
from pytest_sgdiff.history.change_points import Levels, levels
from pytest_sgdiff.judging.estimator import spread
from pytest_sgdiff.judging.rules import CLASS_MARGINS
from pytest_sgdiff.metrics import cost, metric_class, more_is_better, steadier

FEWEST_POINTS = 7
"""With fewer runs no split leaves both sides enough points for a test."""
SETTINGS = 3.0
"""A factor from which on a change is one of the case's settings rather than of its speed, where the history does not
know them. In SGLang's nights of March to June 2026 two cases jumped by factors of 9 and 11 in one night; no other
change had a factor above 2.2."""

MATTERS: Mapping[MetricClass, float] = {"primary": 2.0, "stage": 5.0, "memory": 32.0, "pause": 20.0}
"""ms or MiB by which a metric must grow to be worth a line."""
CREEP = 0.5
"""Slower than the best by this part of what a pass rules out is worth saying: 2.1 % of a primary metric, 10 % of a
stage."""
MEDIAN_OF_THREE = 0.67
"""Standard deviation of the median of three normal values, in theirs."""
RECENT = 30
"""Runs, a month of nights, for which the report of a run tells of a change."""


def trend(case: str, metric: str, points: Sequence[HistoryPoint]) -> Trend:
    """What one series of runs, oldest first, shows."""
    found = levels([point.value for point in points]) if len(points) >= FEWEST_POINTS else None
    changes = () if found is None else _changes(found, points)
    # Runs with other settings are neither a best nor a usual figure of these.
    start = next((change.index for change in reversed(changes) if change.settings), 0)
    since = changes[-1].index if changes else 0
    drift = creep(_costs(metric, points[start:]))
    latest = points[-1].value
    return Trend(
        case=case,
        metric=metric,
        runs=len(points),
        latest=latest,
        creep=drift,
        changes=changes,
        worse=_worse(metric, points[start:], drift, changes),
        level=None if found is None else found.latest,
        level_runs=len(points) - since,
        step=changes[-1].change if changes else None,
        above_best=_above_best(metric, changes),
        alone=latest / found.latest - 1 if found is not None and found.alone else None,
    )


def trends_of(history: Mapping[str, Mapping[str, Sequence[HistoryPoint]]]) -> tuple[Trend, ...]:
    """What the histories of cases show, slowdowns first.

    Only what creeps, or changed in the latest RECENT runs: what has been so for long is no news of a run.
    """
    found = []
    for case, metrics in history.items():
        for metric, points in metrics.items():
            if steadier(metric) in metrics:
                # What rare pauses lengthen is left out, as the gate does (docs/decision.md).
                continue
            one = trend(case, metric, points)
            recent = tuple(change for change in one.changes if change.index >= one.runs - RECENT)
            if recent != one.changes:
                start = next((change.index for change in reversed(one.changes) if change.settings), 0)
                one = replace(one, changes=recent, worse=_worse(metric, points[start:], one.creep, recent))
            found += [one] if one.changes or one.worse else []
    return tuple(sorted(found, key=lambda one: not one.worse))


def change_points(points: Sequence[HistoryPoint]) -> tuple[ChangePoint, ...]:
    """Change points of one series, oldest first; none if there are fewer than FEWEST_POINTS."""
    if len(points) < FEWEST_POINTS:
        return ()
    return _changes(levels([point.value for point in points]), points)


def _changes(found: Levels, points: Sequence[HistoryPoint]) -> tuple[ChangePoint, ...]:
    edges = [0, *(step.index for step in found.steps), len(points)]
    changes = []
    for i, step in enumerate(found.steps):
        first, last = points[step.index], points[step.index - 1]
        factor = max(step.after / step.before, step.before / step.after)
        changes.append(
            ChangePoint(
                at=first.at,
                index=step.index,
                before=step.before,
                after=step.after,
                pvalue=step.pvalue,
                engine_version=first.engine_version,
                commit=first.commit,
                runs_before=step.index - edges[i],
                runs_after=edges[i + 2] - step.index,
                last_at=last.at,
                last_engine=last.engine_version,
                last_commit=last.commit,
                settings=factor >= SETTINGS and first.imported and last.imported,
            )
        )
    return tuple(changes)


def _above_best(metric: str, changes: Sequence[ChangePoint]) -> float | None:
    """The latest level over the best one of the same settings, less 1."""
    if not changes:
        return None
    found = [changes[-1].after]
    for change in reversed(changes):
        if change.settings:
            break
        found.append(change.before)
    return changes[-1].after / min(found, key=lambda level: cost(metric, level)) - 1


def _worse(metric: str, points: Sequence[HistoryPoint], drift: float | None, changes: Sequence[ChangePoint]) -> bool:
    judged = changes and not changes[-1].settings
    step = cost(metric, changes[-1].after / changes[-1].before) - 1 if judged else 0.0
    return (step > 0 and _matters(metric, step, points)) or creeps(metric, points, drift)


def creeps(metric: str, points: Sequence[HistoryPoint], drift: float | None) -> bool:
    """Whether a creep of `drift` matters, and is more than the luck of the best runs."""
    if drift is None or not _matters(metric, drift, points):
        return False
    ruled_out = CLASS_MARGINS[metric_class(metric)].detect
    return drift >= max(CREEP * ruled_out, best_by_chance(_costs(metric, points)))


def _matters(metric: str, part: float, points: Sequence[HistoryPoint]) -> bool:
    """A tenth of a millisecond more is no slowdown, whatever part of the stage it is."""
    floor = 0.0 if more_is_better(metric) else MATTERS[metric_class(metric)]
    return part * cost(metric, points[-1].value) >= floor


def _costs(metric: str, points: Sequence[HistoryPoint]) -> Sequence[HistoryPoint]:
    if not more_is_better(metric):
        return points
    return [replace(point, value=cost(metric, point.value)) for point in points]


def creep(points: Sequence[HistoryPoint]) -> float | None:
    """How much slower the latest three runs are than the best three in a row, as a fraction; None with fewer than six.

    Medians, so that one run that was disturbed makes neither a best nor a latest figure.
    """
    if len(points) < 6:
        return None
    values = [point.value for point in points]
    windows = [sorted(three)[1] for three in zip(values, values[1:], values[2:], strict=False)]
    return windows[-1] / min(windows) - 1


def best_by_chance(points: Sequence[HistoryPoint]) -> float:
    """How far the latest runs of an unchanged series may be above its best ones, for the best of many are lucky.

    The lowest of n medians of three lies about sqrt(2 ln n) of their standard deviations below the middle, and the
    latest is above by chance as well: 2.3 more. The noise is that of the steps from run to run, net of their drift.
    Where runs take one of a few values most steps are none: their mean square tells, but for the largest few (a change,
    or one disturbed run in twenty).
    """
    logs = [math.log(point.value) for point in points]
    steps = [b - a for a, b in pairwise(logs)]
    calm = sorted(map(abs, steps))[: -2 - len(steps) // 5]
    noise = max(spread(steps), math.sqrt(math.fsum(step**2 for step in calm) / len(calm))) if calm else spread(steps)
    of_medians = MEDIAN_OF_THREE * noise / math.sqrt(2)
    return math.expm1(of_medians * (math.sqrt(2 * math.log(len(points))) + 2.3))
