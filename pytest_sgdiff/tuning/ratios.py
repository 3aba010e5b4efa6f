"""How two variants compare, by the intervals of their standings. These hold for all variants at once, and so does what
follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sgdiff.data.tuning import Standing, Tuned


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """The time of one variant over that of another, with its interval."""

    value: float
    low: float
    high: float


def quickest_of(standings: Sequence[Standing]) -> str:
    """The variant that ratios are to: of those that can be used and may be the quickest the one with the shortest time,
    empty where none has one. A quicker one that cannot be used is in no ratio."""
    usable = [one for one in standings if one.usable]
    # One that was dropped may look quicker than all that may still be the quickest.
    racing = [one for one in usable if one.group == 1] or usable
    return min(racing, key=lambda one: one.ms or math.inf).variant if racing else ""


def ratio(one: Standing, other: Standing, *, quickest: str) -> Ratio | None:
    """The time of `one` over that of `other`, None where one has no time. Of the intervals that the times give, and
    their ratios to the `quickest` variant, the narrowest part counts: all hold at once. Where these have no part in
    common, one of them does not hold, and all that both cover counts."""
    if one.ms is None or other.ms is None:
        return None
    lows, highs = [0.0], [math.inf]
    for mine, theirs in ((_times(one), _times(other)), (_to(quickest, one), _to(quickest, other))):
        if mine is not None and theirs is not None:
            lows.append(mine[0] / theirs[1])
            highs.append(mine[1] / theirs[0])
    low, high = max(lows), min(highs)
    if low > high:
        low, high = min(lows[1:]), max(highs[1:])
    return Ratio(value=one.ms / other.ms, low=low, high=high)


def gain(tuned: Tuned, fast: str, slow: str) -> Ratio | None:
    """By which part of the time of one variant the other one takes less; None where both are the same one, or one of
    them was not measured."""
    standings = {one.variant: one for one in tuned.standings}
    if fast == slow or fast not in standings or slow not in standings:
        return None
    found = ratio(standings[fast], standings[slow], quickest=quickest_of(tuned.standings))
    return None if found is None else Ratio(value=1 - found.value, low=1 - found.high, high=1 - found.low)


def is_faster(tuned: Tuned, fast: str, slow: str) -> bool:
    """Whether it is proven that one variant is faster than the other."""
    found = gain(tuned, fast, slow)
    if found is None:
        return False
    first = next((one.variant for one in tuned.standings if one.usable), None)
    dropped_by = {one.variant: one.dropped.code for one in tuned.standings if one.dropped is not None}
    # One that was dropped beside the first is slower than that, also where nobody knows by how much.
    return found.low > 0 or (fast == first and dropped_by.get(slow) == "slower")


def _times(one: Standing) -> tuple[float, float] | None:
    return None if one.low is None or one.high is None else (one.low, one.high)


def _to(quickest: str, one: Standing) -> tuple[float, float] | None:
    if one.variant == quickest:
        return (1.0, 1.0)
    return None if one.ratio_low is None or one.ratio_high is None else (one.ratio_low, one.ratio_high)
