"""`--sgdiff-out`: every launch's dump, log and machine record are kept."""

from __future__ import annotations

import json
import shutil

import pytest

from pytest_sgdiff.launch import log_text
from tests.plugin.conftest import Project


def test_each_launch_has_a_folder_with_dump_log_and_record(project: Project) -> None:
    project.setenv("HF_TOKEN", "hf_abcdefghijklmnopqrstuvwxyz0123")
    project.record("--sgdiff-out=kept")
    folders = sorted(path.name for path in (project.root / "kept" / "tiny").iterdir())
    assert folders == ["00", "01", "02", "03", "04"]
    launch = project.root / "kept" / "tiny" / "00"
    assert sorted(path.name for path in launch.iterdir()) == ["engine.log", "launch.json", "perf.json"]
    record = json.loads((launch / "launch.json").read_text())
    assert record["machine"] == {"count": 1, "kind": "gpu", "product": "NVIDIA H200"}
    assert record["returncode"] == 0
    assert record["environment"]["engine_version"] == "0.5.17"
    assert "hf_abcdefghij" not in "".join(path.read_text() for path in launch.iterdir())


def test_without_it_launches_are_kept_below_the_root_in_a_folder_of_the_run(project: Project) -> None:
    project.record()
    (run,) = (project.root / ".sgdiff").glob("2*")
    assert (run / "tiny" / "00" / "perf.json").is_file()


def test_launches_of_an_earlier_run_in_the_same_folder_are_replaced(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    first = (project.root / "kept" / "tiny" / "00" / "launch.json").read_text()
    result = project.run("--sgdiff-gpus=4", "--sgdiff-out=kept")
    assert result.ret == 0, result.stdout.str()
    assert (project.root / "kept" / "tiny" / "00" / "launch.json").read_text() != first
    # Four launches of the earlier run are not of this one: judged again they would count as its own.
    assert sorted(path.name for path in (project.root / "kept" / "tiny").iterdir()) == ["00"]


def test_a_case_that_is_not_launched_keeps_no_launches_of_an_earlier_run(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    kept = project.root / "kept"
    shutil.copytree(kept / "tiny", kept / "other")  # which this run does not select
    shutil.copytree(kept / "tiny", kept / "against" / "tiny")
    note = project.write("kept/tiny/note.txt", "mine")
    before = sorted(kept.rglob("*"))
    for looks_only in ("--sgdiff-dry-run", "--collect-only"):
        project.run("--sgdiff-gpus=1", "--sgdiff-out=kept", looks_only)
        assert sorted(kept.rglob("*")) == before
    assert project.run("--sgdiff-replay=kept").ret == 0
    project.busy()
    result = project.run("--sgdiff-gpus=1", "--sgdiff-gpu-timeout=0.1", "--sgdiff-out=kept")
    assert "measured 0 of 1 · 1 inconclusive" in result.stdout.str()
    assert list((kept / "tiny").iterdir()) == [note]
    assert not list((kept / "against" / "tiny").iterdir())
    assert (kept / "other" / "04" / "launch.json").is_file()
    result = project.run("--sgdiff-replay=kept")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "the recording holds no launch of this case" in result.stdout.str()


def test_a_very_long_log_is_kept_whole_and_replayed_as_it_was_judged(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_text, "TEXT_LIMIT", 10_000)
    noise = '[ "$1" = generate ] && seq 10000'
    project.write("noisy", f'#!/bin/sh\n{noise}\nsglang "$@"\n{noise}\ntrue\n').chmod(0o755)
    project.baseline()
    live = project.run("--sgdiff-gpus=4", "--sgdiff-engine-cmd=./noisy", "--sgdiff-out=kept")
    assert "measured 1 of 1 · 1 pass" in live.stdout.str()
    log = (project.root / "kept" / "tiny" / "00" / "engine.log").read_text()
    assert log.count("\n5000\n") == 2
    assert "left out here" not in log
    assert "measured 1 of 1 · 1 pass" in project.run("--sgdiff-replay=kept").stdout.str()


def test_a_folder_that_cannot_be_written_is_one_message(project: Project) -> None:
    result = project.run("--sgdiff-gpus=4", "--sgdiff-out=/proc/none")
    said = "/proc/none: cannot be made: No such file or directory"
    assert [line for line in result.outlines if "/proc/none" in line][1:] == [
        said,
        f"FAILED cases/tiny.yaml::tiny - {said}",
    ]
    assert "exception" not in result.stdout.str()
