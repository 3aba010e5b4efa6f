"""`--sgdiff-fail-on` and `--sgdiff-strict`: which outcomes fail a case."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import CASE, Project


def test_inconclusive_is_a_category_of_its_own_and_no_failure(project: Project) -> None:
    project.baseline()
    project.write("cases/tiny.yaml", CASE.replace("checkpoints: [1, 3, 5]", "checkpoints: [1]"))
    project.engine("slow:1.08")
    result = project.run("--sgdiff-gpus=1")
    assert result.ret == 0, result.stdout.str()
    assert "1 inconclusive in" in result.stdout.str()
    assert "measured 1 of 1 · 1 inconclusive" in result.stdout.str()
    for arguments in (["--sgdiff-fail-on=inconclusive"], ["--sgdiff-strict"]):
        failed = project.run("--sgdiff-gpus=1", *arguments)
        assert failed.ret == pytest.ExitCode.TESTS_FAILED
        failed.assert_outcomes(failed=1)


def test_it_may_stand_in_the_ini_file(project: Project) -> None:
    project.baseline()
    project.write("cases/tiny.yaml", CASE.replace("checkpoints: [1, 3, 5]", "checkpoints: [1]"))
    project.engine("slow:1.08")
    project.write("pytest.ini", "[pytest]\nsgdiff_fail_on = inconclusive\n")
    assert project.run("--sgdiff-gpus=1").ret == pytest.ExitCode.TESTS_FAILED
