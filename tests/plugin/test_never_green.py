"""No run is green of which the summary says that a case failed, or that a selected case was not measured."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.plugin.conftest import CASE, Project

QUICK = CASE.replace("baseline: 5", "baseline: 3").replace("[1, 3, 5]", "[1, 3]")
TWO = QUICK + QUICK.partition("cases:\n")[2].replace("tiny:", "tiny2:")
WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])

XFAIL = """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xfail{arguments})
"""
SKIP = """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == "tiny2":
            item.add_marker(pytest.mark.skip(reason="flaky"))
"""
OVERRIDDEN = """
import pytest

class Nothing:
    def check(self):
        pass

@pytest.fixture
def sgdiff(request):
    return Nothing() if request.node.name == "tiny2" else request.getfixturevalue("sgdiff_given")

@pytest.fixture
def sgdiff_given(request, sgdiff_case, sgdiff_env, sgdiff_baselines, sgdiff_gpus):
    from pytest_sgdiff.plugin.fixtures import Checker
    return Checker(request.node, sgdiff_case, sgdiff_gpus, sgdiff_baselines)
"""
SWALLOWED = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    return True if pyfuncitem.name == "tiny2" else None
"""
NEVER_RUN = """
import pytest

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item):
    return True if item.name == "tiny2" else None
"""
SKIPPED_LATE = """
import pytest

@pytest.fixture
def sgdiff_env(request):
    if request.node.name == "tiny2":
        pytest.skip("not here")
    return {}
"""
TAKEN_BACK = """
import pytest

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        report.outcome, report.longrepr = "passed", None
    return report
"""
EXIT_CODE = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session):
    session.exitstatus = 0
"""


def report_of(project: Project) -> Any:
    return json.loads((project.root / "report.json").read_text())


def gaps_of(project: Project) -> dict[str, str]:
    """Why cases were not measured, by node id."""
    return {node_id: gap for gap, node_ids in report_of(project)["gaps"].items() for node_id in node_ids}


@pytest.fixture
def slower(project: Project) -> Project:
    """A project with a baseline, and an engine that is slower by half."""
    project.write("cases/tiny.yaml", QUICK)
    project.baseline()
    project.engine("slow:1.5")
    return project


@pytest.fixture
def two(project: Project) -> Project:
    """A project with baselines of two cases."""
    project.write("cases/tiny.yaml", TWO)
    project.baseline()
    return project


@pytest.mark.parametrize(
    ("conftest", "workers"),
    [
        pytest.param(XFAIL.format(arguments=""), (), id="xfail"),
        pytest.param(XFAIL.format(arguments=""), ("-n", "1"), id="xfail, xdist"),
        pytest.param(XFAIL.format(arguments="(strict=True, raises=BaseException)"), (), id="strict xfail"),
        pytest.param(TAKEN_BACK, (), id="report taken back"),
        pytest.param(XFAIL.format(arguments="") + EXIT_CODE, (), id="exit code set"),
        pytest.param(TAKEN_BACK + EXIT_CODE, ("-n", "1"), id="both, xdist"),
    ],
)
def test_a_regression_whose_test_does_not_fail(slower: Project, conftest: str, workers: tuple[str, ...]) -> None:
    slower.write("conftest.py", conftest)
    result = slower.run("--sgdiff-gpus=4", "--sgdiff-report=report.json", *workers)
    assert report_of(slower)["outcomes"]["regressed"] == 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED, result.stdout.str()
    assert any("no test failed" in line and "cases/tiny.yaml::tiny (regressed)" in line for line in result.outlines)


def test_a_python_test_that_does_not_check_what_it_measured(slower: Project) -> None:
    slower.write("tests/test_own.py", "def test_own(sgdiff):\n    sgdiff.measure()\n")
    slower.write(
        "conftest.py",
        "import pytest\nfrom pathlib import Path\n@pytest.fixture\ndef sgdiff_case(request):\n"
        "    from pytest_sgdiff.cases.load import read_cases\n"
        "    return read_cases(Path('cases/tiny.yaml').absolute(), Path.cwd())[0]\n",
    )
    result = slower.run("--sgdiff-gpus=4", "tests", "--sgdiff-report=report.json")
    result.assert_outcomes(passed=1)
    assert report_of(slower)["outcomes"]["regressed"] == 1
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_another_outcome_that_was_named_counts_as_well(slower: Project) -> None:
    slower.engine("slow:0.5")
    slower.write("conftest.py", XFAIL.format(arguments=""))
    assert slower.run("--sgdiff-gpus=4").ret == 0
    assert slower.run("--sgdiff-gpus=4", "--sgdiff-fail-on=improved").ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize(
    ("conftest", "gap", "workers"),
    [
        pytest.param(SKIP, "skipped", (), id="skip mark"),
        pytest.param(SKIP, "skipped", ("-n", "2"), id="skip mark, xdist"),
        pytest.param(SKIPPED_LATE, "skipped", (), id="skipping fixture"),
        pytest.param(XFAIL.format(arguments="(run=item.name == 'tiny')"), "skipped", (), id="xfail without a run"),
        pytest.param(OVERRIDDEN, "passed", (), id="overridden fixture"),
        pytest.param(OVERRIDDEN, "passed", ("-n", "1"), id="overridden fixture, xdist"),
        pytest.param(SWALLOWED, "passed", (), id="swallowed call"),
    ],
)
def test_a_selected_case_that_is_not_measured(two: Project, conftest: str, gap: str, workers: tuple[str, ...]) -> None:
    two.write("conftest.py", conftest)
    result = two.run("--sgdiff-gpus=4", "--sgdiff-report=report.json", *workers)
    assert (report_of(two)["measured"], gaps_of(two)) == (1, {"cases/tiny.yaml::tiny2": gap})
    assert result.ret == pytest.ExitCode.TESTS_FAILED, result.stdout.str()
    (told,) = [line for line in result.outlines if line.startswith("sgdiff: 1 of 2 selected cases not measured: 1 ")]
    assert told.endswith("(tiny2)")


def test_a_selected_case_whose_test_never_runs(two: Project) -> None:
    two.write("conftest.py", NEVER_RUN)
    result = two.run("--sgdiff-gpus=4", "--sgdiff-report=report.json")
    assert gaps_of(two) == {"cases/tiny.yaml::tiny2": "not-run"}
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_a_case_that_is_dropped_without_a_word_is_named(two: Project, workers: tuple[str, ...]) -> None:
    two.write(
        "conftest.py",
        "def pytest_collection_modifyitems(items):\n    items[:] = [one for one in items if one.name != 'tiny2']\n",
    )
    # Not a failure: so do plugins that split a run.
    assert two.run("--sgdiff-gpus=4", "--sgdiff-report=report.json", "--sgdiff-strict", *workers).ret == 0
    assert (report_of(two)["selected"], report_of(two)["measured"]) == (2, 1)
    assert gaps_of(two) == {"cases/tiny.yaml::tiny2": "dropped"}


@pytest.mark.parametrize("hook", ["pytest_runtest_teardown", "pytest_sessionfinish"])
def test_an_early_end_with_exit_code_0_is_not_green(slower: Project, hook: str) -> None:
    slower.write("conftest.py", f"import pytest\ndef {hook}():\n    pytest.exit('done', returncode=0)\n")
    assert slower.run("--sgdiff-gpus=4").ret != 0
    slower.engine("native")
    assert slower.run("--sgdiff-gpus=4").ret == 0


def test_what_the_user_deselects_is_not_missed(two: Project) -> None:
    for words in (["-k", "not tiny2"], ["--deselect", "cases/tiny.yaml::tiny2"], ["cases/tiny.yaml::tiny"]):
        result = two.run("--sgdiff-gpus=4", "--sgdiff-report=report.json", *words)
        assert (result.ret, gaps_of(two)) == (0, {}), words


@WORKERS
def test_what_a_case_requires_is_a_skip_that_is_named_and_a_failure_when_strict(
    two: Project, workers: tuple[str, ...]
) -> None:
    (before, _, after) = TWO.partition("  tiny2:\n")
    third = after.replace("summary", "gpus: 1\n    requires: {gpu: [B200]}\n    summary")
    needy = f"{before}  tiny2:\n    requires: {{engine: '>=0.5.99'}}\n{after}  tiny3:\n{third}"
    two.write("cases/tiny.yaml", needy)
    gaps = {"cases/tiny.yaml::tiny2": "engine-version", "cases/tiny.yaml::tiny3": "gpus"}
    told = (
        "sgdiff: 2 of 3 selected cases not measured: 1 needs another engine version (tiny2), 1 needs other GPUs (tiny3)"
    )
    for strict, code in ((), 0), (("--sgdiff-strict",), pytest.ExitCode.TESTS_FAILED):
        result = two.run("--sgdiff-gpus=4", "--sgdiff-report=report.json", *strict, *workers)
        assert (result.ret, gaps_of(two)) == (code, gaps), result.stdout.str()
        assert told in result.outlines
        result.assert_outcomes(passed=1, **{"errors" if strict else "skipped": 2})


def test_a_token_and_an_input_file_that_are_missing_are_named(two: Project) -> None:
    case = TWO.replace("  tiny:\n", "  tiny:\n    requires: {token: true}\n")
    two.write("cases/tiny.yaml", case.replace("  tiny2:\n", "  tiny2:\n    assets: {image-path: cat.png}\n"))
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN"):
        two.setenv(name, "")
    two.setenv("HF_HOME", str(two.root))
    result = two.run("--sgdiff-gpus=4", "--sgdiff-report=report.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert gaps_of(two) == {"cases/tiny.yaml::tiny": "token", "cases/tiny.yaml::tiny2": "assets"}


def test_a_test_in_python_whose_case_needs_another_engine_is_counted(two: Project) -> None:
    two.write("cases/tiny.yaml", TWO.replace("  tiny2:\n", "  tiny2:\n    requires: {engine: '>=0.5.99'}\n"))
    two.write(
        "tests/test_own.py",
        "import pytest\nfrom pathlib import Path\n@pytest.fixture\ndef sgdiff_case():\n"
        "    from pytest_sgdiff.cases.load import read_cases\n"
        "    return read_cases(Path('cases/tiny.yaml').absolute(), Path.cwd())[1]\n"
        "def test_own(sgdiff):\n    sgdiff.check()\n",
    )
    two.run("--sgdiff-gpus=4", "--sgdiff-report=report.json", "tests", "cases/tiny.yaml::tiny")
    assert report_of(two)["selected"] == 2
    assert gaps_of(two) == {"tests/test_own.py::test_own": "engine-version"}


def test_a_baseline_that_is_there_already_is_no_gap(two: Project) -> None:
    result = two.run("--sgdiff-gpus=4", "--sgdiff-update=missing", "--sgdiff-strict", "--sgdiff-report=report.json")
    assert result.ret == 0, result.stdout.str()
    assert set(gaps_of(two).values()) == {"recorded"}


def test_a_baseline_that_is_there_excuses_no_other_that_is_missing(two: Project) -> None:
    case = TWO.replace("  tiny2:\n", "  tiny3:\n    requires: {gpu: [B200]}\n")
    two.write("cases/tiny.yaml", case)
    result = two.run("--sgdiff-gpus=4", "--sgdiff-update=missing", "--sgdiff-report=report.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert set(gaps_of(two).values()) == {"recorded", "gpus"}


@pytest.mark.parametrize("name", ["results", "fixtures", "own-folder"])
def test_no_part_of_the_plugin_can_be_switched_off(slower: Project, name: str) -> None:
    result = slower.run("--sgdiff-gpus=4", "-p", f"no:sgdiff-{name}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"-p no:sgdiff-{name} switches off" in result.stderr.str()


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("SGDIFF_DRY_RUN", "1", "SGDIFF_DRY_RUN=1"),
        ("SGDIFF_UPDATE", "all", "SGDIFF_UPDATE=all"),
        ("SGDIFF_AGAINST", "sglang", "SGDIFF_AGAINST=sglang"),
        ("SGDIFF_REPLAY", ".", "SGDIFF_REPLAY=."),
        ("PYTEST_ADDOPTS", "--sgdiff-dry-run", "--sgdiff-dry-run"),
        ("PYTEST_ADDOPTS", "--sgdiff-update", "--sgdiff-update"),
        ("PYTEST_ADDOPTS", "--co", "--collect-only"),
        ("PYTEST_ADDOPTS", "--fixtures", "--fixtures"),
        ("PYTEST_ADDOPTS", "--setup-plan", "--setup-plan"),
    ],
)
def test_nothing_but_the_command_line_makes_something_else_of_a_gate(
    slower: Project, variable: str, value: str, named: str
) -> None:
    slower.setenv(variable, value)
    before = sorted(slower.root.rglob("*.log"))
    result = slower.run("--sgdiff-gpus=4")
    assert result.ret == pytest.ExitCode.USAGE_ERROR, result.stdout.str()
    assert named in result.stderr.str()
    assert sorted(slower.root.rglob("*.log")) == before


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SGDIFF_GPUS", "4", ["--sgdiff-update=missing"]),
        ("SGDIFF_UPDATE", "missing", ["--sgdiff-gpus=4", "--sgdiff-update=missing"]),
        ("SGDIFF_DRY_RUN", "1", []),
        ("SGDIFF_DRY_RUN", "0", ["--sgdiff-gpus=4", "--sgdiff-update=missing"]),
        ("SGDIFF_GPUS", "4", ["--sgdiff-dry-run"]),
        ("PYTEST_ADDOPTS", "--co", ["--sgdiff-gpus=4", "--collect-only"]),
    ],
)
def test_what_does_not_contradict_the_command_line_stands(
    slower: Project, variable: str, value: str, words: list[str]
) -> None:
    slower.setenv(variable, value)
    assert slower.run(*words).ret == 0


@pytest.mark.parametrize("option", ["--co", "--fixtures", "--markers"])
def test_a_run_that_only_shows_what_is_there_says_nothing_of_measuring(slower: Project, option: str) -> None:
    result = slower.run("--sgdiff-gpus=4", option)
    assert result.ret == 0
    assert "measured" not in "\n".join(line for line in result.outlines if line.startswith(("sgdiff", "=")))
