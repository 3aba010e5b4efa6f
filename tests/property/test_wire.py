"""Everything in `pytest_sgdiff.data` survives the way to plain builtins, through JSON and back."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff import data
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.files.wire import from_plain, to_plain
from tests.examples import examples
from tests.property.strategies import json_values, values

NOUNS = [
    noun
    for noun in vars(data).values()
    if dataclasses.is_dataclass(noun) and isinstance(noun, type) and noun.__module__.startswith(f"{data.__name__}.")
]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
@examples(12)
@given(drawn=st.data())
def test_every_noun_comes_back_equal(noun: type, drawn: st.DataObject) -> None:
    value = drawn.draw(values(noun))
    plain = to_plain(value)
    assert from_plain(noun, plain) == value
    assert from_plain(noun, json.loads(json.dumps(plain, allow_nan=False))) == value
    assert from_plain(noun, to_plain(value, omit_defaults=True)) == value


def refusal(noun: type, plain: object) -> WireError | None:
    """The error that reading gives, None if it gave a value."""
    try:
        assert isinstance(from_plain(noun, plain), noun)
    except WireError as error:
        return error
    return None


@examples(200)
@given(noun=st.sampled_from(NOUNS), plain=json_values(allow_nan=True))
def test_nothing_but_a_wire_error_comes_of_foreign_data(noun: type, plain: object) -> None:
    error = refusal(noun, plain)
    assert error is None or str(error)


@examples(50)
@given(drawn=st.data(), noun=st.sampled_from([data.CaseResult, data.Launch, data.Baseline]))
def test_a_field_replaced_by_anything_is_accepted_or_named(drawn: st.DataObject, noun: type) -> None:
    plain = to_plain(drawn.draw(values(noun)))
    field = drawn.draw(st.sampled_from(sorted(plain)))
    plain[field] = drawn.draw(json_values(allow_nan=True))
    error = refusal(noun, plain)
    assert error is None or (error.path[0] == field and str(error).startswith(field))
