"""Baseline files: where they lie, how they are found, written and checked.

`ROOT/<machine>/<case>.json`, one file for each machine and case. `pytest_sgdiff.baselinefile` knows the text form,
`pytest_sgdiff.renewal` how fresh launches make a new baseline of an old one.
"""

from __future__ import annotations

from pytest_sgdiff.baselines.checking import check
from pytest_sgdiff.baselines.finding import (
    every,
    find,
    find_replaceable,
    load,
    only_machine,
    others,
    path_for,
    suite,
)
from pytest_sgdiff.baselines.flaws import Flaw
from pytest_sgdiff.baselines.writing import apply, save, update
from pytest_sgdiff.renewal import centres, renew

__all__ = [
    "Flaw",
    "apply",
    "centres",
    "check",
    "every",
    "find",
    "find_replaceable",
    "load",
    "only_machine",
    "others",
    "path_for",
    "renew",
    "save",
    "suite",
    "update",
]
