"""The cases that a command must know of: those below a folder, and those in files that lie anywhere."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff.errors import OptionError

if TYPE_CHECKING:
    from pytest_sgdiff.data import Case


def all_cases(command: str, named: Path | None = None, *, needed: bool = True) -> dict[str, Case]:
    """All cases by id: those below the folder `named` (default: cases), and in `*.sgdiff.yaml` below the current one.

    Raises OptionError in the name of the command if cases are needed and there is no folder of them.
    """
    from pytest_sgdiff.cases.load import read_cases, read_if_cases

    anywhere, own = _case_files(command, named, needed=needed)
    found = [read_cases(file, Path.cwd()) if file in anywhere else read_if_cases(file, Path.cwd()) for file in own]
    return {case.id: case for cases in found for case in cases or ()}


def case_called(name: str, folder: Path) -> Case | None:
    """The case of this id, None where there is none. A file that cannot be read keeps no other file's cases back."""
    from pytest_sgdiff.cases.load import read_if_cases
    from pytest_sgdiff.errors import CaseFileError

    _, own = _case_files("", folder, needed=False)
    for file in own:
        with contextlib.suppress(CaseFileError):
            for case in read_if_cases(file, Path.cwd()) or ():
                if case.id == name:
                    return case
    return None


def _case_files(command: str, named: Path | None, *, needed: bool) -> tuple[set[Path], list[Path]]:
    """Files that are case files by their names, and all that may be."""
    from pytest_sgdiff.cases.discover import is_case_file

    folder = Path("cases") if named is None else named
    anywhere = [
        path
        for path in _below(Path())
        if is_case_file(path, ("*.sgdiff.yaml", "*.sgdiff.yml"), named=False, asked=True)
    ]
    # Who keeps all cases in such files needs no folder; one that was named is to be there.
    if needed and not folder.is_dir() and (named is not None or not anywhere):
        raise OptionError(f"{command}: there is no folder {folder}: name that of the case files with --cases")
    # Whether others below the folder have cases is seen when they are read.
    own = [path for path in _below(folder) if is_case_file(path, ("*.yaml", "*.yml"), named=False, asked=True)]
    return set(anywhere), sorted({path.resolve(): path for path in [*own, *anywhere]}.values())


def _below(top: Path) -> Iterator[Path]:
    """All files below a folder, but for those in folders whose names start with a dot."""
    for folder, names, files in os.walk(top):
        names[:] = [name for name in names if not name.startswith(".")]
        yield from (Path(folder, file) for file in files)
