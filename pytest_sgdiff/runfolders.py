"""The folders `.sgdiff/<run>` that runs make for themselves: out of git's sight, and only the newest are kept.

A run marks its folder with a file that names it, and holds a lock on that file until it ends. Only a folder that is so
marked under its own name, that is this user's, that holds nothing but what a run writes and that nobody has locked is
ever removed: a folder that a person renamed, copied or put something into stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

PARENT = ".sgdiff"
"""Where runs have their folders, below the root."""

MARK = "run.txt"
"""The file that marks a folder as a run's: one line, the run's name."""

NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d+")
IGNORE = "# Launches of pytest-sgdiff, which come and go. To keep one, copy its folder.\n*\n"
OF_A_LAUNCH = frozenset({"perf.json", "engine.log", "launch.json", "work"})
CANDIDATES, NESTED = "baselines", ("against", "again")


class RunFolder:
    """The folder of a run that has one of its own. Made before the first launch; `close` it when the run has ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None
        # What cannot be written here is told where the first launch cannot be.
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if not folder.parent.is_symlink():  # what it leads to is for somebody else to keep
                _create(folder.parent / ".gitignore", IGNORE)
            _create(folder / MARK, f"{folder.name}\n")
            self._lock = hold(folder, fcntl.LOCK_EX)

    @property
    def empty(self) -> bool:
        """Whether the run has put nothing into its folder."""
        try:
            return os.listdir(self.folder) == [MARK]
        except OSError:
            return True

    def close(self) -> None:
        """Give the folder free, or remove it if nothing was put into it."""
        with contextlib.suppress(OSError):
            if self._lock is not None and self.empty:
                (self.folder / MARK).unlink()
                self.folder.rmdir()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def hold(folder: Path, how: int = fcntl.LOCK_SH) -> int | None:
    """Keep others from removing a run's folder until the descriptor is closed; None if it is no such folder, or locked
    by others.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        mark = os.open(folder / MARK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        told = os.fstat(mark)
        whole = os.read(mark, 100) if stat.S_ISREG(told.st_mode) and told.st_uid == os.getuid() else b""
        if whole == f"{folder.name}\n".encode():
            fcntl.flock(mark, how | fcntl.LOCK_NB)
            return mark
    except BlockingIOError:
        pass
    except BaseException:
        os.close(mark)
        raise
    os.close(mark)
    return None


def prune(parent: Path, *, keep: int, but: str) -> tuple[str, ...]:
    """Remove all but the newest `keep` runs below `parent`; `but` names the one that asks, which counts and stays.
    Gives the names of those that are gone. Of what cannot be removed nothing is said: it hinders nobody."""
    if parent.is_symlink():
        return ()
    try:
        runs = sorted((name for name in os.listdir(parent) if NAME.fullmatch(name)), reverse=True)
    except OSError:
        return ()
    runs = [name for name in runs if name == but or _is_run(parent / name)]
    newest = {but, *[name for name in runs if name != but][: max(keep - 1, 0)]}
    return tuple(name for name in runs if name not in newest and _removed(parent / name))


def _removed(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        lock = hold(folder, fcntl.LOCK_EX)
        if lock is None:
            return False
        try:
            # Looked at again now that nobody else has it.
            if not _is_run(folder):
                return False
            shutil.rmtree(folder)
        finally:
            os.close(lock)
        return True
    return False


def _is_run(folder: Path) -> bool:
    """Whether the folder holds what a run writes and nothing else."""
    try:
        told = os.lstat(folder)
        if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.getuid():
            return False
        return not any(_foreign(entry) for entry in _entries(folder) if entry.name != MARK)
    except OSError:
        return False


def _foreign(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a run's folder is none of: candidates for baselines, launches of a case, more of the same."""
    if not entry.is_dir(follow_symlinks=False):
        return True
    if entry.name == CANDIDATES:
        return not all(_is_candidates(machine) for machine in _entries(entry.path))
    if entry.name == NESTED[0]:
        return any(_foreign(inner) for inner in _entries(entry.path))
    if entry.name == NESTED[1]:
        return not all(
            test.is_dir(follow_symlinks=False) and not any(_foreign(inner) for inner in _entries(test.path))
            for test in _entries(entry.path)
        )
    return not all(_is_launch(launch) for launch in _entries(entry.path))


def _is_candidates(machine: os.DirEntry[str]) -> bool:
    if not machine.is_dir(follow_symlinks=False):
        return machine.name == ".lock"
    return all(file.name.endswith(".json") and file.is_file(follow_symlinks=False) for file in _entries(machine.path))


def _is_launch(entry: os.DirEntry[str]) -> bool:
    if not entry.name.isdecimal() or not entry.is_dir(follow_symlinks=False):
        return False
    return all(
        (inner.name in OF_A_LAUNCH and not inner.is_symlink()) or inner.name.startswith(".tmp-")
        for inner in _entries(entry.path)
    )


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _create(path: Path, text: str) -> None:
    """Write a new file; one that is there stays as it is, whatever it is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with contextlib.suppress(FileExistsError), os.fdopen(os.open(path, flags, 0o666), "w") as file:
        file.write(text)
