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
    assert found.hold_ups["unknown"].sizes == pytest.approx([math.log(1.4)], abs=0.01)
    assert found.hold_ups["unknown"].spare == 2


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


def shown(*launches: tuple[float, float | None]) -> list[Sample]:
    """Launches of one round each: the ms, and the share that they visibly lost."""
    return [Sample(log=math.log(ms), round=k, lost=lost) for k, (ms, lost) in enumerate(launches, 1)]


def test_an_uneven_launch_has_no_part_in_a_centre_beside_a_quicker_even_one() -> None:
    found = fit({"a": shown((100.0, 0.0), (101.0, 0.01), (100.2, 0.0))}, PRIOR)
    assert math.exp(found.centres["a"].log) == pytest.approx(100.1, rel=0.001)
    assert found.centres["a"].quick == 2
    # Without an even one it is what there is, and one that is quicker than the even ones shows that those were held up.
    assert fit({"a": shown((101.0, 0.01), (100.8, 0.01))}, PRIOR).centres["a"].quick == 2
    quicker = fit({"a": shown((140.0, 0.0), (100.0, 0.01))}, PRIOR)
    assert math.exp(quicker.centres["a"].log) == pytest.approx(100, rel=0.002)


def test_how_likely_a_hold_up_is_depends_on_what_the_launch_shows() -> None:
    even, unknown, uneven = (
        fit({"a": shown((100.0, 0.0)), "b": shown((110.0, lost))}, PRIOR).all_held("b", math.log(100))
        for lost in (0.0, None, 0.03)
    )
    assert even < unknown < uneven
    # What it lost is the least that it may have been held up by; much more is unlikely.
    lost_little, lost_much = (
        fit({"a": shown((100.0, 0.0)), "b": shown((150.0, lost))}, PRIOR).all_held("b", math.log(100))
        for lost in (0.02, 0.3)
    )
    assert lost_little < 0.025 < lost_much


def test_what_is_learnt_of_uneven_launches_says_nothing_of_even_ones() -> None:
    held = {"a": shown((100.0, 0.0), (115.0, 0.08), (100.0, 0.0)), "b": shown((110.0, 0.0))}
    found = fit(held, PRIOR)
    assert (found.hold_ups["uneven"].spare, len(found.hold_ups["uneven"].sizes)) == (1, 1)
    assert (found.hold_ups["even"].spare, len(found.hold_ups["even"].sizes)) == (1, 0)
    # By how much it was longer beyond what it lost.
    assert found.hold_ups["uneven"].sizes[0] == pytest.approx(math.log(1.15) + math.log(0.92), abs=0.01)
    calm = fit({"a": shown((100.0, 0.0), (100.0, 0.0), (100.0, 0.0)), "b": shown((110.0, 0.0))}, PRIOR)
    assert found.all_held("b", math.log(100)) <= 1.6 * calm.all_held("b", math.log(100))
