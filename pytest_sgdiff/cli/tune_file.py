"""Whether `sgdiff tune` may write its winner to the file that is named: said before anything is launched."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pytest_sgdiff.cli.case_files import all_cases
from pytest_sgdiff.cli.protocol import read
from pytest_sgdiff.errors import OptionError

CollectSetting = Literal["sgdiff_files", "norecursedirs"]
NOT_ENTERED = "*.egg .* _darcs build CVS dist node_modules venv {arch}"
"""The folders that pytest does not go into unless `norecursedirs` says otherwise."""


class NotCollectedError(OptionError):
    """pytest would not collect the file that is to be written: none of the globs of the setting matches it, or it lies
    in a folder that the setting leaves out. `fix` is a file that would be collected, None where none is known."""

    def __init__(self, path: Path, setting: CollectSetting, patterns: Sequence[str], *, fix: Path | None) -> None:
        told = ", ".join(patterns)
        why = f"case files are {told}" if setting == "sgdiff_files" else f"it does not go into {told}"
        other = "name another file" if fix is None else f"write to {fix}"
        super().__init__(f"--write {path}: pytest would not collect this file: {why} ({setting}): {other}")
        self.path, self.setting, self.patterns, self.fix = path, setting, tuple(patterns), fix


def check_written(path: Path | None) -> None:
    """Refuse a file that somebody wrote by hand. Raises OptionError."""
    from pytest_sgdiff.tuning.written import MARK

    if path is None:
        return
    if path.suffix not in (".yaml", ".yml"):
        raise OptionError(f"--write {path}: a case file ends in .yaml")
    if os.path.lexists(path) and MARK not in read(path):
        raise OptionError(f"--write {path}: is there already, and this command did not write it: name another file")


def check_collected(path: Path | None, arguments: Sequence[str]) -> None:
    """Refuse a file that pytest, given these arguments, would not collect. Raises OptionError."""
    from pytest_sgdiff.cli.configuration import configuration

    if path is None:
        return
    _, values = configuration(Path.cwd(), fix="correct it first")
    globs, left_out = _case_globs(values, arguments), _many(values.get("norecursedirs") or NOT_ENTERED)
    if (why := _not_collected(path, globs, left_out)) is not None:
        near = (Path("cases", path.name), *(folder / f"{path.stem}.sgdiff.yaml" for folder in (path.parent, Path())))
        good = (one for one in near if _not_collected(one, globs, left_out) is None and not os.path.lexists(one))
        raise NotCollectedError(path, *why, fix=next(good, None))


def _not_collected(
    path: Path, globs: Sequence[str], left_out: Sequence[str]
) -> tuple[CollectSetting, Sequence[str]] | None:
    """The setting that keeps a file from being collected, with those of its values that do; None where none does."""
    from fnmatch import fnmatch

    from pytest_sgdiff.cases.discover import is_case_file

    if not is_case_file(path.absolute(), globs, named=False, asked=True):
        return "sgdiff_files", globs
    folders = [name for name in Path(os.path.relpath(path)).parent.parts if name != ".."]
    found = [one for one in left_out if any(fnmatch(name, one) for name in folders)]
    return ("norecursedirs", found) if found else None


def _case_globs(values: Mapping[str, Any], arguments: Sequence[str]) -> Sequence[str]:
    """What case files are called in this project: as the arguments of pytest say, or its configuration."""
    from pytest_sgdiff.options import CASE_FILES

    said = (values.get("addopts") or "", os.environ.get("PYTEST_ADDOPTS", ""))
    try:
        words = [word for text in said for word in (shlex.split(text) if isinstance(text, str) else map(str, text))]
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
        parser.add_argument("--sgdiff-files", action="append")
        typed = parser.parse_known_args([*words, *arguments])[0].sgdiff_files
    except (ValueError, argparse.ArgumentError):
        # pytest itself says what is wrong with them.
        typed = None
    return typed or _many(values.get("sgdiff_files"), lines=True) or CASE_FILES


def _many(value: object, *, lines: bool = False) -> tuple[str, ...]:
    """The values of a setting of several, one a line or one a word."""
    if isinstance(value, str):
        return tuple(filter(None, map(str.strip, value.splitlines()))) if lines else tuple(value.split())
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def check_id(path: Path | None, named: str) -> None:
    """Refuse to write a case whose id another file has. Raises OptionError."""
    from pytest_sgdiff.tuning.written import tuned_name

    if path is None:
        return
    name, own = tuned_name(named), os.path.realpath(path)
    for case in all_cases("sgdiff tune", needed=False).values():
        if case.name == name and os.path.realpath(case.location.path) != own:
            raise OptionError(
                f"--write {path}: the case would be called {name}, as the one at {case.location.path}:"
                f"{case.location.line} is: write to {case.location.path}, or remove that case"
            )
