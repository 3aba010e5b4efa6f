from __future__ import annotations

import csv
import io

from pytest_sgdiff.data import Problem, Run
from pytest_sgdiff.reports.csv import CsvReport
from tests import factories


def rows(run: Run) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(CsvReport().render(run)), strict=True))


def test_one_row_per_case_and_metric_worst_case_and_primary_metric_first() -> None:
    assert [
        (row["case"], row["metric"]) for row in rows(factories.run(factories.result("fine"), factories.regressed()))
    ] == [
        ("wan22_t2v_a14b_720p", "denoise"),
        ("wan22_t2v_a14b_720p", "e2e"),
        ("wan22_t2v_a14b_720p", "stage:TextEncodingStage"),
        ("wan22_t2v_a14b_720p", "stage:DecodingStage"),
        ("wan22_t2v_a14b_720p", "peak_memory"),
        ("fine", "denoise"),
        ("fine", "peak_memory"),
    ]


def test_a_row_holds_the_verdict_and_the_values_it_rests_on() -> None:
    row = rows(factories.run(factories.regressed()))[0]
    assert {
        key: row[key] for key in ("file", "line", "outcome", "unit", "baseline", "now", "ratio", "low", "allow")
    } == {
        "file": "cases/wan22.yaml",
        "line": "12",
        "outcome": "regressed",
        "unit": "ms",
        "baseline": "81750",
        "now": "86080",
        "ratio": "1.052966361",
        "low": "1.046",
        "allow": "0.012",
    }
    assert row["values"].split() == ["86082.75", "85738.419", "86513.16375", "85910.5845", "86340.99825"]
    assert len(row["baseline_values"].split()) == 10


def test_launches_that_do_not_count_are_not_among_the_values() -> None:
    assert len(rows(factories.run(factories.undecided()))[0]["values"].split()) == 5


def test_a_metric_that_a_launch_lacks_is_a_dash_not_a_zero() -> None:
    launches = (factories.record(0), factories.record(1, metrics={"e2e": 83300.0}))
    row = rows(factories.run(factories.result(launches=launches)))[0]
    assert row["values"] == "81750 -"


def test_a_case_without_verdicts_keeps_its_row_and_reason() -> None:
    (row,) = rows(factories.run(factories.fallback()))
    assert (row["case"], row["reason"], row["metric"]) == ("firered_1_1[cfg]", "ran on the diffusers backend", "")


def test_text_that_a_spreadsheet_would_run_is_disarmed_and_separators_are_quoted() -> None:
    (row,) = rows(
        factories.run(factories.fallback(problems=(Problem(kind="invalid", message='=HYPERLINK("http://x"),\n"a"'),)))
    )
    assert row["reason"] == '\'=HYPERLINK("http://x"),\\n"a"'


def test_values_are_those_that_were_judged_where_the_verdict_carries_them() -> None:
    verdict = factories.verdict("e2e", baseline_values=(83000.0, None), now_values=(83100.5,))
    records = (factories.record(0), factories.record(1))
    (row,) = rows(factories.run(factories.result(verdicts=(verdict,), baseline_records=records)))
    assert (row["baseline_values"], row["values"]) == ("83000 -", "83100.5")


def test_what_the_baseline_can_detect_is_a_fraction() -> None:
    verdicts = (factories.verdict("denoise", excluded=0.019, detectable=0.049), factories.verdict("peak_memory"))
    found = rows(factories.run(factories.result(verdicts=verdicts)))
    assert [(row["excluded"], row["detectable"]) for row in found] == [("0.019", "0.049"), ("", "")]
