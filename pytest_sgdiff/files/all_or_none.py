"""Several files written at once: all of them, or none, whatever fails."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.files.data_files import inner_folder, look, temporary_name


class WriteError(SgdiffError):
    """Files cannot be written, because of the one at `path`; `why` is what the system says, and `left` what could not
    be undone, normally nothing."""

    def __init__(self, path: Path, why: str, left: tuple[str, ...] = ()) -> None:
        undone = f"; left behind: {', '.join(left)}" if left else ""
        super().__init__(f"{path} cannot be written: {why}{undone}")
        self.path, self.why, self.left = path, why, left


def write_all(texts: Mapping[Path, str], *, below: Path) -> None:
    """Write several files below a folder that was named: all of them, or none.

    Every text is on the disk, in a temporary file beside its place, before the first takes its place. If anything fails
    no file and no folder stays that was not there, and every old file is what it was. A file keeps the mode of the one
    that it replaces. Raises WriteError, and DataFileError as `make_folder`.
    """
    left: list[str] = []
    kept: list[tuple[str, int]] = []
    path = below
    with contextlib.ExitStack() as opened:
        try:
            with contextlib.ExitStack() as undo:
                staged = []
                for path, text in texts.items():
                    folder = _made(path.parent, below, opened=opened, undo=undo, left=left)
                    staged.append((path, folder, _staged(path, text, folder, undo=undo, left=left)))
                for path, folder, temporary in staged:
                    if (old := _put(path, temporary, folder, undo=undo, left=left)) is not None:
                        kept.append((old, folder))
                for _, folder, _ in staged:
                    os.fsync(folder)
                undo.pop_all()
        except OSError as error:
            raise WriteError(path, error.strerror or str(error), tuple(left)) from None
        for old, folder in kept:
            with contextlib.suppress(OSError):  # nothing rests on it any more
                os.unlink(old, dir_fd=folder)


def _made(path: Path, below: Path, *, opened: contextlib.ExitStack, undo: contextlib.ExitStack, left: list[str]) -> int:
    """A descriptor of a folder, made where it was not there, with those on the way to it."""
    descriptor = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, descriptor)
    here = below
    for part in path.relative_to(below).parts:
        here = here / part
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=descriptor)
            undo.callback(_undo, here, left, os.rmdir, part, dir_fd=descriptor)
        descriptor = inner_folder(here, descriptor, make=False)
        opened.callback(os.close, descriptor)
    return descriptor


def _staged(path: Path, text: str, folder: int, *, undo: contextlib.ExitStack, left: list[str]) -> str:
    """The name of a temporary file in the folder, which holds the text and has the mode of the file that is there."""
    old = look(path, folder)
    temporary = temporary_name()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o666, dir_fd=folder)
    undo.callback(_undo, path.parent / temporary, left, os.unlink, temporary, dir_fd=folder)
    with open(descriptor, "w", encoding="utf-8", newline="\n", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        if old is not None and stat.S_ISREG(old.st_mode):
            os.fchmod(file.fileno(), stat.S_IMODE(old.st_mode))
        os.fsync(file.fileno())
    return temporary


def _put(path: Path, temporary: str, folder: int, *, undo: contextlib.ExitStack, left: list[str]) -> str | None:
    """Have the temporary file take its place, and the old file, if there is one, another name, which is given."""
    kept = None
    if look(path, folder) is not None:
        kept = temporary_name()
        try:
            # So that at any moment a file has the name.
            os.link(path.name, kept, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError:  # not every file system has second names
            os.rename(path.name, kept, src_dir_fd=folder, dst_dir_fd=folder)
        # Of two names of one file the system leaves both where they are.
        undo.callback(_undo, path.parent / kept, left, os.unlink, kept, dir_fd=folder)
        undo.callback(_undo, path, left, os.replace, kept, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
    if kept is None:
        undo.callback(_undo, path, left, os.unlink, path.name, dir_fd=folder)
    return kept


def _undo(path: Path, left: list[str], step: Callable[..., None], *names: str, **folders: int) -> None:
    """Take a step back; what has gone already needs none."""
    try:
        step(*names, **folders)
    except FileNotFoundError:
        pass
    except OSError:
        left.append(str(path))
