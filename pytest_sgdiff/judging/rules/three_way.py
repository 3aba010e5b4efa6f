"""The three-way test that the moderated rules share: slower, not slower, or cannot tell yet.

An estimated log ratio meets two margins. A slowdown that is proven to be larger than the inner one (`allow`) is a
regression, wherever it lies; a pass rules out one as large as the outer one (`detect`); what is neither is inconclusive
and asks for more launches, and so does a slowdown beyond `allow` that too few launches show to prove it.
docs/decision-evidence.md tells why each part is there and what it buys.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from pytest_sgdiff.data import Decision, Finding, Outcome
from pytest_sgdiff.judging.rules.protocol import Margins
from pytest_sgdiff.judging.rules.sample import growth

ALPHA = 1e-4
"""Chance that noise alone looks significant, per metric: 1 % of nights over 100 gated metrics."""
MATERIAL = 0.01
"""Chance that a slowdown no larger than `allow` looks larger."""
BETA = 0.02
"""Chance, per look, that a pass overlooks a slowdown of `detect`."""
CONFLICT = 2.0
"""Launches that vary this many times as much as the prior says overrule it."""
NODE_SLACK = 0.02
"""How far two nodes of one GPU model may differ: added to both margins where baseline and candidate ran apart."""
GROSS = 0.10
"""Every launch slower than every baseline launch by this (and by `detect`) is enough at GROSS_LAUNCHES."""
GROSS_LAUNCHES = 3
CONFIRM_LAUNCHES = 5
RANK_P = 0.01
"""Level of the rank confirmation, which no handful of outliers can buy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """The log ratio of candidate over baseline, its standard error, and the degrees of freedom of the latter.
    `centre` is the baseline's, from which `shift` leads to the candidate's."""

    shift: float
    centre: float
    error: float
    freedom: float

    def margin(self, p: float) -> float:
        """Half the width of a one-sided interval that is wrong with probability `p`."""
        return quantile(p, self.freedom) * self.error


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What the launches say beside their estimate. `count` launches, or `pairs` of them, of the candidate; `factor` its
    fastest launch over the baseline's slowest; `faster`: not one is as slow as the baseline's fastest; `in_order`
    says whether the launches' order confirms a slowdown (called only where it matters); where it does not, a baseline
    of `tolerant` launches would help (None: it is large enough)."""

    count: int
    factor: float
    faster: bool
    in_order: Callable[[], bool]
    pairs: bool = False
    tolerant: int | None = None


def quantile(p: float, freedom: float) -> float:
    """The upper `p` quantile of Student's t."""
    from scipy.special import stdtrit

    return float(-stdtrit(freedom, p))


def moderated(squares: float, freedom: int, s0: float, weight: float) -> tuple[float, float]:
    """Variance and degrees of freedom from a sum of squares and the prior, which conflicting data overrule."""
    # Not `**`, which raises where a product is infinite, as for a prior of ms beside a value of next to nothing.
    expected = s0 * s0
    if freedom and squares / freedom > CONFLICT * CONFLICT * expected:
        return squares / freedom, freedom
    return (weight * expected + squares) / (weight + freedom), weight + freedom


def bounds(median: float, margins: Margins, *, same_node: bool) -> tuple[float, float]:
    """Log ratios (lo, hi): what is allowed, and what a pass rules out."""
    slack = 0.0 if same_node else NODE_SLACK
    lo = max(margins.allow, margins.allow_abs / median)
    hi = max(margins.detect, margins.detect_abs / median, lo)
    return math.log1p(lo + slack), math.log1p(hi + slack)


def three_way(e: Estimate, lo: float, hi: float, evidence: Evidence, *, detect: float) -> tuple[Outcome, Finding]:
    """Outcome and reason; `detect` is the fraction that `hi` stands for on the node of the baseline."""
    d, n, pairs, allow, bound = e.shift, evidence.count, evidence.pairs, growth(lo), growth(hi)
    if beyond(e, lo):
        gross = evidence.factor > 1 + max(GROSS, detect)
        if n >= GROSS_LAUNCHES and gross:
            return "regressed", Finding(code="gross", allow=allow, size=evidence.factor - 1)
        if n < CONFIRM_LAUNCHES:
            enough = GROSS_LAUNCHES if gross else CONFIRM_LAUNCHES
            return "inconclusive", Finding(code="unconfirmed", count=n, needed=enough, pairs=pairs)
        if evidence.in_order():
            return "regressed", Finding(code="beyond-allow", allow=allow)
    if d + e.margin(BETA) < hi:
        better = d + e.margin(ALPHA) < 0 and d + e.margin(MATERIAL) < -lo
        if better and (n < GROSS_LAUNCHES or evidence.faster):
            return "improved", Finding(code="faster", size=growth(d + e.margin(MATERIAL)))
        return "pass", Finding(code="ruled-out", size=growth(d + e.margin(BETA)))
    if beyond(e, lo):
        return "inconclusive", Finding(code="out-of-order", size=growth(d), pairs=pairs, needed=evidence.tolerant)
    if n < CONFIRM_LAUNCHES:
        return "inconclusive", Finding(code="undecided", allow=allow, detect=bound)
    low, high = growth(d - e.margin(0.025)), growth(d + e.margin(0.025))
    return "inconclusive", Finding(code="interval-undecided", low=low, high=high, allow=allow, detect=bound)


def beyond(e: Estimate, lo: float) -> bool:
    """Whether a slowdown is significant, and significantly larger than what is allowed."""
    return e.shift - e.margin(ALPHA) > 0 and e.shift - e.margin(MATERIAL) > lo


def decided(e: Estimate, lo: float, hi: float, evidence: Evidence, *, detect: float) -> Decision:
    """What `three_way` says, with the estimate and its 95 % interval as ratios."""
    outcome, finding = three_way(e, lo, hi, evidence, detect=detect)
    return Decision(
        outcome=outcome,
        finding=finding,
        **centred(e),
        low=as_ratio(e.shift - e.margin(0.025)),
        high=as_ratio(e.shift + e.margin(0.025)),
        excluded=growth(e.shift + e.margin(BETA)) if outcome in ("pass", "improved") else None,
        suspect=outcome == "inconclusive" and (e.shift > hi or beyond(e, lo)),
    )


class Centred(TypedDict, total=False):
    """The part of a decision that says where both sides are."""

    ratio: float
    baseline: float
    now: float


def centred(e: Estimate) -> Centred:
    """Ratio and centres of an estimate: the one follows from the others, whoever divides them. Nothing where it is too
    large for a float."""
    ratio = as_ratio(e.shift)
    if ratio is None:
        return {}
    return {"ratio": ratio, "baseline": e.centre, "now": e.centre * ratio}


def as_ratio(log_ratio: float) -> float | None:
    """exp(x), None where it is too large for a float."""
    fraction = growth(log_ratio)
    return None if fraction is None else 1 + fraction
