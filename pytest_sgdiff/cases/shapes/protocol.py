"""The interface of all shapes."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any, Protocol

from pytest_sgdiff.cases.tree import Mistakes, Node

Schema = dict[str, Any]


class Shape(Protocol):
    """One kind of value.

    `check` returns the value as `pytest_sgdiff.data` holds it, and None once it has added a mistake; `name` is the
    dotted key that messages use. `schema` describes the value as JSON Schema (draft 2020-12).
    """

    def check(self, node: Node, name: str, mistakes: Mistakes) -> Any: ...

    def schema(self) -> Schema: ...


def fits(pattern: str, text: str) -> bool:
    """Whether the whole text matches. The same few keys and words come up in every case, so answers are kept, but not
    those on long texts."""
    return _fits(pattern, text) if len(text) <= 100 else re.fullmatch(pattern, text) is not None


@lru_cache(maxsize=4096)
def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(pattern, text) is not None


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`, did you mean 'gpus'?` where a known word is close, else nothing."""
    import difflib

    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""


def said(what: str) -> Schema:
    """What an editor says of a value that is something else. `errorMessage` is a keyword of yaml-language-server; by
    itself that shows a regular expression."""
    return {"errorMessage": f"must be {what}"}


def said_of_keys(keys: Collection[str], needed: Collection[str] = ()) -> Schema:
    """What an editor says of an unknown key, of one that is missing, and of a value that is no mapping."""
    missing = f"; {' and '.join(needed)} must be there" if needed else ""
    return {"errorMessage": f"the keys here are {', '.join(keys)}{missing}"}
