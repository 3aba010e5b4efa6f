"""The interface of all shapes."""

from __future__ import annotations

from collections.abc import Collection
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


def did_you_mean(word: str, known: Collection[str]) -> str:
    """`, did you mean 'gpus'?` where a known word is close, else nothing."""
    import difflib

    close = difflib.get_close_matches(word, sorted(known), n=1)
    return f", did you mean '{close[0]}'?" if close else ""
