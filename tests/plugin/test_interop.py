"""Cases beside other plugins and under pytest's own options, each in a real run with the stand-in engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from tests.plugin.conftest import CASE, Project

QUICK = CASE.replace("baseline: 5", "baseline: 3")
RECORD = ("--sgdiff-gpus=4", "--sgdiff-update")


@pytest.fixture(autouse=True)
def quick(project: Project) -> None:
    """Fewer launches of the one case, and a test that has nothing to do with it."""
    project.write("cases/tiny.yaml", QUICK)
    project.write("tests/test_plain.py", "def test_plain():\n    pass\n")


def launches_of(project: Project, out: str, case: str = "tiny") -> int:
    return len(list((project.root / out / case).iterdir()))


def replayed(project: Project, *arguments: str) -> pytest.RunResult:
    """Judge recorded launches: no GPU, no engine, little time."""
    return project.run("--sgdiff-replay=kept", *arguments)


@pytest.fixture
def recorded(project: Project) -> Project:
    """A project with launches in `kept` and a baseline made of them."""
    project.baseline("--sgdiff-out=kept")
    return project


def test_no_rerun_turns_a_regression_green_or_measures_it_again(project: Project) -> None:
    project.baseline()
    slow = ["slow:1.2"] * 3
    project.setenv("SGDIFF_FAKE_SEQUENCE", str(project.write("sequence", "\n".join([*slow, "native"]))))
    result = project.run("--sgdiff-gpus=4", "--sgdiff-out=kept", "-p", "pytest_rerunfailures", "--reruns", "2")
    assert result.ret == 1
    assert "1 failed, 1 passed, 2 rerun" in result.stdout.str()
    assert "measured 1 of 1 · 1 regressed" in result.stdout.str()
    assert launches_of(project, "kept") == 3


def test_what_a_rerun_finds_takes_the_place_of_an_inconclusive_answer(recorded: Project) -> None:
    """`--sgdiff-fail-on inconclusive` makes it a failure, so it is rerun; that is a measurement of its own."""
    recorded.write(
        "conftest.py",
        "import pytest\n"
        "from pytest_sgdiff.plugin import case_run\n"
        "from dataclasses import replace\n"
        "given = case_run.Measuring.result\n"
        "tries = []\n"
        "def once_inconclusive(self, *arguments):\n"
        "    tries.append(1)\n"
        "    result = given(self, *arguments)\n"
        "    return replace(result, outcome='inconclusive') if len(tries) == 1 else result\n"
        "case_run.Measuring.result = once_inconclusive\n",
    )
    # Apart, so that what is patched is not patched here.
    result = recorded.run_apart(
        "--sgdiff-replay=kept", "--sgdiff-fail-on=inconclusive", "-p", "pytest_rerunfailures", "--reruns", "1"
    )
    assert result.ret == 0, result.stdout.str()
    assert "measured 1 of 1 · 1 pass" in result.stdout.str()


def test_timeout_randomly_repeat_html_cov_and_junit_together(project: Project) -> None:
    plugins = (
        "pytest_timeout",
        "randomly",
        "pytest_repeat",
        "pytest_html.plugin",
        "pytest_metadata.plugin",
        "pytest_cov",
    )
    result = project.run(
        *RECORD,
        *(word for name in plugins for word in ("-p", name)),
        *(
            "--timeout=60",
            "--count=2",
            "--html=page.html",
            "--self-contained-html",
            "--cov=tests",
            "--junit-xml=run.xml",
        ),
    )
    assert result.ret == 0, result.stdout.str()
    result.assert_outcomes(passed=4)
    assert "measured 2 of 2" in result.stdout.str(), "a repeated case is two tests"
    assert "not measured" not in result.stdout.str()
    assert "tiny[1-2]" in (project.root / "page.html").read_text()
    assert "TOTAL" in result.stdout.str()
    cases = [
        case
        for case in ElementTree.parse(project.root / "run.xml").iter("testcase")
        if case.get("classname") == "cases.tiny.yaml"
    ]
    assert sorted(str(case.get("name")) for case in cases) == ["tiny[1-2]", "tiny[2-2]"]
    for case in cases:
        told = {entry.get("name"): entry.get("value") for entry in case.iter("property")}
        assert told["sgdiff.launches"] == "3"


def test_a_failure_in_junit_is_the_text_without_a_traceback(project: Project) -> None:
    project.engine("fallback")
    project.run("--sgdiff-gpus=4", "--junit-xml=run.xml")
    failure = next(ElementTree.parse(project.root / "run.xml").iter("failure"))
    assert "cases/tiny.yaml:5" in str(failure.get("message"))
    assert "fixtures.py" not in str(failure.text)


def test_the_terminal_says_a_line_once_and_in_the_summary_why_a_case_failed(recorded: Project) -> None:
    shutil.rmtree(recorded.root / "baselines")
    result = replayed(recorded, "cases")
    (line,) = [line for line in result.outlines if line.startswith("cases/tiny.yaml::tiny ")]
    assert " NO-BASELINE " in line
    assert "FAILED cases/tiny.yaml::tiny - no baseline for nvidia-h200-x1" in result.outlines


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ("-q -x", "measured 1 of 1"),
        ("-qq", "measured 1 of 1"),
        ("-v --color=yes", "cases/tiny.yaml::tiny PASSED"),
        ("-s --no-summary", "measured 1 of 1"),
    ],
)
def test_options_of_the_terminal(recorded: Project, options: str, shown: str) -> None:
    result = replayed(recorded, *options.split())
    assert result.ret == 0, result.stdout.str()
    assert shown in re.sub(r"\x1b\[[0-9;]*m", "", result.stdout.str())


def test_no_summary_leaves_one_line_of_a_case_that_failed(recorded: Project) -> None:
    shutil.rmtree(recorded.root / "baselines")
    result = replayed(recorded, "--no-summary", "--sgdiff-report=report.md", "cases")
    assert result.ret == 1
    _, _, below = result.stdout.str().partition("sgdiff: 1 case selected")
    case, told, end = [line for line in below.splitlines() if line.strip(" [10%]")]
    assert case.startswith("cases/tiny.yaml::tiny  ")
    assert re.sub(r"[\d.]+ s$", "TIME", told) == "sgdiff: measured 1 of 1 · 1 no-baseline · TIME"
    assert "1 failed in" in end
    assert (recorded.root / "report.md").exists()


def test_no_summary_hides_no_command_that_was_asked_for(project: Project) -> None:
    result = project.run("--sgdiff-dry-run", "--sgdiff-gpus=4", "--no-summary")
    assert "# cases/tiny.yaml::tiny" in result.outlines


def test_the_properties_that_the_documentation_names_are_in_junit(recorded: Project) -> None:
    _, _, section = (Path(__file__).parents[2] / "docs/reports.md").read_text().partition("## JUnit\n")
    named = re.findall(r"`(sgdiff\.[\w.]+)`", section.partition("\n## ")[0])
    replayed(recorded, "--junit-xml=run.xml")
    told = {entry.get("name") for entry in ElementTree.parse(recorded.root / "run.xml").iter("property")}
    assert "sgdiff.denoise_core.ratio" in named
    assert set(named) <= told
    assert not {f"sgdiff.{name}.ratio" for name in ("denoise", "pause")} & told


def test_without_a_terminal_the_exit_code_and_the_reports_tell(project: Project) -> None:
    result = project.run(*RECORD, "-p", "no:terminal", "--sgdiff-report=run.json")
    assert result.ret == 0, result.stderr.str()
    assert (project.root / "run.json").exists()


def test_last_failed_runs_the_failed_case_alone(recorded: Project) -> None:
    recorded.write("cases/other.yaml", QUICK.replace("tiny:", "other:"))
    shutil.copytree(recorded.root / "kept" / "tiny", recorded.root / "kept" / "other")
    first = replayed(recorded)
    first.assert_outcomes(passed=2, failed=1)
    again = replayed(recorded, "--lf")
    assert "measured 1 of 1" in again.stdout.str()
    again.assert_outcomes(failed=1)


def test_collect_only_starts_nothing(project: Project) -> None:
    result = project.run("--co", "-q", "--sgdiff-gpus=4")
    assert result.ret == 0
    assert result.outlines[:2] == ["cases/tiny.yaml::tiny", "tests/test_plain.py::test_plain"]
    assert not (project.root / ".sgdiff").exists()


def test_a_run_that_was_to_measure_and_has_no_case_is_not_green(project: Project) -> None:
    result = project.run("--sgdiff-gpus=4", "tests")
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    assert "sgdiff: failed: nothing was measured" in result.outlines


@pytest.mark.parametrize(
    ("folder", "arguments"),
    [
        ("cases", ()),
        ("cases", ("tiny.yaml::tiny", "-n", "1")),
        ("tests", ("-c", "../pytest.ini", "--rootdir", "..", "../cases")),
        (".", ("{root}/cases/tiny.yaml",)),
    ],
)
def test_from_wherever_it_is_run_places_are_those_of_the_root(
    recorded: Project, folder: str, arguments: tuple[str, ...]
) -> None:
    os.chdir(recorded.root / folder)
    words = [word.format(root=recorded.root) for word in arguments]
    result = recorded.run(f"--sgdiff-replay={recorded.root / 'kept'}", *words)
    assert result.ret == 0, result.stdout.str()
    assert any(line.startswith("cases/tiny.yaml::tiny  ") for line in result.outlines)


@pytest.mark.parametrize("how", [[sys.executable, "-m", "pytest"], [str(Path(sys.executable).parent / "pytest")]])
def test_both_ways_to_start_pytest(recorded: Project, how: list[str]) -> None:
    argv = [*how, "-p", "pytest_sgdiff.plugin", "--sgdiff-replay=kept"]
    done = subprocess.run(argv, cwd=recorded.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "measured 1 of 1" in done.stdout


def test_the_name_of_the_entry_point_switches_it_off(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    argv = [sys.executable, "-m", "pytest", "-p", "no:sgdiff", "--co", "-q"]
    done = subprocess.run(argv, cwd=project.root, capture_output=True, text=True, check=False)
    assert "tests/test_plain.py::test_plain" in done.stdout
    assert "tiny" not in done.stdout
    done = subprocess.run([*argv, "--sgdiff-dry-run"], cwd=project.root, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
