"""`--sgdiff-engine-cmd`: which engine is launched."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import FAKE_BIN, Project


def test_an_engine_that_is_not_there_is_a_usage_error_before_the_first_case(project: Project) -> None:
    result = project.run("--sgdiff-gpus=1", "--sgdiff-engine-cmd=/nowhere/sglang")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "/nowhere/sglang" in result.stderr.str()
    assert "--sgdiff-engine-cmd" in result.stderr.str()


def test_a_command_of_several_words_is_launched_as_such(project: Project) -> None:
    project.setenv("PATH", "/usr/bin:/bin")
    result = project.run(
        "--sgdiff-gpus=1", "--sgdiff-update", f"--sgdiff-engine-cmd=env PATH=/usr/bin {FAKE_BIN}/sglang"
    )
    assert result.ret == 0, result.stdout.str() + result.stderr.str()
