"""Whatever the bytes: cases or a CaseFileError, never anything else, and every mistake with its place."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_sgdiff.cases.load import load_cases, read_cases
from pytest_sgdiff.errors import CaseFileError
from tests.examples import examples

REAL = {path.name: path.read_text() for path in sorted((pathlib.Path(__file__).parents[2] / "cases").glob("*.yaml"))}
SYNTAX = "\t|\n|: |- |{|}|[|]|&a |*a |<<: |!!x |'|\"|>\n|---\n|\0|#|%|~|\ufeff|\u2028|é"
WORDS = "cases:\n|defaults:\n|matrix: |gpus: |args: |.nan|1e999|" + "9" * 400
fragments = st.sampled_from([*SYNTAX.split("|"), *WORDS.split("|")])


def mistakes_of(text: str) -> tuple[str, ...]:
    try:
        cases = load_cases("cases/x.yaml", text)
    except CaseFileError as error:
        return error.mistakes or ("a CaseFileError without mistakes",)
    assert cases
    return ()


def assert_cases_or_places(text: str) -> None:
    lines = len(re.split("\r\n|[\r\n\x85\u2028\u2029]", text))
    for mistake in mistakes_of(text):
        place = re.match(r"cases/x\.yaml:(\d+):(\d+): \S", mistake)
        assert place, mistake
        assert 1 <= int(place[1]) <= lines, mistake
        assert int(place[2]) >= 1, mistake


@given(st.text())
@example("\ud800")
@example("\x85cases: {}")
@example("a\r\rb: [")
def test_any_text_gives_cases_or_mistakes(text: str) -> None:
    assert_cases_or_places(text)


@given(st.lists(fragments, max_size=30).map("".join))
def test_anything_that_looks_like_yaml_gives_cases_or_mistakes(text: str) -> None:
    assert_cases_or_places(text)


@examples(60)
@given(
    name=st.sampled_from(sorted(REAL)),
    cuts=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 40), fragments | st.text(max_size=5)), min_size=1, max_size=4
    ),
)
def test_a_real_file_that_was_damaged_gives_cases_or_mistakes(name: str, cuts: list[tuple[float, int, str]]) -> None:
    text = REAL[name]
    for where, length, replacement in cuts:
        at = int(where * len(text))
        text = text[:at] + replacement + text[at + length :]
    assert_cases_or_places(text)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = (
    "model gpus args env config assets expect metrics launches timeout requires faster_than matrix marks fixtures "
    "backend warmup engine summary source other"
)
PARTS = "primary gate allow detect limits baseline looks gpu engine token case at_least output width"
parts = st.dictionaries(st.sampled_from(PARTS.split()), json_values, max_size=4)
bodies = st.dictionaries(st.sampled_from(KEYS.split()), json_values | parts, max_size=6)


@given(defaults=bodies, case=bodies)
def test_any_values_under_the_right_keys_give_cases_or_mistakes(defaults: dict[str, Any], case: dict[str, Any]) -> None:
    # JSON is YAML, but for NaN and infinity, which YAML writes with a dot.
    text = json.dumps({"defaults": defaults, "cases": {"a": case}})
    assert_cases_or_places(text.replace("NaN", ".nan").replace("Infinity", ".inf"))


@given(raw=st.binary(max_size=200))
@example(raw=b"cases: {a: {model: m}}")
def test_any_bytes_on_disk_give_cases_or_mistakes(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "x.yaml").write_bytes(raw)
    try:
        mistakes: tuple[str, ...] = () if read_cases(folder / "x.yaml", folder) else ("no case",)
    except CaseFileError as error:
        mistakes = error.mistakes
    assert all(m.startswith("x.yaml:") for m in mistakes)


flags = st.from_regex(r"[a-z]{1,6}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), max_size=10)
values = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts


@given(args=st.dictionaries(flags, values | st.lists(values, min_size=1, max_size=3), max_size=6))
def test_arguments_come_through_unchanged_and_in_order(args: dict[str, Any]) -> None:
    (case,) = load_cases("x.yaml", json.dumps({"cases": {"a": {"model": "m", "args": args}}}))
    assert [(k, list(v) if isinstance(v, tuple) else v) for k, v in case.args.items()] == list(args.items())
