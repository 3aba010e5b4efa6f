"""What a version of SGLang means: the one place that says so. Pure.

A version is a published release (`0.5.17`, `0.5.17.post1`, `0.5.17+cu130`, `0.5.18rc1`), or it is none: a build from
source. Such a build takes its version from the newest git tag that its checkout could see. On the main branch that is
often a tag of long ago (`0.5.6.post3.dev1278+g1a2b3c4`), in a clone without tags it is made up (`0.0.0.dev1+g1a2b3c4`,
`0.1.dev1+g1a2b3c4`; https://github.com/pypa/setuptools-scm/issues/414). So the number of a build from source says
nothing of its age, and it counts as newer than every release that is known: it is likelier new than old.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from packaging.specifiers import Specifier
    from packaging.version import Version

OLDEST = 8
NEWEST = 23
"""The N of the first and of the last 0.5.N that the tables of flags, models and backends know."""

Meaning = Literal["known", "newer", "older", "source"]
"""known: a release of the tables; newer, older: a release beyond them; source: no release at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineVersion:
    """A version as it was read. `release` is the N of the 0.5.N whose tables are taken for it, `numbers` are the
    numbers by which it is older or newer than others."""

    text: str
    meaning: Meaning
    release: int
    numbers: tuple[int, ...]

    @property
    def known(self) -> bool:
        """Whether the tables were made from this very release."""
        return self.meaning == "known"

    @property
    def newest(self) -> bool:
        """Whether it counts as newer than every release of the tables, which are the past of it."""
        return self.meaning in ("newer", "source")

    @property
    def name(self) -> str:
        """What to call it in a sentence: `sglang 0.5.17`."""
        return f"sglang 0.5.{self.release}" if self.known else f"sglang {self.text or 'of an unknown version'}"

    @property
    def warning(self) -> str | None:
        """What to say of a version that the tables do not know; None for one that they do."""
        if self.known:
            return None
        if self.meaning == "source":
            return f"{self.name} is a build from source, which counts as newer than 0.5.{NEWEST}"
        return f"{self.name} is not known; its flags are taken to be those of 0.5.{self.release}"

    def satisfies(self, specifier: str) -> bool:
        """Whether the version is one that a PEP 440 specifier allows; an empty one allows all.

        A pre-release counts as what it precedes. A build from source satisfies what the newest known release or any
        later one would: a lower bound always, an upper bound only if that lies above what is known.
        Raises ValueError for a specifier that is none.
        """
        from packaging.specifiers import SpecifierSet

        wanted = SpecifierSet(specifier)
        if self.meaning != "source":
            return wanted.contains(_counted(self.text), prereleases=True)
        return any(wanted.contains(one, prereleases=True) for one in _from_newest_on(wanted))


@functools.cache
def engine_version(text: str | None) -> EngineVersion:
    """What the version means; one that cannot be read, and none at all, are builds from source.

    >>> [engine_version(text).meaning for text in ("0.5.17.post1", "0.5.24", "0.4.9", "0.1.dev1", "unknown")]
    ['known', 'newer', 'older', 'source', 'source']
    """
    plain = (text or "").strip()
    version = _parsed(plain)
    newest = (0, 5, NEWEST)
    if version is None or version.is_devrelease or not any(version.release):
        return EngineVersion(text=plain, meaning="source", release=NEWEST, numbers=newest)
    numbers = (*version.release, 0, 0, 0)[:3]
    if numbers > newest:
        return EngineVersion(text=plain, meaning="newer", release=NEWEST, numbers=numbers)
    if numbers < (0, 5, OLDEST):
        return EngineVersion(text=plain, meaning="older", release=OLDEST, numbers=numbers)
    return EngineVersion(text=plain, meaning="known", release=numbers[2], numbers=numbers)


def _parsed(text: str) -> Version | None:
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text)
    except InvalidVersion:
        return None


def _counted(text: str) -> str:
    """The version without its local part and without what makes it a pre-release: `0.5.18rc1` counts as 0.5.18."""
    version = _parsed(text)
    if version is None:
        return text
    return version.base_version if version.is_prerelease else version.public


def _from_newest_on(wanted: Iterable[Specifier]) -> tuple[str, ...]:
    """Versions from the newest known on that stand for all that a specifier can tell apart: what it names, and what
    comes after that."""
    newest = f"0.5.{NEWEST}"
    found = [newest]
    for one in wanted:
        named = _parsed(one.version.removesuffix(".*"))
        if named is not None and named.release >= (0, 5, NEWEST):
            major, minor, micro = (*named.release, 0, 0, 0)[:3]
            found += [named.public, f"{major}.{minor}.{micro + 1}", f"{major}.{minor + 1}", f"{major + 1}"]
    return tuple(found)
