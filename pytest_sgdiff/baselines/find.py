"""Where a baseline lies, and what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from pytest_sgdiff.baselines import file_format
from pytest_sgdiff.data import Baseline, Machine
from pytest_sgdiff.errors import BaselineError, NewerBaselineError
from pytest_sgdiff.files.data_files import DataFileError, file_name, kind, names, read_bytes, read_named

__all__ = [
    "Once",
    "Read",
    "entries",
    "every",
    "find",
    "find_replaceable",
    "load",
    "only_machine",
    "others",
    "path_for",
    "reason",
    "right_place",
    "suite",
    "walls",
]


FIX_OF_ONLY = "restore the file with git: only this file names the machine, the recording does not"
"""Of the baseline that a recording without a machine is compared with: without it nothing can be recorded anew."""

FIX = "restore the file with git, or record it again with --sgdiff-update"


def path_for(root: Path, machine: Machine, case: str) -> Path:
    """Where the baseline of a case on a machine lies, whether there is one or not."""
    return root / machine.slug / f"{file_name(case)}.json"


def load(path: Path, *, below: Path | None = None, fix: str = FIX) -> Baseline:
    """The baseline in a file. `below` is the folder of baselines in which it lies, below which no link is followed;
    None if the file itself was named. Raises BaselineError with file and line for everything that is wrong with it."""
    try:
        content = read_named(path) if below is None else read_bytes(path, below=below)
    except DataFileError as error:
        raise BaselineError.of_file(error.path, error.why) from None
    if content is None:
        raise BaselineError.of_file(path, "cannot be read: no such file")
    try:
        return replace(file_format.from_text(content.decode("utf-8")), path=str(path))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BaselineError.of_file(path, f"is not UTF-8 text ({fix})", line=line) from None
    except file_format.MistakeError as mistake:
        if mistake.newer:  # which nothing here may overwrite
            raise NewerBaselineError.of_file(path, str(mistake), line=mistake.line) from None
        raise BaselineError.of_file(path, f"{mistake} ({fix})", line=mistake.line) from None


class Read(Protocol):
    """How a baseline is read: `load`, or `Once`."""

    def __call__(self, path: Path, *, below: Path | None = None, fix: str = FIX) -> Baseline: ...


class Once:
    """`load`, and each file only once as long as nobody replaces it. Kept by whoever asks for baselines more than once,
    for as long as that takes."""

    def __init__(self) -> None:
        self._found: dict[Path, tuple[tuple[int, ...], Baseline]] = {}

    def __call__(self, path: Path, *, below: Path | None = None, fix: str = FIX) -> Baseline:
        try:
            there = path.lstat()
        except OSError:  # which `load` tells of
            return load(path, below=below, fix=fix)
        seen = (there.st_dev, there.st_ino, there.st_mtime_ns, there.st_size)
        if path not in self._found or self._found[path][0] != seen:
            self._found[path] = seen, load(path, below=below, fix=fix)
        return self._found[path][1]


def find(root: Path, machine: Machine, case: str, *, read: Read = load) -> Baseline | None:
    """The baseline of a case on a machine, None if there is none.

    Raises BaselineError for a file that is wrong, or that was copied here from another case or machine.
    """
    path = path_for(root, machine, case)
    try:
        if kind(path, below=root) is None:
            return None
    except DataFileError as error:
        raise BaselineError(str(error)) from None
    baseline = read(path, below=root)
    if right := right_place(baseline, path):
        raise BaselineError.of_file(path, f"is the baseline of {right}: move it there, or record this one again")
    return baseline


def walls(path: Path, *, below: Path) -> tuple[float, ...]:
    """How many seconds each launch of a baseline took, as far as its file says it; empty where it does not.

    For what only orders cases: nothing else of the file is read or checked, which takes a thirtieth of the time of
    `load`. Raises DataFileError.
    """
    try:
        document = json.loads(read_bytes(path, below=below) or b"null")
    except (ValueError, RecursionError):
        return ()
    launches = document.get("launches") if isinstance(document, dict) else None
    rows = [one.get("wall_s") for one in launches if isinstance(one, dict)] if isinstance(launches, list) else []
    return tuple(float(one) for one in rows if isinstance(one, int | float) and 0 < one < 1e9)


def find_replaceable(root: Path, machine: Machine, case: str, *, read: Read = load) -> Baseline | None:
    """As `find` for a baseline that is about to be replaced as a whole: one that is corrupt is none.

    Raises NewerBaselineError for a file of a newer schema, which an older version must not overwrite.
    """
    try:
        return find(root, machine, case, read=read)
    except NewerBaselineError:
        raise
    except BaselineError:
        return None


def others(root: Path, case: str) -> tuple[str, ...]:
    """Slugs of the machines that have a baseline of the case, sorted."""
    return tuple(sorted(path.parent.name for path in every(root) if path.stem == file_name(case)))


def only_machine(root: Path, case: str, *, read: Read = load) -> Machine | None:
    """The machine of the case's baseline, None unless exactly one machine has one: what a recording that does not say
    where it was made is compared with."""
    slugs = others(root, case)
    if len(slugs) != 1:
        return None
    path = root / slugs[0] / f"{file_name(case)}.json"
    return read(path, below=root, fix=FIX_OF_ONLY).measurement.machine


def every(root: Path) -> Iterator[Path]:
    """All baseline files, by machine and case; a link in place of a machine's folder is one that cannot be read."""
    for path in entries(root):
        if path.suffix == ".json" or path.parent == root:
            yield path


def entries(root: Path) -> Iterator[Path]:
    """Everything in the folders of machines, sorted, and links in place of such folders: they are not followed.

    Raises BaselineError for a folder that cannot be read.
    """
    try:
        for machine in (root / name for name in names(root, below=root)):
            what = kind(machine, below=root)
            if what == "folder":
                yield from (machine / name for name in names(machine, below=root))
            elif what == "link":
                yield machine
    except DataFileError as error:
        raise BaselineError(str(error)) from None


def suite(root: Path, machine: Machine, *, read: Read = load) -> Iterator[Baseline]:
    """All baselines of a machine, by case. A file that is wrong is left out here: it is told of where its own case is
    judged, and spoils no other."""
    folder = root / machine.slug
    with suppress(DataFileError):
        for path in (folder / name for name in names(folder, below=root) if name.endswith(".json")):
            yield from _in_its_place(path, root, read)


def _in_its_place(path: Path, root: Path, read: Read) -> Iterator[Baseline]:
    with suppress(BaselineError):
        baseline = read(path, below=root)
        if right_place(baseline, path) is None:
            yield baseline


def right_place(baseline: Baseline, path: Path) -> str | None:
    """Where a baseline belongs (`nvidia-h200-x1/wan.json`), None if it lies where `path_for` puts it."""
    measurement = baseline.measurement
    right = path_for(path.parent.parent, measurement.machine, measurement.case)
    if path == right:
        return None
    return f"{right.parent.name}/{right.name}"


def reason(error: OSError) -> str:
    """What the system says of a file that cannot be read or written."""
    return error.strerror or str(error)
