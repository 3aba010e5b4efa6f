"""The core of a launch's denoising steps: what they take where nothing holds them up. Pure.

Hosts hold up single launches, but not every step of them. A step is held against its *undisturbed* time, the least
that the same step took in the baseline's launches. The mean of the lowest of these ratios, those that lie close
together, times the undisturbed time of all steps, is the core; what the steps took beyond it is the excess. Steps of
different work are never mixed: each segment (a denoising stage, and within it steps of one level) has a mean of its
own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

QUANTILE = 0.03
"""Share of a segment's steps that are undisturbed in nearly every launch: of 20 steps a value between those of the two
quickest."""
LEVEL = 1.25
"""Steps of one segment whose undisturbed times lie this many times apart do different work: another expert, a guidance
phase, a step that a cache skips."""
DISTURBED = 1.04
"""A step is held up if it takes this many times what the quickest steps of its segment do, or what it takes in the
core. A lower bound keeps steps from the core that nothing holds up, which makes it less steady; a higher one lets
held-up steps into it (docs/decision-evidence.md)."""
SPARE = 0.006
"""Share of the core that launches may differ in their excess without one of them being held up."""
SAME_WORK = 0.9
"""Where the core shrinks to less than this times what the sums have shrunk to, the launches skip other steps."""
LAUNCHES = 3
"""Fewer baseline launches do not show what a step takes undisturbed."""
DECIMALS = 3
"""A baseline keeps steps to a thousandth of a millisecond."""
CLOCK_MS = 0.05
"""Steps and stages are timed apart, by clocks that disagree by microseconds."""

Profile = tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Core:
    """One launch, in ms: the `core` of its steps, the `excess` beyond it, the part of that for which it was `held` up,
    and the least and the most that a step took that was held up (None where none was). `profile` is what each step
    takes in the core."""

    core: float
    excess: float
    profile: Profile
    held: float = 0.0
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Cores:
    """The cores of both sides, launch by launch. `usual` is what a step takes undisturbed (ms, the mean over all);
    `lasting` are the numbers of the steps that are held up in every launch of now; `common` is what every launch of now
    takes beyond its core in the same steps (ms)."""

    then: tuple[Core, ...]
    now: tuple[Core, ...]
    usual: float
    lasting: tuple[int, ...] = ()
    common: float = 0.0


def cores(then: Sequence[Profile], now: Sequence[Profile], inner: Sequence[int]) -> Cores | None:
    """Core and excess of every launch, from the steps of both sides. `inner` are the numbers of the steps with which
    the second and later denoising stages begin.

    A launch of the baseline is held against the other ones, one of now against the mean of these comparisons, so that
    no side is at an advantage. One that is on both sides, as in a baseline beside the recording that it was made of,
    has the same figures on both. None where the sides' steps are not the same ones, or too few to say.
    """
    if len(then) < LAUNCHES or not now or len({len(steps) for steps in (*then, *now)}) != 1 or not then[0]:
        return None
    if not all(math.isfinite(ms) and ms > 0 for steps in (*then, *now) for ms in steps):
        return None
    parts = segments(_least(then), inner)
    others = [_least([*then[:i], *then[i + 1 :]]) for i in range(len(then))]
    undisturbed = tuple(math.fsum(column) / len(others) for column in zip(*others, strict=True))
    before = tuple(_core(steps, profile, parts) for steps, profile in zip(then, others, strict=True))
    # A launch of the baseline has the figures that it has there: of its own steps some are what is undisturbed, and all
    # others would look slow beside them.
    own = dict(zip(map(_as_kept, then), before, strict=True))
    after = tuple(own.get(_as_kept(steps)) or _core(steps, undisturbed, parts) for steps in now)
    usual = min(launch.excess for launch in before) + SPARE * _middle(before)
    before, after = (
        tuple(replace(launch, held=max(0.0, launch.excess - usual)) for launch in side) for side in (before, after)
    )
    sums = [[math.fsum(steps) for steps in side] for side in (then, now)]
    # A launch that is held up has a longer sum, and the core that it always has.
    if _middle(after) / _middle(before) < SAME_WORK * min(1.0, min(sums[1]) / max(sums[0])):
        return None
    # What every launch has: the least of a step's ratios and rests over the launches.
    pairs = [list(zip(steps, launch.profile, strict=True)) for steps, launch in zip(now, after, strict=True)]
    ratios = [[ms / usual for ms, usual in launch] for launch in pairs]
    rests = [[ms - usual for ms, usual in launch] for launch in pairs]
    return Cores(
        then=before,
        now=after,
        usual=math.fsum(undisturbed) / len(undisturbed),
        lasting=tuple(step for step, ratio in enumerate(_least(ratios)) if ratio > DISTURBED),
        common=math.fsum(max(0.0, rest) for rest in _least(rests)),
    )


def segments(undisturbed: Profile, inner: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The numbers of the steps of each segment: those of one denoising stage and of one level of time in it."""
    found = []
    for start, end in pairwise((0, *inner, len(undisturbed))):
        level: list[int] = []
        for step in sorted(range(start, end), key=lambda step: undisturbed[step]):
            if level and undisturbed[step] > LEVEL * undisturbed[level[-1]]:
                found.append(tuple(sorted(level)))
                level = []
            level.append(step)
        if level:
            found.append(tuple(sorted(level)))
    return tuple(found)


def stage_starts(steps: Sequence[Profile], stages: Sequence[Sequence[float]]) -> tuple[int, ...] | None:
    """Numbers of the steps with which the second and later denoising stages begin; empty for one stage. `stages` are
    the durations of the denoising stages (ms), launch by launch as `steps`.

    The steps before a boundary fit into the stages before it, and those from it on into the rest, in every launch: a
    launch that pauses leaves room for more than one boundary, the launches together do not. None where no boundary
    fits, which means that steps and stages do not belong together.
    """
    found = []
    for count in range(1, len(stages[0]) if stages else 0):
        fitting = set[int]()
        for i, (profile, durations) in enumerate(zip(steps, stages, strict=True)):
            before, after = math.fsum(durations[:count]), math.fsum(durations[count:])
            sums = list(accumulate(profile, initial=0.0))
            fits = {k for k, s in enumerate(sums) if s <= before + CLOCK_MS and sums[-1] - s <= after + CLOCK_MS}
            fitting = fits if i == 0 else fitting & fits
        if not fitting:
            return None
        found.append(max(fitting))
    return tuple(found)


def quantile(values: Sequence[float], share: float) -> float:
    """The quantile of a sample, interpolated between its order statistics."""
    ordered, at = sorted(values), share * (len(values) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def _as_kept(steps: Profile) -> Profile:
    """The steps of a launch as precise as a baseline keeps them, by which it is known again."""
    return tuple(round(ms, DECIMALS) for ms in steps)


def _least(profiles: Sequence[Sequence[float]]) -> Profile:
    return tuple(map(min, zip(*profiles, strict=True)))


def _expected(steps: Profile, undisturbed: Profile, parts: Sequence[Sequence[int]]) -> Profile:
    """What each step of a launch takes in its core."""
    found = list(undisturbed)
    for part in parts:
        scale = _undisturbed([steps[i] / undisturbed[i] for i in part])
        for i in part:
            found[i] = scale * undisturbed[i]
    return tuple(found)


def _undisturbed(ratios: Sequence[float]) -> float:
    """The mean of the steps that nothing holds up: those that are about as quick as the quickest."""
    most = DISTURBED * quantile(ratios, QUANTILE)
    calm = [ratio for ratio in ratios if ratio <= most]
    return math.fsum(calm) / len(calm)


def _core(steps: Profile, undisturbed: Profile, parts: Sequence[Sequence[int]]) -> Core:
    expected = _expected(steps, undisturbed, parts)
    held = [ms for ms, usual in zip(steps, expected, strict=True) if ms > DISTURBED * usual]
    core = math.fsum(expected)
    # Sums of the same steps, added up in another order.
    excess = max(0.0, math.fsum(steps) - core)
    return Core(core=core, excess=excess, profile=expected, low=min(held, default=None), high=max(held, default=None))


def _middle(side: Sequence[Core]) -> float:
    ordered = sorted(launch.core for launch in side)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
