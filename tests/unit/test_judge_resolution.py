"""What a baseline is said to detect, and what is said against it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from pytest_sgdiff.data import (
    Baseline,
    Case,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    MetricChoice,
    Recorded,
    Workload,
)
from pytest_sgdiff.reports.metricwords import detectable
from pytest_sgdiff.resolution import first_figures, recording_advice
from pytest_sgdiff.rules import Prior

MACHINE = Machine(kind="gpu", product="NVIDIA H200", count=1)
PLACE = Location(path="cases/wan.yaml", line=1, column=1)
CASE = Case(name="wan", location=PLACE, model="m", metrics=MetricChoice(gate=("denoise", "peak_memory")))


def baseline(*denoise, memory=21000.0):
    launches = tuple(
        LaunchRecord(number=i, metrics={"denoise": v, "peak_memory": memory}) for i, v in enumerate(denoise)
    )
    measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
    return Baseline(measurement=measured, recorded=Recorded(at="2026-11-02", command="pytest"))


def finds(recorded, case=CASE, **priors):
    """What the tables of a recording say that its metrics find."""
    return {v.metric: detectable(v) for v in first_figures(recorded, case, **priors)}


def test_a_baseline_says_what_it_will_find():
    recorded = baseline(1000.0, 1012.0, 991.0, 1008.0, 989.0)
    assert finds(recorded) == {"denoise": "5.2 %", "peak_memory": "2.7 %"}


def test_a_suite_prior_sharpens_what_is_found():
    prior = Prior(cv0=0.004, weight=20.0, source="prior of 30 baselines: CV 0.40 %, counted as 20.0 degrees of freedom")
    recorded = baseline(1000.0, 1004.0, 997.0, 1002.0, 999.0)
    assert finds(recorded)["denoise"] == "4.3 %"
    assert finds(recorded, priors={"primary": prior})["denoise"] == "3.4 %"


def test_a_stage_is_found_beyond_its_limit_in_per_cent_and_ms():
    rows = ({"e2e": 1000.0 * f, "stage:TextStage": 300.0 * f} for f in (1.0, 1.004, 0.997, 1.002, 0.999))
    launches = tuple(LaunchRecord(number=i, metrics=row) for i, row in enumerate(rows))
    measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
    stages = replace(CASE, metrics=MetricChoice(primary="e2e", gate=("e2e", "stages")))
    recorded = Baseline(measurement=measured, recorded=baseline().recorded)
    assert finds(recorded, stages) == {"e2e": "4.3 %", "stage:TextStage": "24.2 % (72.5 ms)"}


def test_two_launches_promise_nothing():
    assert finds(baseline(1000.0, 1001.0)) == {"denoise": "", "peak_memory": ""}
    assert recording_advice(baseline(1000.0, 2000.0), CASE) == ()


def test_a_quiet_baseline_needs_no_advice():
    assert recording_advice(baseline(1000.0, 1004.0, 997.0, 1002.0, 999.0), CASE) == ()


def test_noise_above_one_point_two_percent_asks_for_ten_launches():
    assert recording_advice(baseline(1000.0, 1020.0, 985.0, 1012.0, 990.0), CASE) == (
        "denoise: launches vary by 1.5 %: record 10, 5 are too few above 1.2 %",
    )
    assert recording_advice(baseline(*(1000.0, 1020.0, 985.0, 1012.0, 990.0) * 2), CASE) == ()


def test_an_outlier_is_named_by_its_launch():
    assert recording_advice(baseline(1000.0, 1004.0, 1190.0, 1002.0, 999.0), CASE) == (
        "denoise: launch 2 is an outlier, 18.8 % above the median: record 10 launches, which tolerate one",
    )


def test_two_modes_are_told_from_noise():
    (line,) = recording_advice(baseline(1000.0, 1003.0, 1060.0, 1062.0, 999.0), CASE)
    assert line == (
        "denoise: two modes, near 1000 and 1061 ms: record 10, which show how often each comes; such a case is hardly "
        "gated at all; find what differs between its launches (an autotuned kernel choice, a second pass) and pin it"
    )


def test_two_modes_among_ten_launches_ask_for_no_more():
    values = (1000.0, 1003.0, 1060.0, 1062.0, 999.0)
    (line,) = recording_advice(baseline(*values, *(v + 1 for v in values)), CASE)
    assert line.startswith("denoise: two modes, near 1000 and 1061 ms: such a case is hardly gated at all; find what")


def test_pauses_ask_for_ten_launches():
    def launch(number, pause):
        metrics = {"denoise_steps": 1024.0 + number, "denoise": 1030.0 + number + pause, "e2e": 1120.0 + number + pause}
        return LaunchRecord(number=number, metrics=metrics)

    def recorded(*pauses):
        launches = tuple(launch(i, p) for i, p in enumerate(pauses))
        measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
        return Baseline(measurement=measured, recorded=Recorded(at="2026-11-23", command="pytest"))

    assert recording_advice(recorded(0, 442, 0, 553, 0), CASE) == (
        "pause: 2 of 5 launches pause for 448 to 559 ms: record 10 to tell rare ones from new ones",
    )
    assert recording_advice(recorded(0, 442, 0, 0, 0), CASE)[0].startswith("pause: 1 of 5 launches pause for 448 ms:")
    assert recording_advice(recorded(*[0, 442] * 5), CASE) == ()
    assert recording_advice(recorded(0, 0, 0, 0, 0), CASE) == ()


def test_launches_that_the_host_held_up_are_told_although_the_rule_clips_them():
    real = json.loads((Path(__file__).parents[1] / "data" / "h200_host_launches.json").read_text(encoding="utf-8"))
    launches = tuple(LaunchRecord(number=i, metrics=entry["metrics"]) for i, entry in enumerate(real["baseline"]))
    measured = Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=launches)
    recorded = Baseline(measurement=measured, recorded=Recorded(at="2026-11-24", command="pytest"))
    assert finds(recorded)["denoise_steps"] == "5.6 %"
    (line,) = recording_advice(recorded, CASE)
    assert line == (
        "denoise (sum of steps): 3 of 10 launches are 4.7 % or more above the median: slowdowns of the size promised "
        "may be missed, and unchanged code be inconclusive; see whether the host holds up the GPU"
    )


def test_ten_launches_tolerate_one_outlier():
    values = (1000.0, 1004.0, 1190.0, 1002.0, 999.0, 1001.0, 1003.0, 998.0, 1000.0, 1002.0)
    assert recording_advice(baseline(*values), CASE) == ()
