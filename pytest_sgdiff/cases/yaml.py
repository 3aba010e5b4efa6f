"""YAML 1.2 core, read into a tree whose every key and value knows its place.

PyYAML is YAML 1.1: `16:9` becomes 969, `no` False, `042` 34, `2026-01-02` a date, `5e-2` a string, and of a repeated
key the last wins in silence. Here PyYAML only splits the text into events; the types are those of YAML 1.2's core
schema, decimal numbers only, and everything else stays text. Aliases work; merge keys, tags, several documents,
repeated keys, and files that are too large, too deep or expand too far are refused, each with its place.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pytest_sgdiff.cases.tree import (
    Branch,
    Leaf,
    Mistakes,
    Node,
    Place,
    Plain,
    Table,
    TooManyMistakesError,
    describe,
)

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
# What the two parsers take for different things, or count differently: characters that break lines in one version of
# YAML only, tabs, byte order marks, directives, and comments in the head of a block scalar.
_UNUSUAL = re.compile(r"[\t\r\x85\u2028\u2029\ufeff]|^%|[|>][-+0-9]*#", re.MULTILINE)
_NO_PLACE = Place(0, 0)
"""Of a value under a key, in a file in which nothing is wrong: then nobody asks for it."""
_CORE_TAG = "tag:yaml.org,2002:"


def read_tree(text: str, mistakes: Mistakes) -> Node | None:
    """The file's single document, or None if it has none or cannot be read as YAML at all.

    What is wrong is added to `mistakes`: everything that does not stop reading, and the first thing that does.
    """
    import yaml

    if _is_too_large(text):
        mistakes.add(Place(1, 1), TOO_LARGE)
        return None
    if not text.strip("\ufeff \t\r\n"):
        mistakes.add(Place(1, 1), "the file is empty")
        return None
    try:
        # The constructor already checks the first characters.
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        mistakes.add(_place_at(text, error.position), _character_message(error))
        return None
    try:
        return _Composer(mistakes, _events(loader)).document()
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


def read_quickly(text: str) -> Node | None:
    """The tree of a file in which nothing is wrong, as `read_tree` reads it. None for every other file, for text on
    which libyaml and PyYAML's own parser may differ, and where PyYAML came without libyaml.

    libyaml takes a small part of the time. It splits the text into the same events for the same composer, so the same
    is refused. But what it says of a mistake is not the same. So a single value has no place here, only its key has:
    whoever finds a mistake in the tree reads the file again with `read_tree`.
    """
    import yaml

    if not yaml.__with_libyaml__ or _UNUSUAL.search(text) or _is_too_large(text):
        return None
    mistakes = Mistakes("")
    try:
        parser = yaml.CSafeLoader(text)
        root = _Composer(mistakes, iter(parser.get_event, None), by_libyaml=True).document()
    except (yaml.YAMLError, _StopReadingError, TooManyMistakesError, ValueError, OverflowError):
        return None
    return None if len(mistakes) else root


def _is_too_large(text: str) -> bool:
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return size > MAX_BYTES


class _StopReadingError(Exception):
    """Something after which reading on makes no sense."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place


@dataclass(slots=True)
class _Anchor:
    """What an alias stands for; None while it is being read. `extent` is its count of nodes, itself included, and of
    levels, once an alias has asked."""

    node: Node | None = None
    extent: tuple[int, int] | None = None


class _Composer:
    """Builds the tree from events. Recursion is bounded by MAX_DEPTH."""

    def __init__(self, mistakes: Mistakes, events: Iterator[Any], *, by_libyaml: bool = False) -> None:
        import yaml

        self._mistakes, self._events, self._next = mistakes, events, events.__next__
        self._by_libyaml = by_libyaml
        self._quick = self._of_libyaml if by_libyaml else _not_quick
        self._leaves: dict[str, Leaf] = {}
        # Keys that were read before, and that nothing was wrong with.
        self._names: dict[str, str] = {}
        self._scalar, self._alias_event = yaml.ScalarEvent, yaml.AliasEvent
        self._sequence, self._sequence_end = yaml.SequenceStartEvent, yaml.SequenceEndEvent
        self._mapping_end = yaml.MappingEndEvent
        self._document, self._of_node = yaml.DocumentStartEvent, yaml.NodeEvent
        self._anchors: dict[str, _Anchor] = {}
        self._aliased = 0

    def document(self) -> Node | None:
        root: Node | None = None
        for event in self._events:
            if isinstance(event, self._document):
                if root is not None:
                    message = "a second YAML document: put all cases into one, without '---'"
                    raise _StopReadingError(_place(event.start_mark), message)
            elif isinstance(event, self._of_node):
                root = self._node(event, 1)
        if root is None:
            self._mistakes.add(Place(1, 1), "the file is empty")
        return root

    def _node(self, event: Any, depth: int) -> Node:
        place = _place(event.start_mark)
        kind = type(event)
        if depth > MAX_DEPTH:
            raise _StopReadingError(place, f"nested deeper than {MAX_DEPTH} levels")
        if kind is self._alias_event:
            return self._alias(str(event.anchor), place, depth)
        if event.tag is not None:
            self._mistakes.add(place, f"tag {_written_tag(event.tag)} is not allowed: write plain YAML")
        anchor = None
        if event.anchor is not None:
            self._anchors[event.anchor] = anchor = _Anchor()
        if kind is self._scalar:
            node: Node = self._leaf(event, place)
        elif kind is self._sequence:
            node = self._branch(place, depth)
        else:
            node = self._table(place, depth)
        if anchor is not None:
            anchor.node = node
        return node

    def _of_libyaml(self, event: Any) -> Leaf | None:
        """The commonest nodes without further ado: a scalar that `_node` finds nothing to say of. One object for all
        plain ones that are the same, since it has no place."""
        if type(event) is not self._scalar or event.tag is not None or event.anchor is not None:
            return None
        text = event.value
        if event.style:
            return Leaf(_NO_PLACE, text, text) if text.isascii() and "\0" not in text else None
        leaf = self._leaves.get(text)
        if leaf is None and text.isascii() and "?" not in text:
            leaf = self._leaves[text] = Leaf(_NO_PLACE, text, _resolve(text))
        return leaf

    def _alias(self, name: str, place: Place, depth: int) -> Node:
        anchor = self._anchors.get(name)
        if anchor is None:
            raise _StopReadingError(place, f"'*{name}' has no anchor '&{name}' before it")
        if anchor.node is None:
            raise _StopReadingError(place, f"'*{name}' stands inside its own anchor '&{name}'")
        if anchor.extent is None:
            # Each is counted once, and what was counted is bounded below: so is the time that counting takes.
            anchor.extent = _extent(anchor.node)
        size, levels = anchor.extent
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise _StopReadingError(place, f"aliases expand to more than {MAX_ALIASED:,} values")
        if depth + levels - 1 > MAX_DEPTH:
            raise _StopReadingError(place, f"nested deeper than {MAX_DEPTH} levels")
        return anchor.node

    def _leaf(self, event: Any, place: Place) -> Leaf:
        text = event.value
        if not text.isascii() or "\0" in text:
            text = _joined(text)
            if not _SENDABLE.fullmatch(text):
                self._mistakes.add(
                    place, "contains a NUL character or half a character, which no command line can contain"
                )
        # libyaml calls the style of a plain scalar "", and PyYAML None.
        plain = not event.style and event.tag is None
        if plain and self._by_libyaml and "?" in text:
            raise _StopReadingError(place, "PyYAML ends a plain scalar of a flow there")
        return Leaf(place, text, _resolve(text) if plain else text)

    def _branch(self, place: Place, depth: int) -> Branch:
        items: list[Node] = []
        for event in self._events:
            if type(event) is self._sequence_end:
                break
            items.append(self._node(event, depth + 1))
        return Branch(place=place, items=tuple(items))

    def _table(self, place: Place, depth: int) -> Table:
        entries: dict[str, Node] = {}
        keys: dict[str, Place] = {}
        again: list[tuple[str, Place, Node]] = []
        known, quick = (self._names, self._quick) if depth < MAX_DEPTH else ({}, _not_quick)
        after, end, scalar = self._next, self._mapping_end, self._scalar
        new = tuple.__new__  # what `Place()` calls: of a large suite half of them are made here
        for event in self._events:
            kind = type(event)
            if kind is end:
                break
            mark = event.start_mark
            key_place = new(Place, (mark.line + 1, mark.column + 1))
            if kind is scalar and event.tag is None and event.anchor is None and event.value in known:
                name = known[event.value]
                if name not in keys:
                    event = after()
                    entries[name] = quick(event) or self._node(event, depth + 1)
                    keys[name] = key_place
                    continue
            key = self._node(event, depth + 1)
            value = self._node(after(), depth + 1)
            if not isinstance(key, Leaf):
                self._mistakes.add(key_place, f"a key must be text, got {describe(key)}")
                continue
            name = key.text
            if self._by_libyaml and not name:
                raise _StopReadingError(key_place, "the parsers differ in the place of a key that is not written")
            if name == "<<" and type(event) is self._scalar and not event.style:
                self._mistakes.add(
                    key_place, "merge keys ('<<') are not YAML 1.2: use 'defaults', or write the keys out"
                )
            elif name in keys:
                first = keys[name].line
                self._mistakes.add(key_place, f"duplicate key '{name}', first on line {first}")
                again.append((name, key_place, value))
            else:
                # The keys of all cases are the same few words: one object each, also in what is kept of them.
                name = sys.intern(name)
                entries[name] = value
                keys[name] = key_place
                if self._by_libyaml and name != "<<" and "?" not in name:
                    self._names[name] = name
        return Table(place=place, entries=entries, keys=keys, again=tuple(again))


def _not_quick(event: Any) -> Leaf | None:
    return None


def _extent(node: Node) -> tuple[int, int]:
    """How many nodes it has, itself included, and how many levels. Recursion is bounded by MAX_DEPTH."""
    if isinstance(node, Leaf):
        return 1, 1
    children = node.items if isinstance(node, Branch) else [value for _, _, value in node.written()]
    found = [_extent(child) for child in children]
    return 1 + sum(size for size, _ in found), 1 + max((levels for _, levels in found), default=0)


def _events(loader: Any) -> Iterator[Any]:
    """The parser's events. A generator, so that reading stops where the composer does."""
    while loader.check_event():
        yield loader.get_event()


def _joined(text: str) -> str:
    """The text with surrogate pairs as the characters that they stand for, as JSON escapes them: JSON is YAML."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@lru_cache(maxsize=4096)
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
