"""Baseline files: where they lie, how they are found, written and checked.

`ROOT/<machine>/<case>.json`, one file for each machine and case. `file_format` knows the text form,
`renew` how fresh launches make a new baseline of an old one.
"""

from __future__ import annotations

from pytest_sgdiff.baselines.check import check
from pytest_sgdiff.baselines.find import (
    Once,
    every,
    find,
    find_replaceable,
    load,
    only_machine,
    others,
    path_for,
    suite,
    walls,
)
from pytest_sgdiff.baselines.flaws import Flaw
from pytest_sgdiff.baselines.renew import centres, renew
from pytest_sgdiff.baselines.write import apply, save, update

__all__ = [
    "Flaw",
    "Once",
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
    "walls",
]
