"""Base and candidate launched in turn (ABBA) on the same GPUs: judged pair by pair, so that drift and node drop out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_sgdiff.data import Decision, Finding
from pytest_sgdiff.judging.estimator import CLIP, Noise, logs, median, near, spread
from pytest_sgdiff.judging.rules.prior import DEFAULT, Prior
from pytest_sgdiff.judging.rules.protocol import Margins
from pytest_sgdiff.judging.rules.sample import floored, screened
from pytest_sgdiff.judging.rules.three_way import Estimate, Evidence, bounds, centred, decided, moderated

PAIRS = 3
"""Fewer pairs than this never pass."""
SIGN_P = 0.02
"""Level of the sign confirmation: five to nine pairs must all be slower, of ten to twelve one may not be."""


class PairedRule:
    """A moderated paired t-test on log ratios with the same margins; values pair up by position."""

    name = "paired"

    def __init__(self, prior: Prior = DEFAULT) -> None:
        self.prior = prior

    def decide(
        self,
        baseline: Sequence[float | None],
        candidate: Sequence[float | None],
        margins: Margins,
        *,
        same_node: bool,
    ) -> Decision:
        """Judge pairs (baseline[i], candidate[i]); launches beyond the shorter side's length are not paired yet.

        `same_node` is ignored: both sides of a pair ran on the same GPUs.
        """
        n = min(len(baseline), len(candidate))
        b, c = baseline[:n], candidate[:n]
        unusable = screened(b, c, margins)
        if unusable is not None:
            return unusable
        base, now = [v for v in b if v is not None], [v for v in c if v is not None]
        too_small = floored(base, now, margins, enough=n >= PAIRS)
        if too_small is not None:
            return too_small
        lo, hi = bounds(statistics.median(base), margins, same_node=True)
        pairs = [y - x for x, y in zip(logs(base), logs(now), strict=True)]
        e = self.estimate(base, now, margins)
        if n < PAIRS:
            few = Finding(code="few-pairs", count=n, needed=PAIRS, pairs=True)
            return Decision(outcome="inconclusive", finding=few, **centred(e))
        evidence = Evidence(
            count=n,
            pairs=True,
            factor=min(now) / max(base),
            faster=max(pairs) < 0,
            in_order=lambda: sign_p(pairs) <= max(SIGN_P, 0.5**n),
        )
        return decided(e, lo, hi, evidence, detect=margins.detect)

    def estimate(self, base: Sequence[float], now: Sequence[float], margins: Margins) -> Estimate:
        """Mean log ratio of the pairs and its error. Either side may be the outlier, so both tails are clipped: in a
        pair that lies outside, the slower launch is the one that is pulled in."""
        pairs = [y - x for x, y in zip(logs(base), logs(now), strict=True)]
        cv0 = margins.cv0 if self.prior.cv0 is None else self.prior.cv0
        s0 = math.sqrt(2) * Noise(cv=cv0, floor=margins.noise_abs).at(statistics.median(base))
        middle, reach = statistics.median(pairs), CLIP * max(spread(pairs), s0)
        kept = [min(max(x, middle - reach), middle + reach) for x in pairs]
        mean = statistics.fmean(kept)
        squares = sum((x - mean) ** 2 for x in kept)
        variance, freedom = moderated(squares, len(kept) - 1, s0, self.prior.weight)
        # Too low a pair is one whose base launch was held up.
        before = statistics.fmean(x + min(0.0, y - z) for x, y, z in zip(logs(base), pairs, kept, strict=True))
        return Estimate(
            shift=mean,
            centre=near(before, median(base)),
            error=math.sqrt(variance / len(kept)),
            freedom=freedom,
        )


def sign_p(pairs: Sequence[float]) -> float:
    """One-sided sign test that the candidate is the slower one of a pair."""
    n, slower = len(pairs), sum(x > 0 for x in pairs)
    return math.fsum(math.comb(n, k) for k in range(slower, n + 1)) / 2.0**n
