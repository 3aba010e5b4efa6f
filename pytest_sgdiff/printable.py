r"""Foreign text as it may be printed: on one line, every character visible, and no command to whoever reads the output.

Names, values and messages come from logs, recordings, baselines, other users' processes and the driver. Printed as
they are, they could begin lines of their own, move the cursor, reverse the reading order, or give orders to the CI
system that reads the output: `::error ::`, `##[error]` (GitHub), `##vso[...]` (Azure), `##teamcity[...]`, and
`section_start:` (GitLab). Pure.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Mapping
from operator import is_
from typing import Any, Final, TypeVar, cast

T = TypeVar("T")

_JOINERS: Final = "\u200c\u200d"
"""Invisible, and part of words (Persian) and of emoji."""

# ASCII needs no look-up, and is nearly all there is.
_HIDDEN: Final = re.compile(r"[\x00-\x1f\x7f]|[^\x00-\x7f]")
_NUMBERS: Final = frozenset({bool, int, float, type(None)})
_SHORT: Final = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_ORDER: Final = re.compile(r"^(\s*)(?=::)|(?<=##)(?=[\w.-]*\[)|(?<=section_start)(?=:\d)|(?<=section_end)(?=:\d)")
"""Where a backslash takes the meaning from an order: GitHub reads `::` at the beginning of a line, behind blanks, and
`##[` anywhere in it."""


def printable(text: str) -> str:
    r"""`text` on one line: what has no shape of its own as an escape (`\n`, `\x1b`, `\u202e`), orders to CI systems
    with a backslash in them. Letters of every script and emoji stay. Twice is the same as once."""
    return _ORDER.sub(lambda found: f"{found[0]}\\", _HIDDEN.sub(_visible, text))


def printable_lines(text: str) -> str:
    """Each line of a text that has several, `printable`."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    r"""The same JSON document, with escapes for the characters that `printable` does not let through; `##[` in a text
    as `##\u005b`."""
    hidden = _HIDDEN.sub(lambda found: found[0] if found[0] == "\n" else _json_escape(found), text)
    return re.sub(r"(?<=##)([\w.-]*)\[", r"\1\\u005b", hidden)


def printable_values(value: T) -> T:
    """The value with every text in it, also in dataclasses, mappings (keys too), lists and tuples, `printable`."""
    return cast(T, _values(value))


def _values(value: Any) -> Any:
    """The value itself where nothing in it has to change: every report of a run begins with this."""
    if type(value) in _NUMBERS:
        return value
    if isinstance(value, str):
        shown = printable(value)
        return value if shown == value else shown
    if isinstance(value, int | float):
        return value
    if isinstance(value, Mapping):
        found = {_values(key): _values(item) for key, item in value.items()}
        same = type(value) is dict and all(map(is_, found, value)) and all(map(is_, found.values(), value.values()))
        return value if same else found
    if isinstance(value, list | tuple):
        if _NUMBERS.issuperset(map(type, value)):
            return value
        items = [_values(item) for item in value]
        if all(map(is_, items, value)):
            return value
        return items if isinstance(value, list) else type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, frozenset):
        return frozenset(map(_values, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        changed = {name: new for name, old in held.items() if (new := _values(old)) is not old}
        return dataclasses.replace(value, **changed) if changed else value
    return value


def _hidden(char: str) -> bool:
    if char.isascii():
        return char < " " or char == "\x7f"
    category = unicodedata.category(char)
    # Control characters, marks of direction and other formats, line and paragraph separators, halves of pairs.
    return (category in ("Cc", "Cf", "Zl", "Zp", "Cs") and char not in _JOINERS) or char in "\ufffe\uffff"


def _visible(found: re.Match[str]) -> str:
    char = found[0]
    if not _hidden(char):
        return char
    code = ord(char)
    return _SHORT.get(char) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def _json_escape(found: re.Match[str]) -> str:
    char = found[0]
    if not _hidden(char):
        return char
    return "".join(f"\\u{unit:04x}" for unit in memoryview(char.encode("utf-16-le", "surrogatepass")).cast("H"))
