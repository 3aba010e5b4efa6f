"""Change points and creep in the order of runs."""

from __future__ import annotations

import sys
from random import Random

import pytest

from pytest_sgdiff.data import HistoryPoint
from pytest_sgdiff.history.trend import change_points, creep, trend, trends_of

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


CREEPING = tuple(HistoryPoint(at=f"{n:02d}", value=1000.0 * 1.004**n) for n in range(9))
"""2.4 % in six runs, of which no single gate sees more than 0.4 %."""
STILL = tuple(HistoryPoint(at=f"{n:02d}", value=1000.0) for n in range(9))


def test_what_changed_or_creeps_is_told_slowdowns_first() -> None:
    pytest.importorskip("otava", reason="change points need the extra `trend`")
    history = {
        "better": {"denoise": series(1000.0, 960.0), "peak_memory": STILL},
        "worse": {"denoise_steps": series(1000.0, 1030.0), "e2e": series(1000.0, 1400.0)},
    }
    found, missing = trends_of(history)
    assert [(t.case, t.metric, t.worse, len(t.changes)) for t in found] == [
        ("worse", "denoise_steps", True, 1),
        ("better", "denoise", False, 1),
    ]
    assert missing == ""


def test_a_change_of_long_ago_is_no_news() -> None:
    pytest.importorskip("otava", reason="change points need the extra `trend`")
    assert len(change_points(series(1000.0, 1030.0, 1030.0, 1030.0))) == 1
    (late,), _ = trends_of({"wan": {"denoise": series(1000.0, 1030.0)}})
    assert (late.worse, len(late.changes)) == (True, 1)
    (creeping,), _ = trends_of({"wan": {"denoise": series(1000.0, 1030.0, 1030.0, 1030.0)}})
    assert (creeping.worse, creeping.changes) == (True, ())
    assert trends_of({"wan": {"denoise": series(1000.0, 960.0, 960.0, 960.0)}}) == ((), "")


def test_the_best_of_many_unchanged_runs_is_lucky_which_is_no_creep() -> None:
    def years(slower: float) -> int:
        told = 0
        for year in range(40):
            random = Random(year)
            values = [1000.0 * (1 + slower * n / 365) * (1 + 0.012 * random.gauss(0, 1)) for n in range(365)]
            points = tuple(HistoryPoint(at=f"{n:03d}", value=value) for n, value in enumerate(values))
            told += trend("wan", "denoise_steps", points, with_changes=False).worse
        return told

    # Above half of the limit are 26 of the 40 unchanged years; of those that slow down by 5 % nearly all are told.
    assert years(0.0) <= 1
    assert years(0.05) >= 36


def test_without_otava_creep_is_told_and_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "otava", None)
    monkeypatch.setitem(sys.modules, "otava.series", None)
    found, missing = trends_of({"wan": {"denoise": CREEPING, "peak_memory": STILL}})
    assert [(t.metric, t.worse, t.changes) for t in found] == [("denoise", True, ())]
    assert missing == "change points need Apache Otava: pip install 'pytest-sgdiff[trend]'"
    # Too few runs for change points: nothing is missing.
    assert trends_of({"wan": {"denoise": CREEPING[:6]}})[1] == ""
