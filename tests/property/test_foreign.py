"""Whatever stands in a field of a recording, a dump or a baseline: an answer, no traceback, and no order to anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from tests import foreign
from tests.examples import examples

FILES = (foreign.LAUNCH, foreign.DUMP, foreign.BASELINE)
SLOW = (HealthCheck.function_scoped_fixture, HealthCheck.too_slow)
GONE: Any = object()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return foreign.project(tmp_path_factory.mktemp("foreign"))


def assert_answered(root: Path, *, quick: bool) -> None:
    for name, text in foreign.everything(root, quick=quick):
        assert foreign.orders(name, text) == [], name


def test_what_was_recorded_is_judged(project: Path) -> None:
    said = list(foreign.everything(project))
    assert any(name == ".csv" and ",pass," in text for name, text in said)
    assert [text for name, text in said if name == "error"] == []


@pytest.mark.parametrize("name", FILES)
@examples(20)
@given(drawn=st.data())
def test_a_field_that_is_gone_or_another_is_an_answer(project: Path, name: str, drawn: st.DataObject) -> None:
    original = (project / name).read_bytes()
    document = json.loads(original)
    place = drawn.draw(st.sampled_from(list(foreign.places(document))))
    value = drawn.draw(st.sampled_from((*foreign.VALUES, GONE)))
    changed = foreign.without(document, place) if value is GONE else foreign.replaced(document, place, value)
    try:
        (project / name).write_bytes(foreign.text_of(changed))
        assert_answered(project, quick=drawn.draw(st.integers(0, 4)) != 0)
    finally:
        (project / name).write_bytes(original)


@examples(10)
@given(lines=st.lists(st.sampled_from([foreign.HOSTILE, "Traceback (most recent call last):"]) | st.text(), max_size=5))
def test_a_log_may_hold_anything(project: Path, lines: list[str]) -> None:
    log = project / foreign.LOG
    original = log.read_bytes()
    try:
        log.write_bytes(original + b"\xff\x00" + "\n".join(lines).encode("utf-8", "surrogatepass"))
        assert_answered(project, quick=True)
    finally:
        log.write_bytes(original)
