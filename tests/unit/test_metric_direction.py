"""A metric of which more is better: judged by its inverse, and shown as it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sgdiff.baselines.renew import renew
from pytest_sgdiff.data import (
    Baseline,
    HistoryPoint,
    LaunchRecord,
    Machine,
    Measurement,
    MetricChoice,
    Recorded,
    Verdict,
    Workload,
)
from pytest_sgdiff.history.trend import trend
from pytest_sgdiff.judging.judge import judge
from pytest_sgdiff.judging.power import first_figures, powers
from pytest_sgdiff.judging.series import own_series
from pytest_sgdiff.metrics import Metric, table
from pytest_sgdiff.reports import metric_text

STEADY = (10.0, 10.03, 9.97, 10.01, 9.99)
CHOICE = MetricChoice(primary="rate", gate=("rate",))
RECORDED = Recorded(at="2026-11-02", command="x")


@pytest.fixture(autouse=True)
def rate(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = Metric(name="rate", unit="images/s", metric_class="primary", better="more")
    monkeypatch.setattr(table, "METRICS", (*table.METRICS, fresh))


def measured(*values: float) -> Measurement:
    launches = tuple(LaunchRecord(number=i, metrics={"rate": v}) for i, v in enumerate(values))
    machine = Machine(kind="gpu", product="NVIDIA H200", count=1)
    return Measurement(case="a", machine=machine, workload=Workload(digest="d"), launches=launches)


def verdict(factor: float) -> Verdict:
    baseline = Baseline(measurement=measured(*STEADY), recorded=RECORDED, best={"rate": 10.5})
    (found,) = judge(measured(*(factor * v for v in STEADY)), baseline, CHOICE, looks=(5,))
    return found


def test_fewer_for_each_second_is_slower() -> None:
    found = verdict(0.9)
    assert (found.outcome, found.ratio) == ("regressed", pytest.approx(0.9))
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.9 < found.high < 1
    assert (found.baseline, found.now) == (pytest.approx(10.0, abs=0.01), pytest.approx(9.0, abs=0.01))
    assert found.baseline_values == pytest.approx(STEADY)
    assert found.best_ratio == pytest.approx(10.5 / 9.0, abs=0.01)
    assert metric_text.direction(found) == "10.0 % slower"


def test_more_for_each_second_is_faster() -> None:
    found = verdict(1.1)
    assert (found.outcome, found.ratio) == ("improved", pytest.approx(1.1))
    assert metric_text.direction(found) == "10.0 % faster"


def test_the_best_is_the_most() -> None:
    old = replace(renew(None, measured(*STEADY), RECORDED, engine_version=None), best={"rate": 10.5})
    assert renew(old, measured(11.0, 11.0, 11.0), RECORDED, engine_version=None).best == {"rate": 11.0}
    assert renew(old, measured(9.0, 9.0, 9.0), RECORDED, engine_version=None).best == {"rate": 10.5}


def test_what_a_baseline_finds_is_shown_beside_its_values() -> None:
    own = own_series(Baseline(measurement=measured(*STEADY), recorded=RECORDED), CHOICE)
    (power,), (figures,) = powers(own, looks=(5,), priors={}), first_figures(own, looks=(5,))
    assert (power.centre, figures.now) == (pytest.approx(10.0, abs=0.01), pytest.approx(10.0, abs=0.01))
    assert power.detectable == figures.detectable is not None


@pytest.mark.parametrize(("last", "worse"), [(9.0, True), (11.0, False)])
def test_a_history_that_falls_creeps(last: float, worse: bool) -> None:
    values = [*STEADY, *STEADY, last, last, last]
    points = [HistoryPoint(at=f"2026-11-{day + 1:02}", value=value) for day, value in enumerate(values)]
    found = trend("a", "rate", points)
    assert (found.worse, found.latest) == (worse, last)
    # Its changes are those of the rate itself, and the best level is the highest.
    change = last / 10.0 - 1
    assert found.step == pytest.approx(change, abs=0.002)
    assert found.above_best == pytest.approx(min(change, 0.0), abs=0.002)
