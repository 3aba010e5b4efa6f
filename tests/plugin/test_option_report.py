"""`--sgdiff-report`: one file per format, chosen by its suffix; GitHub's summary and annotations."""

from __future__ import annotations

import json
import sys

import pytest

from pytest_sgdiff.data import NextStep
from pytest_sgdiff.reports import next_text
from tests.plugin.conftest import Project


def test_each_suffix_gives_its_format(project: Project) -> None:
    project.baseline()
    project.engine("slow:1.08")
    names = ["report.json", "report.md", "report.csv", "report.txt", "sub/report.html"]
    result = project.run("--sgdiff-gpus=1", *(f"--sgdiff-report={name}" for name in names))
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    document = json.loads((project.root / "report.json").read_text())
    assert document["outcomes"]["regressed"] == 1
    folder = document["cases"][0]["folder"]
    kept = [f"{folder}/{number:02}" for number in range(5)]
    assert [launch["folder"] for launch in document["cases"][0]["launches"]] == kept
    assert (project.root / kept[0] / "perf.json").is_file()
    assert f'<a href="../{folder}">' in (project.root / "sub" / "report.html").read_text()
    for name in names:
        assert "regressed" in (project.root / name).read_text().lower(), name


def test_a_faster_case_says_everywhere_how_to_hold_the_gain_and_a_passing_one_its_figures_if_asked(
    project: Project,
) -> None:
    project.baseline("--sgdiff-out=kept")
    project.engine("slow:0.8")
    result = project.run("--sgdiff-gpus=1", "--sgdiff-report=report.md", "--sgdiff-report=report.txt")
    step = NextStep(code="keep-gain", command="pytest --sgdiff-gpus=1 --sgdiff-update cases/tiny.yaml::tiny")
    hold = f"next        {next_text.words(step)}"
    assert "measured 1 of 1 · 1 improved" in result.stdout.str()
    for told in (result.stdout.str(), *((project.root / f"report.{kind}").read_text() for kind in ("md", "txt"))):
        assert hold in told
    row = "  denoise (core of steps)  (primary)"
    terse, full = (project.run("--sgdiff-replay=kept", *more).stdout.str() for more in ((), ("-v",)))
    assert "measured 1 of 1 · 1 pass" in terse
    assert row not in terse
    assert row in full


def test_an_unknown_suffix_is_a_usage_error(project: Project) -> None:
    result = project.run("--sgdiff-gpus=1", "--sgdiff-report=report.pdf")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--sgdiff-report=report.pdf: the suffix chooses the format, use .html, .json, .md, .csv, .txt" in (
        result.stderr.str()
    )


def test_a_report_that_cannot_be_written_fails_the_run_and_loses_no_result(project: Project) -> None:
    project.baseline()
    project.write("file", "not a folder")
    result = project.run("--sgdiff-gpus=1", "--sgdiff-report=file/report.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "measured 1 of 1 · 1 pass" in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()


def test_reports_name_the_baseline_by_its_path_from_the_root(project: Project) -> None:
    project.baseline()
    project.run("--sgdiff-gpus=1", "--sgdiff-report=report.json", "--sgdiff-report=report.html")
    (case,) = json.loads((project.root / "report.json").read_text())["cases"]
    assert case["baseline"]["path"] == "baselines/nvidia-h200-x1/tiny.json"
    assert 'href="baselines/nvidia-h200-x1/tiny.json#L1"' in (project.root / "report.html").read_text()


def test_github_gets_a_summary_and_annotations(project: Project) -> None:
    project.baseline()
    project.engine("slow:1.08")
    project.setenv("GITHUB_ACTIONS", "true")
    project.setenv("GITHUB_STEP_SUMMARY", str(project.root / "summary.md"))
    result = project.run("--sgdiff-gpus=1", "--junit-xml=junit.xml")
    assert [line for line in result.outlines if line.startswith("::error file=cases/tiny.yaml,line=5")]
    assert "tiny" in (project.root / "summary.md").read_text()
    assert 'name="sgdiff.outcome" value="regressed"' in (project.root / "junit.xml").read_text()


def test_settings_of_the_machine_that_the_baseline_did_not_have_are_named_in_every_report(project: Project) -> None:
    project.baseline()
    state = project.root / "nvml.json"
    driver = json.loads(state.read_text())
    for gpu in driver["gpus"]:
        gpu["facts"]["power_limit_w"] = 400.0
    state.write_text(json.dumps(driver))
    project.engine("slow:1.08")
    output = project.run("--sgdiff-gpus=1", "--sgdiff-report=r.md", "--sgdiff-report=r.html").stdout.str()
    written = [(project.root / name).read_text() for name in ("r.md", "r.html")]
    for text in (output, *written):
        assert "differs from the baseline: power limit 400 W now, 700 W then" in text


def test_a_format_whose_library_is_missing_is_refused_before_the_first_launch(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for words in (["--sgdiff-gpus=1"], ["--sgdiff-gpus=1", "-n", "1"], ["--sgdiff-replay=."]):
        if "-n" in words:
            project.write("conftest.py", "import sys\nsys.modules['jinja2'] = None\n")
        result = project.run("--sgdiff-report=report.html", *words)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert "--sgdiff-report=report.html: the HTML report needs Jinja2: pip install jinja2" in (result.stderr.str())
        assert not (project.root / ".sgdiff").exists()
    assert project.run("--sgdiff-report=report.html", "--sgdiff-dry-run").ret == 0
