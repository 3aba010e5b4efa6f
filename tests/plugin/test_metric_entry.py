"""A metric is one entry: what is added to the table goes from the case file to every report, without another edit."""

from __future__ import annotations

import csv
import json

import jsonschema
import pytest
import yaml

from pytest_sgdiff import metrics
from pytest_sgdiff.cases import json_schema
from pytest_sgdiff.cases.load import load_cases
from pytest_sgdiff.cli import main
from pytest_sgdiff.data import PerfDump
from pytest_sgdiff.errors import CaseFileError
from pytest_sgdiff.history.store import tracks
from pytest_sgdiff.metrics import Compared, Derived, Metric, Observed, table
from pytest_sgdiff.upstream.export_baselines import export_upstream
from pytest_sgdiff.upstream.import_baselines import import_upstream
from tests.plugin.conftest import CASE, Project

GATED = CASE + "    metrics: {primary: tail, gate: [denoise, tail, 'half:first', fastest], allow: {tail: 3%}}\n"
WRONG = GATED.replace("[denoise, tail", "[denoise, tial")


def _tail(seen: Observed) -> float | None:
    return _halves(seen).get("second")


def _halves(seen: Observed) -> dict[str, float]:
    steps = seen.dump.steps_ms
    return {"first": sum(steps[: len(steps) // 2]), "second": sum(steps[len(steps) // 2 :])} if steps else {}


def _fastest(sides: Compared, name: str) -> tuple[Derived, ...]:
    """Of the step profiles of both sides: twenty times the fastest step of each launch."""
    then, now = sides.each(lambda launch: 20 * min(launch.steps_ms) if launch.steps_ms else None)
    return (Derived(metric=name, then=then, now=now),)


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three entries: read of the dump, a family, and one that is derived of both sides' launches."""
    fresh = (
        Metric(name="tail", unit="ms", metric_class="primary", read=_tail, title="second half", published="tail_ms"),
        Metric(name="half", unit="ms", metric_class="stage", read=_halves, title="half", family=True),
        Metric(name="fastest", unit="ms", metric_class="primary", derive=_fastest, title="fastest step"),
    )
    monkeypatch.setattr(table, "METRICS", (*table.METRICS, *fresh))


@pytest.mark.usefixtures("added")
def test_an_entry_goes_from_the_case_file_to_every_report(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.write("cases/tiny.yaml", GATED)
    project.record()
    (file,) = project.root.glob("baselines/*/tiny.json")
    kept = json.loads(file.read_text())
    assert {"tail", "half:first", "half:second"} <= kept["metrics"].keys()
    assert "tail" in kept["best"]

    project.engine("slow:1.08")
    project.setenv("GITHUB_ACTIONS", "true")
    run = project.run(
        *("--sgdiff-gpus=4", "--sgdiff-out=now", "--sgdiff-history=history.db", "--junit-xml=junit.xml"),
        *(f"--sgdiff-report=report.{kind}" for kind in ("html", "md", "json", "csv")),
    )
    assert run.ret == pytest.ExitCode.TESTS_FAILED

    told = json.loads((project.root / "report.json").read_text())["cases"][0]
    verdicts = {one["metric"]: one for one in told["verdicts"]}
    assert {name: verdicts[name]["outcome"] for name in ("tail", "fastest", "half:first")} == {
        "tail": "regressed",
        "fastest": "regressed",
        "half:first": "pass",
    }
    assert (verdicts["tail"]["primary"], verdicts["tail"]["allow"]) == (True, pytest.approx(0.03, rel=0.01))
    assert verdicts["fastest"]["baseline_values"]

    with (project.root / "report.csv").open() as rows:
        assert {"tail", "half:first", "fastest"} <= {row["metric"] for row in csv.DictReader(rows)}
    terminal = run.stdout.str()
    annotation = next(line for line in run.outlines if line.startswith("::error"))
    for text in (terminal, annotation, (project.root / "report.md").read_text()):
        assert "second half" in text
        assert "fastest step" in text
    page = (project.root / "report.html").read_text()
    assert "second half, launch by launch" in page
    assert "sgdiff.tail.verdict" in (project.root / "junit.xml").read_text()
    assert {"tail", "half:first", "fastest"} <= {track.metric for track in tracks(project.root / "history.db")}

    capsys.readouterr()
    for command in (["inspect", "now/tiny/00"], ["compare", "now/tiny", "now/tiny"], ["trend", "history.db"]):
        main(command)
        shown = capsys.readouterr().out
        assert "tail" in shown or "second half" in shown, command


@pytest.mark.usefixtures("added")
def test_case_files_and_their_schema_know_an_entry_and_what_was_meant_by_a_slip() -> None:
    (case,) = load_cases("cases/tiny.yaml", GATED)
    assert (case.metrics.primary, case.metrics.allow) == ("tail", {"tail": 0.03})
    with pytest.raises(CaseFileError) as refused:
        load_cases("cases/tiny.yaml", WRONG)
    (mistake,) = refused.value.mistakes
    assert mistake.startswith("cases/tiny.yaml:12:")
    assert "did you mean 'tail'?" in mistake
    schema = json.dumps(json_schema.document_schema())
    jsonschema.validate(yaml.safe_load(GATED), json_schema.document_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(WRONG), json_schema.document_schema())
    assert "half:" in schema


@pytest.mark.usefixtures("added")
def test_what_upstream_publishes_of_an_entry_is_imported_and_exported() -> None:
    scenario = {"stages_ms": {}, "denoise_step_ms": {}, "expected_e2e_ms": 900.0, "expected_load_ms": 30.0}
    scenario |= {"tail_ms": 300.0}
    document = {"metadata": {"hardware": "NVIDIA H100 80GB HBM3"}, "scenarios": {"mine": scenario}}
    (imported,) = import_upstream(document, [], source="here", default_gpus=1).baselines
    assert imported.measurement.values["tail"] == (300.0,)
    assert export_upstream([imported]).document["scenarios"]["mine"]["tail_ms"] == 300.0


def test_what_is_measured_outside_the_engine_is_read_by_an_entry_too(monkeypatch: pytest.MonkeyPatch) -> None:
    queue = Metric(
        name="queue", unit="ms", metric_class="stage", read=lambda seen: seen.outside.get("queue"), zero=True
    )
    monkeypatch.setattr(table, "METRICS", (*table.METRICS, queue))
    dump = PerfDump(generation="C2", tag="", timestamp=None, total_ms=100.0, stages=(), steps_ms=())
    assert metrics.metrics_of(dump, {"queue": 0.0, "other": 1.0}) == {"e2e": 100.0, "queue": 0.0}
