"""`--sgdiff-keep`: how many runs are kept below `.sgdiff/`."""

from __future__ import annotations

import subprocess

import pytest

from tests.plugin.conftest import CASE, Project

QUICK = CASE.replace("baseline: 5", "baseline: 3")
WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])


@pytest.fixture
def recorded(project: Project) -> Project:
    """A project with a baseline, and a recording of its own in `kept`."""
    project.write("cases/tiny.yaml", QUICK)
    project.baseline("--sgdiff-out=kept")
    return project


def older(project: Project, count: int) -> list[str]:
    """Folders of runs of an earlier day, each with a launch."""
    names = [f"2026-01-01T00-00-{second:02d}-7" for second in range(count)]
    for name in names:
        project.write(f".sgdiff/{name}/tiny/00/engine.log", "")
    return names


def runs(project: Project) -> list[str]:
    return sorted(path.name for path in (project.root / ".sgdiff").glob("2*"))


@WORKERS
def test_the_newest_twenty_are_kept(recorded: Project, workers: tuple[str, ...]) -> None:
    names = older(recorded, 22)
    mine = recorded.write(".sgdiff/notes/note.txt", "mine")
    result = recorded.run("--sgdiff-gpus=4", *workers)
    assert result.ret == 0, result.stdout.str()
    *kept, own = runs(recorded)
    assert kept == names[3:]
    assert (recorded.root / ".sgdiff" / own / "tiny" / "00" / "launch.json").is_file()
    assert mine.is_file()
    told = "sgdiff: 3 older runs removed from .sgdiff/, which keeps the newest 20 (--sgdiff-keep)"
    assert told in result.outlines


def test_another_number_all_and_what_is_no_number(recorded: Project) -> None:
    names = older(recorded, 3)
    recorded.run("--sgdiff-gpus=4", "--sgdiff-keep=all")
    assert runs(recorded)[:3] == names
    recorded.setenv("SGDIFF_KEEP", "2")
    recorded.run("--sgdiff-gpus=4")
    assert len(runs(recorded)) == 2
    for wrong in ("0", "-1", "x", "1.5"):
        result = recorded.run("--sgdiff-gpus=4", f"--sgdiff-keep={wrong}")
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert f"--sgdiff-keep={wrong}: must be a number of runs from 1 on, or 'all'" in result.stderr.str()


def test_only_a_run_that_leaves_something_takes_the_place_of_an_older_one(recorded: Project) -> None:
    names = older(recorded, 2)
    for words in (
        ["--sgdiff-replay=kept"],
        ["--sgdiff-gpus=4", "--sgdiff-out=other"],
        ["--sgdiff-gpus=4", "-k", "nothing"],
        ["--sgdiff-gpus=4", "--co"],
        ["--sgdiff-dry-run"],
        [],
    ):
        recorded.run("--sgdiff-keep=1", *words)
        assert runs(recorded) == names, words


def test_a_recording_is_not_removed_by_the_run_that_writes_it_anew(recorded: Project) -> None:
    (name,) = older(recorded, 1)
    recorded.run("--sgdiff-gpus=4", f"--sgdiff-out=.sgdiff/{name}")
    assert runs(recorded) == [name]


def test_git_sees_nothing_of_it(recorded: Project) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=recorded.root, check=True)
    recorded.run("--sgdiff-gpus=4")
    argv = ["git", "status", "--porcelain", "--untracked-files=all"]
    status = subprocess.run(argv, cwd=recorded.root, check=True, capture_output=True, text=True).stdout
    assert "cases/tiny.yaml" in status
    assert ".sgdiff" not in status


def test_candidates_of_a_recording_get_a_folder_of_the_same_kind(recorded: Project) -> None:
    recorded.setenv("CI", "true")
    result = recorded.run("--sgdiff-replay=kept", "--sgdiff-update")
    assert result.ret == 0, result.stdout.str()
    (name,) = runs(recorded)
    assert (recorded.root / ".sgdiff" / name / "baselines").is_dir()
    assert (recorded.root / ".sgdiff" / ".gitignore").is_file()
