"""`--sgdiff-gpu-timeout`: hardware that stays busy is no verdict on the engine."""

from __future__ import annotations

import pytest

from pytest_sgdiff.gpus import host_lock
from tests.plugin.conftest import CASE, Project


def test_busy_gpus_are_inconclusive_and_say_who_holds_them(project: Project) -> None:
    project.busy()
    result = project.run("--sgdiff-gpus=1", "--sgdiff-gpu-timeout=4")
    output = result.stdout.str()
    assert "environment: " in output
    assert "419" in output
    assert "1 inconclusive" in output
    # Nothing was measured, so the run as a whole is not green.
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_host_that_another_launch_has_for_itself_is_inconclusive(project: Project) -> None:
    project.record()  # which makes the folder of locks
    with host_lock.entered(str(project.root / "locks"), ident="x", tag="somebody_s_case", alone=True, timeout_s=5):
        result = project.run("--sgdiff-gpus=1", "--sgdiff-gpu-timeout=1")
    output = result.stdout.str()
    assert "environment: tiny did not get shared use of the host within 1 s: somebody_s_case still running" in output
    assert "1 inconclusive" in output


def test_a_case_that_cannot_work_is_refused_before_it_waits_for_gpus(project: Project) -> None:
    """Waiting may take an hour, and what is wrong with the case is known before."""
    project.busy()
    project.write("cases/tiny.yaml", CASE.replace("seed: 42}", "seed: 42, ulysses-degree: 3}"))
    result = project.run("--sgdiff-gpus=1", "--sgdiff-gpu-timeout=0.1")
    assert result.parseoutcomes() == {"errors": 1}
    assert "ulysses" in result.stdout.str()
    assert "environment: " not in result.stdout.str()
