"""Laws of redaction, over texts made of what secrets are made of."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.redact import Redaction, redact

PARTS = st.sampled_from(
    [
        *("HF_TOKEN", "KEY", "api_key", "--hf-token", "password", "Authorization", "Bearer", "token", "max_tokens"),
        *(
            "=",
            ":",
            ": ",
            " ",
            '"',
            "'",
            '\\"',
            "\\",
            "\n",
            "&",
            "?",
            "://",
            "@",
            "%3D",
            "/",
            ",",
            "{",
            "}",
            "[",
            "<",
            ">",
        ),
        *("abc", "s3cr3t-value", "hf_" + "aB" * 12, "eyJ" + "a" * 20, "512", "None", "<redacted>", "-----BEGIN "),
        *("PRIVATE KEY-----", "-----END "),
    ]
)
TEXTS = st.lists(PARTS, max_size=25).map("".join)
ENV = {"MY_SECRET": "s3cr3t-value"}


@given(text=TEXTS)
def test_what_was_redacted_stays_as_it_is(text: str) -> None:
    once = redact(text, ENV)
    assert redact(once, ENV) == once
    assert "s3cr3t-value" not in once


LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
TREES = st.recursive(
    LEAVES, lambda part: st.lists(part, max_size=4) | st.dictionaries(TEXTS, part, max_size=4), max_leaves=12
)


def numbers(tree: object) -> list[object]:
    if isinstance(tree, dict):
        return [number for value in tree.values() for number in numbers(value)]
    if isinstance(tree, list):
        return [number for value in tree for number in numbers(value)]
    return [tree] if isinstance(tree, int | float) else []


@given(tree=TREES)
def test_a_plain_value_keeps_its_numbers(tree: object) -> None:
    hidden = Redaction(ENV).tree(tree)
    assert "s3cr3t-value" not in json.dumps(hidden)
    if not isinstance(tree, dict):
        assert type(hidden) is type(tree)
