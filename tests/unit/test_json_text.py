"""JSON as people review it: small diffs, and a line for every value."""

from __future__ import annotations

import pytest

from pytest_sgdiff.files.json_text import JsonTextError, read, write
from tests.foreign import HOSTILE, orders

TEXT = """\
{
  "launches": [
    {"number": 0, "steps_ms": [1.5, 2]},
    {"number": 1}
  ],
  "metrics": {
    "e2e": [1.5, null],
    "empty": {},
    "numbers": {"a": 1, "b": 2.5},
    "µ": "a \\"quoted\\" {word}"
  }
}
"""
VALUE = {
    "metrics": {"e2e": [1.5, None], "µ": 'a "quoted" {word}', "empty": {}, "numbers": {"b": 2.5, "a": 1}},
    "launches": [{"steps_ms": [1.5, 2], "number": 0}, {"number": 1}],
}


def test_keys_are_sorted_and_numbers_that_belong_together_stay_on_one_line() -> None:
    assert write(VALUE) == TEXT
    assert write(read(TEXT).value) == TEXT


def test_no_order_stands_in_the_text_and_the_value_is_the_same() -> None:
    value = {"a": [HOSTILE, {HOSTILE: HOSTILE}], "b": "näher 日本"}
    text = write(value)
    assert orders("json", text) == []
    assert read(text).value == value
    assert write(read(text).value) == text
    assert "näher 日本" in text


def test_a_number_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write({"x": float("nan")})


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("launches",), 2),
        (("launches", 0), 3),
        (("launches", 0, "steps_ms", 1), 3),
        (("launches", 1, "number"), 4),
        (("metrics",), 6),
        (("metrics", "e2e", 1), 7),
        (("metrics", "numbers", "b"), 9),
        (("metrics", "µ"), 10),
        (("metrics", "missing", 3), 6),
        (("missing",), 1),
    ],
)
def test_every_value_knows_its_line(path: tuple[str | int, ...], line: int) -> None:
    assert read(TEXT).line(path) == line


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ('{\n "a": 1\n "b": 2\n}', 3, "not JSON: "),
        ("", 1, "not JSON: Expecting value"),
        ('{"a":\n<<<<<<< HEAD\n1\n=======\n2\n>>>>>>> other\n}', 2, "an unresolved merge conflict"),
        ('{\n "a": 1,\n "b": {"c": 1,\n "c": 2}\n}', 4, "the key 'c' stands twice (see line 3)"),
        ('{"a": 1,\n"b": ' + "9" * 5000 + "}", 2, "not usable JSON: a number of 5000 digits"),
        ("[" * 100_000, 1, "not usable JSON: nested too deeply"),
    ],
)
def test_what_is_no_json_is_named_with_its_line(text: str, line: int, message: str) -> None:
    with pytest.raises(JsonTextError) as caught:
        read(text)
    assert caught.value.line == line
    assert str(caught.value).startswith(message)
