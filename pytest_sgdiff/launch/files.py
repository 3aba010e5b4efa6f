"""The files of a launch: made before it, and told from those of earlier launches after it."""

from __future__ import annotations

import contextlib
import glob
import os
import pathlib
import stat
import tempfile
from collections.abc import Mapping
from typing import Final

from pytest_sgdiff.data import Command, LaunchFiles, OutputFile
from pytest_sgdiff.engines.perf_dump import MAX_CHARS
from pytest_sgdiff.errors import SgdiffError

_UNLINKED = os.O_NONBLOCK | os.O_NOFOLLOW
DUMP_LIMIT: Final = MAX_CHARS + 1
"""Bytes of a dump that are read: one more than a dump may have characters, so that a longer one still shows as such."""


def prepare(command: Command, files: LaunchFiles) -> int:
    """Make the launch's folders and files, remove dumps of earlier launches, and return the time from which a dump
    counts as new: in ns, by the clock of the file system that the dump lies on, which may be another machine's.

    Raises SgdiffError if one of them cannot be written.
    """
    dump = pathlib.Path(files.perf_dump)
    try:
        for folder in (files.workdir, files.output_dir, files.perf_log_dir, dump.parent):
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
        for name, text in command.files.items():
            pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
            pathlib.Path(name).write_text(text, encoding="utf-8")
        # Newer engines write `<dump>.<pid>.tmp` first. What cannot be removed is recognised by its age.
        for stale in (dump, *dump.parent.glob(f"{glob.escape(dump.name)}.*.tmp")):
            with contextlib.suppress(OSError):
                stale.unlink()
        with tempfile.TemporaryFile(dir=dump.parent) as now:
            return os.fstat(now.fileno()).st_mtime_ns
    except OSError as error:
        raise SgdiffError(f"{error.filename}: cannot be written for the launch: {error.strerror}") from error


def read_dump(name: str, fresh_from_ns: int) -> tuple[str | None, bool]:
    """The text of the dump, and whether there is one that is older than the launch and therefore not read."""
    try:
        with open(name, "rb", opener=lambda path, flags: os.open(path, flags | _UNLINKED)) as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return None, False
            if found.st_mtime_ns < fresh_from_ns:
                return None, True
            # Beyond the limit nothing is read, redacted or kept: what is that long is refused by its length alone.
            return file.read(DUMP_LIMIT).decode("utf-8", "replace"), False
    except OSError:
        return None, False


def outputs(folder: str) -> dict[pathlib.Path, os.stat_result]:
    """Every regular file under the launch's output folder, by name."""
    return {path: path.stat() for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


def written(folder: str, earlier: Mapping[pathlib.Path, os.stat_result]) -> tuple[OutputFile, ...]:
    """The launch's outputs: what lay there before and was not written again is none."""
    return tuple(
        OutputFile(name=str(path.relative_to(folder)), size_bytes=found.st_size)
        for path, found in outputs(folder).items()
        if _identity(found) != _identity(earlier.get(path))
    )


def _identity(found: os.stat_result | None) -> tuple[int, int, int] | None:
    return None if found is None else (found.st_ino, found.st_mtime_ns, found.st_size)
