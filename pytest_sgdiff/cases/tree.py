"""A YAML file as a tree whose every key and value knows its place, and the mistakes that are found in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter
from types import MappingProxyType
from typing import Any, NamedTuple

from pytest_sgdiff import lookalikes

# More than anybody reads; a file that is something else altogether is not picked to pieces.
MAX_MISTAKES = 1000

Plain = str | int | float | bool | None


# Of a large file there are a hundred thousand of each, so all of these are tuples: a dataclass that is frozen takes
# three times as long to make.
class Place(NamedTuple):
    """Line and column in a file, both from 1."""

    line: int
    column: int


class Leaf(NamedTuple):
    """A single value. `text` is what the file says, `value` what YAML 1.2 makes of it."""

    place: Place
    text: str
    value: Plain


class Branch(NamedTuple):
    """A list."""

    place: Place
    items: tuple[Node, ...]


_NONE: Mapping[str, Any] = MappingProxyType({})


class Table(NamedTuple):
    """A mapping with text keys, in the file's order. `keys` has the place of each key.

    `again` has what stands under keys that were there before: a mistake, below which there may be others.
    """

    place: Place
    entries: Mapping[str, Node] = _NONE
    keys: Mapping[str, Place] = _NONE
    again: tuple[tuple[str, Place, Node], ...] = ()

    def written(self) -> Iterator[tuple[str, Place, Node]]:
        """Every key with its place and value, repeated ones last."""
        # Both have the same keys in the same order: whoever adds to one adds to the other.
        first = zip(self.entries, self.keys.values(), self.entries.values(), strict=True)
        return itertools.chain(first, self.again) if self.again else first


Node = Leaf | Branch | Table


class TooManyMistakesError(Exception):
    """So much is wrong that looking for more is no use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cause:
    """Where else than at its place a mistake may come from."""

    began: Place | None
    syntax: bool


class Mistakes:
    """Collects what is wrong in one file; `lines` gives each once, in the file's order, and names the characters of
    its line in the file's `text` that look like others.

    `add` raises TooManyMistakesError beyond MAX_MISTAKES. `began` is where something began that is wrong at `place`,
    and `syntax` says that what stands above may be the cause.
    """

    def __init__(self, path: str, text: str = "") -> None:
        self.path, self.text = path, text
        self._found: dict[tuple[int, int, str], _Cause] = {}

    def add(self, place: Place, message: str, *, began: Place | None = None, syntax: bool = False) -> None:
        if len(self._found) >= MAX_MISTAKES:
            raise TooManyMistakesError
        self._found[place.line, place.column, message] = _Cause(began=began, syntax=syntax)

    def __len__(self) -> int:
        return len(self._found)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(
            f"{self.path}:{line}:{column}: {message}{self._lookalikes(line, cause)}"
            for (line, column, message), cause in sorted(self._found.items(), key=itemgetter(0))
        )

    def _lookalikes(self, line: int, cause: _Cause) -> str:
        if self.text.isascii():
            return ""
        others = [] if cause.began is None else [cause.began.line]
        return lookalikes.named(self.text, line, others=others, syntax=cause.syntax)


def is_null(node: Node) -> bool:
    """Whether the value is YAML's null: written as such, or nothing after the colon."""
    return isinstance(node, Leaf) and node.value is None


def to_plain(node: Node) -> Any:
    """The tree as plain builtins: dict, list, str, int, float, bool, None."""
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Branch):
        return [to_plain(item) for item in node.items]
    return {key: to_plain(value) for key, value in node.entries.items()}


def describe(node: Node) -> str:
    """A value as a message quotes it: `'four'`, `2.5`, `true`, `nothing`, `a list`, `a mapping`."""
    if isinstance(node, Table):
        return "a mapping"
    if isinstance(node, Branch):
        return "a list"
    if node.value is None:
        return "nothing"
    text = repr(node.value) if isinstance(node.value, str) else node.text
    return text if len(text) <= 80 else text[:77] + "..."
