"""The lines of a Markdown text that a page shows as its author's own words, as GitHub shows the text of a pull request.

The text is parsed by CommonMark. What stands in a link's definition or title, in an image's description, in a comment,
in `<style>` or within a tag is not shown. Code is an example, and what is quoted is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from markdown_it.token import Token

Place = Literal["paragraph", "heading", "table", "quote", "html", "open", "struck", "callout"]
"""Where a line stands. `quote`: below a quoted line, without an empty one between them, and so quoted, too. `html`:
within a tag of HTML whose content a page may not show, or may show as it is. `open`: after a tag that nothing closes,
and that hides or quotes what follows. `struck`: struck out in part. `callout`: in a quotation that begins with
`[!NOTE]` or the like, which a page shows as the author's own words."""

State = Literal["shown", "quote", "struck", "hidden"]

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
    | {"select", "svg", "template", "title", "video", "xmp"}
)
"""Tags whose content a page does not show, or not as text. Of a tag that is none of HTML the content is shown."""
_QUOTING = frozenset({"blockquote", "code", "pre", "q", "samp", "tt", "script", "style", "textarea"})
"""Tags whose content is code, what somebody else said, or never text of the page."""
_STRIKING = frozenset({"del", "s", "strike"})
_RUNNING = frozenset(
    {
        "a",
        "abbr",
        "b",
        "bdi",
        "bdo",
        "big",
        "cite",
        "code",
        "del",
        "dfn",
        "em",
        "font",
        "i",
        "img",
        "ins",
        "kbd",
        "mark",
    }
    | {"q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "tt", "u", "var", "wbr"}
)
"""Tags that begin no new line."""
_EMPTY = frozenset({"br", "hr", "img", "source", "input", "wbr", "col", "area", "link", "meta"})
"""Tags that have no content."""
_HIDING = frozenset({"hidden", "style", "aria-hidden", "inert", "popover"})
"""Attributes with which a page may not show the content of a tag."""
_FOOTNOTE = re.compile(r"\[\^[^\]]+\]:")
"""How the text of a footnote begins, which is only shown where something refers to it. CommonMark knows none."""
_CALLOUT = re.compile(r"\[!(?:note|tip|important|warning|caution)\][ \t]*(?:\n|\Z)", re.IGNORECASE)
_BREAK = re.compile(r"<br(?![\w-])", re.IGNORECASE)
_OPAQUE = "\N{OBJECT REPLACEMENT CHARACTER}"
"""Stands for what is shown and is no text of the line: a picture, code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownLine:
    """A line as it is read, its number in the text (from 1), and where it stands; `with_code` has what stands in code,
    too. The tag `tag` that is open was written in line `since`."""

    text: str
    with_code: str
    number: int
    place: Place
    tag: str = ""
    since: int = 0


@dataclass(kw_only=True, slots=True)
class _Tag:
    """A tag that was opened, in a line (from 1), and whether one closed it."""

    name: str
    state: State
    line: int
    closed: bool = False


@dataclass(kw_only=True, slots=True)
class _Line:
    """A line while it is read. What is told of where it stands is so where its text begins."""

    number: int
    place: Place
    text: str = ""
    with_code: str = ""
    around: tuple[_Tag, ...] = ()
    incomplete: bool = False
    struck: bool = False
    struck_in_part: bool = False

    def add(self, text: str, tags: _Tags, *, with_code: str | None = None, row: int = 0, struck: bool = False) -> None:
        """Append what is shown, `row` lines below where the line began in the source."""
        struck = struck or any(one.state == "struck" for one in tags.around)
        if not self.text.strip():
            self.around, self.incomplete, self.struck = tags.around, tags.incomplete, struck
            self.number += row
        self.struck_in_part |= struck and bool(text.strip())
        self.text += text
        self.with_code += text if with_code is None else with_code


def shown_lines(text: str) -> Iterator[ShownLine]:
    """The lines that are shown, but for code, quotes, and what is struck out."""
    # Whether a tag is closed is known at the end.
    for line in list(_lines(text)):
        if (shown := _shown(line)) is not None:
            yield shown


def _shown(line: _Line) -> ShownLine | None:
    told = ShownLine(text=line.text, with_code=line.with_code, number=line.number, place=line.place)
    if line.place == "quote":
        return told
    for one in line.around:
        if one.state != "shown" and not one.closed:
            return replace(told, place="open", tag=one.name, since=one.line)
    states = {one.state for one in line.around}
    if line.struck or "quote" in states:
        return None
    if "hidden" in states or line.incomplete:
        return replace(told, place="html")
    if line.struck_in_part and line.place == "paragraph":
        return replace(told, place="struck")
    return told


def _lines(text: str) -> Iterator[_Line]:
    from markdown_it import MarkdownIt

    source = text.split("\n")
    # `html`: tags are tags, as on GitHub, and not text.
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    tags = _Tags()
    quotes = 0
    place: Place = "paragraph"
    callout = False
    known: dict[str, Any] = {}
    tokens = parser.parse(text, known)
    # A footnote of one line reads as a link's definition; what follows it without an empty line goes on with it.
    notes = {one["map"][1] for label, one in known.get("references", {}).items() if label.startswith("^")}
    for at, token in enumerate(tokens):
        if token.type in ("blockquote_open", "blockquote_close"):
            quotes += token.nesting
            if quotes == 0:
                callout = False
            elif quotes == 1 and token.nesting > 0:
                callout = any(_CALLOUT.match(one.content) for one in tokens[at + 2 : at + 3])
        elif token.type == "heading_open":
            place = "heading"
        elif token.type == "table_open":
            place = "table"
        elif token.type in ("heading_close", "table_close"):
            place = "paragraph"
        elif token.type == "html_block":
            lines = tags.lines(token.content, line=1 if token.map is None else token.map[0] + 1)
            if quotes == 0 or callout:
                yield from lines
        elif token.type == "inline" and (token.map is None or token.map[0] not in notes):
            lines = _inline(token, tags, "callout" if callout else place)
            if _FOOTNOTE.match(lines[0].text.lstrip()):
                continue
            yield from lines if quotes == 0 or callout else _below_a_quotation(lines, source)


def _below_a_quotation(lines: Sequence[_Line], source: Sequence[str]) -> Iterator[_Line]:
    """The lines that belong to a quotation without its sign. The first one of a paragraph always has it."""
    for line in lines:
        if line.number > lines[0].number and not source[line.number - 1].lstrip().startswith(">"):
            line.place = "quote"
            yield line


def _inline(token: Token, tags: _Tags, place: Place) -> list[_Line]:
    first = 1 if token.map is None else token.map[0] + 1
    row = begun = struck = 0
    lines = [_Line(number=first, place=place)]
    for child in token.children or ():
        if child.type in ("softbreak", "hardbreak") or (child.type == "html_inline" and _BREAK.match(child.content)):
            row += child.type != "html_inline"
            begun = row
            lines.append(_Line(number=first + row, place=place))
        elif child.type == "html_inline":
            tags.lines(child.content, line=first + row)
            row += child.content.count("\n")
        elif child.type in ("s_open", "s_close"):
            struck += child.nesting
        else:
            opaque = child.type in ("image", "code_inline")
            code = child.content if child.type == "code_inline" else None
            shown = _OPAQUE if opaque else child.content
            lines[-1].add(shown, tags, with_code=code, row=row - begun, struck=struck > 0)
            begun = row
    return lines


class _Tags(HTMLParser):
    """Which tags of HTML are open. Only HTML is fed: what Markdown makes of the text closes none of them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[_Tag] = []
        self._before = 0
        self._read: list[_Line] = []

    @property
    def around(self) -> tuple[_Tag, ...]:
        """The tags that are open."""
        return tuple(self._open)

    @property
    def incomplete(self) -> bool:
        """Whether a tag or a comment has begun and goes on."""
        return bool(self.rawdata)

    def lines(self, content: str, *, line: int) -> list[_Line]:
        """Read HTML that begins in a line, and return the lines of text in it."""
        self._before = line - self.getpos()[0]
        self._read = []
        self.feed(content)
        return self._read

    @property
    def _line(self) -> int:
        return self._before + self.getpos()[0]

    def handle_data(self, data: str) -> None:
        """Text goes on in the line that it stands in, up to a tag that begins another one."""
        for row, text in enumerate(data.split("\n")):
            if row or not self._read:
                self._break(self._line + row)
            self._read[-1].add(text, self)

    def _break(self, line: int) -> None:
        self._read.append(_Line(number=line, place="html"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it, unless it has no content."""
        if tag not in _RUNNING:
            self._break(self._line)
        if tag in _EMPTY:
            return
        hides = tag in _UNSHOWN or any(name in _HIDING for name, _ in attrs)
        state: State = "quote" if tag in _QUOTING else "struck" if tag in _STRIKING else "shown"
        self._open.append(_Tag(name=tag, state="hidden" if hides else state, line=self._line))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """As a browser does: `<div/>` is open."""
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        """Forget it, and what is open within."""
        if tag not in _RUNNING:
            self._break(self._line)
        places = [place for place, one in enumerate(self._open) if one.name == tag]
        if places:
            self._open[places[-1]].closed = True
            del self._open[places[-1] :]
