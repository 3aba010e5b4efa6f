"""What the shell exports reaches the engine: it is recorded, compared, and shown."""

from __future__ import annotations

import json

import pytest

from tests.plugin.conftest import CASE, Project

VARIABLE = "SGLANG_CACHE_DIT_ENABLED"


@pytest.fixture(autouse=True)
def quick(project: Project) -> None:
    """Fewer launches of the one case."""
    fewer = "baseline: 3, checkpoints: [1]"
    project.write("cases/tiny.yaml", CASE.replace("baseline: 5, checkpoints: [1, 3, 5]", fewer))


def report(project: Project) -> dict:
    """The one case of the JSON report."""
    (case,) = json.loads((project.root / "r.json").read_text())["cases"]
    return case


def gate(project: Project, *arguments: str) -> dict:
    project.run("--sgdiff-gpus=4", "--sgdiff-report=r.json", "--sgdiff-out=out", *arguments)
    return report(project)


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_work_that_the_shell_asked_for_once_is_named_where_it_is_missing(
    project: Project, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    project.setenv(VARIABLE, "true")
    project.setenv("HF_HOME", "/data/hf")
    project.record(*workers)
    (baseline,) = (project.root / "baselines").glob("*/tiny.json")
    kept = json.loads(baseline.read_text())
    assert VARIABLE in kept["workload"]["inherited"]
    assert kept["every_launch"]["environment"]["inherited"]["HF_HOME"] == "/data/hf"
    assert gate(project, *workers)["outcome"] != "no-baseline"
    monkeypatch.delenv(VARIABLE)
    case = gate(project, *workers)
    assert case["outcome"] == "no-baseline"
    assert {"name": VARIABLE, "then": "true", "now": None, "recorded": True} in case["changed"]
    assert case["next_step_figures"]["code"] == "restore-environment"
    assert [one["name"] for one in case["next_step_figures"]["changed"]] == [VARIABLE]


def test_work_that_the_shell_asks_for_now_is_no_improvement(project: Project) -> None:
    project.baseline()
    project.setenv(VARIABLE, "true")
    case = gate(project)
    assert case["outcome"] == "no-baseline"
    assert [(one["name"], one["then"]) for one in case["next_step_figures"]["changed"]] == [(VARIABLE, None)]
    launch = json.loads((project.root / "out" / "tiny" / "00" / "launch.json").read_text())
    assert launch["environment"]["inherited"][VARIABLE] == "true"
    assert launch["workload"]["fields"][f"env.{VARIABLE}"] == "true"


def test_a_path_is_no_other_work_but_named(project: Project) -> None:
    project.baseline()
    project.setenv("TRITON_CACHE_DIR", "/data/triton")
    case = gate(project)
    assert case["outcome"] not in ("no-baseline", "invalid")
    assert {"name": "TRITON_CACHE_DIR", "then": None, "now": "/data/triton", "recorded": True} in case["changed"]
    assert any("TRITON_CACHE_DIR=/data/triton now, not set in the baseline" in line for line in case["warnings"])


def test_a_baseline_that_does_not_tell_what_it_inherited_is_compared_and_the_work_named(project: Project) -> None:
    project.baseline()
    (file,) = (project.root / "baselines").glob("*/tiny.json")
    old = json.loads(file.read_text())
    del old["workload"]["inherited"], old["every_launch"]["environment"]["inherited"]
    file.write_text(json.dumps(old))
    project.setenv(VARIABLE, "true")
    case = gate(project)
    assert case["outcome"] != "no-baseline"
    assert {"name": VARIABLE, "then": None, "now": "true", "recorded": False} in case["changed"]


def test_a_recording_is_judged_by_what_its_launches_inherited_and_not_by_the_shell_of_the_judge(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.setenv(VARIABLE, "true")
    project.record("--sgdiff-out=out")
    monkeypatch.delenv(VARIABLE)
    project.setenv("CUDA_LAUNCH_BLOCKING", "1")
    project.run("--sgdiff-replay=out", "--sgdiff-report=r.json")
    case = report(project)
    assert case["outcome"] in ("pass", "inconclusive")
    assert case["changed"] == []
    assert f"{VARIABLE}=true " in case["command"]
    assert "CUDA_LAUNCH_BLOCKING" not in case["command"]


def test_the_variable_of_the_case_wins_and_is_the_same_work(project: Project) -> None:
    project.setenv("NCCL_ALGO", "Ring")
    project.baseline()
    text = (project.root / "cases" / "tiny.yaml").read_text()
    project.write("cases/tiny.yaml", text.replace('PROFILING: "1"}', 'PROFILING: "1", NCCL_ALGO: Ring}'))
    project.setenv("NCCL_ALGO", "Tree")
    assert gate(project)["outcome"] not in ("no-baseline", "invalid")


def test_a_dry_run_shows_it(project: Project) -> None:
    project.setenv(VARIABLE, "true")
    project.setenv("SGLANG_DIFFUSION_CACHE_ROOT", "/data")
    (line,) = [line for line in project.run("--sgdiff-dry-run").outlines if "sglang generate" in line]
    assert f"{VARIABLE}=true " in line
    assert "SGLANG_DIFFUSION_CACHE_ROOT" not in line


def test_what_a_hook_adds_reaches_the_engine_and_counts(project: Project) -> None:
    project.baseline()
    project.write(
        "conftest.py",
        "import dataclasses\n"
        "def pytest_sgdiff_command(command):\n"
        f"    return dataclasses.replace(command, env={{**command.env, '{VARIABLE}': 'true'}})\n",
    )
    case = gate(project)
    assert case["outcome"] == "no-baseline"
    assert [one["name"] for one in case["changed"]] == [VARIABLE]


def test_what_the_engines_command_sets_reaches_the_engine_and_counts(project: Project) -> None:
    project.baseline()
    case = gate(project, f"--sgdiff-engine-cmd=env {VARIABLE}=true sglang")
    assert case["outcome"] == "no-baseline"
    assert {"name": VARIABLE, "then": None, "now": "true", "recorded": True} in case["changed"]
