"""What is judged in place of what launches say of a metric, where both sides are known.

Where both sides carry denoising steps, the request is taken apart: the steps stand for denoising, by their core where
they have one and else by their sum; what they take beyond the core, and what the launch spent outside steps and stages,
are metrics of their own that are judged by how often they come; and e2e is judged net of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_sgdiff.data import LaunchRecord
from pytest_sgdiff.metrics.names import (
    DENOISE,
    DENOISE_CORE,
    DENOISE_EXCESS,
    DENOISE_STEPS,
    E2E,
    PAUSE,
    denoising_of,
    stages_of,
)
from pytest_sgdiff.step_core import Core, Cores, cores, stage_starts

COVERED = 0.95
"""Share of the denoising stage that the steps must cover in some launch before they may stand for it; others may pause.
Recorded: 0.98 to 0.99. Launches that are not synchronised can leave work behind the last step, which only the stage
contains."""

Values = tuple[float | None, ...]
"""One value per launch."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The launches of both sides that count, with their stages and step profiles, and the primary metric of the case:
    what a derived metric is made of."""

    then: tuple[LaunchRecord, ...]
    now: tuple[LaunchRecord, ...]
    primary: str = DENOISE

    @cached_property
    def apart(self) -> bool:
        """Whether the steps may stand for denoising on both sides, and what is outside of them is a pause."""
        return self._both and max(map(_covered, (*self.then, *self.now))) >= COVERED

    @cached_property
    def _both(self) -> bool:
        return _complete(self.then, self.now)

    @cached_property
    def core(self) -> Cores | None:
        """The steps of every launch without what held them up, and what they took beyond that; None where the steps
        have no core: their sum stands for denoising then."""
        return _core(self.then, self.now) if self._both else None

    def each(self, value: Callable[[LaunchRecord], float | None]) -> tuple[Values, Values]:
        """A value of every launch, side by side."""
        return tuple(map(value, self.then)), tuple(map(value, self.now))


@dataclass(frozen=True, kw_only=True, slots=True)
class Beyond:
    """What a series is the excess of: the `cores` of the launches, and all that the metric took, ms per launch."""

    cores: Cores
    then: Values
    now: Values


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived:
    """A series that is judged in place of what launches say of a metric; `net` where pauses were taken out of it.
    `beyond` is what the series is the excess of."""

    metric: str
    then: Values
    now: Values
    net: bool = False
    beyond: Beyond | None = None


def pause_ms(launch: LaunchRecord) -> float | None:
    """Milliseconds outside the steps and the stages: denoising beyond its steps, the request beyond its stages.

    Each part is clamped at zero, for clocks disagree by microseconds. None where a part is not known.
    """
    denoise, steps, e2e = (launch.metrics.get(name) for name in (DENOISE, DENOISE_STEPS, E2E))
    if denoise is None or steps is None:
        return None
    gap = max(0.0, denoise - steps)
    if e2e is None:
        return gap
    stages = total(launch.metrics[name] for name in stages_of((launch,)))
    return gap + max(0.0, e2e - stages) if stages else gap


def request_ms(launch: LaunchRecord, *, net: bool) -> float | None:
    """How long the request took, without its pauses if `net`; None where that is not known."""
    e2e = launch.metrics.get(E2E)
    if not net or e2e is None:
        return e2e
    pause = pause_ms(launch)
    return None if pause is None else e2e - pause


def total(values: Iterable[float]) -> float:
    """The sum, infinite where it is too large for a float."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf


def _complete(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> bool:
    """Whether every launch has steps and all denoising stages: in a launch that lacks one, what lies outside the stages
    is denoising and no pause."""
    if not then or not now:
        return False
    known = denoising_of(then)
    for launch in (*then, *now):
        has = denoising_of((launch,))
        if not set(known) <= set(has) or (not has and stages_of((launch,))):
            return False
    return all(_positive(launch, name) for launch in (*then, *now) for name in (DENOISE, DENOISE_STEPS))


def _covered(launch: LaunchRecord) -> float:
    """The share of denoising that the steps cover."""
    return launch.metrics[DENOISE_STEPS] / launch.metrics[DENOISE]


def _positive(launch: LaunchRecord, name: str) -> bool:
    value = launch.metrics.get(name)
    return value is not None and math.isfinite(value) and value > 0


def _core(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> Cores | None:
    """The cores of launches whose timers are synchronised: others return from a step before it has ended."""
    launches = (*then, *now)
    if not all(launch.environment.sync_stages and _whole(launch) for launch in launches):
        return None
    inner = step_stages(launches)
    if inner is None:
        return None
    return cores([launch.steps_ms for launch in then], [launch.steps_ms for launch in now], inner)


def _whole(launch: LaunchRecord) -> bool:
    """Whether the steps that a launch kept are those that it summed up. A server's are the medians of its requests step
    by step, whose sum is not the median of their sums."""
    known = launch.metrics.get(DENOISE_STEPS)
    if known is None or not launch.steps_ms:
        return False
    return launch.served or math.isclose(total(launch.steps_ms), known, rel_tol=1e-3)


def step_stages(launches: Sequence[LaunchRecord]) -> tuple[int, ...] | None:
    """As `pytest_sgdiff.step_core.stage_starts`, of the denoising stages of the launches."""
    stages = denoising_of(launches)
    return stage_starts(
        [launch.steps_ms for launch in launches],
        [[launch.metrics.get(stage, 0.0) for stage in stages] for launch in launches],
    )


def _gap_ms(launch: LaunchRecord) -> float | None:
    """Milliseconds of denoising outside its steps."""
    denoise, steps = launch.metrics.get(DENOISE), launch.metrics.get(DENOISE_STEPS)
    return None if denoise is None or steps is None else max(0.0, denoise - steps)


def _beside_pause(
    sides: Compared,
    judged: Derived,
    whole: tuple[Values, Values],
    pause: Callable[[LaunchRecord], float | None] = _gap_ms,
) -> Iterator[Derived]:
    """A series, and behind it what was taken out of it: how often that comes is judged by itself. `whole` is the series
    with what held up its steps."""
    yield judged
    core = sides.core
    if core is not None:
        before, after = (tuple(launch.excess for launch in side) for side in (core.then, core.now))
        beyond = Beyond(cores=core, then=whole[0], now=whole[1])
        yield Derived(metric=DENOISE_EXCESS, then=before, now=after, beyond=beyond)
    if sides.apart:
        then, now = sides.each(pause)
        yield Derived(metric=PAUSE, then=then, now=now)


def _steps(sides: Compared) -> tuple[Values, Values]:
    return sides.each(lambda launch: launch.metrics.get(DENOISE_STEPS))


def _undisturbed(sides: Compared) -> tuple[str, Values, Values]:
    """What stands for denoising where steps may: their core, or their sum where they have none."""
    if sides.core is None:
        return (DENOISE_STEPS, *_steps(sides))
    then, now = (tuple(launch.core for launch in side) for side in (sides.core.then, sides.core.now))
    return DENOISE_CORE, then, now


def judged_denoise(sides: Compared, name: str) -> tuple[Derived, ...]:
    """The steps stand for denoising; where they do not cover it, it is judged without what held them up."""
    if sides.apart:
        metric, then, now = _undisturbed(sides)
        return tuple(_beside_pause(sides, Derived(metric=metric, then=then, now=now), _steps(sides)))
    return tuple(_unheld(sides, name, sides.each(lambda launch: launch.metrics.get(name)))) if sides.core else ()


def judged_e2e(sides: Compared, name: str) -> tuple[Derived, ...]:
    """The request without its pauses, and without what held up its steps."""
    if not sides.apart and sides.core is None:
        return ()
    whole = sides.each(lambda launch: request_ms(launch, net=sides.apart))
    return tuple(_unheld(sides, name, whole, pause_ms))


def _unheld(
    sides: Compared,
    metric: str,
    whole: tuple[Values, Values],
    pause: Callable[[LaunchRecord], float | None] = _gap_ms,
) -> Iterator[Derived]:
    """A metric that holds all steps, without what held them up."""
    then, now = whole
    if sides.core is not None:
        then, now = _less(then, sides.core.then), _less(now, sides.core.now)
    yield from _beside_pause(sides, Derived(metric=metric, then=then, now=now, net=True), whole, pause)


def _less(values: Values, launches: Sequence[Core]) -> Values:
    return tuple(None if value is None else value - launch.held for value, launch in zip(values, launches, strict=True))


def judged_stage(sides: Compared, name: str) -> tuple[Derived, ...]:
    """The sole denoising stage by its steps, if it is the primary metric."""
    sole = denoising_of(sides.then) == (name,) == denoising_of(sides.now)
    if not (sole and name == sides.primary and sides.apart):
        return ()
    _, then, now = _undisturbed(sides)
    return tuple(_beside_pause(sides, Derived(metric=name, then=then, now=now, net=True), _steps(sides)))
