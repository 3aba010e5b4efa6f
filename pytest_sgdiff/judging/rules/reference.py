"""One published number without spread: shows a difference, can fail beyond a stated tolerance, never passes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_sgdiff.data import Decision, Finding
from pytest_sgdiff.judging.estimator import Noise, clipped, logs, median, near
from pytest_sgdiff.judging.rules.protocol import Margins
from pytest_sgdiff.judging.rules.sample import screened
from pytest_sgdiff.judging.rules.three_way import Centred, Estimate, centred

BEYOND_LAUNCHES = 3
"""Launches that must all lie beyond the tolerance: one may be an accident, and the number says nothing of its noise."""


class ReferenceRule:
    """`margins.allow` is the tolerance that the case states, infinite where it states none."""

    name = "reference"

    def decide(
        self,
        baseline: Sequence[float | None],
        candidate: Sequence[float | None],
        margins: Margins,
        *,
        same_node: bool,
    ) -> Decision:
        """`regressed` if three launches or more all exceed the tolerance, else `inconclusive` with the ratio.

        `same_node` is ignored: published numbers are never of this node, and whoever states a tolerance for them knows.
        """
        unusable = screened(baseline, candidate, margins)
        if unusable is not None:
            return unusable
        then, now = [v for v in baseline if v is not None], [v for v in candidate if v is not None]
        published = statistics.median(then)
        if published == 0:
            return Decision(outcome="inconclusive", finding=Finding(code="reference-zero"))
        shown = _centred(then, now, Noise(cv=margins.cv0, floor=margins.noise_abs).at(published))
        if not math.isfinite(margins.allow):
            return Decision(outcome="inconclusive", finding=Finding(code="reference-shows"), **shown)
        tolerance = max(margins.allow, margins.allow_abs / published)
        if min(now) <= published * (1 + tolerance):
            inside = (shown.get("ratio") or 0.0) <= 1 + tolerance
            found = Finding(code="reference-within" if inside else "reference-overlaps", allow=tolerance)
            return Decision(outcome="inconclusive", finding=found, **shown)
        if len(now) < BEYOND_LAUNCHES:
            found = Finding(code="unconfirmed", count=len(now), needed=BEYOND_LAUNCHES)
            return Decision(outcome="inconclusive", finding=found, **shown, suspect=True)
        found = Finding(code="reference-beyond", count=len(now), allow=tolerance)
        return Decision(outcome="regressed", finding=found, **shown)


def _centred(then: Sequence[float], now: Sequence[float], s0: float) -> Centred:
    """Ratio and centres; nothing where a side holds a zero, which is no part of a ratio."""
    if min(*then, *now) == 0:
        return {}
    published, current = (statistics.fmean(clipped(logs(side), s0)) for side in (then, now))
    centre = near(published, median(then))
    return centred(Estimate(shift=current - published, centre=centre, error=0.0, freedom=1.0))
