"""`--sgdiff-against`: base and current engine in turn, judged pair by pair, without a baseline."""

from __future__ import annotations

import os
import shlex
import sys

import pytest

from tests.plugin.conftest import FAKE_BIN, Project


def engine(project: Project, name: str, scenario: str) -> str:
    """An engine command of its own, behaving as the scenario says."""
    path = project.write(
        f"{name}/sglang",
        f'#!/bin/sh\nSGDIFF_FAKE_SCENARIO={scenario} exec {shlex.quote(sys.executable)} {FAKE_BIN}/sglang "$@"\n',
    )
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("scenario", "outcome", "code"), [("native", "pass", 0), ("slow:1.08", "regressed", 1)], ids=["same", "slower"]
)
def test_pairs_are_judged_without_a_baseline(project: Project, scenario: str, outcome: str, code: int) -> None:
    base, now = engine(project, "base", "native"), engine(project, "now", scenario)
    result = project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}")
    output = result.stdout.str()
    assert result.ret == code, output
    assert f"measured 1 of 1 · 1 {outcome}" in output
    assert not (project.root / "baselines").exists()


def test_engines_are_launched_in_the_order_abba(project: Project) -> None:
    base, now = engine(project, "base", "native"), engine(project, "now", "native")
    project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}", "--sgdiff-out=kept")
    launches = [
        *(project.root / "kept").glob("tiny/*/launch.json"),
        *(project.root / "kept").glob("against/tiny/*/launch.json"),
    ]
    ordered = sorted(launches, key=lambda path: os.stat(path).st_mtime_ns)
    assert ["B" if "against" in path.parts else "A" for path in ordered][:6] == ["B", "A", "A", "B", "B", "A"]


def test_a_base_engine_that_falls_back_is_named(project: Project) -> None:
    base, now = engine(project, "base", "fallback"), engine(project, "now", "native")
    result = project.run("--sgdiff-gpus=1", f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "base engine: ran on the diffusers backend" in result.stdout.str()
