"""What a version of the engine means."""

from __future__ import annotations

import pytest

from pytest_sgdiff.data import Case, Location, Requires
from pytest_sgdiff.engine_version import NEWEST, OLDEST, engine_version
from pytest_sgdiff.engines.flags.translate import meant_for

FROM_SOURCE = (
    "0.0.0",
    "0.0.0.dev0",
    "0.0.0.dev1+gc6416b13d",
    "0.1.dev1",
    "0.1.dev1+g770a1d4",
    "0.3.1.dev217+g770a1d4",
    "0.5.6.post3.dev1278+g12ab34c",
    "0.5.12.dev3+g12ab34c",
    "0.5.24.dev1+g1f5e73b",
    "unknown",
    "main",
    "",
    None,
)


@pytest.mark.parametrize("text", FROM_SOURCE)
def test_a_version_that_is_no_release_is_the_newest_and_warned_of(text: str | None) -> None:
    version = engine_version(text)
    assert (version.meaning, version.release, version.numbers) == ("source", NEWEST, (0, 5, NEWEST))
    assert version.newest
    assert not version.known
    assert version.warning is not None


@pytest.mark.parametrize(
    ("text", "meaning", "release", "numbers"),
    [
        ("0.5.8", "known", OLDEST, (0, 5, 8)),
        ("0.5.8rc1", "known", OLDEST, (0, 5, 8)),
        ("0.5.17.post1", "known", 17, (0, 5, 17)),
        ("0.5.17+cu130", "known", 17, (0, 5, 17)),
        (" v0.5.23 ", "known", NEWEST, (0, 5, 23)),
        ("0.5.24", "newer", NEWEST, (0, 5, 24)),
        ("0.5.24rc1", "newer", NEWEST, (0, 5, 24)),
        ("0.6", "newer", NEWEST, (0, 6, 0)),
        ("1.0", "newer", NEWEST, (1, 0, 0)),
        ("0.5.7", "older", OLDEST, (0, 5, 7)),
        ("0.4.10.post2", "older", OLDEST, (0, 4, 10)),
        ("0.1", "older", OLDEST, (0, 1, 0)),
    ],
)
def test_a_release_is_known_or_newer_or_older(text: str, meaning: str, release: int, numbers: tuple[int, ...]) -> None:
    version = engine_version(text)
    assert (version.meaning, version.release, version.numbers) == (meaning, release, numbers)
    assert (version.warning is None) is (meaning == "known")
    assert version.newest is (meaning == "newer")


@pytest.mark.parametrize("text", FROM_SOURCE)
@pytest.mark.parametrize(
    ("specifier", "allowed"),
    [
        ("", True),
        (">=0.5.11", True),
        (">=0.5.23", True),
        (">0.5.23", True),
        (">=0.5.24", True),
        (">=0.5.40,<0.6", True),
        (">0.5.40,<0.6", True),
        (">=0.5.11,<0.6", True),
        ("==0.5.*", True),
        ("~=0.5.11", True),
        ("!=0.5.23", True),
        (">=1.0", True),
        ("<0.5.18", False),
        ("==0.5.17", False),
        (">=0.5.11,<0.5.20", False),
    ],
)
def test_a_build_from_source_satisfies_what_the_newest_would(text: str | None, specifier: str, allowed: bool) -> None:
    assert engine_version(text).satisfies(specifier) is allowed


@pytest.mark.parametrize(
    ("text", "specifier", "allowed"),
    [
        ("0.5.18rc1", ">=0.5.18", True),
        ("0.5.18rc1", "<0.5.18", False),
        ("0.5.17.post1", ">=0.5.17", True),
        ("0.5.17.post1", ">0.5.17", False),  # by PEP 440 a post-release is no later release
        ("0.5.17.post1", ">=0.5.17.post1", True),
        ("0.5.17+cu130", "==0.5.17", True),
        ("0.5.17", ">=0.5.18", False),
        ("0.5.24", ">=0.5.24", True),
        ("0.5.24", ">=0.5.25", False),
        ("0.5.7", ">=0.5.8", False),
        ("v0.5.9", "<0.5.10", True),
    ],
)
def test_a_release_is_held_against_the_specifier(text: str, specifier: str, allowed: bool) -> None:
    assert engine_version(text).satisfies(specifier) is allowed


def test_a_case_is_meant_for_the_versions_that_it_requires() -> None:
    here = Location(path="c.yaml", line=1, column=1)
    case = Case(name="x", location=here, model="a/b", args={}, requires=Requires(engine=">=0.5.13"))
    versions = ("0.0.0.dev1+gc6416b13d", "0.5.13", "0.5.12")
    assert [meant_for(case, version) for version in versions] == [True, True, False]
