"""JSON as people review it: a text form with small diffs, and the line on which a value stands.

The text form: keys sorted, an indent of two, lists of numbers or words and mappings to numbers on one line, a list
of mappings with one line for each of them, no NaN, escapes for what a terminal or a CI system that shows a diff would
take as an order, a newline at the end. Writing back what was read gives the same
bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_sgdiff.printable import printable_json

Place = tuple[str | int, ...]


class JsonTextError(ValueError):
    """The text is no JSON; `line` is where it stops being it."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """Parsed JSON that remembers where its values stand."""

    value: Any
    lines: Mapping[Place, int]

    def line(self, path: Place) -> int:
        """The line of a value; of its nearest parent if it is not there itself."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


def write(value: Any) -> str:
    """The text form. Raises ValueError for a number that is not finite."""
    return printable_json(_block(value, "")) + "\n"


def _block(value: Any, indent: str) -> str:
    inner = indent + "  "
    if isinstance(value, Mapping) and not _numeric(value):
        members = [f"{inner}{_line(key)}: {_block(value[key], inner)}" for key in sorted(value)]
        return "{\n" + ",\n".join(members) + f"\n{indent}}}"
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return "[\n" + ",\n".join(inner + _line(item) for item in value) + f"\n{indent}]"
    return _line(value)


def _numeric(mapping: Mapping[str, Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in mapping.values())


def _line(value: Any) -> str:
    return json.dumps(value, sort_keys=True, allow_nan=False, ensure_ascii=False)


def read(text: str) -> Document:
    """The document in `text`. NaN and Infinity are read as Python does: who reads checks its numbers.

    Raises JsonTextError with the line for text that is no JSON, and for a key that stands twice in one mapping, which
    is what a badly resolved merge leaves.
    """
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        written = text.splitlines()[error.lineno - 1 : error.lineno] or [""]
        if written[0].startswith(("<<<<<<<", "=======", ">>>>>>>")):
            raise JsonTextError("an unresolved merge conflict", error.lineno) from None
        raise JsonTextError(f"not JSON: {error.msg}", error.lineno) from None
    except RecursionError:
        raise JsonTextError("not usable JSON: nested too deeply", 1) from None
    except ValueError:
        # Python reads no whole number beyond a length, and says so without the place.
        longest = max(re.finditer(r"\d+", text), key=lambda digits: len(digits[0]))
        line = text.count("\n", 0, longest.start()) + 1
        raise JsonTextError(f"not usable JSON: a number of {len(longest[0])} digits", line) from None
    lines: dict[Place, int] = {}
    for path, line in _places(text):
        if path in lines:
            raise JsonTextError(f"the key {path[-1]!r} stands twice (see line {lines[path]})", line)
        lines[path] = line
    return Document(value=value, lines=lines)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


def _places(text: str) -> Iterator[tuple[Place, int]]:
    """Path and line of every value of valid JSON, parents first."""
    stack: list[str | int] = []  # for each open bracket the key or index that comes next or is being read
    awaits: str | None = None  # what a word would be: a "key", an "item", or just the value of its key
    yield (), 1
    line, end = 1, 0
    for token in _TOKEN.finditer(text):
        line += text.count("\n", end, token.start())
        end, word = token.start(), token.group()
        if word in "]}":
            stack.pop()
            awaits = None
        elif word == ",":
            last = stack[-1]
            if isinstance(last, int):
                stack[-1], awaits = last + 1, "item"
            else:
                awaits = "key"
        elif word != ":":
            if awaits == "key":
                stack[-1] = json.loads(word)
            if awaits:
                yield tuple(stack), line
            awaits = {"{": "key", "[": "item"}.get(word)
            if awaits:
                stack.append("" if word == "{" else 0)
