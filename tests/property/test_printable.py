"""Whatever others write, no line of it gives an order to a terminal or to a CI system."""

from __future__ import annotations

import json

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_sgdiff.printable import printable, printable_json
from tests.examples import examples
from tests.foreign import orders
from tests.property.strategies import json_values

PARTS = st.sampled_from(
    (
        *("::", "##", "[", "vso", "error", "section_start:1", " ", "\u3000", "\n", "\r"),
        *("\x1b", "\x9b", "\u202e", "\u2028", "\ud800", "é"),
    )
)
TEXT = st.lists(PARTS | st.characters(), max_size=12).map("".join)


@examples(500)
@given(text=TEXT)
def test_a_printable_text_is_one_line_without_orders(text: str) -> None:
    shown = printable(text)
    assert orders("text", shown) == []
    assert "\n" not in shown
    assert printable(shown) == shown


@examples(500)
@given(text=TEXT)
def test_text_of_letters_and_signs_is_shown_as_it_is(text: str) -> None:
    plain = "".join(char for char in text if char.isprintable() and char not in ":#").replace("section_start", "")
    assert printable(plain) == plain


@examples(200)
@given(value=json_values() | st.dictionaries(TEXT, TEXT, max_size=3))
@example(value="\ud800\udc00")
def test_a_document_is_the_same_after_it_was_made_printable(value: object) -> None:
    text = printable_json(json.dumps(value, ensure_ascii=False, indent=1))
    # Two halves of a pair, one behind the other, are one character to JSON.
    assert json.loads(text) == json.loads(json.dumps(value))
    assert orders("json", text) == []
