"""The hooks of `hookspecs.py`: what a conftest.py answers counts, and a bad answer is told to whoever wrote it."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import CASE, Project

CASE = CASE.replace("baseline: 5", "baseline: 3")


@pytest.fixture(autouse=True)
def quick(project: Project) -> None:
    """Fewer launches of the one case."""
    project.write("cases/tiny.yaml", CASE)


ANSWERS = """
import dataclasses, json
from pathlib import Path

ROOT = Path(__file__).parent

def pytest_sgdiff_command(case, command):
    return dataclasses.replace(command, argv=("nice", *command.argv)) if case.id == "tiny" else None

def pytest_sgdiff_metrics(dump):
    return {"stages_seen": len(dump.stages)}

def pytest_sgdiff_machine(environment):
    return dataclasses.replace(environment, host="node-7")

def pytest_sgdiff_report(config, run):
    rows = [
        [result.case, entry.environment.host, entry.metrics["stages_seen"]]
        for result in run.results for entry in result.launches
    ]
    with (ROOT / "told.jsonl").open("a") as file:
        file.write(json.dumps([hasattr(config, "workerinput"), sorted(rows)]) + "\\n")
"""

ENGINE = """
import dataclasses
from pytest_sgdiff.engines import ENGINES

class Mine:
    name = "mine"

    def command(self, case, **given):
        command = ENGINES["sglang-generate"].command(case, **given)
        return dataclasses.replace(command, env={**command.env, "BY": "mine"})

    def read(self, launch, case):
        return ENGINES["sglang-generate"].read(launch, case)

def pytest_sgdiff_engine(case):
    return Mine() if case.engine == "mine" else None
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_answers_of_every_hook_count(project: Project, workers: tuple[str, ...]) -> None:
    project.write("conftest.py", ANSWERS)
    project.write("cases/other.yaml", CASE.replace("tiny:", "other:"))
    project.record("--sgdiff-out=kept", *workers)
    told = [json.loads(line) for line in (project.root / "told.jsonl").read_text().splitlines()]
    rows = [["other", "node-7", 8.0]] * 3 + [["tiny", "node-7", 8.0]] * 3
    assert told == [[False, rows]], "once, on the controller"
    first = {
        case: json.loads((project.root / "kept" / case / "00" / "launch.json").read_text())
        for case in ("tiny", "other")
    }
    assert first["tiny"]["argv"][0] == "nice"
    assert first["other"]["argv"][0] != "nice"


def test_a_metric_of_a_hook_is_recorded_and_never_fails_a_case(project: Project) -> None:
    project.write("conftest.py", "def pytest_sgdiff_metrics(dump):\n    return {'mine': 10.0}\n")
    project.record()
    document = json.loads((project.root / "baselines" / "nvidia-h200-x1" / "tiny.json").read_text())
    assert document["metrics"]["mine"] == [10.0] * 3
    project.write("conftest.py", "def pytest_sgdiff_metrics(dump):\n    return {'mine': 9000.0}\n")
    result = project.run("--sgdiff-gpus=4")
    assert result.ret == 0, result.stdout.str()


def test_an_engine_of_a_hook_runs_its_cases(project: Project) -> None:
    project.write("cases/tiny.yaml", CASE.replace("    summary", "    engine: mine\n    summary"))
    result = project.run("--sgdiff-dry-run")
    assert result.ret == 1
    assert (
        "cases/tiny.yaml:6:5: no engine 'mine'; known: sglang-generate, sglang-serve; others come from the hook "
        "pytest_sgdiff_engine" in result.outlines
    )
    project.write("conftest.py", ENGINE)
    result = project.run("--sgdiff-dry-run")
    assert result.ret == 0
    assert "BY=mine" in result.stdout.str()
    project.record()


def test_an_answer_of_the_wrong_kind_fails_the_case_and_says_so(project: Project) -> None:
    answers = {
        "tiny": ("command", "['ls']", "the answer must be a pytest_sgdiff.data.Command or None, got ['ls']"),
        "number": ("metrics", "3", "the answer must be a dict or None, got 3"),
        "word": ("metrics", "{'mine': 'many'}", "the answer must be a finite number for 'mine', got 'many'"),
        "nan": ("metrics", "{'mine': float('nan')}", "the answer must be a finite number for 'mine', got nan"),
        "taken": ("metrics", "{'e2e': 1.0}", "'e2e' is a metric already: choose another"),
        "derived": ("metrics", "{'pause': 1.0}", "'pause' is a metric already: choose another"),
    }
    hooks = "".join(
        f"def pytest_sgdiff_{hook}(case):\n    return {{{of}}}.get(case.id)\n"
        for hook in ("command", "metrics")
        for of in [", ".join(f"'{name}': {told[1]}" for name, told in answers.items() if told[0] == hook)]
    )
    project.write("conftest.py", hooks)
    for name in answers:
        project.write(f"cases/{name}.yaml", CASE.replace("tiny:", f"{name}:"))
    result = project.run("--sgdiff-gpus=4")
    assert result.ret == 1
    for name, (hook, _, message) in answers.items():
        assert f"pytest_sgdiff_{hook}: {message}" in result.outlines
        assert f"sgdiff: not measured: cases/{name}.yaml::{name} (failed)" in result.outlines
    assert "INTERNALERROR" not in result.stdout.str()


def test_an_answer_about_the_machine_of_the_wrong_kind_fails_the_case_and_says_so(project: Project) -> None:
    project.write("conftest.py", "def pytest_sgdiff_machine():\n    return {'host': 'a'}\n")
    result = project.run("--sgdiff-gpus=4")
    assert result.ret == 1
    message = "the answer must be a pytest_sgdiff.data.Environment or None, got {'host': 'a'}"
    assert f"pytest_sgdiff_machine: {message}" in result.outlines
    assert "sgdiff: not measured: cases/tiny.yaml::tiny (failed)" in result.outlines
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_hook_that_raises_fails_the_case_with_its_own_traceback(project: Project) -> None:
    project.write("conftest.py", "def pytest_sgdiff_command():\n    raise RuntimeError('of mine')\n")
    result = project.run("--sgdiff-gpus=4")
    assert result.ret == 1
    output = result.stdout.str()
    assert "conftest.py:2: RuntimeError" in output
    assert "FAILED cases/tiny.yaml::tiny - RuntimeError: of mine" in output


def test_a_report_hook_that_raises_costs_neither_the_reports_nor_the_summary(project: Project) -> None:
    project.write("conftest.py", "def pytest_sgdiff_report():\n    raise RuntimeError('of mine')\n")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-report=run.json")
    assert result.ret == 1, "a report that somebody relies on is missing"
    place = project.root / "conftest.py"
    assert f"sgdiff: the hook pytest_sgdiff_report failed: RuntimeError: of mine ({place}:2)" in result.outlines
    assert (project.root / "run.json").exists()
    assert "measured 1 of 1" in result.stdout.str()
