from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from pytest_sgdiff.data import (
    OUTCOMES,
    CaseResult,
    Cause,
    Difference,
    DifferenceCode,
    Disturbance,
    DisturbanceCode,
    Expected,
    Finding,
    FindingCode,
    LaunchRecord,
    NextCode,
    NextStep,
    NoisePrior,
    Problem,
    ProblemCode,
    QualityCode,
    Reason,
    ReasonCode,
    Run,
    Unmeasured,
    Verdict,
    WarmupCode,
    WarningCode,
)
from pytest_sgdiff.reports import next_text, noise_text, problem_text
from pytest_sgdiff.reports.json import JsonReport
from tests import factories

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())


def rendered(run: Run) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(JsonReport().render(run))
    jsonschema.Draft202012Validator(SCHEMA).validate(report)
    return report


@pytest.mark.parametrize(
    "run",
    [
        factories.run(),
        factories.run(
            factories.result(machine=None, workload=None, launches=(), verdicts=()), gpu_busy=None, history={}
        ),
        factories.run(factories.result(launches=(LaunchRecord(number=0),), baseline_recorded=None)),
        factories.run(factories.result(launches=(factories.served(loads={"r0.5": 2}),))),
        factories.run(unmeasured=(Unmeasured(node_id="cases/a.yaml::b", why="not run"),), interrupted=True),
        Run(started_at="2026-11-23T02:00:11Z", elapsed_s=0.0, command="pytest", plugin_version="0.1.0"),
    ],
    ids=["every outcome", "nothing known", "a bare launch", "a server's life", "not measured", "no case"],
)
def test_report_follows_the_published_schema(run: Run) -> None:
    rendered(run)


def test_what_was_not_measured_is_told_with_its_reason() -> None:
    gone = (Unmeasured(node_id="cases/a.yaml::b", why="skipped: no GPU", gap="gpus"),)
    report = rendered(factories.run(unmeasured=gone, interrupted=True))
    assert report["unmeasured"] == [{"node_id": "cases/a.yaml::b", "why": "skipped: no GPU"}]
    assert report["gaps"] == {"gpus": ["cases/a.yaml::b"]}
    assert report["interrupted"] is True


def test_the_schema_itself_is_valid_and_refuses_a_report_without_an_outcome() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    report = rendered(factories.run())
    del report["cases"][0]["outcome"]
    with pytest.raises(jsonschema.ValidationError) as caught:
        jsonschema.Draft202012Validator(SCHEMA).validate(report)
    assert caught.value.message == "'outcome' is a required property"


@pytest.mark.parametrize(
    ("cls", "definition"),
    [
        (Verdict, "verdict"),
        (Finding, "finding"),
        (LaunchRecord, "launch"),
        (Problem, "problem"),
        (Disturbance, "disturbance"),
        (Difference, "difference"),
    ],
)
def test_the_schema_knows_every_field_of_the_nouns(cls: type, definition: str) -> None:
    words = {Verdict: {"why"}, LaunchRecord: {"excluded"}, Disturbance: {"words"}}.get(cls, set())
    assert {field.name for field in dataclasses.fields(cls)} | words == set(SCHEMA["$defs"][definition]["properties"])


def test_the_schema_knows_every_figure_of_a_reason() -> None:
    told = SCHEMA["$defs"]["case"]["properties"]["reason_figures"]["properties"]
    assert {field.name for field in dataclasses.fields(Reason)} == set(told)


@pytest.mark.parametrize(
    ("cls", "figures"), [(NextStep, ("next_step_figures",)), (NoisePrior, ("noise_figures", "items"))]
)
def test_the_schema_knows_every_figure_of_a_next_step_and_of_a_prior(cls: type, figures: tuple[str, ...]) -> None:
    known = SCHEMA["$defs"]["case"]["properties"]
    for name in figures:
        known = known[name]
    assert {field.name for field in dataclasses.fields(cls)} == set(known["properties"])


def test_what_to_do_next_and_the_priors_stand_as_values_beside_their_words() -> None:
    prior = NoisePrior(metric_class="primary", cv=0.008, fitted=False, weight=8.0)
    step = NextStep(code="record", command="pytest x", launches=5, have=4)
    cases = rendered(factories.run(factories.result(next_step=step, noise=(prior,)), factories.result(next_step=None)))
    known, nothing = cases["cases"]
    assert (known["next_step"], known["noise"]) == (next_text.words(step), noise_text.words([prior]))
    assert known["next_step_figures"] == {"code": "record", "command": "pytest x", "launches": 5, "have": 4}
    assert known["noise_figures"] == [dataclasses.asdict(prior)]
    assert (nothing["next_step"], nothing["next_step_figures"]) == ("", None)
    assert (nothing["noise"], nothing["noise_figures"]) == ("", [])


def test_codes_stand_beside_the_words_that_are_made_of_them() -> None:
    problem = Problem(kind="invalid", code="other-pipeline", wanted=("WanPipeline",), found=("FluxPipeline",))
    launches = (
        factories.record(0, metrics={}, problem=problem),
        factories.record(1, disturbances=(factories.foreign(),)),
        factories.record(2),
    )
    result = factories.fallback(problems=(problem,), launches=launches, warnings=(factories.warned("no seed"),))
    case = rendered(factories.run(result))["cases"][0]
    assert (case["reason_code"], case["reason_figures"]) == ("problem", {"code": "problem"})
    assert case["reason"] == case["problems"][0]["message"] == problem_text.message(problem)
    assert (case["problems"][0]["code"], case["problems"][0]["found"]) == ("other-pipeline", ["FluxPipeline"])
    failed, disturbed, counts = case["launches"]
    assert (failed["excluded"], failed["problem"]["code"]) == (case["reason"], "other-pipeline")
    assert disturbed["excluded"] == disturbed["disturbances"][0]["words"]
    assert disturbed["disturbances"][0]["code"] == "foreign-process"
    assert (counts["excluded"], counts["problem"], counts["disturbances"]) == (None, None, [])
    assert (case["warnings"], case["warning_codes"]) == (["no seed [slug]"], ["advice"])


def test_the_schema_knows_every_code() -> None:
    assert SCHEMA["$defs"]["finding"]["properties"]["code"]["enum"] == list(get_args(FindingCode))
    assert SCHEMA["$defs"]["case"]["properties"]["reason_code"]["enum"] == list(get_args(ReasonCode))
    steps = SCHEMA["$defs"]["case"]["properties"]["next_step_figures"]["properties"]["code"]["enum"]
    assert steps == list(get_args(NextCode))
    warnings = SCHEMA["$defs"]["case"]["properties"]["warning_codes"]["items"]["enum"]
    assert warnings == list(get_args(WarningCode))
    assert SCHEMA["$defs"]["quality"]["properties"]["code"]["enum"] == list(get_args(QualityCode))
    assert SCHEMA["$defs"]["disturbance"]["properties"]["code"]["enum"] == list(get_args(DisturbanceCode))
    assert SCHEMA["$defs"]["difference"]["properties"]["code"]["enum"] == list(get_args(DifferenceCode))


@pytest.mark.parametrize(("field", "values"), [("cause", Cause), ("about", Expected), ("warmup", WarmupCode)])
def test_the_schema_knows_every_value_of_a_problem(field: str, values: Any) -> None:
    assert set(SCHEMA["$defs"]["problem"]["properties"][field]["enum"]) == {*get_args(values), None}
    assert SCHEMA["$defs"]["problem"]["properties"]["code"]["enum"] == list(get_args(ProblemCode))


def test_every_fact_of_a_case_result_reaches_the_report() -> None:
    case = rendered(factories.run(factories.regressed()))["cases"][0]
    renamed = {"location": "file", "baseline_path": "baseline"}
    left_out = {
        "worker",
        "baseline_recorded",
        "baseline_engine",
        "baseline_source",
        "baseline_launches",
        "baseline_records",
    }
    names = {renamed.get(field.name, field.name) for field in dataclasses.fields(CaseResult)} - left_out
    assert names <= set(case)


def test_a_regression_reads_as_its_numbers() -> None:
    case = rendered(factories.run(factories.regressed()))["cases"][0]
    verdict = case["verdicts"][0]
    assert (case["file"], case["line"], case["outcome"]) == ("cases/wan22.yaml", 12, "regressed")
    assert case["headline"].startswith("denoising is 5.3 % slower than the baseline of 2026-11-02")
    assert (verdict["metric"], verdict["now"], verdict["low"], verdict["allow"]) == ("denoise", 86080.0, 1.046, 0.012)
    assert case["launches"][0]["metrics"]["denoise"] == 81750.0 * 1.053
    assert len(case["baseline"]["values"]) == 10


def test_gpu_samples_are_summed_up_and_unknown_ones_are_null() -> None:
    series = dataclasses.replace(factories.gpu_series(), power_w=(None,) * 10, reasons=(None,) * 10)
    watch = dataclasses.replace(factories.record().watch, gpus=(factories.gpu_series(reasons=0x24), series))  # type: ignore[type-var]
    case = rendered(factories.run(factories.result(launches=(factories.record(watch=watch),))))["cases"][0]
    known, unknown = case["launches"][0]["watch"]["gpus"]
    assert (known["sm_mhz_median"], known["power_w_max"], known["reasons_seen"]) == (1965, 688.0, 0x25)
    assert (unknown["power_w_max"], unknown["reasons_seen"], unknown["samples"]) == (None, None, 10)


def test_outcomes_are_counted_with_their_zeros() -> None:
    assert rendered(factories.run(factories.regressed()))["outcomes"] == {
        outcome: int(outcome == "regressed") for outcome in OUTCOMES
    }


def test_a_number_that_is_not_finite_is_refused_rather_than_written() -> None:
    broken = factories.result(verdicts=(factories.verdict(low=float("nan")),))
    with pytest.raises(ValueError, match="not JSON compliant"):
        JsonReport().render(factories.run(broken))


def test_claims_of_one_case_being_faster_are_reported() -> None:
    report = rendered(factories.run(relations=(factories.relation(),)))
    assert report["relations"][0]["than"] == "wan22_i2v_a14b_720p"
