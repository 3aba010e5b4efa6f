"""What holds of the levels of every series."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.history.change_points import SHORTEST, levels
from tests.examples import examples

figures = st.floats(min_value=1e-6, max_value=1e9, allow_nan=False)
series = st.lists(figures, min_size=1, max_size=70)

# A CV of 0.8 %, written out: what holds of a step rests on no luck of a draw.
NOISE = (0.4, -0.9, 1.1, -0.3, 0.2, -1.2, 0.8, 0.1, -0.6, 0.9, -0.2, 0.5, -1.0, 0.3, 0.7, -0.5)
starts = st.integers(0, len(NOISE) - 1)


def noisy(start: int, count: int) -> list[float]:
    return [1000.0 * (1 + 0.008 * NOISE[(start + n) % len(NOISE)]) for n in range(count)]


def indices(values: list[float]) -> list[int]:
    return [step.index for step in levels(values).steps]


@examples(60)
@given(series)
def test_levels_are_in_order_of_two_runs_at_least_and_near_their_values(values: list[float]) -> None:
    found = levels(values)
    edges = [0, *(step.index for step in found.steps), len(values)]
    assert all(end - start >= SHORTEST for start, end in pairwise(edges)) or not found.steps
    assert min(values) * 0.999999 <= found.latest <= max(values) * 1.000001
    for step, later in pairwise(found.steps):
        assert step.after == later.before
    if found.steps:
        assert found.latest == found.steps[-1].after
    assert all(0 <= step.pvalue < 0.001 for step in found.steps)


@examples(40)
@given(series, st.sampled_from([1e-3, 7.0, 1000.0]))
def test_the_unit_does_not_matter(values: list[float], unit: float) -> None:
    rounded = [float(f"{value:.9g}") for value in values]
    assert indices(rounded) == indices([value * unit for value in rounded])


@examples(60)
@given(starts, st.integers(8, 60), st.data())
def test_one_disturbed_run_changes_nothing(start: int, count: int, data: st.DataObject) -> None:
    values = noisy(start, count)
    assert indices(values) == []
    values[data.draw(st.integers(0, count - 1))] *= data.draw(st.sampled_from([0.3, 1.2, 1.5, 10.0, 1000.0]))
    assert indices(values) == []


@examples(60)
@given(starts, st.integers(5, 40), st.integers(2, 40), st.sampled_from([0.85, 1.08, 1.3, 4.0, 50.0]))
def test_a_step_far_above_the_noise_is_found_where_it_is(start: int, before: int, after: int, size: float) -> None:
    values = noisy(start, before + after)
    values[before:] = [value * size for value in values[before:]]
    (found,) = levels(values).steps
    assert found.index == before
    assert math.isclose(found.after / found.before, size, rel_tol=0.03)


@examples(30)
@given(figures, st.integers(1, 60))
def test_a_constant_series_has_one_level(value: float, count: int) -> None:
    found = levels([value] * count)
    assert found.steps == ()
    assert not found.alone
    assert math.isclose(found.latest, value, rel_tol=1e-9)
