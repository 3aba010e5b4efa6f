"""Laws of versions: whatever an engine calls itself, its meaning is settled and agrees with itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from pytest_sgdiff.engine_version import NEWEST, OLDEST, engine_version
from pytest_sgdiff.engines.flags.help_text import flags_in

NUMBERS = st.lists(st.integers(0, 40), min_size=1, max_size=4).map(lambda parts: ".".join(map(str, parts)))
SUFFIXES = st.sampled_from(["", ".post1", "rc1", ".dev0", ".post3.dev1278", "+g1a2b3c4", ".dev1+g1a2b3c4"])
VERSIONS = st.one_of(st.text(max_size=20), st.builds(str.__add__, NUMBERS, SUFFIXES))


@given(VERSIONS)
def test_every_text_means_something(text: str) -> None:
    version = engine_version(text)
    assert OLDEST <= version.release <= NEWEST
    assert version.known == (version.warning is None)
    assert not (version.known and version.newest)
    assert version.satisfies("")
    if version.newest:
        assert version.release == NEWEST
        assert version.satisfies(f">=0.5.{NEWEST}")


@given(VERSIONS, st.integers(OLDEST, NEWEST))
def test_a_version_is_never_on_both_sides_of_a_release(text: str, release: int) -> None:
    version = engine_version(text)
    both = version.satisfies(f">=0.5.{release}"), version.satisfies(f"<0.5.{release}")
    assert both in ((True, False), (False, True))


@given(st.builds(str.__add__, NUMBERS, SUFFIXES))
def test_a_development_version_is_no_release(text: str) -> None:
    assert (engine_version(text).meaning == "source") >= Version(text).is_devrelease


@given(st.text(alphabet=st.sampled_from("ab-=[]{}|,. \n\r\x1b-usage:DPATHmodel")))
def test_no_text_breaks_the_reading_of_a_help(text: str) -> None:
    assert flags_in(text) is None or "model-path" in (flags_in(text) or {})
    assert "model-path" in (flags_in(f"usage: sglang [--model-path M]\n\n{text}") or {})
