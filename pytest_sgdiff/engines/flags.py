"""Looks flags up: which release a version stands for, whether it has a flag, how the flag takes its value, and what a
case gives for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pytest_sgdiff.data import ArgValue, Case, Scalar
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


def choices_of(name: str, release: int) -> tuple[str, ...]:
    """The values that the release allows; empty where any may be given."""
    allowed = ""
    for since, values in flagtable.CHOICES.get(name, ()):
        if since <= release:
            allowed = values
    return tuple(allowed.split())


def spans_of(name: str) -> list[tuple[int, int]]:
    """First and last release of each span in which the flag exists, oldest first."""
    return sorted(
        (since, until or flagtable.NEWEST)
        for (since, until, _), names in flagtable.FLAGS.items()
        if name in names.split()
    )


def known_flags(release: int) -> list[str]:
    """Every flag of the release, sorted."""
    return sorted(
        name
        for (since, until, _), names in flagtable.FLAGS.items()
        if since <= release <= (until or flagtable.NEWEST)
        for name in names.split()
    )


def has_flag(name: str, version: str) -> bool:
    """Whether that version's `sglang generate` has the flag."""
    return kind_of(name, nearest_release(version)) is not None


def text_of(value: Scalar) -> str:
    """A value as the engine's parser reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def config_key(flag: str) -> str:
    """What a flag is called in a file for `--config`: with underscores, and by one name only."""
    return flagtable.CONFIG_NAMES.get(flag, flag.replace("-", "_"))


def flag_of(key: str) -> str | None:
    """The flag that a key of a config stands for, None if it is none of any release."""
    plain = key.replace("_", "-")
    if spans_of(plain):
        return plain
    return next((flag for flag, name in flagtable.CONFIG_NAMES.items() if name == key), None)


def given(case: Case, flag: str) -> ArgValue | None:
    """The value that a case gives for a flag, under `args` or else in its `config`, as the engine reads them; None if
    it gives none."""
    value = case.args.get(flag)
    return _flat(case.config.get(config_key(flag))) if value is None else value


def key_given(case: Case, flag: str) -> str | None:
    """The dotted key that gives the flag, as an argument, as an asset or in the config; None if none does."""
    for key in ("args", "assets"):
        if flag in getattr(case, key):
            return f"{key}.{flag}"
    return None if case.config.get(config_key(flag)) is None else f"config.{config_key(flag)}"


def _flat(value: Any) -> ArgValue | None:
    """A value of a config as an argument would write it: a mapping as `key=value,key=value`."""
    if isinstance(value, list | tuple):
        return tuple(part if isinstance(part, str | int | float) else str(part) for part in value)
    if isinstance(value, Mapping):
        return ",".join(f"{key}={part}" for key, part in value.items())
    return value if isinstance(value, str | int | float) else None
