"""Change points in a series: where a metric has another level from some run on. Pure.

The method is that of Hunter (Fleming et al., https://doi.org/10.1145/3578244.3583719), on which Apache Otava is built:
E-divisive (Matteson and James, https://doi.org/10.48550/arXiv.1306.4933) proposes change points in windows of the
series, and a t-test keeps those that are significant. Five things differ, and
benchmarks/trend_alarms.py measures what they give:

- it works on logarithms, so that a change of 10 s in 200 s hides none of 1 s in 10 s;
- each level has at least two runs, and a run that stands alone is pulled in to its neighbours, so that one disturbed
  run is no change;
- both sides must differ by their ranks as well, which a few outliers do not change;
- a proposal that is not significant ends the search in its own part only, not in the whole window;
- of those that are not significant the smallest is removed first.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pytest_sgdiff.judging.estimator import spread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

MAX_PVALUE = 0.001
"""Of the t-test between the levels before and after a change point: Otava's default."""
PROPOSED = 0.01
"""The same for a proposal, before any is removed: ten times as much, as in Otava."""
MASKED = 1e-8
"""The same where a later change hides it, so that only the runs before that one show it. There are so many such parts
that by chance alone some differ at PROPOSED."""
MAX_RANK_PVALUE = 0.01
"""Of the rank test between the two levels. Where no value of one lies among those of the other it is met: two runs
have too few orders for a small p."""
MIN_CHANGE = 0.01
"""Changes below 1 % are not worth a line: no gate of ours fails for less by default."""
WINDOW = 50
"""Runs in which change points are proposed at a time, each window half covered by the next: Otava's default."""
SHORTEST = 2
"""Runs of a level: of one alone nobody can say whether it was disturbed."""
REACH = 2
"""A run stands alone if none of so many runs on either side is near it."""
ALONE = 3.0
"""How far a run must be beyond its neighbours to stand alone, in standard deviations from run to run."""
ROUNDING = 1e-9
"""By how much the logarithms of equal figures may differ."""
FEW = 1 / 15
"""The part of the runs that may stand alone. If more do, they are no disturbed runs but how the metric varies: where
times are read once a second, most runs are equal and the others a second away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """From run `index` on the level is another one; `before` and `after` are in the unit of the values, `pvalue` is
    that of the t-test."""

    index: int
    before: float
    after: float
    pvalue: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Levels:
    """What a series shows: its change points, oldest first, the level of its latest runs, and whether the very latest
    stands alone, so that only the next run can tell whether it begins another level."""

    steps: tuple[Step, ...]
    latest: float
    alone: bool


def levels(values: Sequence[float]) -> Levels:
    """The levels of a series of positive values, oldest first. Raises ValueError for any other value, or for none."""
    import numpy as np

    if not values or not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError("a series needs values above 0, all of them finite")
    logs = np.log(np.asarray(values, dtype=np.float64))
    noise = _noise([float(log) for log in logs])
    kept = np.asarray(_pulled_in([float(log) for log in logs], noise), dtype=np.float64)
    found = _significant(_proposed(kept), kept)
    edges = [0, *found, len(kept)]
    centres = [_centre(logs[a:b]) for a, b in pairwise(edges)]
    steps = tuple(
        Step(
            index=index,
            before=centres[i],
            after=centres[i + 1],
            pvalue=_t_test(kept[edges[i] : index], kept[index : edges[i + 2]]),
        )
        for i, index in enumerate(found)
    )
    alone = bool(kept[-1] != logs[-1]) and abs(float(logs[-1]) - math.log(centres[-1])) > math.log1p(MIN_CHANGE)
    return Levels(steps=steps, latest=centres[-1], alone=alone)


def _noise(logs: Sequence[float]) -> float:
    """The standard deviation from run to run, which a few changes do not move."""
    return spread([b - a for a, b in pairwise(logs)]) / math.sqrt(2) if len(logs) > 1 else 0.0


def _pulled_in(logs: list[float], noise: float) -> list[float]:
    """The series with each run that stands alone at ALONE standard deviations beyond its neighbours: so it still adds
    to the noise of its level. As it was where more than a FEW stand alone.

    The first and the last run have neighbours on one side only, twice as many. They are pulled in as far as these: with
    the next run, which may be high by chance, they would look like a level of two."""
    last, reach = len(logs) - 1, ALONE * noise
    if last < 2 * REACH:
        return logs
    kept = []
    for i, log in enumerate(logs):
        left, right = (2 * REACH if i == last else REACH), (2 * REACH if i == 0 else REACH)
        near = [*logs[max(0, i - left) : i], *logs[i + 1 : i + 1 + right]]
        low, high = min(near), max(near)
        if low - reach <= log <= high + reach:
            kept.append(log)
        elif i in (0, last):
            kept.append(min(max(log, low), high))
        else:
            kept.append(min(max(log, low - reach), high + reach))
    alone = sum(abs(one - log) > ROUNDING for one, log in zip(kept, logs, strict=True))
    return kept if alone <= max(1.0, FEW * len(logs)) else logs


def _centre(logs: Array) -> float:
    """The level of these runs: their geometric mean, with outliers on both sides pulled in."""
    every: list[float] = list(map(float, logs))
    middle, reach = statistics.median(every), ALONE * spread(every)
    return math.exp(float(logs.clip(middle - reach, middle + reach).mean()))


def _proposed(logs: Array) -> list[int]:
    """Where E-divisive would split the series, window by window."""
    proposed: set[int] = set()
    start = 0
    while start < len(logs):
        new: set[int] = set()
        parts = [(start, min(len(logs), start + WINDOW))]
        while parts:
            first, end = parts.pop()
            split = _best_split(logs[first:end])
            if split is None:
                continue
            middle, until = first + split[0], first + split[1]
            left, right, whole = logs[first:middle], logs[middle:until], logs[middle:end]
            if _t_test(left, whole) <= PROPOSED or _t_test(left, right) <= MASKED:
                new.add(middle)
                parts += [(first, middle), (middle, end)]
        proposed |= new
        start = max(max(new, default=0), start + WINDOW // 2)
    return sorted(proposed)


def _best_split(logs: Array) -> tuple[int, int] | None:
    """Where two neighbouring parts of the series differ most, by the energy statistic: mn / (m + n) times twice the
    mean distance between the m runs before and the n behind, less the mean distances within each. Given are the index
    between both and the end of the second, which may be anywhere: a later change hides no earlier one. None for fewer
    than four runs."""
    import numpy as np

    count = len(logs)
    if count < 2 * SHORTEST:
        return None
    sums = np.zeros((count + 1, count + 1))
    sums[1:, 1:] = np.abs(logs[:, None] - logs[None, :]).cumsum(axis=0).cumsum(axis=1)
    of = _splits(count)
    diagonal = sums.diagonal()
    within_left = diagonal[of.at] / 2
    between = sums[of.at, of.end] - diagonal[of.at]
    within_right = diagonal[of.end] / 2 - within_left - between
    energy = 2 * between / of.across - 2 * within_left / of.left - 2 * within_right / of.right
    energy = np.where(of.possible, of.weight * energy, -np.inf)
    row, column = np.unravel_index(np.argmax(energy), energy.shape)
    return int(row) + SHORTEST, int(column) + 2 * SHORTEST


class _Splits(NamedTuple):
    """Every split of so many runs: the index between both parts, and the end of the second, which may be none of the
    `possible`; the pairs of runs across and within both, and the weight."""

    at: NDArray[np.intp]
    end: NDArray[np.intp]
    possible: NDArray[np.bool_]
    across: Array
    left: Array
    right: Array
    weight: Array


@lru_cache(maxsize=WINDOW)
def _splits(count: int) -> _Splits:
    """Those of a window are the same for all series."""
    import numpy as np

    at = np.arange(SHORTEST, count - SHORTEST + 1)[:, None]
    end = np.arange(2 * SHORTEST, count + 1)[None, :]
    possible = end - at >= SHORTEST
    m, n = at.astype(np.float64), np.where(possible, end - at, SHORTEST).astype(np.float64)
    pairs = np.multiply(m, n, dtype=np.float64)
    return _Splits(at, end, possible, pairs, m * (m - 1), n * (n - 1), pairs / (m + n))


def _significant(proposed: list[int], logs: Array) -> list[int]:
    """The change points that remain when the smallest is removed of those that are not significant, until all are; and
    then the smallest of all while it is too small to matter. Not the one with the largest p: of short levels the p is
    large whatever their size, and a slowdown of two runs would go for a wobble before it."""
    found = list(proposed)
    weakness = [_weakness(found, i, logs) for i in range(len(found))]
    while found:
        weak = [i for i in range(len(found)) if weakness[i].weak] or range(len(found))
        weakest = min(weak, key=lambda i: weakness[i].size)
        if not weakness[weakest].weak and weakness[weakest].size > math.log1p(MIN_CHANGE):
            break
        del found[weakest], weakness[weakest]
        # What was on both sides of it is one level now.
        for i in (weakest - 1, weakest):
            if 0 <= i < len(found):
                weakness[i] = _weakness(found, i, logs)
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class _Weakness:
    """How far a change point is from being one: the p of its t-test, whether its ranks show it, and its size."""

    pvalue: float
    by_rank: bool
    size: float

    @property
    def weak(self) -> bool:
        return not self.by_rank or self.pvalue >= MAX_PVALUE


def _weakness(found: Sequence[int], i: int, logs: Array) -> _Weakness:
    left = logs[(found[i - 1] if i else 0) : found[i]]
    right = logs[found[i] : (found[i + 1] if i + 1 < len(found) else len(logs))]
    return _Weakness(
        pvalue=_t_test(left, right),
        by_rank=_by_rank(left, right),
        size=abs(float(left.mean()) - float(right.mean())),
    )


def _t_test(left: Array, right: Array) -> float:
    """The p of Student's two-sided t-test. Of two levels without any noise 0.0 if they differ, else 1.0."""
    from numpy import add
    from scipy.special import stdtr

    m, n = len(left), len(right)
    # What `mean()` and `sum()` come to, which take as long again to get there: a long history asks a million times.
    of_left, of_right = add.reduce(left) / m, add.reduce(right) / n
    difference = abs(float(of_left) - float(of_right))
    squares = float(add.reduce((left - of_left) ** 2) + add.reduce((right - of_right) ** 2))
    error = math.sqrt(squares / (m + n - 2) * (1 / m + 1 / n))
    # Equal values differ by their rounding.
    if error < 1e-12:
        return 0.0 if difference > ROUNDING else 1.0
    return float(2 * stdtr(m + n - 2, -difference / error))


def _by_rank(left: Array, right: Array) -> bool:
    """Whether the two-sided rank test (Mann and Whitney, by its normal limit) finds a difference."""
    import numpy as np

    m, n = len(left), len(right)
    ordered = np.sort(right)
    above = (np.searchsorted(ordered, left, "left") + np.searchsorted(ordered, left, "right")).sum() / 2
    fewer = min(float(above), m * n - float(above))
    z = (fewer + 0.5 - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12)
    return fewer == 0 or math.erfc(-z / math.sqrt(2)) <= MAX_RANK_PVALUE
