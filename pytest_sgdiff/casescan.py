"""Which files are case files, and checking them all before anything runs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest


def registered_marks(config: pytest.Config) -> frozenset[str]:
    """Names of all marks that are registered: `nightly` of the line `nightly: runs every night`."""
    return frozenset(re.split(r"[:(]", line, maxsplit=1)[0].strip() for line in config.getini("markers"))


def is_case_file(path: Path, globs: Iterable[str], *, named: bool, asked: bool) -> bool:
    """Whether to collect a file as cases: one that matches a glob, or was `named` on the command line, as of Python.

    A repository may well have a folder `cases/` of something else, and YAML files that are named may be another
    plugin's. So where not both the globs and the user say so (`named`, or `asked` for a measurement), a file must also
    have a top-level key `cases`.
    """
    matches = any(path.match(glob) for glob in globs)
    if path.suffix not in (".yaml", ".yml") or not (matches or named):
        return False
    if matches and (named or asked):
        return True
    try:
        with path.open("rb") as file:
            return re.search(rb"^cases[ \t]*:", file.read(1 << 20), re.MULTILINE) is not None
    except OSError:
        return False


def case_files(config: pytest.Config, globs: Iterable[str]) -> tuple[Path, ...]:
    """All case files below what was given on the command line, in the order in which pytest would come to them."""
    globs = tuple(globs)
    found: dict[Path, None] = {}
    for argument in config.args:
        path = (config.invocation_params.dir / argument.partition("::")[0]).resolve()
        named = path.is_file()
        candidates = [path] if named else _walk(path, config.getini("norecursedirs"))
        for candidate in candidates:
            if is_case_file(candidate, globs, named=named, asked=True):
                found[candidate] = None
    return tuple(found)


def _walk(top: Path, pruned: Iterable[str]) -> Iterator[Path]:
    patterns = tuple(pruned)
    for folder, names, files in os.walk(top):
        names[:] = sorted(name for name in names if not any(Path(name).match(pattern) for pattern in patterns))
        yield from (Path(folder, file) for file in sorted(files))


def check(config: pytest.Config, globs: Iterable[str]) -> tuple[str, ...]:
    """Every mistake in all case files that this run would collect, each as `file:line:column: message`."""
    files = case_files(config, globs)
    if not files:
        return ()
    from pytest_sgdiff.casefile import check_files

    return check_files(files, config.rootpath, known_marks=registered_marks(config))
