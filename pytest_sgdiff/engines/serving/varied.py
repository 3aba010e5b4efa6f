"""Inputs that differ from request to request, the same in every launch: nothing that an engine keeps of one request's
inputs serves the next.

From 0.5.21 on servers keep what their encoders made of an input, for requests with the same input. Upstream's nightly
comparison gives each request of a run another prompt of the same length, and another image, for that reason.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

_MOST = 10_000
"""Orders of the words that are tried: a text that repeats one word has but one."""


def prompt(text: str, number: int) -> str | None:
    """The text's variant for a request: the same words, or where it has too few of them the same characters, in another
    order. Variant 0 is the text itself, and no two of the numbers up to `number` have the same one. None where the text
    has not so many.

    >>> [prompt("a curious raccoon", number) for number in range(3)]
    ['a curious raccoon', 'curious raccoon a', 'raccoon a curious']
    >>> prompt("a", 1) is None
    True
    """
    for place, variant in enumerate(_variants(text)):
        if place == number:
            return variant
    return None


def _variants(text: str) -> Iterator[str]:
    """Every variant, each once: the words turned round one by one, then in any order, then the characters of the
    longest word."""
    seen: set[str] = set()
    for variant in itertools.chain(_turned_words(text), _turned_letters(text)):
        if variant not in seen:
            seen.add(variant)
            yield variant


def _turned_words(text: str) -> Iterator[str]:
    # White space stays where it is, so that the length and the lines do, too.
    parts = re.split(r"(\s+)", text)
    places = [at for at, part in enumerate(parts) if part and not part.isspace()]
    words = [parts[at] for at in places]
    turns = ([*words[turn:], *words[:turn]] for turn in range(max(1, len(words))))
    for turned in itertools.chain(turns, itertools.islice(itertools.permutations(words), _MOST)):
        made = list(parts)
        for at, word in zip(places, turned, strict=True):
            made[at] = word
        yield "".join(made)


def _turned_letters(text: str) -> Iterator[str]:
    longest = max(re.findall(r"\S+", text), key=len, default="")
    begin = text.find(longest)
    for turn in range(1, len(longest)):
        yield text[:begin] + longest[turn:] + longest[:turn] + text[begin + len(longest) :]
