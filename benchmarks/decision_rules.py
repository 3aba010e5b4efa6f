"""The shipped rules over arrays, a draw per row.

`tests/unit/test_rules_vectorised.py` holds the vectorised forms to `pytest_sgdiff.judging.rules` draw by draw: what is
simulated here is what ships.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from pytest_sgdiff.judging.estimator import CLIP
from pytest_sgdiff.judging.rules import Margins, Prior
from pytest_sgdiff.judging.rules import excess as excess_rule
from pytest_sgdiff.judging.rules import pause as pause_rule
from pytest_sgdiff.judging.rules import three_way as three
from pytest_sgdiff.judging.rules.paired import PAIRS, SIGN_P
from pytest_sgdiff.judging.rules.prior import DEFAULT

Array = NDArray[np.floating]
Flags = NDArray[np.bool_]
Codes = NDArray[np.int8]

PASS, IMPROVED, REGRESSED, INCONCLUSIVE = range(4)
OUTCOMES = ("pass", "improved", "regressed", "inconclusive")
MAD_TO_SD = 1.482602218505602


@dataclass(frozen=True, kw_only=True, slots=True)
class Decided:
    """Outcome codes, and whether an inconclusive figure needs confirmation; one entry per draw."""

    code: Codes
    suspect: Flags

    @property
    def settled(self) -> Flags:
        return self.code != INCONCLUSIVE


def _centred(y: Array, s0: Array, *, both: bool = False) -> Array:
    middle = np.median(y, axis=1, keepdims=True)
    reach = CLIP * np.maximum(MAD_TO_SD * np.median(np.abs(y - middle), axis=1, keepdims=True), s0[:, None])
    return np.clip(y, middle - reach if both else -np.inf, middle + reach)


def _three_way(
    d: Array,
    se: Array,
    freedom: Array,
    lo: Array,
    hi: Array,
    *,
    n: int,
    factor: Array,
    faster: Flags,
    order: Flags,
    detect: float,
) -> Decided:
    """`pytest_sgdiff.judging.rules.three_way.three_way` over arrays."""
    unique, inverse = np.unique(freedom, return_inverse=True)

    def margin(p: float) -> Array:
        return -stdtrit(unique, p)[inverse] * se

    alpha, material = margin(three.ALPHA), margin(three.MATERIAL)
    excluded = d + margin(three.BETA) < hi
    better = (d + alpha < 0) & (d + material < -lo) & (faster | (n < three.GROSS_LAUNCHES))
    sure = (d - alpha > 0) & (d - material > lo)
    gross = (n >= three.GROSS_LAUNCHES) & (factor > 1 + max(three.GROSS, detect))
    confirmed = (n >= three.CONFIRM_LAUNCHES) & order
    code = np.full(len(d), INCONCLUSIVE, dtype=np.int8)
    code[excluded] = PASS
    code[excluded & better] = IMPROVED
    # A slowdown that is to be confirmed waits, and one that is proven wins over a pass.
    if n < three.CONFIRM_LAUNCHES:
        code[sure] = INCONCLUSIVE
    code[sure & (gross | confirmed)] = REGRESSED
    return Decided(code=code, suspect=(code == INCONCLUSIVE) & ((d > hi) | sure))


def _moderated(squares: Array, k: int, s0: Array, weight: float) -> tuple[Array, Array]:
    if k == 0:
        return s0**2, np.full(len(s0), weight)
    conflict = squares / k > (three.CONFLICT * s0) ** 2
    variance = np.where(conflict, squares / k, (weight * s0**2 + squares) / (weight + k))
    return variance, np.where(conflict, float(k), weight + k)


def _bounds(middle: Array, m: Margins, floor: Array | float, slack: float) -> tuple[Array, Array]:
    lo = np.maximum(m.allow, np.maximum(m.allow_abs, floor) / middle)
    hi = np.maximum(m.detect, (m.detect_abs + np.maximum(0.0, floor - m.allow_abs)) / middle)
    return np.log1p(lo + slack), np.log1p(np.maximum(lo, hi) + slack)


def moderated(
    b: Array,
    c: Array,
    m: Margins,
    *,
    prior: Prior = DEFAULT,
    slack: float = 0.0,
    floor: Array | float = 0.0,
) -> Decided:
    """The moderated rule; `floor` is what is allowed in ms at least, per row where stages share it with their
    request."""
    middle = np.median(b, axis=1)
    lo, hi = _bounds(middle, m, floor, slack)
    s0 = np.hypot(m.cv0 if prior.cv0 is None else prior.cv0, m.noise_abs / middle)
    y, z = _centred(np.log(b), s0), _centred(np.log(c), s0)
    nb, nc = b.shape[1], c.shape[1]
    squares = y.var(axis=1) * nb + z.var(axis=1) * nc
    variance, freedom = _moderated(squares, nb + nc - 2, s0, prior.weight)
    se = np.sqrt(variance * (1 / nb + 1 / nc) + 2 * prior.session_cv**2)
    order = (
        rank_p(b, c) <= max(three.RANK_P, 1 / math.comb(nb + nc, nc))
        if nc >= three.CONFIRM_LAUNCHES
        else np.zeros(len(b), bool)
    )
    return _three_way(
        z.mean(axis=1) - y.mean(axis=1),
        se,
        freedom,
        lo,
        hi,
        n=nc,
        factor=c.min(axis=1) / b.max(axis=1),
        faster=c.max(axis=1) < b.min(axis=1),
        order=order,
        detect=m.detect,
    )


def paired(b: Array, c: Array, m: Margins, *, prior: Prior = DEFAULT) -> Decided:
    """The rule for A/B pairs."""
    n, middle = b.shape[1], np.median(b, axis=1)
    lo, hi = _bounds(middle, m, 0.0, 0.0)
    pairs = np.log(c) - np.log(b)
    s0 = math.sqrt(2) * np.hypot(m.cv0 if prior.cv0 is None else prior.cv0, m.noise_abs / middle)
    kept = _centred(pairs, s0, both=True)
    variance, freedom = _moderated(kept.var(axis=1) * n, n - 1, s0, prior.weight)
    wins = (pairs > 0).sum(axis=1)
    tail = np.array([sum(math.comb(n, k) for k in range(w, n + 1)) / 2**n for w in range(n + 1)])
    decided = _three_way(
        kept.mean(axis=1),
        np.sqrt(variance / n),
        freedom,
        lo,
        hi,
        n=n,
        factor=c.min(axis=1) / b.max(axis=1),
        faster=pairs.max(axis=1) < 0,
        order=tail[wins] <= max(SIGN_P, 0.5**n),
        detect=m.detect,
    )
    if n < PAIRS:
        return Decided(
            code=np.full(len(b), INCONCLUSIVE, dtype=np.int8),
            suspect=np.zeros(len(b), bool),
        )
    return decided


def pauses(b: Array, c: Array, allow_abs: Array) -> Decided:
    """The pause rule, in milliseconds."""
    nb, nc = b.shape[1], c.shape[1]
    usual = np.sort(b, axis=1)[:, -1 - pause_rule.tolerated(nb, max(nc, pause_rule.RECUR_LAUNCHES))]
    recurs = c.min(axis=1) > usual + np.maximum(allow_abs, pause_rule.LENGTHS * usual)
    code = np.where(recurs, INCONCLUSIVE, PASS).astype(np.int8)
    if nc >= pause_rule.confirming(nb) and nb >= pause_rule.RECUR_LAUNCHES:
        code[recurs] = REGRESSED
    return Decided(code=code, suspect=np.zeros(len(b), bool))


def excess(
    core: tuple[Array, Array],
    beyond: tuple[Array, Array],
    m: Margins,
    allow_abs: Array,
    rests: Array,
    *,
    request: tuple[Array, Array] | None = None,
    prior: Prior = DEFAULT,
    slack: float = 0.0,
    by_pairs: bool = False,
) -> Decided:
    """The rule for what steps took beyond their core, in milliseconds; `m` are the margins of denoising,
    `rests` what each step took beyond its core (N, candidate, steps), and `request` all that launches took, where that
    is judged as well."""
    b, c = beyond
    nb, nc = b.shape[1], c.shape[1]
    was, is_now = core[0] + b, core[1] + c
    usual = np.sort(b, axis=1)[:, -1 - pause_rule.tolerated(nb, max(nc, pause_rule.RECUR_LAUNCHES))]
    share, fixed = min(excess_rule.LEAST, m.allow), min(excess_rule.LEAST_MS, m.allow_abs)
    least = np.maximum(share * np.median(was, axis=1), fixed)
    every = (c > (usual + least)[:, None]).all(axis=1)
    wholes = [(was, is_now), *([] if request is None else [request])]
    found = [
        paired(*whole, m, prior=prior) if by_pairs else moderated(*whole, m, prior=prior, slack=slack)
        for whole in wholes
    ]
    passed = np.logical_and.reduce([(one.code == PASS) | (one.code == IMPROVED) for one in found])
    slower = np.logical_or.reduce([one.code == REGRESSED for one in found])
    allowed = np.minimum.reduce([np.maximum(m.allow * np.median(then, axis=1), m.allow_abs) for then, _ in wholes])
    longer = usual + np.maximum(np.maximum(allow_abs, allowed), pause_rule.LENGTHS * usual)
    long = (c.min(axis=1) > longer) & (is_now.min(axis=1) > was.max(axis=1))
    convicted = slower | (long & (min(nb, nc) >= pause_rule.RECUR_LAUNCHES))
    if math.comb(nb + nc, nc) * pause_rule.RECUR_P < 1:
        common = np.maximum(0.0, rests.min(axis=1)).sum(axis=1) >= excess_rule.COMMON * (c.min(axis=1) - usual)
        sizes = np.log(np.maximum(c - b.min(axis=1, keepdims=True), 1e-9))
        alike = sizes.std(axis=1, ddof=1) <= excess_rule.ALIKE if nc > 1 else np.zeros(len(b), bool)
        convicted &= common | alike
    code = np.where(~every | passed, PASS, np.where(convicted, REGRESSED, INCONCLUSIVE)).astype(np.int8)
    # A case that passes with many launches held up says so, and passes: nothing hangs on it.
    return Decided(code=code, suspect=np.zeros(len(b), bool))


@cache
def _rank_tail(nb: int, nc: int) -> Array:
    """P(U >= u) under no change, for u = 0 .. nb x nc: the exact Mann-Whitney distribution without ties."""
    ways = np.zeros((nc + 1, nb * nc + 1))
    ways[0, 0] = 1
    for rank in range(1, nb + nc + 1):
        for taken in range(min(rank, nc), 0, -1):
            # The taken-th candidate at this rank beats rank - taken baseline launches.
            gain = rank - taken
            if gain <= nb:
                ways[taken, gain:] += ways[taken - 1, : nb * nc + 1 - gain]
    share = ways[nc] / math.comb(nb + nc, nc)
    return np.cumsum(share[::-1])[::-1]


def rank_p(b: Array, c: Array) -> Array:
    wins = (c[:, :, None] > b[:, None, :]).sum(axis=(1, 2))
    return _rank_tail(b.shape[1], c.shape[1])[wins]
