"""Change points and creep in the order of runs."""

from __future__ import annotations

import pytest

from pytest_sgdiff.data import HistoryPoint
from pytest_sgdiff.trend import change_points, creep

# A CV of 0.8 %, written out so that every run of the test sees the same series.
NOISE = (0.4, -0.9, 1.1, -0.3, 0.2, -1.2, 0.8, 0.1, -0.6, 0.9, -0.2, 0.5, -1.0, 0.3, 0.7, -0.5)


def series(*levels: float) -> tuple[HistoryPoint, ...]:
    values = [level * (1 + noise * 0.008) for level in levels for noise in NOISE]
    return tuple(HistoryPoint(at=f"2026-10-{n:03d}", value=value) for n, value in enumerate(values))


def test_a_step_is_found_where_it_is_and_by_how_much() -> None:
    pytest.importorskip("otava", reason="change points need the extra `trend`")
    (found,) = change_points(series(1000.0, 1030.0))
    assert found.at == "2026-10-016"
    assert found.change == pytest.approx(0.03, abs=0.005)


def test_an_unchanged_series_has_no_change_point() -> None:
    pytest.importorskip("otava", reason="change points need the extra `trend`")
    assert change_points(series(1000.0, 1000.0)) == ()


def test_six_runs_are_too_few_for_change_points() -> None:
    assert change_points(series(1000.0)[:6]) == ()


def test_creep_is_the_latest_runs_against_the_best() -> None:
    slow = [1000.0 * 1.004**n for n in range(10)]
    points = tuple(HistoryPoint(at=f"{n:02d}", value=value) for n, value in enumerate(slow))
    assert creep(points) == pytest.approx(1.004**7 - 1)
    assert creep(points[:5]) is None


def test_one_disturbed_run_is_no_creep() -> None:
    values = [1000.0, 1001.0, 999.0, 1000.0, 1002.0, 999.0, 1500.0]
    points = tuple(HistoryPoint(at=f"{n:02d}", value=value) for n, value in enumerate(values))
    drift = creep(points)
    assert drift is not None
    assert drift < 0.005
