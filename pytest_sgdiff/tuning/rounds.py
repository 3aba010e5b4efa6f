"""A round of a search: the variants that one run of pytest launches, and what came of each, in files that outlive
whoever is killed. `pytest_sgdiff.plugin.tuned` reads and writes them within that run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pytest_sgdiff.data import Case, CaseResult
from pytest_sgdiff.errors import SgdiffError, WireError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.files.wire import from_plain, to_plain

SETTINGS = "SGDIFF_TUNE"
"""The variable in which `pytest_sgdiff.plugin.tuned` reads where its round is."""

LIMIT = 1 << 26

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """What is launched: `case` is the id of the case as it is written, of which `cases` are the variants. Each is
    launched so often that `launches` of it count."""

    case: str
    cases: tuple[Case, ...]
    launches: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """What pytest says of a variant: its result, or in words why there is none. `broke`: it was no fault of the
    variant, but of a folder, a disk or the project; `full`: a disk had no room. `assets` is the folder with the files
    that cases name, empty where none was named."""

    case: str
    result: CaseResult | None = None
    why: str = ""
    broke: bool = False
    full: bool = False
    assets: str = ""


def write_round(folder: Path, what: Round, *, below: Path) -> None:
    """Raises OSError and DataFileError."""
    data_files.write(folder / "round.json", json.dumps(to_plain(what, omit_defaults=True)), below=below)


def read_round(folder: Path) -> Round:
    """Raises SgdiffError: there is none, or it is damaged."""
    path = folder / "round.json"
    raw = data_files.read_bytes(path, below=folder, at_most=LIMIT)
    if raw is None:
        raise SgdiffError(f"{path}: is not there")
    return _read(Round, raw, path)


def write_ending(folder: Path, ending: Ending) -> None:
    """Raises OSError and DataFileError."""
    path = folder / "endings" / f"{data_files.file_name(ending.case)}.json"
    data_files.write(path, json.dumps(to_plain(ending, omit_defaults=True)), below=folder)


def read_endings(folder: Path, cases: Sequence[Case], *, below: Path) -> tuple[Ending, ...]:
    """What is known of these variants. Raises SgdiffError for a file that is damaged."""
    found = []
    for case in cases:
        path = folder / "endings" / f"{data_files.file_name(case.id)}.json"
        raw = data_files.read_bytes(path, below=below, at_most=LIMIT)
        if raw is not None:
            found.append(_read(Ending, raw, path))
    return tuple(found)


def remove_ending(folder: Path, case: Case, *, below: Path) -> None:
    """Forget what pytest says of a variant. Raises OSError and DataFileError."""
    data_files.remove(folder / "endings" / f"{data_files.file_name(case.id)}.json", below=below)


def _read(cls: type[T], raw: bytes, path: Path) -> T:
    try:
        return from_plain(cls, json.loads(raw))
    except (ValueError, RecursionError, WireError) as error:
        raise SgdiffError(f"{path}: is damaged ({error}): delete it, and what it is of is launched again") from None
