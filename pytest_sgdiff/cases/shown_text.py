"""The lines of a Markdown text that a page shows as its author's own words, as GitHub shows the text of a pull request.

The text is parsed by CommonMark. What stands in a link's definition or title, in an image's description, in a comment,
in `<style>` or within a tag is not shown. Code is an example, and what is quoted is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from markdown_it.token import Token

Place = Literal["paragraph", "heading", "table", "quote", "html"]
"""Where a line stands. `quote`: below a quoted line, without an empty one between them, and so quoted, too. `html`:
within a tag of HTML whose content a page may not show, or may show as it is."""

_UNSHOWN = frozenset(
    {
        "applet",
        "audio",
        "canvas",
        "datalist",
        "dialog",
        "embed",
        "frameset",
        "head",
        "iframe",
        "map",
        "meter",
        "noembed",
    }
    | {"noframes", "noscript", "object", "optgroup", "option", "param", "plaintext", "portal", "progress", "rp"}
    | {"script", "select", "style", "svg", "template", "textarea", "title", "video", "xmp"}
)
"""Tags whose content a page does not show, or not as text. Of a tag that is none of HTML the content is shown."""
_QUOTING = frozenset({"blockquote", "code", "q", "samp", "tt"})
_EMPTY = frozenset({"br", "hr", "img", "source", "input", "wbr", "col", "area", "link", "meta"})
"""Tags that have no content."""
_HIDING = frozenset({"hidden", "style", "aria-hidden", "inert", "popover"})
"""Attributes with which a page may not show the content of a tag."""
_FOOTNOTE = re.compile(r"\[\^[^\]]+\]:")
"""How the text of a footnote begins, which is only shown where something refers to it. CommonMark knows none."""
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_OPAQUE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for what is shown and is no text of the line: a picture, code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownLine:
    """A line as it is read, its number in the text (from 1), and where it stands."""

    text: str
    number: int
    place: Place


def shown_lines(text: str) -> Iterator[ShownLine]:
    """The lines that are shown, but for code and quotes."""
    from markdown_it import MarkdownIt

    source = text.split("\n")
    # `html`: tags are tags, as on GitHub, and not text.
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tags = _Tags()
    quotes = 0
    place: Place = "paragraph"
    known: dict[str, Any] = {}
    tokens = parser.parse(text, known)
    # A footnote of one line reads as a link's definition; what follows it without an empty line goes on with it.
    notes = {one["map"][1] for label, one in known.get("references", {}).items() if label.startswith("^")}
    for token in tokens:
        if token.type in ("blockquote_open", "blockquote_close"):
            quotes += token.nesting
        elif token.type == "heading_open":
            place = "heading"
        elif token.type == "table_open":
            place = "table"
        elif token.type in ("heading_close", "table_close"):
            place = "paragraph"
        elif token.type == "html_block":
            yield from _in_html(token, tags, quoted=quotes > 0)
        elif token.type == "inline" and (token.map is None or token.map[0] not in notes):
            yield from _inline(token, tags, place, source, quoted=quotes > 0)


def _inline(token: Token, tags: _Tags, place: Place, source: Sequence[str], *, quoted: bool) -> Iterator[ShownLine]:
    first = 0 if token.map is None else token.map[0]
    lines: list[str] = [""]
    hidden = [tags.state]
    row, rows = 0, [0]
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak"):
            lines.append("")
            hidden.append(tags.state)
            row += 1
            rows.append(row)
        elif child.type == "html_inline":
            row += child.content.count("\n")
            tags.feed(child.content)
            if not lines[-1].strip():
                hidden[-1], rows[-1] = tags.state, row
        elif child.type in ("image", "code_inline"):
            lines[-1] += _OPAQUE
        else:
            lines[-1] += child.content
    if _FOOTNOTE.match(lines[0].lstrip()):
        return
    for line, state, before in zip(lines, hidden, rows, strict=True):
        number = min(first + before, len(source) - 1)
        if quoted and not source[number].lstrip().startswith(">"):
            yield ShownLine(text=line, number=number + 1, place="quote")
        elif not quoted and state != "quote":
            yield ShownLine(text=line, number=number + 1, place="html" if state == "hidden" else place)


def _in_html(token: Token, tags: _Tags, *, quoted: bool) -> Iterator[ShownLine]:
    """The lines of a block of HTML, as far as a page may show them."""
    first = 0 if token.map is None else token.map[0]
    before = tags.state
    shows = not token.content.lstrip().lower().startswith(("<!", "<?", "<script", "<style", "<pre", "<textarea"))
    tags.feed(token.content)
    if quoted or not shows or before == "quote":
        return
    # As many lines as before, so that numbers stay.
    told = _COMMENT.sub(lambda found: "\n" * found[0].count("\n"), token.content)
    for number, line in enumerate(told.split("\n"), first + 1):
        yield ShownLine(text=line, number=number, place="html")


class _Tags(HTMLParser):
    """Which tags of HTML are open. Only HTML is fed: what Markdown makes of the text closes none of them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[tuple[str, Literal["shown", "quote", "hidden"]]] = []

    @property
    def state(self) -> Literal["shown", "quote", "hidden"]:
        """What becomes of text here. An incomplete tag or comment goes on, as does `<script>`."""
        states = {state for _, state in self._open}
        if "hidden" in states or self.rawdata or self.cdata_elem is not None:
            return "hidden"
        return "quote" if "quote" in states else "shown"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it, unless it has no content."""
        if tag in _EMPTY:
            return
        hides = tag in _UNSHOWN or any(name in _HIDING for name, _ in attrs)
        self._open.append((tag, "hidden" if hides else "quote" if tag in _QUOTING else "shown"))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As a browser does: `<div/>` is open."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Forget it, and what is open within."""
        places = [place for place, (name, _) in enumerate(self._open) if name == tag]
        if places:
            del self._open[places[-1] :]
