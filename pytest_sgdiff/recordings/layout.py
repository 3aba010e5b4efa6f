"""Where things lie in a recording: the one walk over it.

ROOT/<case>/<NN>/                    the launches of a case
ROOT/against/<case>/<NN>/            those of the base engine of an A/B run
ROOT/profile/<case>/<NN>/            profiled launches, and `traces/` beside them; `profile/against/` likewise
ROOT/again/<test>/...                all of this once more, for one test: one in Python, whose case other tests, runs or
                                     shards may have, too, or one of several of a case
ROOT/baselines/                      candidates
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pytest_sgdiff.files.data_files import kind, names
from pytest_sgdiff.files.run_folders import AGAIN, AGAINST, CANDIDATES, PROFILE

Key = tuple[str, ...]
"""A way below the root, by names: that of a case ends with the name of its folder, `("against", "tiny")`."""

Kind = Literal["file", "folder", "link", "other"] | None

_READABLE = 80
"""Letters of a test's id that the name of its folder begins with."""


def folder_of_test(test: str) -> str:
    """The name of the folder below `again/` in which the launches of one test are kept: the same on every host,
    another one for each test, and short enough for a file system whatever the test's id is."""
    readable = re.sub(r"[^\w.-]+", "_", test, flags=re.ASCII)[:_READABLE]
    return f"{readable}-{hashlib.sha256(test.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}"


def own_place(root: Path, test: str) -> Path:
    """The folder that this name has in a recording."""
    return root / AGAIN / folder_of_test(test)


def entries(root: Path) -> Iterator[tuple[Key, Kind]]:
    """Every folder of a case in a recording, and whatever lies where such folders do, with what it is. Candidates for
    baselines are passed over. Raises DataFileError for a folder that cannot be read."""
    yield from _entries(root, ())


def _entries(root: Path, prefix: Key) -> Iterator[tuple[Key, Kind]]:
    folder = root.joinpath(*prefix)
    for name in names(folder, below=root):
        what, key = kind(folder / name, below=root), (*prefix, name)
        if what != "folder":
            yield key, what
        elif (name == PROFILE and not {PROFILE, AGAINST} & {*prefix}) or (name == AGAINST and AGAINST not in prefix):
            yield from _entries(root, key)
        elif name == AGAIN and not prefix:
            for test in names(folder / name, below=root):
                what = kind(folder / name / test, below=root)
                if what == "folder":
                    yield from _entries(root, (*key, test))
                else:
                    yield (*key, test), what
        elif prefix or name != CANDIDATES:
            yield key, what
