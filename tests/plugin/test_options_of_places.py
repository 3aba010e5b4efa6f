"""Options that say where things are: `--sgdiff-baselines`, `-assets`, `-lock-dir`, `-files`."""

from __future__ import annotations

import shlex

import pytest

from tests.plugin.conftest import CASE, Project


def test_baselines_are_read_and_written_where_the_option_or_the_ini_file_says(project: Project) -> None:
    project.record("--sgdiff-baselines=elsewhere")
    assert (project.root / "elsewhere" / "nvidia-h200-x1" / "tiny.json").exists()
    project.write("pytest.ini", "[pytest]\nsgdiff_baselines = elsewhere\n")
    assert project.run("--sgdiff-gpus=1").ret == 0


def test_a_corrupt_baseline_is_named_with_its_line_and_no_traceback(project: Project) -> None:
    project.baseline()
    path = project.root / "baselines" / "nvidia-h200-x1" / "tiny.json"
    path.write_text(path.read_text().replace("[", "{", 1))
    result = project.run("--sgdiff-gpus=1")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "baselines/nvidia-h200-x1/tiny.json:" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()


def test_a_missing_asset_fails_before_any_launch(project: Project) -> None:
    project.write("cases/tiny.yaml", CASE.replace("args: {", "assets: {image-path: cat.png}\n    args: {"))
    result = project.run("--sgdiff-gpus=1", "--sgdiff-assets=pictures")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cat.png" in result.stdout.str()
    assert "Traceback" not in result.stdout.str()
    assert not list((project.root / ".sgdiff").glob("*/tiny/*"))
    project.write("pictures/cat.png", "meow")
    assert project.run("--sgdiff-gpus=1", "--sgdiff-assets=pictures", "--sgdiff-update").ret == 0


def test_leases_are_kept_where_the_option_says(project: Project) -> None:
    project.record(f"--sgdiff-lock-dir={project.root / 'my-locks'}")
    assert (project.root / "my-locks" / "gpu").is_dir()


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
@pytest.mark.parametrize("lost", ["files", "folder"])
def test_a_lock_directory_that_is_emptied_during_a_run_ends_in_no_verdict(
    project: Project, lost: str, workers: tuple[str, ...]
) -> None:
    """Another run may have the GPU by then; the cases after it lease anew where that can be done."""
    locks = project.root / "locks"
    wipe = {"files": f"find {locks} -type f -delete", "folder": f"mv {locks} {locks}.old"}[lost]
    engine = project.write("engine", f'#!/bin/sh\nif [ "$1" = generate ]; then {wipe}; fi\nexec sglang "$@"\n')
    engine.chmod(0o755)
    result = project.run("--sgdiff-gpus=1", f"--sgdiff-engine-cmd={engine}", *workers)
    output = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "1 inconclusive" in output
    assert "environment: " in output
    assert "--sgdiff-lock-dir" in output
    assert "Traceback" not in output
    assert "INTERNALERROR" not in output


def test_other_files_are_cases_where_the_globs_say_so(project: Project) -> None:
    project.write("perf/mine.yml", CASE.replace("tiny:", "mine:"))
    result = project.run("--collect-only", "-q", "--sgdiff-files=perf/*.yml")
    assert [line for line in result.outlines if "::" in line] == ["perf/mine.yml::mine"]


@pytest.mark.parametrize("folder", ["", "cases"])
def test_what_is_told_to_be_typed_works_where_pytest_was_called(
    project: Project, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    project.write("pictures/cat.png", "meow")
    project.write(
        "perf/mine.yml", CASE.replace("tiny:", "mine:").replace("args: {", "assets: {image-path: cat.png}\n    args: {")
    )
    monkeypatch.chdir(project.root / folder)
    up = ".." if folder else "."
    places = ["--sgdiff-baselines=elsewhere", "--sgdiff-assets=pictures", "--sgdiff-files=perf/*.yml"]
    kept = f"{up}/kept"
    words = typed(project.run("--sgdiff-gpus=1", *places, f"{up}/perf"))
    assert words[1:4] == ["--sgdiff-gpus=1", "--sgdiff-baselines=elsewhere", "--sgdiff-assets=pictures"]
    assert project.run(*words[1:], f"--sgdiff-out={kept}").ret == 0
    baseline = project.root / "elsewhere" / "nvidia-h200-x1" / "mine.json"
    baseline.unlink()
    words = typed(project.run(f"--sgdiff-replay={kept}", *places, f"{up}/perf"))
    assert project.run(*words[1:]).ret == 0
    assert baseline.exists()


def typed(result: pytest.RunResult) -> list[str]:
    """The command that a case without a baseline tells."""
    (line,) = [line for line in result.outlines if line.startswith("  next ")]
    return shlex.split(line.partition(": ")[2])
