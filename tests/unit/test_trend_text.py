"""The words for what a history shows, all in one golden file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_sgdiff.data import ChangePoint, Trend
from pytest_sgdiff.reports import trend_text
from tests.golden import check_golden

CHANGE = ChangePoint(
    at="2026-11-20T02:00:00+00:00",
    index=30,
    before=77220.0,
    after=83400.0,
    pvalue=1e-5,
    engine_version="0.5.17",
    commit="2222222bbbbb",
    runs_before=30,
    runs_after=12,
    last_at="2026-11-19T02:00:00+00:00",
    last_engine="0.5.16",
    last_commit="1111111aaaaa",
)
SLOWER = Trend(
    case="wan",
    metric="denoise",
    runs=42,
    latest=83500.0,
    creep=0.081,
    changes=(CHANGE,),
    worse=True,
    level=83400.0,
    level_runs=12,
    step=0.08,
    above_best=0.08,
)


def lines() -> Iterator[str]:
    settings = replace(CHANGE, settings=True, after=907000.0)
    steady = Trend(case="wan", metric="denoise", runs=42, latest=83500.0, creep=0.004, level=83100.0, level_runs=42)
    states = {
        "one run": Trend(case="wan", metric="denoise", runs=1, latest=83500.0, level_runs=1),
        "steady": steady,
        "alone": replace(steady, alone=0.081),
        "slower": SLOWER,
        "slower after a gain": replace(SLOWER, above_best=0.031),
        "the best": replace(SLOWER, step=-0.05, above_best=0.0, worse=False),
        "creeps besides": replace(SLOWER, creep=0.121),
        "other settings": replace(SLOWER, changes=(settings,), worse=False, creep=0.002),
        "changes of long ago": replace(SLOWER, changes=()),
    }
    yield from (f"{name}: {trend_text.state(one)}" for name, one in states.items())
    changes = {
        "change": CHANGE,
        "same engine": replace(CHANGE, last_engine="0.5.17"),
        "same engine and commit": replace(CHANGE, last_engine="0.5.17", last_commit=CHANGE.commit),
        "nothing known": replace(CHANGE, engine_version=None, commit=None, last_engine=None, last_commit=None),
        "no noise": replace(CHANGE, pvalue=0.0),
        "settings": settings,
    }
    yield from (f"{name}: {trend_text.change(one)}" for name, one in changes.items())
    yield f"line: {trend_text.line(SLOWER)}"
    yield from trend_text.together([("wan", CHANGE), ("flux", replace(CHANGE, after=80000.0)), ("wan", CHANGE)])


def test_every_trend_has_its_words() -> None:
    check_golden("trend", lines())


def test_a_change_of_one_case_is_nothing_that_cases_share() -> None:
    other = replace(CHANGE, at="2026-11-21T02:00:00+00:00")
    assert list(trend_text.together([("wan", CHANGE), ("wan", CHANGE), ("flux", other)])) == []
