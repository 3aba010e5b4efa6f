"""The worked example of engines that are not SGLang's (`examples/engines`): a command and a server, really launched."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.plugin.conftest import Project

EXAMPLE = Path(__file__).parents[2] / "examples" / "engines"

# What does not prove that the fast path ran, and what fails in each engine.
FAULTS = """
defaults: {model: toy, gpus: 0, launches: {baseline: 3}, timeout: 60s, args: {steps: 2, seed: 42, fast-path: true}}
cases:
  slow_generate: {engine: toy-generate, args: {fast-path: null}}
  slow_serve: {engine: toy-serve, args: {fast-path: null}}
  bad_generate: {engine: toy-generate, args: {steps: many}}
  bad_serve: {engine: toy-serve, args: {size: 0}}
  unknown: {engine: toy-fly}
"""


@pytest.fixture
def example(project: Project) -> Project:
    """The example as a user copies it."""
    shutil.copytree(EXAMPLE, project.root, dirs_exist_ok=True)
    return project


def test_the_example_measures_a_command_and_a_server_and_refuses_what_proves_nothing(example: Project) -> None:
    example.write("cases/faults.yaml", FAULTS)
    result = example.run("--sgdiff-gpus=none", "--sgdiff-update", "--sgdiff-report=report.json", "--sgdiff-out=kept")
    assert result.ret == 1
    found = {case["case"]: case for case in json.loads((example.root / "report.json").read_text())["cases"]}
    outcomes = {case: one["outcome"] for case, one in found.items()}
    # The stand-in's case is there too, and asks the command for help that it has not.
    assert outcomes.pop("tiny", "skipped") == "skipped"
    assert outcomes == {
        "toy_generate": "pass",
        "toy_serve": "pass",
        "slow_generate": "invalid",
        "slow_serve": "invalid",
        "bad_generate": "invalid",
        "bad_serve": "invalid",
    }, result.stdout.str()
    # Nobody brings this one.
    assert "no engine 'toy-fly'" in result.stdout.str()

    assert {problem["kind"] for problem in found["bad_serve"]["problems"]} == {"launch-failed"}
    assert "[engine-help]" not in result.stdout.str()

    (folder,) = (example.root / "baselines").iterdir()
    command, server = (json.loads((folder / f"toy_{name}.json").read_text()) for name in ("generate", "serve"))
    assert len(command["metrics"]["denoise_steps"]) == len(server["metrics"]["client_e2e"]) == 3
    assert "client_e2e" not in command["metrics"]
    assert {"stage:TextEncodingStage", "stage:DenoisingStage", "stage:DecodingStage"} <= set(server["metrics"])
    # One request to warm up, three that are measured.
    launch = found["toy_serve"]["launches"][0]
    assert [one["warmup"] for one in launch["requests"]] == [True, False, False, False]
    assert launch["warmup"] == "proven"
