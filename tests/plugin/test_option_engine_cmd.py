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


def test_a_secret_in_the_command_of_the_engine_is_kept_nowhere(project: Project) -> None:
    command = f"env HF_TOKEN=short-secret {FAKE_BIN / 'sglang'}"
    output = project.run(
        "--sgdiff-gpus=1", f"--sgdiff-engine-cmd={command}", "--sgdiff-report=r.json", "--sgdiff-report=r.html"
    ).stdout.str()
    assert "no baseline for" in output
    kept = [path for path in project.root.rglob("*") if path.is_file() and path.suffix in (".json", ".html", ".log")]
    assert {"r.json", "r.html", "launch.json"} <= {path.name for path in kept}
    assert [str(path) for path in kept if "short-secret" in path.read_text(errors="replace")] == []
    assert "short-secret" not in output
