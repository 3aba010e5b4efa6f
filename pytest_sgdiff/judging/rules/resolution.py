"""The minimum detectable slowdown: the size that the moderated rule calls regressed in 95 of 100 draws.

Each draw is a gate that could follow a baseline: a true centre and a noise that its launches do not contradict (the
fiducial distribution of a normal sample, which is right on average whatever the true noise is), and the candidate's
launches, drawn from those. A slowdown shifts all launches of the candidate alike and leaves their spread as it is, so
every draw has one size from which on it is regressed; the 95 % quantile of these sizes is the answer. Checkpoints
count: a case that passes at an early one is not judged again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from pytest_sgdiff.judging.estimator import CLIP, MAD_TO_SD
from pytest_sgdiff.judging.rules.prior import Prior
from pytest_sgdiff.judging.rules.ranks import ordered_wins
from pytest_sgdiff.judging.rules.sample import growth
from pytest_sgdiff.judging.rules.three_way import (
    ALPHA,
    BETA,
    CONFIRM_LAUNCHES,
    CONFLICT,
    GROSS_LAUNCHES,
    MATERIAL,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.floating]

FOUND = 0.95
"""Share of draws in which the minimum detectable slowdown is regressed."""
DRAWS = 4000
_SEED = 20261129


def minimum_detectable(
    logs: Sequence[float],
    *,
    lo: float,
    hi: float,
    s0: float,
    prior: Prior,
    looks: Sequence[int],
    gross: float,
    secondary: bool = False,
) -> float | None:
    """The slowdown, a fraction, that a gate with these checkpoints finds in FOUND of its draws.

    `logs` are the logarithms of three baseline launches or more, `lo` and `hi` the margins and `s0` the expected noise
    on that scale; `gross` is the fraction by which every launch must be slower to fail at GROSS_LAUNCHES. `secondary`
    metrics ask for more launches only where their figure lies beyond `hi`. None where the last checkpoint has too few
    launches to fail anything, and where the size is too large for a float.
    """
    return _found(tuple(logs), lo=lo, hi=hi, s0=s0, prior=prior, looks=tuple(looks), gross=gross, secondary=secondary)


# A case is judged at each checkpoint by the same baseline.
@lru_cache(maxsize=256)
def _found(
    logs: tuple[float, ...],
    *,
    lo: float,
    hi: float,
    s0: float,
    prior: Prior,
    looks: tuple[int, ...],
    gross: float,
    secondary: bool,
) -> float | None:
    import numpy as np

    if looks[-1] < GROSS_LAUNCHES:
        return None
    nb = len(logs)
    noise, offset, squares = _draws(nb, looks[-1])
    middle = sorted(logs)[nb // 2] if nb % 2 else sum(sorted(logs)[nb // 2 - 1 : nb // 2 + 1]) / 2
    b = np.array(logs) - middle
    y = _clipped(b[None, :], s0)[0]
    ss = float(((y - y.mean()) ** 2).sum())
    sigma = np.sqrt(ss / squares)
    c = sigma[:, None] * noise + (y.mean() + sigma * offset)[:, None]
    open_from: Array = np.full(len(c), -np.inf)
    needed: Array = np.full(len(c), np.inf)
    for n in looks:
        z = _clipped(c[:, :n], s0)
        mean = z.mean(axis=1)
        error, freedom = _error(ss + ((z - mean[:, None]) ** 2).sum(axis=1), nb, n, s0, prior)
        away = y.mean() - mean
        sure = away + np.maximum(_t(ALPHA, freedom) * error, lo + _t(MATERIAL, freedom) * error)
        if n >= GROSS_LAUNCHES:
            least = np.log1p(gross) + b.max() - c[:, :n].min(axis=1)
            needed = np.minimum(needed, np.maximum(open_from, np.maximum(sure, least)))
        if n >= CONFIRM_LAUNCHES:
            # The slowdown from which on so many pairs of launches are in order.
            wins = ordered_wins(nb, n)
            behind = np.partition((b[None, :, None] - c[:, None, :n]).reshape(len(c), -1), wins - 1, axis=1)
            needed = np.minimum(needed, np.maximum(open_from, np.maximum(sure, behind[:, wins - 1])))
        undecided = hi + away - (0.0 if secondary else _t(BETA, freedom) * error)
        open_from = np.maximum(open_from, np.minimum(sure, undecided))
    return growth(float(np.sort(needed)[math.ceil(FOUND * len(needed)) - 1]))


@lru_cache(maxsize=16)
def _draws(nb: int, nc: int) -> tuple[Array, Array, Array]:
    """Standard launches of the candidate, the offset of the baseline's true centre, and chi squared of its squares."""
    import numpy as np
    from scipy.special import chdtri

    rng = np.random.default_rng((_SEED, nb, nc))
    half = rng.standard_normal((DRAWS // 2, nc + 1))
    both = np.concatenate([half, -half])
    # In even steps: so few draws would hit the tail of the noise, on which the figure hangs, too often or too rarely.
    squares = rng.permutation(chdtri(nb - 1, (np.arange(DRAWS) + 0.5) / DRAWS))
    return both[:, :nc], both[:, nc] / math.sqrt(nb), squares


def _clipped(values: Array, s0: float) -> Array:
    import numpy as np

    if values.shape[1] < 3:
        return values
    ordered = np.sort(values, axis=1)
    middle = _middle(ordered)
    away = np.sort(np.abs(values - middle[:, None]), axis=1)
    top = middle + CLIP * np.maximum(MAD_TO_SD * _middle(away), s0)
    clipped: Array = np.minimum(values, top[:, None])
    return clipped


def _middle(ordered: Array) -> Array:
    n = ordered.shape[1]
    return ordered[:, n // 2] if n % 2 else (ordered[:, n // 2 - 1] + ordered[:, n // 2]) / 2


def _error(squares: Array, nb: int, nc: int, s0: float, prior: Prior) -> tuple[Array, Array]:
    """Standard errors and degrees of freedom, as three_way.moderated has the variance."""
    import numpy as np

    k, weight = nb + nc - 2, prior.weight
    conflict = squares / k > (CONFLICT * s0) ** 2
    variance = np.where(conflict, squares / k, (weight * s0**2 + squares) / (weight + k))
    return np.sqrt(variance * (1 / nb + 1 / nc) + 2 * prior.session_cv**2), np.where(conflict, float(k), weight + k)


def _t(p: float, freedom: Array) -> Array:
    """The upper `p` quantile of Student's t; there are two values of `freedom` at most."""
    import numpy as np

    from pytest_sgdiff.judging.rules.three_way import quantile

    low, high = float(freedom.min()), float(freedom.max())
    return np.where(freedom == low, quantile(p, low), quantile(p, high))
