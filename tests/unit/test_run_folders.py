"""What is kept below `.sgdiff/`, and that nothing is removed but what runs have made."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

import pytest

from pytest_sgdiff.files.run_folders import RunFolder, hold, prune

OLD, NEXT, NEW = (f"2026-11-{day:02d}T10-00-00-41" for day in (1, 2, 3))


@pytest.fixture
def parent(tmp_path: pathlib.Path) -> pathlib.Path:
    """Three runs that have ended."""
    folder = tmp_path / ".sgdiff"
    for name in (OLD, NEXT, NEW):
        made(folder / name)
    return folder


def made(folder: pathlib.Path) -> None:
    """A run of one launch of everything that runs keep."""
    run = RunFolder(folder)
    for case in ("tiny", "against/tiny", "again/tests_test_own.py_test_main/tiny"):
        launch = folder / case / "00"
        (launch / "work" / "outputs").mkdir(parents=True)
        (launch / "outputs").mkdir()
        of_the_engine = ("work/outputs/a_cat.mp4", "outputs/a_cat.mp4")
        for name in ("perf.json", "engine.log", "launch.json", "output_0.png", ".tmp-17", *of_the_engine):
            (launch / name).write_text("{}")
    (folder / "baselines" / "nvidia-h200-x1" / "tiny.ref").mkdir(parents=True)
    (folder / "baselines" / "nvidia-h200-x1" / "tiny.ref" / "f355a7d26ddb732f.png").touch()
    (folder / "baselines" / "nvidia-h200-x1" / "tiny.json").write_text("{}")
    (folder / "baselines" / ".lock").touch()
    for name in ("shard-1-of-4.json", "selection-0123456789abcdef.json"):
        (folder / name).write_text("{}")
    run.close()


def names(parent: pathlib.Path) -> set[str]:
    return {path.name for path in parent.iterdir()} - {".gitignore"}


def test_the_newest_are_kept_and_the_run_that_asks_counts(parent: pathlib.Path) -> None:
    assert prune(parent, keep=3, but=NEW) == ()
    assert prune(parent, keep=2, but=NEW) == (OLD,)
    assert names(parent) == {NEXT, NEW}
    assert prune(parent, keep=1, but=NEXT) == (NEW,)
    assert names(parent) == {NEXT}


def test_git_sees_nothing_of_it_and_a_file_that_is_there_stays(tmp_path: pathlib.Path) -> None:
    made(tmp_path / ".sgdiff" / OLD)
    ignore = tmp_path / ".sgdiff" / ".gitignore"
    assert ignore.read_text().splitlines()[-1] == "*"
    ignore.write_text("mine\n")
    made(tmp_path / ".sgdiff" / NEW)
    assert ignore.read_text() == "mine\n"


def test_a_run_that_left_nothing_leaves_no_folder(tmp_path: pathlib.Path) -> None:
    run = RunFolder(tmp_path / ".sgdiff" / OLD)
    assert run.empty
    run.close()
    assert names(tmp_path / ".sgdiff") == set()


def renamed(folder: pathlib.Path) -> None:
    folder.rename(folder.with_name("2026-11-01 before the upgrade"))


def linked(folder: pathlib.Path) -> None:
    folder.rename(folder.parent.parent / "elsewhere")
    folder.symlink_to(folder.parent.parent / "elsewhere")


def without_logs(folder: pathlib.Path) -> None:
    (folder / "tiny" / "00" / "engine.log").unlink()


def with_a_pipe(folder: pathlib.Path) -> None:
    (folder / "tiny" / "00" / "launch.json").unlink()
    os.mkfifo(folder / "tiny" / "00" / "launch.json")


@pytest.mark.parametrize(
    "change",
    [
        renamed,
        linked,
        without_logs,
        with_a_pipe,
        lambda folder: (folder / "notes.md").write_text("mine"),
        lambda folder: (folder / "tiny" / "notes.md").write_text("mine"),
        lambda folder: (folder / "tiny" / "00" / "notes.md").write_text("mine"),
        lambda folder: (folder / "thesis" / "chapter").mkdir(parents=True),
        lambda folder: (folder / "baselines" / "notes.md").write_text("mine"),
        lambda folder: (folder / "baselines" / "nvidia-h200-x1" / "tiny.ref" / "notes.md").write_text("mine"),
        lambda folder: (folder / "against" / "notes.md").write_text("mine"),
        lambda folder: (folder / "again" / "notes.md").write_text("mine"),
        lambda folder: (folder / "linked").symlink_to(folder.parent.parent),
        lambda folder: (folder / "tiny" / "01").symlink_to(folder.parent.parent),
    ],
)
def test_nothing_is_removed_that_somebody_else_had_a_hand_in(
    parent: pathlib.Path, change: Callable[[pathlib.Path], object]
) -> None:
    change(parent / OLD)
    before = sorted(parent.parent.rglob("*"))
    assert prune(parent, keep=2, but=NEW) == ()
    assert sorted(parent.parent.rglob("*")) == before


def test_the_runs_of_another_user_stay(parent: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: os.stat(parent).st_uid + 1)
    assert prune(parent, keep=1, but=NEW) == ()
    assert names(parent) == {OLD, NEXT, NEW}


def test_a_link_within_a_launch_is_removed_and_not_followed(parent: pathlib.Path) -> None:
    precious = parent.parent / "precious"
    precious.mkdir()
    (precious / "file").touch()
    (parent / OLD / "tiny" / "00" / "work" / "link").symlink_to(precious)
    assert prune(parent, keep=2, but=NEW) == (OLD,)
    assert (precious / "file").exists()


def test_a_parent_that_is_a_link_is_for_somebody_else_to_keep(parent: pathlib.Path) -> None:
    (parent / ".gitignore").unlink()
    link = parent.with_name("link")
    link.symlink_to(parent)
    made(link / "2026-11-04T10-00-00-41")
    assert prune(link, keep=1, but=NEW) == ()
    assert not (parent / ".gitignore").exists()


def test_a_run_that_goes_on_and_a_recording_that_is_read_stay(parent: pathlib.Path) -> None:
    going = RunFolder(parent / "2026-10-01T10-00-00-41")
    (going.folder / "tiny" / "00").mkdir(parents=True)
    read = hold(parent / OLD)
    assert read is not None
    assert prune(parent, keep=2, but=NEW) == ()
    os.close(read)
    assert prune(parent, keep=2, but=NEW) == (OLD,)
    going.close()
    assert prune(parent, keep=2, but=NEW) == (going.folder.name,)


def test_what_is_held_is_there_and_nobody_elses(parent: pathlib.Path) -> None:
    assert hold(parent / "none") is None
    alone = hold(parent / OLD, shared=False)
    assert alone is not None
    assert hold(parent / OLD) is None
    os.close(alone)


def test_a_folder_that_cannot_be_made_is_told_elsewhere(tmp_path: pathlib.Path) -> None:
    (tmp_path / ".sgdiff").write_text("a file")
    run = RunFolder(tmp_path / ".sgdiff" / OLD)
    assert run.empty
    run.close()
    assert prune(tmp_path / ".sgdiff", keep=1, but=OLD) == ()
    assert prune(tmp_path / "none", keep=1, but=OLD) == ()
