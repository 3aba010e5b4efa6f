"""The folders `.sgdiff/<run>` that runs make for themselves: out of git's sight, and only the newest are kept.

A run holds a lock on its folder until it ends. Only a folder that is named as runs name theirs, that is this user's,
that holds nothing but what runs write and that nobody has locked is ever removed: one that a person renamed or put
something into stays.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from pytest_sgdiff.files.locks import try_lock

PARENT = ".sgdiff"
"""Where runs have their folders, below the root."""

NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d+", re.ASCII)
IGNORE = "# Launches of pytest-sgdiff, which come and go. To keep one, copy its folder.\n*\n"
LOG, OUTPUTS = "engine.log", "work"
OF_A_LAUNCH = re.compile(r"perf(?:_\d+)?\.json|engine\.log|ending\.log|launch\.json|output_\d+\.png", re.ASCII)
KEPT, PICTURES = "outputs", ".ref"
"""The folder of a launch with the files that the engine wrote, and how folders end with the pictures of a candidate."""
OF_A_SHARD = re.compile(r"shard-\d+-of-\d+\.json|selection-[0-9a-f]{16}\.json", re.ASCII)
CANDIDATES, AGAINST, AGAIN, PROFILE, TRACES = "baselines", "against", "again", "profile", "traces"


class RunFolder:
    """The folder of a run that has one of its own. Made before the first launch; `close` it when the run has ended."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None
        # What cannot be written here is told where the first launch cannot be.
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = hold(folder, shared=False)
            if not folder.parent.is_symlink():  # what it leads to is for somebody else to keep
                _create(folder.parent / ".gitignore", IGNORE)

    @property
    def empty(self) -> bool:
        """Whether the run has put nothing into its folder."""
        try:
            return not os.listdir(self.folder)
        except OSError:
            return True

    def close(self) -> None:
        """Give the folder free, or remove it if nothing was put into it."""
        if self._lock is not None:
            if self.empty:
                with contextlib.suppress(OSError):
                    self.folder.rmdir()
            os.close(self._lock)
            self._lock = None


def hold(folder: Path, *, shared: bool = True) -> int | None:
    """Keep others from removing a run's folder until the descriptor is closed; None if it is none, or locked by others.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        taken = try_lock(lock, shared=shared)
    except BaseException:
        os.close(lock)
        raise
    if taken:
        return lock
    os.close(lock)
    return None


def prune(parent: Path, *, keep: int, but: str) -> tuple[str, ...]:
    """Remove all but the newest `keep` runs below `parent`; `but` names the one that asks, which counts and stays.
    Gives the names of those that are gone. Of what cannot be removed nothing is said: it hinders nobody."""
    if parent.is_symlink():
        return ()
    try:
        names = sorted((name for name in os.listdir(parent) if NAME.fullmatch(name)), reverse=True)
    except OSError:
        return ()
    others = [name for name in names if name != but and _is_run(parent / name)]
    return tuple(name for name in others[max(keep - 1, 0) :] if _removed(parent / name))


def _removed(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        lock = hold(folder, shared=False)
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
        ours = stat.S_ISDIR(told.st_mode) and told.st_uid == os.getuid()
        return ours and all(_is_of_a_shard(entry) or _is_ours(entry) for entry in _entries(folder))
    except OSError:
        return False


def _is_of_a_shard(entry: os.DirEntry[str]) -> bool:
    return bool(OF_A_SHARD.fullmatch(entry.name)) and entry.is_file(follow_symlinks=False)


def _is_ours(entry: os.DirEntry[str]) -> bool:
    """Whether an entry of a run's folder is: candidates for baselines, launches of a case, or a folder of such."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    inner = list(_entries(entry.path))
    if entry.name == CANDIDATES:
        return all(_is_candidates(machine) for machine in inner)
    if entry.name == AGAINST:
        return all(_is_ours(case) for case in inner)
    if entry.name == PROFILE:
        return all(map(_is_profiled, inner)) or all(map(_is_launch, inner))
    if entry.name == AGAIN:
        return all(test.is_dir(follow_symlinks=False) and all(map(_is_ours, _entries(test.path))) for test in inner)
    return all(_is_launch(launch) for launch in inner)


def _is_profiled(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is what a profiled case left: its launch and its traces; or those of a base engine's cases."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    inner = list(_entries(entry.path))
    if entry.name == AGAINST:
        return all(map(_is_profiled, inner))
    return all(_is_traces(one) if one.name == TRACES else _is_launch(one) for one in inner)


def _is_traces(entry: os.DirEntry[str]) -> bool:
    if not entry.is_dir(follow_symlinks=False):
        return False
    return all(".trace.json" in file.name and file.is_file(follow_symlinks=False) for file in _entries(entry.path))


def _is_candidates(machine: os.DirEntry[str]) -> bool:
    if not machine.is_dir(follow_symlinks=False):
        return machine.name == ".lock"
    return all(map(_is_candidate, _entries(machine.path)))


def _is_candidate(entry: os.DirEntry[str]) -> bool:
    """Whether it is the file of a candidate, or the folder with its pictures."""
    if entry.name.endswith(PICTURES) and entry.is_dir(follow_symlinks=False):
        inner = _entries(entry.path)
        return all(file.name.endswith((".png", ".xyz")) and file.is_file(follow_symlinks=False) for file in inner)
    return entry.name.endswith((".json", ".profile")) and entry.is_file(follow_symlinks=False)


def _is_launch(entry: os.DirEntry[str]) -> bool:
    if not (entry.name.isascii() and entry.name.isdecimal() and entry.is_dir(follow_symlinks=False)):
        return False
    inner = {file.name: file for file in _entries(entry.path)}
    # What the engine left where it was ended in the middle; of which there is a log then.
    outputs = inner.pop(OUTPUTS, None)
    if outputs is not None and not (outputs.is_dir(follow_symlinks=False) and LOG in inner):
        return False
    kept = inner.pop(KEPT, None)
    if kept is not None and not (kept.is_dir(follow_symlinks=False) and "launch.json" in inner):
        return False
    return all(
        file.is_file(follow_symlinks=False) and (OF_A_LAUNCH.fullmatch(name) or name.startswith(".tmp-"))
        for name, file in inner.items()
    )


def _entries(folder: str | Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from entries


def _create(path: Path, text: str) -> None:
    """Write a new file; one that is there stays as it is, whatever it is."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with contextlib.suppress(FileExistsError), os.fdopen(os.open(path, flags, 0o666), "w") as file:
        file.write(text)
