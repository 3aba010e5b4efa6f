"""Two profiles side by side: which rows changed most. Pure.

A profile is of one launch. Nothing here judges: what is listed took another time in these two launches, and the
verdict rests on launches without a profiler.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections import deque
from collections.abc import Collection, Iterable, Sequence

from pytest_sgdiff.data import Part, ProfileChange, ProfileRow, ProfileSummary, RowChange, StageChange

WORTH = 0.005
"""Rows that changed by less than this share of all time are not listed."""
LISTED = {"operator": 10, "kernel": 6, "python": 4}
"""So many rows of each part are listed at most."""
FEW = 8
"""With fewer rows on both sides nobody knows what the typical call changed by."""
NEARLY = 0.9
"""The steps from the first to the last that hold this share of the change are said to be those in which it lies."""

Key = tuple[Part, str, str, str]


def comparable(then: ProfileSummary, now: ProfileSummary) -> bool:
    """Whether two profiles are of the same reach and clock, and hold steps in common, if any."""
    if (then.reach, then.clock) != (now.reach, now.clock):
        return False
    return not then.steps or not now.steps or bool(set(then.steps) & set(now.steps))


def changes(then: ProfileSummary, now: ProfileSummary) -> ProfileChange:
    """What changed from `then` to `now`, which are `comparable`."""
    steps = tuple(sorted(set(then.steps) & set(now.steps)))
    # Where steps alone were profiled, those that both sides have are compared.
    only = frozenset(steps if "steps" in (then.reach, now.reach) and then.steps != now.steps else ())
    sides = [{_key(row): row for row in side.rows} for side in (then, now)]
    typical = _typical(*sides)
    pairs = [(sides[0].get(key), sides[1].get(key)) for key in dict.fromkeys((*sides[0], *sides[1]))]
    pairs = [pair for pair in pairs if _known(*pair, then, now)]
    rows = [_row(*pair, then, now, only=only, typical=typical or 1.0) for pair in pairs]
    totals = [math.fsum(_time(row, side, only) for row in side.rows if row.part == "operator") for side in (then, now)]
    worth = WORTH * max(totals)
    listed: list[RowChange] = []
    for part, most in LISTED.items():
        of_part = [row for row in rows if row.part == part and abs(row.change_ms) > worth]
        listed += sorted(of_part, key=lambda row: -abs(row.beyond_ms))[:most]
    stages = tuple(
        StageChange(stage=name, then_ms=then.stages_ms.get(name), now_ms=now.stages_ms.get(name))
        for name in dict.fromkeys((*now.stages_ms, *then.stages_ms))
    )
    held = [math.fsum(row.held_ms for row in side.rows if row.part == "operator") for side in (then, now)]
    return ProfileChange(
        clock=now.clock,
        rows=tuple(listed),
        then_ms=totals[0],
        now_ms=totals[1],
        typical=typical,
        steps=steps,
        stage=_stage(rows, worth),
        stages=stages,
        held_then_ms=held[0],
        held_now_ms=held[1],
    )


def _known(old: ProfileRow | None, new: ProfileRow | None, then: ProfileSummary, now: ProfileSummary) -> bool:
    """Whether a row that a side lacks is none of its rest: larger than the smallest row that the side kept."""
    for one, other, side in ((old, new, then), (new, old, now)):
        if one is None and other is not None and side.rest_ms.get(other.part):
            least = min((row.self_ms for row in side.rows if row.part == other.part), default=0.0)
            if other.self_ms <= 2 * least:
                return False
    return True


def _key(row: ProfileRow) -> Key:
    return row.part, row.name, row.shape, row.stage


def _typical(then: dict[Key, ProfileRow], now: dict[Key, ProfileRow]) -> float | None:
    """The ratio of the time of a call, of the row in the middle: what everything has in common, as a lower clock."""
    ratios = [
        (now[key].self_ms / now[key].count) / (row.self_ms / row.count)
        for key, row in then.items()
        if key[0] == "operator" and key in now and row.self_ms > 0 and now[key].self_ms > 0
    ]
    return statistics.median(ratios) if len(ratios) >= FEW else None


def _time(row: ProfileRow | None, side: ProfileSummary, only: Collection[int]) -> float:
    """The self time of a row, in the steps `only` if there are any (ms)."""
    if row is None:
        return 0.0
    if not only:
        return row.self_ms
    return math.fsum(ms for step, ms in zip(side.steps, row.steps_ms, strict=False) if step in only)


def _row(
    old: ProfileRow | None,
    new: ProfileRow | None,
    then: ProfileSummary,
    now: ProfileSummary,
    *,
    only: Collection[int],
    typical: float,
) -> RowChange:
    row = old or new
    if row is None:
        raise AssertionError("a row is on one side at least")
    then_ms, now_ms = _time(old, then, only), _time(new, now, only)
    change = now_ms - then_ms
    first, last = _steps(old, new, then, now, change)
    return RowChange(
        part=row.part,
        name=row.name,
        shape=row.shape,
        stage=row.stage,
        then_ms=None if old is None else then_ms,
        now_ms=None if new is None else now_ms,
        then_count=0 if old is None else old.count,
        now_count=0 if new is None else new.count,
        beyond_ms=now_ms - then_ms * typical,
        first=first,
        last=last,
    )


def _steps(
    old: ProfileRow | None, new: ProfileRow | None, then: ProfileSummary, now: ProfileSummary, change: float
) -> tuple[int | None, int | None]:
    """The first and last of the fewest neighbouring steps that hold NEARLY all of the change."""
    sides = ((old, then), (new, now))
    before, after = ({} if row is None else dict(zip(side.steps, row.steps_ms, strict=False)) for row, side in sides)
    numbers = sorted(set(then.steps) & set(now.steps))
    by_step = [after.get(step, 0.0) - before.get(step, 0.0) for step in numbers]
    if not numbers or change == 0 or math.fsum(by_step) / change < NEARLY:
        return None, None
    start, end = fewest([ms * _sign(change) for ms in by_step], share=NEARLY)
    if end - start + 1 >= NEARLY * len(numbers):
        start, end = 0, len(numbers) - 1  # a change of every step alike
    return numbers[start], numbers[end]


def fewest(values: Sequence[float], *, share: float) -> tuple[int, int]:
    """First and last of the fewest neighbouring values that hold `share` of their sum, which is positive."""
    wanted, best = share * math.fsum(values), (0, len(values) - 1)
    sums = (0.0, *itertools.accumulate(values))
    # Places to begin at, the sums before them ascending: a profile may have many thousand steps, so each is seen once.
    starts: deque[int] = deque()
    for end, total in enumerate(sums):
        while starts and total - sums[starts[0]] >= wanted:
            start = starts.popleft()
            if end - 1 - start < best[1] - best[0]:
                best = (start, end - 1)
        while starts and sums[starts[-1]] >= total:
            starts.pop()
        starts.append(end)
    return best


def _sign(value: float) -> float:
    return 1.0 if value > 0 else -1.0


def _stage(rows: Iterable[RowChange], worth: float) -> str:
    """The stage whose operators grew most together; where none grew, the one whose shrank most; "" for neither."""
    by_stage: dict[str, float] = {}
    for row in rows:
        if row.part == "operator":
            by_stage[row.stage] = by_stage.get(row.stage, 0.0) + row.beyond_ms
    if not by_stage:
        return ""
    most = max(by_stage, key=lambda stage: by_stage[stage])
    if by_stage[most] <= worth:
        most = min(by_stage, key=lambda stage: by_stage[stage])
    return most if abs(by_stage[most]) > worth else ""
