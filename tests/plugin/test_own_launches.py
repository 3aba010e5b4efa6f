"""Whose launches a replay judges where tests in Python, or several tests, measure the case of a file."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import Project
from tests.plugin.test_option_shard import OWN

YAML, PYTHON = "cases/tiny.yaml::tiny", "test_own.py::test_measures"


def outcomes(project: Project, *arguments: str) -> dict[str, str]:
    """What each test gives."""
    project.run(*arguments, "--sgdiff-report=report.json")
    cases = json.loads((project.root / "report.json").read_text())["cases"]
    return {case["node_id"]: case["outcome"] for case in cases}


def test_a_replay_of_a_test_in_python_judges_no_launches_of_an_earlier_run(project: Project) -> None:
    project.write("test_own.py", OWN)
    project.engine("native")
    project.run("--sgdiff-gpus=1", "--sgdiff-out=kept", "--sgdiff-shard=1/1")
    project.engine("fallback")
    assert outcomes(project, "--sgdiff-gpus=1", "--sgdiff-out=kept", PYTHON) == {PYTHON: "invalid"}
    assert outcomes(project, "--sgdiff-replay=kept", PYTHON) == {PYTHON: "invalid"}


FALLING_BACK = (
    OWN
    + """

@pytest.fixture(autouse=True)
def fallback(monkeypatch):
    monkeypatch.setenv("SGDIFF_FAKE_SCENARIO", "fallback")
"""
)


@pytest.mark.parametrize("order", [(YAML, PYTHON), (PYTHON, YAML)])
def test_a_replay_judges_a_test_in_python_by_its_own_launches(project: Project, order: tuple[str, ...]) -> None:
    project.write("test_own.py", FALLING_BACK)
    project.engine("native")
    of_each = {PYTHON: "invalid", YAML: "no-baseline"}
    assert outcomes(project, "--sgdiff-gpus=1", "--sgdiff-out=kept", *order) == of_each
    for again in (order, order[::-1]):
        assert outcomes(project, "--sgdiff-replay=kept", *again) == of_each


def test_a_replay_judges_no_case_of_a_file_by_launches_of_a_test_in_python_or_the_other_way_round(
    project: Project,
) -> None:
    project.write("test_own.py", OWN)
    project.run("--sgdiff-gpus=1", "--sgdiff-out=python", PYTHON)
    assert outcomes(project, "--sgdiff-replay=python")[YAML] != "no-baseline"
    project.run("--sgdiff-gpus=1", "--sgdiff-out=file", YAML)
    project.busy()
    project.run("--sgdiff-gpus=1", "--sgdiff-out=file", "--sgdiff-gpu-timeout=1", PYTHON)
    assert outcomes(project, "--sgdiff-replay=file", PYTHON)[PYTHON] != "no-baseline"


TWICE = """
import pytest

def pytest_generate_tests(metafunc):
    metafunc.parametrize("scenario", ["native", "fallback"], indirect=True)

@pytest.fixture(autouse=True)
def scenario(request, monkeypatch):
    monkeypatch.setenv("SGDIFF_FAKE_SCENARIO", request.param)
"""


def test_a_replay_judges_each_test_of_a_repeated_case_by_its_own_launches(project: Project) -> None:
    of_each = {f"{YAML}[native]": "no-baseline", f"{YAML}[fallback]": "invalid"}
    for conftest in (TWICE, TWICE.replace('"native", "fallback"', '"fallback", "native"')):
        project.write("conftest.py", conftest)
        assert outcomes(project, "--sgdiff-gpus=1", "--sgdiff-out=kept") == of_each
        assert outcomes(project, "--sgdiff-replay=kept") == of_each
