"""What launches say of the times of variants: drift, hold-ups and noise, each by itself."""

from __future__ import annotations

import math

import pytest

from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.tuning.fit import Sample, fit

PRIOR = Prior(cv0=0.005)


def samples(**times: dict[int, float]) -> dict[str, list[Sample]]:
    """Of each variant the ms by round."""
    return {name: [Sample(log=math.log(ms), round=k) for k, ms in own.items()] for name, own in times.items()}


def test_what_drifts_for_all_is_not_held_against_one_that_sat_out() -> None:
    rising = {1: 1.0, 2: 1.01, 3: 1.02, 4: 1.03}
    many = {f"v{i}": {k: (100 + i) * drift for k, drift in rising.items()} for i in range(6)}
    found = fit(samples(once={1: 103.0}, **many), PRIOR)
    # All of its rounds make v0 1.5 % slower than it was beside `once`.
    assert math.expm1(found.difference("once", "v0").log) == pytest.approx(0.03, abs=0.004)


def test_held_up_launches_have_no_part_in_the_centre_and_are_counted() -> None:
    found = fit(samples(a={1: 100.0, 2: 100.2, 3: 140.0}, b={1: 120.0}), PRIOR)
    a = found.centres["a"]
    assert math.exp(a.log) == pytest.approx(100.1, rel=0.002)
    assert (a.quick, a.launches) == (2, 3)
    assert found.held == pytest.approx([math.log(1.4)], abs=0.01)
    assert found.spare == 2


def test_a_launch_is_never_too_quick() -> None:
    found = fit(samples(a={1: 140.0, 2: 100.0}), PRIOR)
    assert math.exp(found.centres["a"].log) == pytest.approx(100, rel=0.002)


def test_noise_of_a_variant_is_its_own_and_that_of_all() -> None:
    calm = {name: {1: 100.0, 2: 100.1, 3: 99.9, 4: 100.0} for name in ("a", "b", "c")}
    found = fit(samples(**calm, wild={1: 100.0, 2: 102.0, 3: 98.5, 4: 101.5}, once={1: 100.0}), PRIOR)
    assert found.centres["wild"].sd > 2 * found.centres["a"].sd
    assert found.centres["a"].sd < found.centres["once"].sd < found.centres["wild"].sd


def test_more_launches_make_a_difference_surer() -> None:
    few, many = (
        fit(samples(a=dict.fromkeys(range(1, n + 1), 100.0), b=dict.fromkeys(range(1, n + 1), 110.0)), PRIOR)
        for n in (1, 4)
    )
    assert many.difference("b", "a").margin(0.001) < few.difference("b", "a").margin(0.001)
    assert many.all_held("b", math.log(100)) < few.all_held("b", math.log(100))


def test_what_was_seen_held_up_makes_it_likelier() -> None:
    calm = fit(samples(a={1: 100.0, 2: 100.0, 3: 100.0}, b={1: 150.0}), PRIOR)
    held = fit(samples(a={1: 100.0, 2: 155.0, 3: 100.0}, b={1: 150.0}), PRIOR)
    assert held.all_held("b", math.log(100)) > 4 * calm.all_held("b", math.log(100))
    assert held.held_by("b", 0.02) > calm.held_by("b", 0.02)


def test_by_how_much_it_may_have_been_held_up_is_where_the_chance_falls_below() -> None:
    found = fit(samples(a={1: 100.0, 2: 100.0}, b={1: 150.0}), PRIOR)
    by = found.held_by("b", 0.02)
    centre = found.centres["b"].log
    assert found.all_held("b", centre - by) <= 0.02
    assert found.all_held("b", centre - by + 0.001) > 0.02
    assert found.held_by("b", 1.0) == 0
