"""One published number without spread: shows a difference, can fail beyond a stated tolerance, never passes."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from pytest_sgdiff.data import Decision, Finding
from pytest_sgdiff.rules.protocol import Margins
from pytest_sgdiff.rules.sample import screened

BEYOND_LAUNCHES = 3
"""Launches that must all lie beyond the tolerance: one may be an accident, and the number says nothing of its noise."""


class ReferenceRule:
    """`margins.limit` is the tolerance that the case states, infinite where it states none."""

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
        published = statistics.median(v for v in baseline if v is not None)
        now = [v for v in candidate if v is not None]
        if published == 0:
            return Decision(outcome="inconclusive", finding=Finding(code="reference-zero"))
        ratio = statistics.median(now) / published
        if not math.isfinite(margins.limit):
            return Decision(outcome="inconclusive", finding=Finding(code="reference-shows"), ratio=ratio)
        tolerance = max(margins.limit, margins.limit_abs / published)
        if min(now) <= published * (1 + tolerance):
            inside = ratio <= 1 + tolerance
            found = Finding(code="reference-within" if inside else "reference-overlaps", limit=tolerance)
            return Decision(outcome="inconclusive", finding=found, ratio=ratio)
        if len(now) < BEYOND_LAUNCHES:
            found = Finding(code="unconfirmed", count=len(now), needed=BEYOND_LAUNCHES)
            return Decision(outcome="inconclusive", finding=found, ratio=ratio, suspect=True)
        found = Finding(code="reference-beyond", count=len(now), limit=tolerance)
        return Decision(outcome="regressed", finding=found, ratio=ratio)
