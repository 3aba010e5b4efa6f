"""Where the change of a case lies: which stage, which steps, core or excess; and what differs beside it. Pure.

Nothing here judges, and nothing says why: a clock that is lower and a version that is newer are facts beside a change
of time, which may or may not come of them.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence

from pytest_sgdiff.data import (
    Attribution,
    Beside,
    BesideCode,
    CorePart,
    EngineCommits,
    Environment,
    LaunchRecord,
    LongPause,
    PartChange,
    StageChange,
    StepsChange,
    Verdict,
    VersionChange,
)
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.judging.estimator import centres
from pytest_sgdiff.metrics import (
    DENOISE_CORE,
    DENOISE_EXCESS,
    DENOISE_GAP,
    E2E,
    PAUSE,
    PEAK_MEMORY,
    metric_class,
    parameter,
    stages_of,
)
from pytest_sgdiff.profiling.row_changes import fewest

LONG_MS = 250.0
"""From so long on a pause is a long one: full collections of Python took 300 ms and more in the engine, and where none
ran the pause was below 10 ms (docs/noise.md)."""

WORTH = 0.01
"""Figures beside the times that differ by less are not worth a word."""

NEARLY = 0.9
"""Steps that hold this share of the change are said to be those in which it lies."""

BUSY_PCT = 50
"""A sample counts as one under load from this utilisation on, as in `pytest_sgdiff.watch`."""

_PARTS: Mapping[str, CorePart] = {DENOISE_CORE: "core", DENOISE_EXCESS: "excess", PAUSE: "pause"}
_COMMIT = re.compile(r"\+(?:[\w.]*\.)?g([0-9a-f]{7,40})\b")

_VERSIONS: tuple[tuple[str, Callable[[Environment], str | None]], ...] = (
    ("sglang", lambda e: e.engine_version),
    ("torch", lambda e: e.torch_version),
    ("driver", lambda e: e.driver),
    ("CUDA", lambda e: e.cuda),
)


def attribution(
    baseline: Sequence[LaunchRecord], now: Sequence[LaunchRecord], verdicts: Sequence[Verdict]
) -> Attribution | None:
    """Where the change lies between the launches of both sides; None where one of them has none that counts."""
    then, new = counted(baseline), counted(now)
    if not then or not new:
        return None
    total = _centres(E2E, then, new)
    stage = _stage(then, new)
    return Attribution(
        total_then_ms=None if total is None else total[0],
        total_now_ms=None if total is None else total[1],
        stage=stage,
        parts=tuple(_parts(verdicts)),
        steps=_steps(then, new),
        beside=tuple(_beside(then, new)),
        versions=tuple(_versions(then, new)),
        commits=_commits(then, new),
        pause=long_pause(then, new),
    )


def _centres(metric: str, then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> tuple[float, float] | None:
    sides = ([launch.metrics.get(metric) for launch in side] for side in (then, now))
    (before, after), _ = centres(metric_class(metric), *sides)
    return None if before is None or after is None else (before, after)


def _stage(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> StageChange | None:
    """The stage that changed most in the direction of all stages together; one that a side lacks counts as a whole."""
    found = []
    for name in stages_of((*now, *then)):
        sides = ([launch.metrics.get(name) for launch in side] for side in (then, now))
        (before, after), _ = centres(metric_class(name), *sides)
        if before is not None or after is not None:
            found.append(StageChange(stage=parameter(name), then_ms=before, now_ms=after))
    whole = math.fsum(one.change_ms for one in found)
    most = max(found, key=lambda one: one.change_ms * whole, default=None)
    return most if most is not None and most.change_ms * whole > 0 else None


def _parts(verdicts: Sequence[Verdict]) -> Iterator[PartChange]:
    for verdict in verdicts:
        part = _PARTS.get(verdict.metric)
        if part is not None and verdict.baseline is not None and verdict.now is not None:
            yield PartChange(part=part, then_ms=verdict.baseline, now_ms=verdict.now)


def _steps(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> StepsChange | None:
    """The fewest neighbouring steps that hold the change, by the medians of each step over the launches."""
    lengths = {len(launch.steps_ms) for launch in (*then, *now)}
    if len(lengths) != 1 or lengths == {0}:
        return None
    before, after = (
        [statistics.median(column) for column in zip(*(launch.steps_ms for launch in side), strict=True)]
        for side in (then, now)
    )
    by_step = [new - old for old, new in zip(before, after, strict=True)]
    change = math.fsum(by_step)
    if not math.isfinite(change) or change == 0:
        return None
    first, last = fewest([step * math.copysign(1, change) for step in by_step], share=NEARLY)
    if last - first + 1 >= NEARLY * len(by_step):
        first, last = 0, len(by_step) - 1  # a change of every step alike
    return StepsChange(
        first=first,
        last=last,
        of=len(by_step),
        then_ms=math.fsum(before[first : last + 1]),
        now_ms=math.fsum(after[first : last + 1]),
    )


def _beside(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> Iterator[Beside]:
    memory = _centres(PEAK_MEMORY, then, now)
    figures: tuple[tuple[BesideCode, float | None, float | None], ...] = (
        ("sm-clock", _clock(then), _clock(now)),
        ("memory", *(memory or (None, None))),
        ("power-limit", _limit(then), _limit(now)),
    )
    for code, old, new in figures:
        if old and new and abs(new / old - 1) >= WORTH:
            yield Beside(code=code, then=old, now=new)


def _clock(launches: Sequence[LaunchRecord]) -> float | None:
    """The median SM clock (MHz) of the samples in which a GPU was at work."""
    found = [
        mhz
        for launch in launches
        for gpu in (() if launch.watch is None else launch.watch.gpus)
        for mhz, busy in zip(gpu.column(gpu.sm_mhz), gpu.column(gpu.util_pct), strict=True)
        if mhz is not None and busy is not None and busy >= BUSY_PCT
    ]
    return statistics.median(found) if found else None


def _limit(launches: Sequence[LaunchRecord]) -> float | None:
    found = [w for launch in launches if (w := launch.environment.power_limit_w) is not None]
    return statistics.median(found) if found else None


def _versions(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> Iterator[VersionChange]:
    for name, read in _VERSIONS:
        sides = [tuple(sorted({v for one in side if (v := read(one.environment))})) for side in (then, now)]
        if all(sides) and not set(sides[1]) <= set(sides[0]):
            yield VersionChange(name=name, then=sides[0], now=sides[1])
    environments = ([one.environment for one in side] for side in (then, now))
    packages = [[one.packages for one in side if one.packages is not None] for side in environments]
    if not all(packages):
        return  # an older baseline does not say
    for name in dict.fromkeys(name for side in packages for one in side for name in one):
        sides = [tuple(sorted({one[name] for one in side if name in one})) for side in packages]
        if not set(sides[1]) <= set(sides[0]) or (sides[0] and not sides[1]):
            yield VersionChange(name=name, then=sides[0], now=sides[1])


def _commits(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> EngineCommits | None:
    """The engine's commits, where each side has one and they differ."""
    sides = [{commit for one in side if (commit := commit_of(one.environment))} for side in (then, now)]
    if any(len(side) != 1 for side in sides):
        return None
    old, new = (next(iter(side)) for side in sides)
    # A version names a commit by its first digits.
    if old.startswith(new) or new.startswith(old):
        return None
    return EngineCommits(then=old, now=new)


def commit_of(environment: Environment) -> str | None:
    """The engine's commit: of its checkout, or as its version names it (`0.5.18.dev3+g1a2b3c4`)."""
    if environment.engine_commit:
        return environment.engine_commit
    found = _COMMIT.search(environment.engine_version or "")
    return None if found is None else found[1]


def long_pause(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> LongPause | None:
    """Long pauses beside the steps, where some launches have one and others have none. One that was rare when the
    baseline was recorded, and did not come now, is not worth a word."""
    sides = [[gap for one in side if (gap := one.metrics.get(DENOISE_GAP)) is not None] for side in (then, now)]
    long = [[gap for gap in side if gap >= LONG_MS] for side in sides]
    if not any(long) or all(len(some) == len(every) for some, every in zip(long, sides, strict=True)):
        return None
    if not long[1] and 2 * len(long[0]) < len(sides[0]):
        return None
    return LongPause(
        launches=len(long[1]),
        of=len(sides[1]),
        then_launches=len(long[0]),
        then_of=len(sides[0]),
        longest_ms=max((*long[0], *long[1])),
    )
