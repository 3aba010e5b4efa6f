"""Looks flags up: which release a version stands for, whether it has a flag, and how the flag takes its value."""

from __future__ import annotations

import re

from pytest_sgdiff.data import Scalar
from pytest_sgdiff.engines import flagtable
from pytest_sgdiff.engines.flagtable import Kind

_VERSION = re.compile(r"^v?(\d+)\.(\d+)(?:\.(\d+))?")


def release_of(version: str) -> int | None:
    """N of 0.5.N, None for a version that the table does not know: newer, older, or built from source.

    >>> release_of("0.5.8.post1"), release_of("0.5.17"), release_of("0.6.0"), release_of("0.0.0.dev1+g1a2b3c4")
    (8, 17, None, None)
    """
    match = _VERSION.match(version)
    if not match or (match[1], match[2]) != ("0", "5"):
        return None
    release = int(match[3] or 0)
    return release if flagtable.OLDEST <= release <= flagtable.NEWEST else None


def nearest_release(version: str) -> int:
    """The release whose flags are taken for this version: the newest known, or the oldest for what is older still."""
    known = release_of(version)
    if known is not None:
        return known
    match = _VERSION.match(version)
    numbers = (int(match[1]), int(match[2]), int(match[3] or 0)) if match else (0, 0, 0)
    # 0.0.0 is what an engine built from source tells: likelier new than old.
    return flagtable.OLDEST if (0, 0, 0) < numbers < (0, 5, flagtable.OLDEST) else flagtable.NEWEST


def kind_of(name: str, release: int) -> Kind | None:
    """How the flag takes its value in that release, None if it does not have it."""
    for (since, until, kind), names in flagtable.FLAGS.items():
        if since <= release <= (until or flagtable.NEWEST) and name in names.split():
            return kind
    return None


def has_flag(name: str, version: str) -> bool:
    """Whether that version's `sglang generate` has the flag."""
    return kind_of(name, nearest_release(version)) is not None


def text_of(value: Scalar) -> str:
    """A value as the engine's parser reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
