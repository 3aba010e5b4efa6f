"""Which files are case files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest


def registered_marks(config: pytest.Config) -> frozenset[str]:
    """Names of all marks that are registered: `nightly` of the line `nightly: runs every night`."""
    return frozenset(re.split(r"[:(]", line, maxsplit=1)[0].strip() for line in config.getini("markers"))


def is_case_file(
    path: Path, globs: Iterable[str], *, named: bool, asked: bool, has_cases: Callable[[Path], bool] | None = None
) -> bool:
    """Whether to collect a file as cases: one that matches a glob, or was `named` on the command line, as of Python.

    A repository may well have a folder `cases/` of something else, and YAML files that are named may be another
    plugin's. So where not both the globs and the user say so (`named`, or `asked` for a measurement), a file must also
    have a top-level key `cases`, which `has_cases` says by itself where the file is then read anyway.
    """
    matches = any(path.match(glob) for glob in globs)
    if path.suffix not in (".yaml", ".yml") or not (matches or named):
        return False
    if matches and (named or asked):
        return True
    if has_cases is not None:
        return has_cases(path)
    from pytest_sgdiff.cases import load

    return load.has_cases(path)


NAMED = pytest.StashKey[frozenset[Path]]()
"""On the config: files that count as named although pytest can be given no argument that names them."""


def named_files(config: pytest.Config) -> frozenset[Path]:
    """The files that were given on the command line, also those of which only some tests were."""
    given = ((config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args)
    also = (path.resolve() for path in config.stash.get(NAMED, ()))
    return frozenset((*(path for path in given if path.is_file()), *also))
