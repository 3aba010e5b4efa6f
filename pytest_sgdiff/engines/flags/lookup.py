"""Looks flags up: which an engine has, by its own help or else by the tables, how they take their values, and what a
case gives for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_sgdiff.data import ArgValue, Case, EngineInfo, Flag, Scalar
from pytest_sgdiff.engine_version import EngineVersion, engine_version
from pytest_sgdiff.engines.flags import table
from pytest_sgdiff.engines.flags.table import Kind


def kind_of(name: str, release: int) -> Kind | None:
    """How the flag takes its value in that release, None if it does not have it."""
    for (since, until, kind), names in table.FLAGS.items():
        if since <= release <= (until or table.NEWEST) and name in names.split():
            return kind
    return None


def choices_of(name: str, release: int) -> tuple[str, ...]:
    """The values that the release allows; empty where any may be given."""
    allowed = ""
    for since, values in table.CHOICES.get(name, ()):
        if since <= release:
            allowed = values
    return tuple(allowed.split())


def spans_of(name: str) -> list[tuple[int, int]]:
    """First and last release of each span in which the flag exists, oldest first."""
    return sorted(
        (since, until or table.NEWEST) for (since, until, _), names in table.FLAGS.items() if name in names.split()
    )


def known_flags(release: int) -> list[str]:
    """Every flag of the release, sorted."""
    return sorted(
        name
        for (since, until, _), names in table.FLAGS.items()
        if since <= release <= (until or table.NEWEST)
        for name in names.split()
    )


def text_of(value: Scalar) -> str:
    """A value as the engine's parser reads it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def config_key(flag: str) -> str:
    """What a flag is called in a file for `--config`: with underscores, and by one name only."""
    return table.CONFIG_NAMES.get(flag, flag.replace("-", "_"))


def flag_of(key: str) -> str | None:
    """The flag that a key of a config stands for, None if it is none of any release."""
    plain = key.replace("_", "-")
    if spans_of(plain):
        return plain
    return next((flag for flag, name in table.CONFIG_NAMES.items() if name == key), None)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineFlags:
    """The flags of one engine: those that its own help shows, `told`, and where it was not asked, None, those of the
    release that its version stands for."""

    version: EngineVersion
    told: Mapping[str, Flag] | None = None

    @property
    def release(self) -> int:
        """The N of the 0.5.N whose tables are taken for this engine."""
        return self.version.release

    @property
    def name(self) -> str:
        """What to call the engine in a sentence."""
        return self.version.name

    @property
    def guessed(self) -> bool:
        """Whether the tables are older than the engine and nobody asked it: what they say may be over."""
        return self.told is None and self.version.newest

    def kind_of(self, name: str) -> Kind | None:
        """How the flag takes its value, None if the engine does not have it."""
        if self.told is None:
            return kind_of(name, self.release)
        if name in self.told:
            return self.told[name].kind
        # A parser may keep a flag out of its help; what that of a published release knows, the tables know as well.
        return kind_of(name, self.release) if self.version.known and name in table.HIDDEN else None

    def choices_of(self, name: str) -> tuple[str, ...]:
        """The values that the flag may have; empty where any may be given, or nobody knows."""
        if self.version.newest:
            return () if self.told is None or name not in self.told else self.told[name].choices
        return choices_of(name, self.release)

    def off_switch(self, name: str) -> str | None:
        """The flag that says the contrary of this one, None if there is none."""
        if self.told is not None and name in self.told:
            return self.told[name].off
        return "no-save-output" if name == "save-output" else None

    def known(self) -> list[str]:
        """Every flag of the engine, sorted."""
        return known_flags(self.release) if self.told is None else sorted(self.told)


def flags_of(info: EngineInfo) -> EngineFlags:
    """The flags of an engine."""
    return EngineFlags(version=engine_version(info.version), told=info.flags)


def table_flags(version: str) -> EngineFlags:
    """The flags that the tables give for a version."""
    return EngineFlags(version=engine_version(version))
