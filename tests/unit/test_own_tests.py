"""The tests themselves: none of them may fail because a machine is busy."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TESTS = Path(__file__).parents[1]
TIMED = ("deadline", "suppress_health_check")
"""What the profile in tests/conftest.py settles for all tests."""


def test_no_property_fails_by_time() -> None:
    assert settings().deadline is None
    assert HealthCheck.too_slow in settings().suppress_health_check


@settings(max_examples=1)
@given(st.none())
def test_nor_does_one_with_settings_of_its_own(nothing: None) -> None:
    own = settings(max_examples=7)
    assert (own.deadline, own.max_examples) == (None, 7)
    assert HealthCheck.too_slow in own.suppress_health_check


def test_no_test_sets_a_deadline_of_its_own() -> None:
    found = [
        f"{path.relative_to(TESTS)}:{line}"
        for path in TESTS.rglob("*.py")
        if path != TESTS / "conftest.py"
        for line in own_deadlines(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("@settings(max_examples=5, deadline=200)\ndef f(): ...", [1]),
        ("x = 1\nQUICK = hypothesis.settings(deadline=None)", [2]),
        ("settings.register_profile('ci', suppress_health_check=[])", [1]),
        ("@settings(max_examples=5)\ndef f(): ...", []),
        ("wait(deadline=5)", []),
    ],
)
def test_a_deadline_of_its_own_is_seen(text: str, lines: list[int]) -> None:
    assert list(own_deadlines(text)) == lines


def own_deadlines(text: str) -> Iterator[int]:
    """Lines on which hypothesis is told about time."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and "settings" in ast.unparse(node.func):
            yield from (node.lineno for word in node.keywords if word.arg in TIMED)
