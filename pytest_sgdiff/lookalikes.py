"""Characters of a case file that look like others, or like nothing: what a message about their line has to name.

A no-break space, a full-width colon or a Cyrillic letter makes YAML mean something else, and nobody can see why. In a
text that is meant they are right, so that they are looked for only where something is wrong already. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

NAMED = 3
"""Kinds of characters that a message names; of more on the same line it says how many there are."""
COLUMNS = 5
"""Places that it names of each."""

BREAKS = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""Where PyYAML, which counts the lines, ends one."""

_KEY = re.compile(r"[ \t]*(?:- +)?[\w.-]+ *:(?:[ \t]|$)", re.ASCII)
"""A line that is in order as the beginning of a value."""
_ENDS_KEY = re.compile(r"[ \t]*(?:- +)?[\w.-]+:?", re.ASCII)
"""What a key is up to its colon, or without one."""

NEAR = 2
"""Lines from a mistake within which it may come of a break that is none to an editor."""

_UNSEEN = frozenset("\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u3164\ufeff")
_UNSEEN_RANGES = ((0x202A, 0x202E), (0x2061, 0x206F), (0xFE00, 0xFE0F), (0xE0000, 0xE0FFF))

_ASCII: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys("‐‑‒–—―−⁃﹘➖", "-"),
        **dict.fromkeys("“”„‟″‶〝〞«»「」『』", '"'),
        **dict.fromkeys("‘’‚‛′‵´ʹʼ‹›", "'"),
        **dict.fromkeys("∶꞉ː׃︓˸", ":"),
        **dict.fromkeys("、،︐﹑", ","),
        **dict.fromkeys("。․", "."),
        **dict.fromkeys("【〔", "["),
        **dict.fromkeys("】〕", "]"),
        **dict.fromkeys("⁄∕", "/"),
    }
)
"""Punctuation that Unicode does not itself call a form of the ASCII character; what it does is found by NFKC."""

_LETTERS: Mapping[str, str] = MappingProxyType(
    dict(
        zip(
            "асԁеһіјкӏмоԛрѕтуѵхԝгпАВСЕНІЈКМОРЅТУХԜαοερντυικγωΑΒΕΖΗΙΚΜΝΟΡΤΥΧıɡɑ",
            "acdehijklmoqpstyvxwrnABCEHIJKMOPSTYXWaoepvtuikywABEZHIKMNOPTYXiga",
            strict=True,
        )
    )
)
"""Letters of other alphabets: mistaken only inside a word of Latin ones, or as a key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lookalike:
    """One character: `line` and `column` from 1, and the ASCII character that it looks like, empty for nothing.

    `structural`: it stands where no text does, in the indentation or in a key.
    """

    line: int
    column: int
    character: str
    like: str
    structural: bool

    @property
    def code(self) -> str:
        """`U+00A0`."""
        return f"U+{ord(self.character):04X}"

    @property
    def words(self) -> str:
        """`a no-break space (U+00A0), not a blank`."""
        if self.like == "\n":
            meant = "not a line break"
        elif self.like == " ":
            meant = "not a blank"
        else:
            meant = f"not {self.like!r}" if self.like else "which cannot be seen"
        return f"{_article(_name(self.character))} ({self.code}), {meant}"


def named(text: str, line: int, *, others: Sequence[int] = (), syntax: bool = False) -> str:
    """What to add to a message about `line` of a file's `text`: its lookalikes, or else those of the lines `others`
    that it speaks of; with `syntax` also of what stands above it, as far as the mistake may have begun there. Empty
    where there are none."""
    found = list(_lookalikes(text))
    for number in (line, *others):
        if here := [one for one in found if one.line == number]:
            return _told(here)
    if syntax and (above := _above(text, line, found)):
        return _told(above)
    # No text is meant to hold a break that editors do not show as one, and what follows it is a line of its own.
    breaks = [one for one in found if one.like == "\n"]
    near = [one for one in breaks if abs(one.line - line) <= NEAR or (syntax and one.line < line)]
    return _told(near[-1:])


def in_name(name: str) -> str:
    """What to add to a message about an unknown name: `; it holds a zero width space (U+200B), which cannot be seen`.
    Empty where there is nothing to see."""
    found = dict.fromkeys(one.words for one in _lookalikes(f"{name}:") if one.line == 1)
    return "".join(f"; it holds {words}" for words in list(found)[:NAMED])


def _above(text: str, line: int, found: Sequence[Lookalike]) -> list[Lookalike]:
    """Lookalikes in the structure of the lines above, up to the first line that is in order: behind it YAML started
    anew."""
    lines = BREAKS.split(text)
    for number in range(min(line, len(lines)) - 1, 0, -1):
        here = [one for one in found if one.line == number]
        if structural := [one for one in here if one.structural]:
            return structural
        if _KEY.match(lines[number - 1]):
            return []
    return []


def _told(found: Sequence[Lookalike]) -> str:
    """`; line 3 columns 1, 3: a no-break space (U+00A0), not a blank`, for each kind of character."""
    if not found:
        return ""
    kinds: dict[str, list[int]] = {}
    for one in found:
        kinds.setdefault(one.words, []).append(one.column)
    told = [
        f"; line {found[0].line} column{'s' if len(columns) > 1 else ''} {_columns(columns)}: {words}"
        for words, columns in kinds.items()
    ]
    more = len(told) - NAMED
    return "".join(told[:NAMED]) + (f"; and {more} more kind{'' if more == 1 else 's'} of them" if more > 0 else "")


def _columns(columns: Sequence[int]) -> str:
    more = len(columns) - COLUMNS
    return ", ".join(map(str, columns[:COLUMNS])) + (f" and {more} more" if more > 0 else "")


Quote = Literal["", "'", '"']


def _lookalikes(text: str) -> Iterator[Lookalike]:
    """All lookalikes outside of quoted strings and comments."""
    quote: Quote = ""
    lines, ends = BREAKS.split(text), BREAKS.findall(text)
    for number, line in enumerate(lines, 1):
        was = quote
        masked, quote = _masked(line, quote)
        if quote and not was:
            # The string goes on: it may be closed by what only looks like its quote.
            masked = "".join(c if m != "\0" or _like(c) in ("'", '"') else m for c, m in zip(line, masked, strict=True))
        colon, key = _end_of_key(masked), _KEY.match(masked) is not None
        for index, character in enumerate(masked):
            like = _like(character)
            if like is None or (character in _LETTERS and not _odd_letter(masked, index, colon)):
                continue
            structural = index < colon or not masked[:index].strip(" \t-") or like in ("'", '"')
            structural = structural or (not key and (like == ":" or _ENDS_KEY.fullmatch(masked[:index]) is not None))
            yield Lookalike(line=number, column=index + 1, character=character, like=like, structural=structural)
        end = ends[number - 1] if number <= len(ends) else ""
        if end in ("\x85", "\u2028", "\u2029") and not quote:
            yield Lookalike(line=number, column=len(line) + 1, character=end, like="\n", structural=True)


def _masked(line: str, quote: Quote) -> tuple[str, Quote]:
    """The line with NUL in place of what stands in quotes or in a comment, and the quote that is open at its end."""
    out: list[str] = []
    index = 0
    while index < len(line):
        character = line[index]
        if quote:
            out.append("\0")
            if quote == '"' and character == "\\" and index + 1 < len(line):
                out.append("\0")
                index += 1
            elif character == quote:
                if quote == "'" and line[index + 1 : index + 2] == "'":
                    out.append("\0")
                    index += 1
                else:
                    quote = ""
        elif character == "#" and (index == 0 or line[index - 1] in " \t"):
            return "".join(out) + "\0" * (len(line) - index), quote
        elif character in "'\"" and _starts_value(line[:index]):
            quote = "'" if character == "'" else '"'
            out.append("\0")
        else:
            out.append(character)
        index += 1
    return "".join(out), quote


def _starts_value(before: str) -> bool:
    """Whether a quote behind this begins a string: at the start, behind a key, an item's dash, or in brackets."""
    kept = before.rstrip(" \t")
    return not kept or kept[-1] in "[{," or (kept[-1] in ":-?" and kept != before)


def _end_of_key(line: str) -> int:
    """Where the key of a line ends, 0 where it has none: before a colon with a blank or nothing behind it, or before
    what looks like a colon."""
    match = re.match(r"[^\0]*?(?::(?=[ \t]|$)|[：∶꞉﹕︓])", line)
    item = re.match(r"\s*- ", line)
    return 0 if match is None or (item and ":" not in match[0]) else match.end()


def _like(character: str) -> str | None:
    """The ASCII character that it looks like, empty for one that cannot be seen, None for an honest one."""
    if character.isascii():
        return None
    code = ord(character)
    if character in _UNSEEN or any(low <= code <= high for low, high in _UNSEEN_RANGES):
        return ""
    if character in _ASCII or character in _LETTERS:
        return _ASCII.get(character) or _LETTERS[character]
    import unicodedata

    plain = unicodedata.normalize("NFKC", character)
    if len(plain) == 1 and plain.isascii():
        return plain
    return " " if unicodedata.category(character) == "Zs" else None


def _odd_letter(line: str, index: int, colon: int) -> bool:
    """Whether a letter of another alphabet stands in a key, or in a word of Latin ones."""
    if index < colon:
        return True
    before = re.search(r"[\w-]*$", line[:index])
    after = re.match(r"[\w-]*", line[index:])
    word = (before[0] if before else "") + (after[0] if after else "")
    return any(c.isascii() and c.isalpha() for c in word)


def _name(character: str) -> str:
    import unicodedata

    name = unicodedata.name(character, "next line" if character == "\x85" else "character").lower()
    for alphabet in ("cyrillic", "greek", "latin"):
        name = name.replace(alphabet, alphabet.capitalize())
    return name


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeio' else 'a'} {name}"
