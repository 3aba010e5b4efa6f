"""`--sgdiff-profile`: one more launch with the engine's profiler, which never touches the verdict."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.runner import profile as runner_profile
from tests.plugin.conftest import PLUGINS, Project
from tests.plugin.test_option_against import engine


def case(project: Project, *arguments: str) -> Mapping[str, Any]:
    result = project.run("--sgdiff-report=report.json", *arguments)
    found: Mapping[str, Any] = json.loads((project.root / "report.json").read_text())["cases"][0]
    assert result.ret == (1 if found["outcome"] == "regressed" else 0), result.stdout.str()
    return found


def gate(project: Project, *arguments: str, profile: str = "regressed") -> Mapping[str, Any]:
    return case(project, "--sgdiff-gpus=1", f"--sgdiff-profile={profile}", "--sgdiff-out=kept", *arguments)


def test_an_operator_is_named_against_the_profile_beside_the_baseline(project: Project) -> None:
    project.baseline("--sgdiff-profile=all")
    (kept,) = (project.root / "baselines").rglob("*.profile")
    assert kept.name == "tiny.profile"
    project.engine("slow:1.30")
    found = gate(project, "--sgdiff-history=history.db")
    profile = found["profile"]
    assert (found["outcome"], profile["code"]) == ("regressed", "compared")
    assert [row["name"] for row in profile["change"]["rows"]][:1] == ["aten::gelu"]
    assert profile["change"]["steps"] == [1, 2, 3, 4, 5, 6]
    # It is neither a launch of the case nor in any figure.
    assert len(found["launches"]) == len(recordings.read_launches(project.root / "kept", "tiny"))
    assert recordings.case_ids(project.root / "kept") == ("tiny",)
    assert (project.root / profile["trace"]).is_file()
    # A replay has the same answer.
    replayed = case(project, "--sgdiff-replay=kept", "--sgdiff-profile=all")
    assert replayed["outcome"] == "regressed"
    assert replayed["profile"] == profile


def test_a_profiler_that_fails_never_turns_the_verdict(project: Project) -> None:
    project.baseline()
    project.engine("slow:1.30+no-profiler")
    found = gate(project)
    assert (found["outcome"], found["profile"]["code"]) == ("regressed", "launch-failed")


def test_both_engines_of_an_ab_run_are_profiled(project: Project) -> None:
    base, now = engine(project, "base", "native"), engine(project, "now", "slow:1.30")
    found = gate(project, f"--sgdiff-against={base}", f"--sgdiff-engine-cmd={now}")
    profile = found["profile"]
    assert (found["outcome"], profile["code"]) == ("regressed", "compared")
    assert profile["change"]["rows"][0]["name"] == "aten::gelu"
    assert (project.root / profile["base_trace"]).is_file()


def test_a_baseline_that_is_recorded_without_a_profile_loses_the_old_one(project: Project) -> None:
    project.baseline("--sgdiff-profile=all")
    project.record()
    assert not list((project.root / "baselines").rglob("*.profile"))
    # What did not regress is not profiled.
    assert gate(project)["profile"] is None
    assert not (project.root / "kept" / "profile").exists()


def test_an_unknown_value_is_refused(project: Project) -> None:
    result = project.run("--sgdiff-gpus=1", "--sgdiff-profile=some")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--sgdiff-profile=some: unknown, use one of regressed, all" in result.stderr.str()


INTERRUPTS = """
import os, signal, threading
from pytest_sgdiff.runner import profile

def pytest_configure(config):
    def interrupted(source, wanted):
        # A worker's controller is its parent; the tests themselves may run in a worker of another one.
        if hasattr(config, "workerinput"):
            os.kill(os.getppid(), signal.SIGINT)
            while not source.abandoned():
                threading.Event().wait(0.05)
        raise KeyboardInterrupt

    profile._launched = interrupted
"""


def interrupted_while_profiled(project: Project, result: pytest.RunResult) -> None:
    assert result.ret == pytest.ExitCode.INTERRUPTED, result.stdout.str()
    report = json.loads((project.root / "report.json").read_text())
    (found,) = report["cases"]
    assert (found["outcome"], found["profile"]["code"]) == ("regressed", "interrupted")
    assert (report["interrupted"], report["unmeasured"]) == (True, [])


@pytest.fixture
def interrupting(project: Project) -> Iterator[Project]:
    """A project whose case regressed, and whose profiled launch somebody ends."""
    launched = runner_profile._launched
    project.baseline()
    project.engine("slow:1.30")
    project.write("conftest.py", INTERRUPTS)
    yield project
    runner_profile._launched = launched


OPTIONS = ("--sgdiff-gpus=1", "--sgdiff-profile=regressed", "--sgdiff-report=report.json")


def test_ctrl_c_while_a_case_is_profiled_leaves_its_verdict(interrupting: Project, pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_inprocess(
        *PLUGINS, "-Wignore::pytest.PytestAssertRewriteWarning", *OPTIONS, no_reraise_ctrlc=True
    )
    interrupted_while_profiled(interrupting, result)
    assert "regressed" in result.stdout.str()


@pytest.mark.faults
def test_ctrl_c_does_so_under_xdist_too(interrupting: Project) -> None:
    interrupted_while_profiled(interrupting, interrupting.run_apart(*OPTIONS, "-n", "1"))
