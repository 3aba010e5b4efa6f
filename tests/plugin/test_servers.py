"""Servers as a case's engine: recorded, gated and replayed as any other."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.recordings.store import read_launches
from tests.plugin.conftest import FAKE_BIN, Project

SERVED = """
cases:
  tiny:
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    args: {prompt: a cat in a field, width: 832, height: 480, num-frames: 17, num-inference-steps: 20, seed: 42}
    matrix: {engine: [sglang-generate, sglang-serve]}
    # The times of a client are real, also where a server plays: they decide nothing here.
    metrics: {gate: [denoise]}
    launches: {baseline: 3, checkpoints: [1, 3], requests: 2}
    timeout: 60s
"""


def report(project: Project) -> dict[str, Any]:
    return {case["case"]: case for case in json.loads((project.root / "report.json").read_text())["cases"]}


def test_a_server_is_recorded_gated_and_replayed(project: Project) -> None:
    project.write("cases/tiny.yaml", SERVED)
    project.record("-k", "serve")
    (path,) = (project.root / "baselines").rglob("*.json")
    baseline = baselines.load(path)
    assert [len(launch.requests) for launch in baseline.measurement.launches] == [0, 0, 0]
    assert {"client_e2e", "queue", "load", "warmup"} <= set(baseline.measurement.values)
    assert baseline.measurement.workload.fields["launches.requests"] == 2

    project.engine("slow:1.4")
    live = project.run("--sgdiff-gpus=1", "-k", "serve", "--sgdiff-out=kept", "--sgdiff-report=report.json")
    assert live.ret == pytest.ExitCode.TESTS_FAILED
    case = report(project)["tiny[sglang-serve]"]
    assert (case["outcome"], case["decided_by"]) == ("regressed", ["denoise_steps"])
    for launch in case["launches"]:
        assert [(one["number"], one["warmup"]) for one in launch["requests"]] == [(0, True), (1, False), (2, False)]
        measured = [one["metrics"]["client_e2e"] for one in launch["requests"][1:]]
        assert launch["metrics"]["client_e2e"] == pytest.approx(sum(measured) / 2)

    replayed = project.run("--sgdiff-replay=kept", "-k", "serve", "--sgdiff-report=report.json")
    assert replayed.ret == pytest.ExitCode.TESTS_FAILED
    again = report(project)["tiny[sglang-serve]"]
    assert (again["verdicts"], again["outcome"]) == (case["verdicts"], "regressed")
    assert [one["requests"] for one in again["launches"]] == [one["requests"] for one in case["launches"]]

    # Graphs that it turns on by itself are other work.
    project.engine("graphs")
    project.run("--sgdiff-gpus=1", "-k", "serve", "--sgdiff-report=report.json")
    other = report(project)["tiny[sglang-serve]"]
    assert (other["outcome"], other["reason_code"]) == ("no-baseline", "not-comparable")
    assert "engine-chose.breakable-cuda-graph" in other["workload"]["fields"]


def test_without_the_client_a_case_says_what_to_install(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("cases/tiny.yaml", SERVED)
    monkeypatch.setattr("pytest_sgdiff.launch.client._NEEDED", {"aiohttp": "no_such_module"})
    result = project.run("--sgdiff-gpus=1", "-k", "serve")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    told = "the engine sglang-serve needs aiohttp: pip install aiohttp"
    assert f"cases/tiny.yaml:6:40: {told}" in result.stdout.str()


def test_the_page_about_servers_shows_what_is_launched(project: Project) -> None:
    page = (Path(__file__).parents[2] / "docs" / "servers.md").read_text(encoding="utf-8")
    (case,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (shown,) = re.findall(r"```console\n(.*?)```", page, re.DOTALL)
    project.write("cases/wan21.yaml", case)
    (project.root / "cases" / "tiny.yaml").unlink()
    command, *printed = shown.splitlines()
    lines = project.run(*shlex.split(command)[2:]).stdout.lines
    start = lines.index(printed[0])
    assert lines[start : start + len(printed)] == printed


def test_servers_of_two_engines_run_side_by_side_on_gpus_of_their_own(project: Project) -> None:
    for name, scenario in (("base", "native"), ("now", "slow:1.3")):
        run = f'SGDIFF_FAKE_SCENARIO={scenario} exec {FAKE_BIN}/sglang "$@"'
        project.write(f"{name}/sglang", f"#!/bin/sh\n{run}\n").chmod(0o755)
    project.write("cases/tiny.yaml", SERVED.replace("requests: 2", "requests: 2, side_by_side: true"))
    engines = (f"--sgdiff-against={project.root}/base/sglang", f"--sgdiff-engine-cmd={project.root}/now/sglang")
    ran = project.run("--sgdiff-gpus=2", "-k", "serve", *engines, "--sgdiff-out=kept", "--sgdiff-report=report.json")
    assert ran.ret == pytest.ExitCode.TESTS_FAILED
    case = report(project)["tiny[sglang-serve]"]
    assert (case["outcome"], case["decided_by"], case["machine"]["count"]) == ("regressed", ["denoise_steps"], 1)
    sides = [read_launches(project.root / "kept" / side, "tiny[sglang-serve]") for side in ("against", "")]
    for pair, (then, now) in enumerate(zip(*sides, strict=True)):
        gpus = [one.environment.gpu_uuids for one in (then, now)]
        # They change GPUs from pair to pair.
        assert [int(uuid[-1]) for uuids in gpus for uuid in uuids] == [pair % 2, 1 - pair % 2]
        ports = [one.argv[one.argv.index("--port") + 1] for one in (then, now)]
        assert ports[0] != ports[1]
        # At the same time.
        assert then.started_ns is not None
        assert now.started_ns is not None
        began, ended = (
            max(then.started_ns, now.started_ns),
            [one.started_ns + 1e9 * (one.wall_s or 0) for one in (then, now) if one.started_ns],
        )
        assert began < min(ended)
