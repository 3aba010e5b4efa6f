"""Laws of the core: what it must not depend on, whatever the steps are."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_sgdiff.step_core import DISTURBED, Cores, cores

STEPS = 8
PROFILES = st.lists(
    # In tenths: launches whose steps are the same to a thousandth are one launch.
    st.lists(st.floats(40, 49).map(lambda ms: round(ms, 1)), min_size=STEPS, max_size=STEPS).map(tuple),
    min_size=3,
    max_size=6,
    unique=True,
)


def of(then, now) -> Cores | None:
    found = cores(then, now, ())
    # Launches that look as if they skipped a step have no core, and one that the baseline has is a case of its own.
    assume(found is not None and set(then).isdisjoint(now))
    return found


@given(PROFILES, PROFILES)
def test_core_and_excess_are_the_steps(then, now):
    found = of(then, now)
    for steps, one in zip((*then, *now), (*found.then, *found.now), strict=True):
        assert one.core + one.excess >= math.fsum(steps) * (1 - 1e-12)
        assert one.excess >= 0
        assert 0 <= one.held <= one.excess


@given(PROFILES, PROFILES, st.floats(0.1, 1000))
def test_the_unit_does_not_matter(then, now, factor):
    plain = of(then, now)
    scaled = of(*([tuple(factor * ms for ms in steps) for steps in side] for side in (then, now)))
    for one, other in zip((*plain.then, *plain.now), (*scaled.then, *scaled.now), strict=True):
        assert other.core == pytest.approx(factor * one.core)
        assert other.excess == pytest.approx(factor * one.excess, abs=1e-6 * factor)


@given(PROFILES, PROFILES)
def test_the_order_of_launches_does_not_matter(then, now):
    plain, turned = of(then, now), of(then[::-1], now[::-1])
    for one, other in ((plain.then, turned.then), (plain.now, turned.now)):
        assert [launch.core for launch in other[::-1]] == pytest.approx([launch.core for launch in one])


@given(PROFILES, PROFILES, st.integers(0, STEPS - 1), st.floats(1, 500))
def test_a_step_that_takes_longer_never_makes_a_launch_quicker(then, now, step, more):
    """The sum of both; of the core it may have been one of the slower steps, and by less than a hold-up at that."""
    slower = [tuple(ms + more * (i == step) for i, ms in enumerate(now[0])), *now[1:]]
    before, after = of(then, now).now[0], of(then, slower).now[0]
    assert after.core > before.core / DISTURBED
    assert after.core + after.excess >= before.core + before.excess - 1e-9
