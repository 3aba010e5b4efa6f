"""Foreign text in Markdown: it can neither break a table nor become markup."""

from __future__ import annotations

import re

# An underscore inside a word and a bracket that opens no link are text already, and stay readable in the source.
_MARKUP = re.compile(r"[\\`*|~$&<>@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|\](?=\()|^\[|#(?=\d)")


def escape(value: str) -> str:
    """Text as text: no table cell, tag, link, emphasis, formula, mention or issue reference comes of it.

    GitHub looks for mentions and references in the rendered page, where an entity is already the character again; an
    empty comment behind the sign keeps it apart from the word.
    """
    return _MARKUP.sub(_as_text, re.sub(r"\s+", " ", value))


def _as_text(match: re.Match[str]) -> str:
    sign = match.group()
    return f"{sign}<!-- -->" if sign in "@#" else f"&#{ord(sign)};"


def fence(body: str) -> str:
    """A code block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}text\n{body}\n{marks}"
