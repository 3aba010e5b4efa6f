"""`--sgdiff-out`: every launch's dump, log and machine record are kept."""

from __future__ import annotations

import json

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
    (run,) = (project.root / ".sgdiff").iterdir()
    assert (run / "tiny" / "00" / "perf.json").is_file()


def test_launches_of_an_earlier_run_in_the_same_folder_are_replaced(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    first = (project.root / "kept" / "tiny" / "00" / "launch.json").read_text()
    result = project.run("--sgdiff-gpus=4", "--sgdiff-out=kept")
    assert result.ret == 0, result.stdout.str()
    assert (project.root / "kept" / "tiny" / "00" / "launch.json").read_text() != first
    # Four launches of the earlier run are not of this one: judged again they would count as its own.
    assert sorted(path.name for path in (project.root / "kept" / "tiny").iterdir()) == ["00"]


def test_a_folder_that_cannot_be_written_is_one_message(project: Project) -> None:
    result = project.run("--sgdiff-gpus=4", "--sgdiff-out=/proc/none")
    said = "/proc/none: cannot be written for the launch: No such file or directory"
    assert [line for line in result.outlines if "/proc/none" in line][1:] == [
        said,
        f"FAILED cases/tiny.yaml::tiny - Failed: {said}",
    ]
    assert "exception" not in result.stdout.str()
