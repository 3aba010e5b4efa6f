"""The core of the steps and what lies beyond it: segments, hold-ups, and what has no core."""

from __future__ import annotations

import math

import pytest

from pytest_sgdiff.step_core import cores, segments

FLAT = (50.0,) * 20
WAVES = ((0.0, 0.2, -0.1, 0.1), (0.1, -0.2, 0.2, 0.0), (-0.1, 0.1, 0.0, 0.2), (0.2, 0.0, 0.1, -0.2))


def launch(*changes: tuple[range, float], shape: tuple[float, ...] = FLAT, number: int = 0) -> tuple[float, ...]:
    """Steps of `shape` ms with a little noise of their own; `changes` are factors on some of them."""
    wave = WAVES[number % len(WAVES)]
    found = [ms * (1 + wave[i % len(wave)] / 100) for i, ms in enumerate(shape)]
    for steps, factor in changes:
        for i in steps:
            found[i] *= factor
    return tuple(found)


def launches(count: int, *changes: tuple[range, float], shape: tuple[float, ...] = FLAT) -> list[tuple[float, ...]]:
    return [launch(*changes, shape=shape, number=i) for i in range(count)]


def test_a_launch_that_is_held_up_in_some_steps_has_the_core_of_one_that_is_not() -> None:
    held = launch((range(4, 14), 1.3))
    found = cores(launches(4), [launch(), held], ())
    assert found is not None
    assert found.now[1].core == pytest.approx(found.now[0].core, rel=1e-3)
    assert found.now[1].excess == pytest.approx(150, rel=0.05)
    assert found.now[1].held == pytest.approx(150 - 6, rel=0.05)
    assert (found.now[1].low, found.now[1].high) == pytest.approx((65, 65), rel=0.01)
    assert found.now[0].low is None
    assert found.usual == pytest.approx(50, rel=0.01)


def test_a_slower_engine_has_a_larger_core_however_it_is_held_up() -> None:
    found = cores(launches(4), [launch((range(20), 1.08), (range(i, i + 9), 1.4), number=i) for i in range(3)], ())
    assert found is not None
    for one in found.now:
        assert one.core / found.then[0].core == pytest.approx(1.08, abs=0.004)


def test_steps_of_different_work_have_cores_of_their_own() -> None:
    """A stage of three steps, and steps that a cache skips: one mean of all steps shows only the least of them."""
    shape = (*([80.0, 80.0, 2.0] * 4), 30.0, 30.0, 30.0)
    assert [len(part) for part in segments(shape, (12,))] == [4, 8, 3]
    then = launches(4, shape=shape)
    for part in (range(12, 15), [i for i in range(12) if i % 3 < 2]):
        found = cores(then, [launch((part, 1.3), shape=shape)], (12,))  # type: ignore[arg-type]
        assert found is not None
        slower = 0.3 * math.fsum(shape[i] for i in part)
        assert found.now[0].core - found.then[0].core == pytest.approx(slower, rel=0.05)


def test_a_segment_that_the_baseline_does_not_show_is_what_every_launch_has_beyond_its_core() -> None:
    found = cores(launches(4), launches(3, (range(13, 20), 1.3)), ())
    assert found is not None
    assert found.lasting == tuple(range(13, 20))
    assert found.common == pytest.approx(7 * 15, rel=0.1)
    assert found.now[0].core == pytest.approx(found.then[0].core, rel=2e-3)


def test_hold_ups_in_other_steps_each_time_are_common_to_no_launch() -> None:
    found = cores(launches(4), [launch((range(7 * i, 7 * i + 6), 1.3), number=i) for i in range(3)], ())
    assert found is not None
    assert found.lasting == ()
    assert found.common == pytest.approx(0, abs=5)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_a_baseline_beside_itself_has_the_figures_that_it_has_beside_others(count: int) -> None:
    then = launches(count)
    itself, beside = cores(then, then, ()), cores(then, [launch()], ())
    assert itself is not None
    assert beside is not None
    assert itself.now == itself.then == beside.then


def test_launches_of_the_baseline_have_its_figures_whichever_they_are_and_however_they_were_rounded() -> None:
    """On busy CPUs, where single steps differ by a tenth."""
    uneven = [
        launch(*((range(i, i + 1), 1 + 0.11 * ((7 * i + 3 * n) % 5)) for i in range(20)), number=n) for n in range(6)
    ]
    kept = [tuple(round(ms, 3) for ms in steps) for steps in uneven]
    found = cores(kept, [uneven[4], uneven[1]], ())
    assert found is not None
    assert found.now == (found.then[4], found.then[1])


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (launches(2), launches(3)),
        (launches(4), []),
        ([(), (), ()], [()]),
        (launches(4), [(*FLAT, 50.0)]),
        ([FLAT[:19], *launches(3)], launches(3)),
        (launches(4), [(*FLAT[:19], math.nan)]),
        (launches(4), [(*FLAT[:19], 0.0)]),
    ],
    ids=["two launches", "none now", "no steps", "a step more", "one launch with a step less", "nan", "zero"],
)
def test_what_has_no_core(then: list[tuple[float, ...]], now: list[tuple[float, ...]]) -> None:
    assert cores(then, now, ()) is None


@pytest.mark.parametrize("rest", [1.0, 1.2])
def test_launches_that_skip_other_steps_than_the_baseline_have_no_core(rest: float) -> None:
    """The quantile would be one of the skipped steps, and the engine twenty times as fast."""
    assert cores(launches(4), launches(3, (range(20), rest), (range(5, 8), 0.04)), ()) is None


def test_an_engine_that_is_really_faster_has_one() -> None:
    found = cores(launches(4), launches(3, (range(20), 0.6)), ())
    assert found is not None
    assert found.now[0].core / found.then[0].core == pytest.approx(0.6, abs=0.005)
    held = cores(launches(4), [launch((range(6), 1.5))], ())
    assert held is not None, "a launch that is held up skips nothing"
