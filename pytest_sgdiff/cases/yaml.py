"""YAML 1.2 core, read into a tree whose every key and value knows its place.

PyYAML is YAML 1.1: `16:9` becomes 969, `no` False, `042` 34, `2026-01-02` a date, `5e-2` a string, and of a repeated
key the last wins in silence. Here PyYAML only splits the text into events; the types are those of YAML 1.2's core
schema, decimal numbers only, and everything else stays text. Aliases work; merge keys, tags, several documents,
repeated keys, and files that are too large, too deep or expand too far are refused, each with its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pytest_sgdiff.cases.tree import Branch, Leaf, Mistakes, Node, Place, Plain, Table, describe

# Far beyond any file that people write, far below what hurts: a "billion laughs" is refused while it is read.
MAX_BYTES = 1024 * 1024
TOO_LARGE = "the file is larger than 1 MiB: split it"
MAX_DEPTH = 20
MAX_ALIASED = 10_000

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
# An integer of more digits than this stays text; Python refuses to convert very long ones.
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,99})")
_DECIMAL = r"(?:(?:0|[1-9][0-9]*)\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+"
_FLOAT = re.compile(rf"[-+]?(?:{_DECIMAL})")
_SPECIAL = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_SENDABLE = re.compile(r"[^\0\ud800-\udfff]*")
_CORE_TAG = "tag:yaml.org,2002:"


def read_tree(text: str, mistakes: Mistakes) -> Node | None:
    """The file's single document, or None if it has none or cannot be read as YAML at all.

    What is wrong is added to `mistakes`: everything that does not stop reading, and the first thing that does.
    """
    import yaml

    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        mistakes.add(Place(1, 1), TOO_LARGE)
        return None
    if not text.strip("\ufeff \t\r\n"):
        mistakes.add(Place(1, 1), "the file is empty")
        return None
    composer = _Composer(mistakes)
    try:
        # The constructor already checks the first characters.
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        mistakes.add(_place_at(text, error.position), _character_message(error))
        return None
    try:
        return composer.document(_events(loader))
    except yaml.reader.ReaderError as error:
        mistakes.add(_place_at(text, error.position), _character_message(error))
    except yaml.MarkedYAMLError as error:
        began = None if error.context_mark is None else _place(error.context_mark)
        place = _place(error.problem_mark or error.context_mark)
        mistakes.add(place, _syntax_message(error), began=began, syntax=True)
    except _StopReadingError as stop:
        mistakes.add(stop.place, str(stop))
    except (ValueError, OverflowError) as error:
        # PyYAML lets these through, such as for "\\UFFFFFFFF"; its scanner stands at the culprit.
        mistakes.add(_place(loader.get_mark()), f"not valid YAML: {error}")
    return None


class _StopReadingError(Exception):
    """Something after which reading on makes no sense."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


@dataclass(frozen=True, slots=True)
class _Sized:
    """A node with what it costs to expand it: its count of nodes, itself included, and of levels below it."""

    node: Node
    size: int
    depth: int


class _Composer:
    """Builds the tree from events. Recursion is bounded by MAX_DEPTH."""

    def __init__(self, mistakes: Mistakes) -> None:
        self._mistakes = mistakes
        self._anchors: dict[str, _Sized | None] = {}
        self._aliased = 0

    def document(self, events: Iterator[Any]) -> Node | None:
        import yaml

        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    message = "a second YAML document: put all cases into one, without '---'"
                    raise _StopReadingError(_place(event.start_mark), message)
            elif isinstance(event, yaml.NodeEvent):
                root = self._node(event, events, 1).node
        if root is None:
            self._mistakes.add(Place(1, 1), "the file is empty")
        return root

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> _Sized:
        import yaml

        place = _place(event.start_mark)
        if depth > MAX_DEPTH:
            raise _StopReadingError(place, f"nested deeper than {MAX_DEPTH} levels")
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), place, depth)
        if event.tag is not None:
            self._mistakes.add(place, f"tag {_written_tag(event.tag)} is not allowed: write plain YAML")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            sized = _Sized(self._leaf(event, place), 1, 1)
        elif isinstance(event, yaml.SequenceStartEvent):
            sized = self._branch(place, events, depth)
        else:
            sized = self._table(place, events, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = sized
        return sized

    def _alias(self, anchor: str, place: Place, depth: int) -> _Sized:
        if anchor not in self._anchors:
            raise _StopReadingError(place, f"'*{anchor}' has no anchor '&{anchor}' before it")
        sized = self._anchors[anchor]
        if sized is None:
            raise _StopReadingError(place, f"'*{anchor}' stands inside its own anchor '&{anchor}'")
        self._aliased += sized.size
        if self._aliased > MAX_ALIASED:
            raise _StopReadingError(place, f"aliases expand to more than {MAX_ALIASED:,} values")
        if depth + sized.depth - 1 > MAX_DEPTH:
            raise _StopReadingError(place, f"nested deeper than {MAX_DEPTH} levels")
        return sized

    def _leaf(self, event: Any, place: Place) -> Leaf:
        text = _joined(event.value)
        if not _SENDABLE.fullmatch(text):
            self._mistakes.add(place, "contains a NUL character or half a character, which no command line can contain")
        plain = event.style is None and event.tag is None
        return Leaf(place=place, text=text, value=_resolve(text) if plain else text)

    def _branch(self, place: Place, events: Iterator[Any], depth: int) -> _Sized:
        import yaml

        items: list[_Sized] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            items.append(self._node(event, events, depth + 1))
        node = Branch(place=place, items=tuple(item.node for item in items))
        return _around(node, items)

    def _table(self, place: Place, events: Iterator[Any], depth: int) -> _Sized:
        import yaml

        children: list[_Sized] = []
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        again: list[tuple[str, Place, Node]] = []
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key_place = _place(event.start_mark)
            plain = isinstance(event, yaml.ScalarEvent) and event.style is None
            key = self._node(event, events, depth + 1).node
            value = self._node(next(events), events, depth + 1)
            children.append(value)
            if not isinstance(key, Leaf):
                self._mistakes.add(key_place, f"a key must be text, got {describe(key)}")
            elif plain and key.text == "<<":
                self._mistakes.add(
                    key_place, "merge keys ('<<') are not YAML 1.2: use 'defaults', or write the keys out"
                )
            elif key.text in keys:
                first = keys[key.text].line
                self._mistakes.add(key_place, f"duplicate key '{key.text}', first on line {first}")
                again.append((key.text, key_place, value.node))
            else:
                entries[key.text] = value.node
                keys[key.text] = key_place
        return _around(Table(place=place, entries=entries, keys=keys, again=tuple(again)), children)


def _around(node: Node, children: list[_Sized]) -> _Sized:
    return _Sized(node, 1 + sum(c.size for c in children), 1 + max((c.depth for c in children), default=0))


def _events(loader: Any) -> Iterator[Any]:
    """The parser's events. A generator, so that reading stops where the composer does."""
    while loader.check_event():
        yield loader.get_event()


def _joined(text: str) -> str:
    """The text with surrogate pairs as the characters that they stand for, as JSON escapes them: JSON is YAML."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def _resolve(text: str) -> Plain:
    """What YAML 1.2's core schema makes of a plain scalar; hexadecimal and octal numbers stay text too."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _SPECIAL.fullmatch(text):
        return float(text.replace(".", ""))
    return text


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)


def _place_at(text: str, position: int) -> Place:
    before = text[:position]
    return Place(before.count("\n") + 1, position - (before.rfind("\n") + 1) + 1)


def _written_tag(tag: str) -> str:
    """The tag as it stands in the file: PyYAML has already expanded `!!`."""
    return f"'!!{tag[len(_CORE_TAG) :]}'" if tag.startswith(_CORE_TAG) else f"'{tag}'"


def _character_message(error: Any) -> str:
    code = error.character if isinstance(error.character, int) else ord(error.character)
    return f"not valid YAML: character U+{code:04X} is not allowed"


def _syntax_message(error: Any) -> str:
    """PyYAML's problem on one line, with the place where what it was reading began."""
    problem = error.problem or "syntax error"
    if "\\t" in problem:
        return "not valid YAML: a tab where only spaces may indent"
    context = ""
    if error.context and error.context_mark is not None:
        context = f" ({error.context}, line {error.context_mark.line + 1})"
    return f"not valid YAML: {problem}{context}"
