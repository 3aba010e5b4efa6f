"""Which files of a launch go along where a recording is copied or joined to others, each within its bound."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pytest_sgdiff.errors import RecordingError
from pytest_sgdiff.files.data_files import (
    DOCUMENT_LIMIT,
    TEMPORARY,
    DataFileError,
    copy,
    kind,
    make_folder,
    names,
    opened,
)
from pytest_sgdiff.files.run_folders import OF_A_LAUNCH
from pytest_sgdiff.recordings.store import AGAINST, OUTPUTS, PROFILE, RECORD, TRACE_KEPT, TRACES, WORK, is_trace

OUTPUTS_DEEP: Final = 8
"""How deep folders of kept outputs may lie in each other. Engines write into one folder."""

OUTPUTS_MANY: Final = 10_000
"""How many outputs of a launch may have been kept: engines write one for each request."""


def files_of(folder: Path, below: Path) -> tuple[str, ...]:
    """The files of a launch, by their way from its folder: `launch.json`, `outputs/cat.png`.

    Raises DataFileError: a link in the folder, something in place of a file, or a document that is too large. Outputs
    may have any size, as logs may: they are bounded by the room that there is.
    """
    found = []
    for name in names(folder, below=below):
        what = _what(folder / name, below)
        if OF_A_LAUNCH.fullmatch(name) and what is not None:
            if _size(folder / name, below) > DOCUMENT_LIMIT and not name.endswith(".log"):
                raise _too_large(folder / name, DOCUMENT_LIMIT)
            found.append(name)
    found += _outputs(folder / OUTPUTS, below)
    return tuple(found)


def others_in(folder: Path, below: Path) -> tuple[str, ...]:
    """The names in the folder of a launch that are none of its files. What a killed launch left is not told."""
    found = [name for name in names(folder, below=below) if not OF_A_LAUNCH.fullmatch(name)]
    ours = {WORK, OUTPUTS} if kind(folder / OUTPUTS, below=below) == "folder" else {WORK}
    return tuple(name for name in found if name not in ours and not name.startswith(TEMPORARY))


def traces_of(folder: Path, below: Path) -> tuple[str, ...]:
    """The names of the traces in the folder of a profiled case's traces.

    Raises DataFileError: a link in the folder, something in place of a file, or a trace larger than any that is kept.
    """
    found = tuple(name for name in names(folder, below=below) if _what(folder / name, below) and is_trace(name))
    for name in found:
        if _size(folder / name, below) > TRACE_KEPT:
            raise _too_large(folder / name, TRACE_KEPT)
    return found


def session_of(folder: Path, below: Path) -> str | None:
    """The run that a launch belongs to, empty where its record names none; None without a record that can be read."""
    with opened(folder / RECORD, below=below) as descriptor:
        content = b"" if descriptor is None else _read(descriptor)
    with contextlib.suppress(ValueError, RecursionError):
        record = json.loads(content)
        if isinstance(record, dict):
            session = record.get("session")
            return session if isinstance(session, str) else ""
    return None


def copy_case(root: Path, out: Path, case_folder: str, *, below: Path, into: Path) -> None:
    """Copy what a recording has of a case to another one: its launches, those of the base engine, and both profiled.
    `below` and `into` are the folders that were named, in which `root` and `out` lie.

    Raises RecordingError if they cannot be read or written.
    """
    try:
        for side in (Path(), Path(AGAINST), Path(PROFILE), Path(PROFILE, AGAINST)):
            folder, target = root / side / case_folder, out / side / case_folder
            if _kind_on_the_way(folder, below) != "folder":
                continue
            for name in names(folder, below=below):
                if name.isdecimal() and kind(folder / name, below=below) == "folder":
                    make_folder(target / name, below=into)
                    for file in files_of(folder / name, below):
                        copy(folder / name / file, target / name / file, below=below, into=into)
            if side.parts[:1] == (PROFILE,) and kind(folder / TRACES, below=below) == "folder":
                for name in traces_of(folder / TRACES, below):
                    copy(folder / TRACES / name, target / TRACES / name, below=below, into=into)
    except DataFileError as error:
        raise RecordingError(str(error)) from None
    except OSError as error:
        raise RecordingError(f"{out}: cannot be written: {error.strerror or error}; make room") from None


def _kind_on_the_way(folder: Path, below: Path) -> str | None:
    """What lies there; nothing, where a file lies in the way, which is no recording of the case."""
    try:
        return kind(folder, below=below)
    except DataFileError as error:
        if error.unfit == "no-folder":
            return None
        raise


def _outputs(folder: Path, below: Path) -> list[str]:
    if _what(folder, below) != "folder":
        return []
    found = []
    for way in _below(folder, below, OUTPUTS_DEEP):
        found.append(f"{OUTPUTS}/{way}")
        if len(found) > OUTPUTS_MANY:
            raise DataFileError(folder, "too-large", f"has more than {OUTPUTS_MANY} files, which no launch writes")
    return found


def _below(folder: Path, below: Path, deep: int) -> Iterator[str]:
    if deep == 0:
        raise DataFileError(folder, "too-large", f"lies in {OUTPUTS_DEEP} folders, and no engine writes so deep")
    for name in names(folder, below=below):
        if _what(folder / name, below) == "folder":
            yield from (f"{name}/{inner}" for inner in _below(folder / name, below, deep - 1))
        else:
            _size(folder / name, below)  # which says that it is no file
            yield name


def _what(path: Path, below: Path) -> str | None:
    what = kind(path, below=below)
    if what == "link":
        names(path, below=below)  # which says that it is one
    return what


def _size(path: Path, below: Path) -> int:
    with opened(path, below=below) as descriptor:
        return 0 if descriptor is None else os.fstat(descriptor).st_size


def _read(descriptor: int) -> bytes:
    parts, left = [], DOCUMENT_LIMIT
    while left > 0 and (part := os.read(descriptor, min(left, 1 << 20))):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _too_large(path: Path, at_most: int) -> DataFileError:
    return DataFileError(path, "too-large", f"has more than {at_most} bytes, which no real file has")
