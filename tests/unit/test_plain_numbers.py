"""`sgdiff judge`: rows of plain numbers in, verdicts as JSON out, mistakes named by row and key."""

from __future__ import annotations

import json
import math

import pytest

from pytest_sgdiff.cli.judge import RATIOS
from pytest_sgdiff.data import Finding
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.judging.plain_numbers import apply_plain
from tests.factories import figures

BASE = [81750, 81802, 81690, 81775, 81731]


def row(**changes):
    return {"id": "wan", "metric_class": "primary", "unit": "ms", "same_node": True, "baseline": BASE, **changes}


def judged(**changes):
    return apply_plain([row(**changes)])[0]


def test_a_row_gets_verdict_reason_ratio_and_interval():
    answer = judged(candidate=[v * 1.053 for v in BASE])
    assert list(answer) == ["id", "metric_class", "verdict", "finding", "ratio", "low", "high"]
    assert (answer["id"], answer["verdict"]) == ("wan", "regressed")
    assert figures(answer["finding"]) == {"code": "beyond-allow", "allow": 0.012}
    assert answer["ratio"] == pytest.approx(1.053)
    assert answer["low"] < 1.053 < answer["high"]


def test_rows_keep_their_order_and_stand_alone():
    answers = apply_plain([row(id="a", candidate=BASE[:1]), row(id="b", candidate=[]), row(id=3, candidate=BASE)])
    assert apply_plain([row(candidate=BASE, note="of another tool")]) == apply_plain([row(candidate=BASE)])
    assert [(a["id"], a["verdict"]) for a in answers] == [("a", "pass"), ("b", "inconclusive"), (3, "pass")]


@pytest.mark.parametrize(("kind", "floor"), [("primary", 2), ("stage", 15), ("memory", 32)])
def test_a_pass_below_the_floor_names_it_to_whoever_left_the_unit_out(kind, floor):
    seconds = {"id": "wan", "metric_class": kind, "baseline": [1.0, 1.1, 1.2], "candidate": [1.9]}
    answer = apply_plain([seconds])[0]
    assert (answer["verdict"], answer["finding"]) == ("pass", Finding(code="below-floor", floor=floor))


@pytest.mark.parametrize("missing", [{"baseline": []}, {"baseline": None}])
def test_no_baseline_is_an_outcome_of_its_own(missing):
    answer = judged(candidate=BASE, **missing)
    assert (answer["verdict"], answer["ratio"]) == ("no-baseline", None)
    bare = row(candidate=BASE)
    del bare["baseline"]
    assert apply_plain([bare])[0] == answer


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, "NaN", "-Infinity", -1, 0, 10**400])
def test_values_that_are_none_are_inconclusive_and_leave_the_answer_valid_json(bad):
    answer = judged(candidate=[*BASE[:4], bad])
    assert answer["verdict"] == "inconclusive"
    assert answer["finding"] == Finding(code="bad-values", count=1, of=5)
    json.dumps([answer[name] for name in RATIOS], allow_nan=False)


def test_zeros_pass_as_a_short_stage_only():
    zeros = {"baseline": [0.0, 0.04, 0.05], "candidate": [0.0]}
    assert judged(**zeros, metric_class="stage")["verdict"] == "pass"
    assert judged(**zeros)["verdict"] == "inconclusive"
    assert judged(**zeros, metric_class="memory", unit="MB")["verdict"] == "inconclusive"


@pytest.mark.parametrize(("unit", "factor"), [("s", 1e-3), ("us", 1e3), ("min", 1 / 6e4), ("MS", 1.0), (None, 1.0)])
def test_the_unit_does_not_matter(unit, factor):
    """1.6 ms slower of 40 ms is 4 %, but below `allow_abs`: margins are in ms whatever the unit."""
    base, slow = [40.0, 40.1, 39.9, 40.0, 40.05], [41.6, 41.7, 41.5, 41.6, 41.6]
    expected = judged(baseline=base, candidate=slow)
    answer = judged(baseline=[v * factor for v in base], candidate=[v * factor for v in slow], unit=unit)
    assert (answer["verdict"], figures(answer["finding"])) == (expected["verdict"], figures(expected["finding"]))
    assert answer["ratio"] == pytest.approx(expected["ratio"])
    assert expected["verdict"] == "pass"


def test_memory_is_mebibytes():
    gib = judged(metric_class="memory", unit="GiB", baseline=[21.52] * 5, candidate=[21.52])
    mb = judged(metric_class="memory", unit="MB", baseline=[21.52 * 1024] * 5, candidate=[21.52 * 1024])
    assert figures(gib["finding"]) == figures(mb["finding"]) == {"code": "ruled-out", "size": 0.011}


def test_another_node_widens_the_margins():
    slow = [v * 1.035 for v in BASE]
    assert judged(candidate=slow)["verdict"] == "regressed"
    assert judged(candidate=slow, same_node=False)["verdict"] == "pass"
    left_out = row(candidate=slow)
    del left_out["same_node"]
    assert apply_plain([left_out])[0]["verdict"] == "regressed"
    assert judged(candidate=slow, same_node=None)["verdict"] == "regressed"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"id": "x"}, "must be a list of rows, got {'id': 'x'}"),
        ([3], "[0]: must be an object, got 3"),
        ([row(), row(id=None)], "[1].id: must be a text, got None"),
        ([row(metric_class="time")], "[0].metric_class: must be one of primary, stage, memory, got 'time'"),
        ([row(unit="MB")], "[0].unit: must be one of ns, us, µs, ms, s, min for primary metrics, got 'MB'"),
        ([row(same_node="yes")], "[0].same_node: must be true or false, got 'yes'"),
        ([row(baseline=3.0)], "[0].baseline: must be a list of numbers, got 3.0"),
        ([row(candidate=[1.0, "fast"])], "[0].candidate[1]: must be a number or null, got 'fast'"),
        ([row(candidate=[True])], "[0].candidate[0]: must be a number or null, got True"),
    ],
)
def test_mistakes_are_named_by_row_and_key(rows, message):
    with pytest.raises(WireError) as caught:
        apply_plain(rows)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("candidat", "candidate"),
        ("candidates", "candidate"),
        ("Candidate", "candidate"),
        ("base_line", "baseline"),
        ("baselines", "baseline"),
        ("alow", "allow"),
        ("allowed", "allow"),
        ("detects", "detect"),
        ("units", "unit"),
        ("same-node", "same_node"),
        ("sameNode", "same_node"),
    ],
)
def test_a_misspelt_key_is_named_and_one_of_another_tool_left_alone(key, meant):
    given = row(candidate=BASE) | {"note": "n", "low": 1, "why": "w", "name": "x", "mean": 3, "values": [], "node": "h"}
    lacking = {name: value for name, value in given.items() if name != meant}
    assert apply_plain([lacking])
    with pytest.raises(WireError, match=rf"^\[0\]\.{key}: no such key, did you mean '{meant}'\?$"):
        apply_plain([{**lacking, key: BASE}])


@pytest.mark.parametrize(("slower", "verdict"), [(1.09, "pass"), (1.13, "regressed")])
def test_a_row_can_say_what_is_allowed(slower, verdict):
    steady = [1000.0, 1004.0, 997.0, 1002.0, 999.0]
    now = [slower * v for v in steady]
    row = {"id": "a", "metric_class": "primary", "baseline": steady, "candidate": now, "allow": 0.1, "detect": None}
    assert apply_plain([row])[0]["verdict"] == verdict


@pytest.mark.parametrize("figures", [{"allow": 10}, {"allow": "10%"}, {"allow": True}, {"allow": 0.1, "detect": 0.05}])
def test_what_is_allowed_is_a_fraction_and_less_than_what_a_pass_rules_out(figures):
    with pytest.raises(WireError, match=r"\[0\]\.(allow|detect)"):
        apply_plain([{"id": "a", "metric_class": "primary", "baseline": [1.0], "candidate": [1.0]} | figures])
