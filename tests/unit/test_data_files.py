"""Files that others made: nothing but what lies below the folder that was named is read, written or removed."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.files import all_or_none, data_files
from pytest_sgdiff.files.all_or_none import WriteError
from pytest_sgdiff.files.data_files import DataFileError

SECRET = "not for them"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder that was named; beside it lies what it must not lead to."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text(SECRET)
    (tmp_path / "named").mkdir()
    return tmp_path / "named"


def link(path: Path, to: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)
    return path


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


MADE: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (lambda path: path.symlink_to(path.parent.parent / "outside" / "file"), "link"),
    "link to nothing": (lambda path: path.symlink_to("nowhere"), "link"),
    "link to itself": (lambda path: path.symlink_to(path), "link"),
    "link to a device": (lambda path: path.symlink_to("/dev/zero"), "link"),
    "link below the folder": (lambda path: path.symlink_to("."), "link"),
    "FIFO": (os.mkfifo, "no-file"),
    "socket": (a_socket, "no-file"),
    "folder": (Path.mkdir, "no-file"),
    "too much": (lambda path: path.write_bytes(b"x" * 101), "too-large"),
}


@pytest.mark.parametrize("make", MADE)
def test_what_is_no_plain_file_is_named_and_not_opened(folder: Path, make: str) -> None:
    making, unfit = MADE[make]
    making(folder / "file")
    with pytest.raises(DataFileError) as caught:
        data_files.read_bytes(folder / "file", below=folder, at_most=100)
    assert (caught.value.unfit, caught.value.path) == (unfit, folder / "file")


def test_a_file_of_as_much_as_it_may_have_is_read_and_one_that_is_not_there_is_none(folder: Path) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "file").write_bytes(b"x" * 100)
    assert data_files.read_bytes(folder / "a" / "file", below=folder, at_most=100) == b"x" * 100
    assert data_files.read_bytes(folder / "a" / "other", below=folder) is None
    assert data_files.read_bytes(folder / "b" / "other", below=folder) is None
    assert data_files.names(folder / "b", below=folder) == []


@pytest.mark.parametrize("path", ["in/file", "deep/in/file"])
def test_no_folder_on_the_way_may_be_a_link(folder: Path, path: str) -> None:
    file = folder / path
    link(file.parent, folder.parent / "outside")
    for use in (
        lambda: data_files.read_bytes(file, below=folder),
        lambda: data_files.names(file.parent, below=folder),
        lambda: data_files.kind(file, below=folder),
        lambda: data_files.write(file, "x", below=folder),
        lambda: data_files.make_folder(file.parent / "new", below=folder),
        lambda: data_files.remove(file, below=folder),
    ):
        with pytest.raises(DataFileError) as caught:
            use()
        assert (caught.value.unfit, caught.value.path) == ("link", file.parent)
    assert {path.name: path.read_text() for path in (folder.parent / "outside").iterdir()} == {"file": SECRET}


def test_the_folder_that_was_named_may_be_a_link_itself(folder: Path) -> None:
    (folder / "file").write_text("mine")
    named = link(folder.parent / "way", folder)
    assert data_files.read_bytes(named / "file", below=named) == b"mine"
    data_files.write(named / "new" / "file", "new", below=named)
    assert (folder / "new" / "file").read_text() == "new"


@pytest.mark.parametrize("path", ["../outside/file", "a/../../outside/file"])
def test_a_path_that_leads_out_is_refused(folder: Path, path: str) -> None:
    with pytest.raises(DataFileError) as caught:
        data_files.read_bytes(folder / path, below=folder)
    assert caught.value.unfit == "outside"
    with pytest.raises(DataFileError):
        data_files.read_bytes(folder.parent / "outside" / "file", below=folder)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_an_answer_too(folder: Path, name: str) -> None:
    for use in (data_files.read_bytes, data_files.kind):
        with pytest.raises(DataFileError) as caught:
            use(folder / name, below=folder)
        assert caught.value.unfit == "unreadable"


def test_a_link_in_the_place_of_a_file_is_replaced_when_it_is_written(folder: Path) -> None:
    link(folder / "file", folder.parent / "outside" / "file")
    data_files.write(folder / "file", "new", below=folder)
    assert (folder / "file").read_text() == "new"
    assert not (folder / "file").is_symlink()
    assert (folder.parent / "outside" / "file").read_text() == SECRET
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_link_is_removed_and_not_what_it_leads_to(folder: Path) -> None:
    link(folder / "file", folder.parent / "outside" / "file")
    data_files.remove(folder / "file", below=folder)
    assert list(folder.iterdir()) == []
    assert (folder.parent / "outside" / "file").read_text() == SECRET


def test_a_file_with_a_second_name_keeps_its_text_there(folder: Path) -> None:
    os.link(folder.parent / "outside" / "file", folder / "file")
    data_files.overwrite(folder / "file", "new")
    assert (folder / "file").read_text() == "new"
    assert (folder.parent / "outside" / "file").read_text() == SECRET


def test_a_file_that_the_user_named_may_be_a_link_and_what_a_shell_hands_over(folder: Path) -> None:
    named = link(folder / "file", folder.parent / "outside" / "file")
    assert data_files.read_named(named) == SECRET.encode()
    read = "print(d.read_named(pathlib.Path(sys.argv[1])))"
    script = f"import pathlib, sys; from pytest_sgdiff.files import data_files as d; {read}"
    shell = ["bash", "-c", f"{sys.executable} -c '{script}' <(echo handed)"]
    assert subprocess.run(shell, capture_output=True, text=True, check=True).stdout == "b'handed\\n'\n"


@pytest.mark.parametrize("path", ["/dev/zero", "/", "/nowhere/at/all"])
def test_a_file_that_the_user_named_is_a_file(path: str) -> None:
    with pytest.raises(DataFileError, match=f"^{path}: "):
        data_files.read_named(Path(path))


def test_a_fifo_that_the_user_named_does_not_wait_for_a_writer(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    with pytest.raises(DataFileError) as caught:
        data_files.read_named(folder / "fifo")
    assert caught.value.unfit == "no-file"


def test_a_link_that_leads_out_of_a_folder_is_told_from_one_that_stays(folder: Path) -> None:
    (folder / "file").write_text("")
    assert data_files.leads_out(folder / "file", of=folder) is None
    assert data_files.leads_out(link(folder / "in", folder / "file"), of=folder) is None
    out = folder.parent / "outside" / "file"
    assert data_files.leads_out(link(folder / "out", Path("..") / "outside" / "file"), of=folder) == out
    assert data_files.leads_out(link(folder / "new", folder.parent / "not there yet"), of=folder) is not None


# ---------------------------------------------------------------------------------------------------- several at once

WRITING = ("mkdir", "open", "fchmod", "fsync", "link", "replace")
TEXTS = {"new": "1", "old": "2", "there/old": "3", "made/a": "4", "made/deep/b": "5"}


def everything_in(folder: Path) -> dict[str, tuple[str | None, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_text() if path.is_file() else None, path.stat().st_mode)
        for path in folder.rglob("*")
    }


def with_old_files(folder: Path) -> Path:
    (folder / "there").mkdir(parents=True)
    for name in ("old", "there/old"):
        (folder / name).write_text("of yesterday")
        (folder / name).chmod(0o640)
    return folder


@contextlib.contextmanager
def failing(at: int) -> Iterator[list[str]]:
    """Let the call number `at` that writes something find a full disk; gives the calls."""
    calls: list[str] = []

    def wrapped(name: str) -> Callable[..., object]:
        real = getattr(os, name)

        def call(*args: Any, **more: Any) -> object:
            if name != "open" or args[1] & os.O_CREAT:
                calls.append(name)
                if len(calls) == at:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **more)

        return call

    with pytest.MonkeyPatch.context() as patch:
        for name in WRITING:
            patch.setattr(os, name, wrapped(name))
        yield calls


def test_several_files_are_written_all_or_none_whatever_fails(tmp_path: Path) -> None:
    seen = set()
    for number in itertools.count(1):
        folder = with_old_files(tmp_path / str(number))
        before = everything_in(folder)
        texts = {folder / name: text for name, text in TEXTS.items()}
        failed: WriteError | None = None
        with failing(number) as calls:
            try:
                all_or_none.write_all(texts, below=folder)
            except WriteError as error:
                failed = error
        after = everything_in(folder)
        if failed is not None:
            assert (failed.why, failed.left) == (os.strerror(errno.ENOSPC), ())
            assert failed.path in texts
            assert after == before
        else:
            # A file system without second names is no failure.
            assert number > len(calls) or calls[number - 1] == "link"
            assert {name: text for name, (text, _) in after.items() if text is not None} == TEXTS
            assert stat.S_IMODE(after["old"][1]) == stat.S_IMODE(after["there/old"][1]) == 0o640
        if number > len(calls):
            break
        seen.add(calls[number - 1])
    assert seen == set(WRITING)


def test_what_cannot_be_undone_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **more: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "rmdir", refuse)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(WriteError) as caught:
        all_or_none.write_all({folder / "made" / "file": "text"}, below=folder)
    assert (caught.value.path, caught.value.left) == (folder / "made" / "file", (str(folder / "made"),))


def test_several_files_follow_no_link(folder: Path) -> None:
    link(folder / "out", folder.parent / "outside")
    with pytest.raises(DataFileError):
        all_or_none.write_all({folder / "first": "1", folder / "out" / "file": "2"}, below=folder)
    assert [path.name for path in folder.iterdir()] == ["out"]
    link(folder / "file", folder.parent / "outside" / "file")
    all_or_none.write_all({folder / "file": "mine"}, below=folder)
    assert (folder / "file").read_text() == "mine"
    assert not (folder / "file").is_symlink()
    assert (folder.parent / "outside" / "file").read_text() == SECRET
