"""What a baseline is said to detect, and what is said against it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.data import (
    Baseline,
    Environment,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    MetricChoice,
    Recorded,
    Workload,
)
from pytest_sgdiff.judging.judge import judge
from pytest_sgdiff.judging.power import Power, doubts, first_figures, powers
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.series import own_series
from pytest_sgdiff.reports.metric_text import detectable
from tests.factories import figures

MACHINE = Machine(kind="gpu", product="NVIDIA H200", count=1)
PLACE = Location(path="cases/wan.yaml", line=1, column=1)
CHOICE = MetricChoice(gate=("denoise", "peak_memory"))


def baseline(*denoise, memory=21000.0):
    launches = tuple(
        LaunchRecord(number=i, metrics={"denoise": v, "peak_memory": memory}) for i, v in enumerate(denoise)
    )
    measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
    return Baseline(measurement=measured, recorded=Recorded(at="2026-11-02", command="pytest"))


def finds(recorded, choice=CHOICE, **priors):
    """What the tables of a recording say that its metrics find."""
    return {v.metric: detectable(v) for v in first_figures(own_series(recorded, choice), looks=(5,), **priors)}


def test_a_baseline_says_what_it_will_find():
    recorded = baseline(1000.0, 1012.0, 991.0, 1008.0, 989.0)
    assert finds(recorded) == {"denoise": "8.7 %", "peak_memory": "2.1 %"}


def test_a_suite_prior_sharpens_what_is_found():
    prior = Prior(cv0=0.004, weight=20.0, baselines=30)
    recorded = baseline(1000.0, 1004.0, 997.0, 1002.0, 999.0)
    assert finds(recorded)["denoise"] == "3.2 %"
    assert finds(recorded, priors={"primary": prior})["denoise"] == "2.8 %"


def test_a_stage_is_found_beyond_its_limit_in_per_cent_and_ms():
    rows = ({"e2e": 1000.0 * f, "stage:TextStage": 300.0 * f} for f in (1.0, 1.004, 0.997, 1.002, 0.999))
    launches = tuple(LaunchRecord(number=i, metrics=row) for i, row in enumerate(rows))
    measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
    stages = MetricChoice(primary="e2e", gate=("e2e", "stages"))
    recorded = Baseline(measurement=measured, recorded=baseline().recorded)
    assert finds(recorded, stages) == {"e2e": "3.2 %", "stage:TextStage": "16.6 % (49.9 ms)"}


@pytest.mark.parametrize(
    "choice",
    [
        CHOICE,
        MetricChoice(gate=("denoise", "e2e", "stages"), allow=0.1),
        MetricChoice(gate=("denoise", "e2e"), allow={"denoise": 0.05}, detect={"denoise": 0.2}),
        MetricChoice(gate=("stages",), allow={"stage:TextStage": 0.15}),
    ],
    ids=["usual", "allow", "of parts", "stages decide"],
)
@pytest.mark.parametrize("looks", [(1, 3, 5), (3,)])
def test_a_recording_and_a_run_say_the_same_of_a_baseline(choice, looks):
    rows = (
        {"e2e": 1900.0 * f, "denoise": 1000.0 * f, "stage:DenoisingStage": 1000.0 * f, "stage:TextStage": 300.0 * f,
         "stage:ShortStage": ms, "peak_memory": 21000.0}
        for f, ms in zip((1.0, 1.004, 0.997, 1.002, 0.999), (4.9, 4.8, 25.1, 4.7, 4.8), strict=True)
    )  # fmt: skip
    launches = tuple(
        LaunchRecord(number=i, metrics=row, environment=Environment(host="h")) for i, row in enumerate(rows)
    )
    measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
    recorded = Baseline(measurement=measured, recorded=baseline().recorded)
    told = {v.metric: v.detectable for v in first_figures(own_series(recorded, choice), looks=looks)}
    run = judge(replace(measured, launches=launches[1:2]), recorded, choice, looks=looks)
    assert told == {v.metric: v.detectable for v in run}
    assert any(told.values())


def test_two_launches_promise_nothing():
    assert finds(baseline(1000.0, 1001.0)) == {"denoise": "", "peak_memory": ""}
    assert doubts(own_series(baseline(1000.0, 2000.0), CHOICE)) == ()


def test_a_quiet_baseline_needs_no_advice():
    assert doubts(own_series(baseline(1000.0, 1004.0, 997.0, 1002.0, 999.0), CHOICE)) == ()


def test_noise_above_one_point_two_percent_asks_for_ten_launches():
    (found,) = doubts(own_series(baseline(1000.0, 1020.0, 985.0, 1012.0, 990.0), CHOICE))
    assert (found.code, found.of, found.limit, found.needed) == ("varies", 5, 0.012, 10)
    assert found.size == pytest.approx(0.0147, abs=1e-3)
    assert doubts(own_series(baseline(*(1000.0, 1020.0, 985.0, 1012.0, 990.0) * 2), CHOICE)) == ()


def test_an_outlier_is_named_by_its_launch():
    (found,) = doubts(own_series(baseline(1000.0, 1004.0, 1190.0, 1002.0, 999.0), CHOICE))
    assert (found.code, found.launch, found.needed) == ("outlier", 2, 10)
    assert found.size == pytest.approx(0.188, abs=1e-3)


def test_two_modes_are_told_from_noise():
    (found,) = doubts(own_series(baseline(1000.0, 1003.0, 1060.0, 1062.0, 999.0), CHOICE))
    assert (found.code, round(found.low), round(found.high), found.needed) == ("two-modes", 1000, 1061, 10)


@pytest.mark.parametrize(("gap", "modes"), [(1.03, False), (1.04, True)])
def test_two_groups_are_modes_from_a_gap_of_four_times_the_noise_on(gap, modes):
    """0.8 % is what launches are expected to vary by; tighter groups are not far apart for being tight."""
    values = (1000.0, 1001.0, 1000.5, 1000.0 * gap, 1001.0 * gap)
    assert ("two-modes" in {doubt.code for doubt in doubts(own_series(baseline(*values), CHOICE))}) is modes


@pytest.mark.parametrize(("slowest", "shown"), [(5.0, False), (15.1, True)])
def test_what_is_too_small_to_be_judged_promises_nothing(slowest, shown):
    rows = [{"denoise": 1000.0 + i, "stage:TextStage": ms} for i, ms in enumerate((4.9, 4.8, slowest))]
    launches = tuple(LaunchRecord(number=i, metrics=row) for i, row in enumerate(rows))
    measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
    recorded = Baseline(measurement=measured, recorded=baseline().recorded)
    found = powers(own_series(recorded, MetricChoice(gate=("denoise", "stages"))), looks=(5,), priors={})
    assert ("stage:TextStage" in [power.metric for power in found]) is shown


@pytest.mark.parametrize(("detectable", "weak"), [(None, True), (0.061, True), (0.06, False), (0.04, False)])
def test_a_baseline_is_weak_from_one_and_a_half_times_the_limit_on(detectable, weak):
    power = Power(
        metric="denoise",
        metric_class="primary",
        unit="ms",
        detectable=detectable,
        allow=0.015,
        detect=0.04,
        spread=0.01,
        centre=1000.0,
    )
    assert power.weak is weak


def test_two_modes_among_ten_launches_ask_for_no_more():
    values = (1000.0, 1003.0, 1060.0, 1062.0, 999.0)
    (found,) = doubts(own_series(baseline(*values, *(v + 1 for v in values)), CHOICE))
    assert (found.code, found.needed) == ("two-modes", None)


def test_pauses_ask_for_ten_launches():
    def launch(number, pause):
        metrics = {"denoise_steps": 1024.0 + number, "denoise": 1030.0 + number + pause, "e2e": 1120.0 + number + pause}
        return LaunchRecord(number=number, metrics=metrics)

    def recorded(*pauses):
        launches = tuple(launch(i, p) for i, p in enumerate(pauses))
        measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
        return Baseline(measurement=measured, recorded=Recorded(at="2026-11-23", command="pytest"))

    (found,) = doubts(own_series(recorded(0, 442, 0, 553, 0), CHOICE))
    assert figures(found) == {
        "code": "pauses",
        "metric": "pause",
        "unit": "ms",
        "of": 5,
        "count": 2,
        "low": 448.0,
        "high": 559.0,
        "needed": 10,
    }
    assert [(d.code, d.count) for d in doubts(own_series(recorded(0, 442, 0, 0, 0), CHOICE))] == [("pauses", 1)]
    assert doubts(own_series(recorded(*[0, 442] * 5), CHOICE)) == ()
    assert doubts(own_series(recorded(0, 0, 0, 0, 0), CHOICE)) == ()


def test_launches_that_the_host_held_up_are_told_although_the_rule_clips_them():
    real = json.loads((Path(__file__).parents[1] / "data" / "h200_host_launches.json").read_text(encoding="utf-8"))
    launches = tuple(LaunchRecord(number=i, metrics=entry["metrics"]) for i, entry in enumerate(real["baseline"]))
    measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
    recorded = Baseline(measurement=measured, recorded=Recorded(at="2026-11-24", command="pytest"))
    assert finds(recorded)["denoise_steps"] == "7.3 %"
    (found,) = doubts(own_series(recorded, CHOICE))
    assert (found.code, found.metric, found.count, found.of) == ("outliers", "denoise_steps", 3, 10)
    assert found.size == pytest.approx(0.047, abs=5e-4)


def test_ten_launches_tolerate_one_outlier():
    values = (1000.0, 1004.0, 1190.0, 1002.0, 999.0, 1001.0, 1003.0, 998.0, 1000.0, 1002.0)
    assert doubts(own_series(baseline(*values), CHOICE)) == ()
