"""Where in a plain document a value stands, and errors that say so."""

from __future__ import annotations

from pytest_sgdiff.errors import WireError

Place = tuple[str | int, ...]

_SHOWN_CHARACTERS = 60


def spell(path: Place) -> str:
    """`("launches", 2, "metrics", "e2e")` as `launches[2].metrics.e2e`; a key that is no plain word in quotes."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif not text:
            text = key
        elif any(c.isspace() or c in ".[]'\"" for c in key) or not key:
            text += f"[{key!r}]"
        else:
            text += f".{key}"
    return text


def fail(path: Place, message: str) -> WireError:
    """The error to raise: its message opens with the path."""
    where = spell(path)
    return WireError(f"{where}: {message}" if where else message, path)


def in_range(number: int, path: Place) -> int:
    """The number. Raises WireError for one that no counter of 64 bits holds: it is no measurement, and no float."""
    if abs(number) >= 1 << 64:
        raise fail(path, f"must be a whole number of at most 64 bits, got {shown(number)}")
    return number


def whole_text(text: str, path: Place) -> str:
    """The text. Raises WireError for one with half a character (a lone surrogate), which JSON can spell and no file
    can hold."""
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise fail(path, f"must be text of whole characters, got {shown(text)}")
    return text


def shown(value: object) -> str:
    """A value as messages quote it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python spells no number beyond a length
        text = "a number of thousands of digits"
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
