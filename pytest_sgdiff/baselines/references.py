"""The pictures beside a baseline: `ROOT/<machine>/<case>.ref/<hash>.png`, or `.xyz` with the points of a mesh.

Files are named by their content and never change. New ones are written before the baseline that names them, and those
that it names no more are removed afterwards: whatever dies in between, the baseline that is there has its files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from pytest_sgdiff.data import Baseline, Reference, ReferenceOutput
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.files.data_files import DataFileError, kind, names, read_bytes, remove, write
from pytest_sgdiff.quality.extra import missing
from pytest_sgdiff.quality.pictures import DamagedError, opened
from pytest_sgdiff.quality.reference import content_of, with_content

SUFFIX: Final = ".ref"
FILE_BYTES: Final = 1 << 23
"""Bytes of a file that is read: a picture of a sample has some hundred kB, and no more than 3 MiB."""

FIX: Final = "restore the folder with git, or record the baseline again with --sgdiff-update"


def folder_of(path: Path) -> Path:
    """The folder with the pictures of a baseline file."""
    return path.with_name(f"{path.stem}{SUFFIX}")


def read(baseline: Baseline) -> Reference | None:
    """The baseline's reference with its pictures; None if it has none.

    Raises BaselineError for a file that is missing, also from the baseline, or not the one that was recorded.
    """
    if baseline.reference is None or baseline.path is None:
        return baseline.reference
    path = Path(baseline.path)
    outputs = [one if _left_out(one) else _with_file(path, one) for one in baseline.reference.outputs]
    return replace(baseline.reference, outputs=tuple(outputs))


def put(baseline: Baseline, path: Path, *, root: Path) -> None:
    """Write the files that a baseline at `path` names and that are not there yet. Raises as `read`, and OSError."""
    for output in _with_files(baseline):
        content = content_of(output.sample)
        if hashlib.sha256(content).hexdigest() != output.sha256:  # it was not read yet
            content = content_of(_with_file(Path(baseline.path or path), output).sample)
        target = folder_of(path) / output.file
        if kind(target, below=root) != "file" or _content(target, root) != content:
            write(target, content, below=root)


def clear(baseline: Baseline, path: Path, *, root: Path) -> None:
    """Remove the files that the baseline at `path` does not name."""
    folder = folder_of(path)
    if kind(folder, below=root) != "folder":
        return
    named = {output.file for output in _with_files(baseline)}
    for name in names(folder, below=root):
        if name not in named and kind(folder / name, below=root) in ("file", "link"):
            remove(folder / name, below=root)
    if not named and not names(folder, below=root):
        folder.rmdir()


def flaws(baseline: Baseline, path: Path, *, root: Path) -> Iterator[tuple[Path, str]]:
    """What is wrong with the files of a baseline: the path of each, and why."""
    for output in _with_files(baseline):
        if why := _flaw(path, output):
            yield folder_of(path) / output.file, why


def _with_files(baseline: Baseline) -> Iterator[ReferenceOutput]:
    """The outputs that have a file, or should have one."""
    return (one for one in (baseline.reference.outputs if baseline.reference else ()) if not _left_out(one))


def _left_out(output: ReferenceOutput) -> bool:
    """Whether it needs no file, since no launch kept a sample of it."""
    return output.sample.flaw == "left-out" and not output.file


def _flaw(path: Path, output: ReferenceOutput) -> str:
    try:
        _with_file(path, output)
    except BaselineError as error:
        return error.why
    return ""


def _with_file(path: Path, output: ReferenceOutput) -> ReferenceOutput:
    if not output.file:
        raise BaselineError.of_file(path, f"names no file for one of its outputs ({FIX})")
    file = folder_of(path) / output.file
    content = _content(file, path.parent.parent)
    if content is None:
        raise BaselineError.of_file(file, f"is missing, and the baseline names it ({FIX})")
    if hashlib.sha256(content).hexdigest() != output.sha256:
        raise BaselineError.of_file(file, f"is not the file that was recorded: its sha256 is another one ({FIX})")
    try:
        if output.sample.mesh is None and not missing():
            opened(content)
        return replace(output, sample=with_content(output.sample, content))
    except DamagedError as error:
        raise BaselineError.of_file(file, f"cannot be read: {error} ({FIX})") from None


def _content(file: Path, below: Path) -> bytes | None:
    try:
        return read_bytes(file, below=below, at_most=FILE_BYTES)
    except DataFileError as error:
        raise BaselineError.of_file(error.path, error.why) from None
