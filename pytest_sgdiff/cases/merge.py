"""Defaults, cases and matrix variants merged on the YAML tree, so that every merged value still knows its place.

What people wrote is checked part by part where it stands; a mistake in `defaults` is reported once, there, and not
once per case. Only what the merged case alone can show is checked after merging.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from pytest_sgdiff.cases.keys import CASE, CASE_ID, LISTED, MERGED, NAME_HELP, RESERVED, VARIANT
from pytest_sgdiff.cases.shapes import unknown_key
from pytest_sgdiff.cases.tree import Branch, Leaf, Mistakes, Node, Place, Table, describe, is_null

# The baseline of a case is a file of the case's name, and file names end at 255 bytes.
MAX_ID = 200

# The product of all axes of one matrix; beyond it something was meant differently.
MAX_VARIANTS = 256

_NOTHING = Table(place=Place(1, 1))


# One of each for every case: tuples, as the tree is made of.
class Part(NamedTuple):
    """The keys of `defaults`, a case or a variant, or of several merged: as they are written, and what they hold, as
    `Case` has it. Each part is checked once, and what it holds is shared by all cases that have it."""

    table: Table = _NOTHING
    values: Mapping[str, Any] = MappingProxyType({})


_EMPTY = Part()


class Draft(NamedTuple):
    """One case to be: its id's place in the file, and its keys after merging."""

    name: str
    variant: str | None
    place: Place
    table: Table
    values: Mapping[str, Any]

    @property
    def id(self) -> str:
        return self.name if self.variant is None else f"{self.name}[{self.variant}]"


def drafts(root: Node, mistakes: Mistakes, known_marks: Collection[str] | None) -> tuple[Draft, ...]:
    """The cases of a file, one per matrix variant, in the file's order; sound where no mistake was added."""
    if not isinstance(root, Table):
        mistakes.add(root.place, f"a case file must be a mapping with 'cases', got {describe(root)}")
        return ()
    for key, place, node in root.written():
        if key not in ("defaults", "cases"):
            unknown_key(place, key, ("defaults", "cases"), "", mistakes)
        elif node is not root.entries[key] and key == "defaults":
            _part(node, key, mistakes)
    defaults = _merge(_EMPTY, _part(root.entries.get("defaults"), "defaults", mistakes), mistakes)
    cases = root.entries.get("cases")
    if cases is None:
        mistakes.add(root.place, "the file has no 'cases'")
        return ()
    if not isinstance(cases, Table) or not cases.entries:
        mistakes.add(cases.place, f"'cases' must map case ids to cases, got {_or_empty(cases)}")
        return ()
    merged = tuple(
        draft
        for table in (cases, *(node for key, _, node in root.again if key == "cases" and isinstance(node, Table)))
        for name, place, node in table.written()
        for draft in _case(name, place, node, defaults, mistakes)
    )
    for draft in merged:
        _check_merged(draft, known_marks, mistakes)
    return merged


def _case(name: str, place: Place, node: Node, defaults: Part, mistakes: Mistakes) -> Iterator[Draft]:
    if not re.fullmatch(CASE_ID, name):
        mistakes.add(place, f"case id '{name}' must be {NAME_HELP}, and begin with a letter or '_'")
    if name in RESERVED:
        mistakes.add(place, f"case id '{name}' is the name of a folder that recordings have; name it '{name}_case'")
    if not isinstance(node, Table):
        mistakes.add(node.place, f"case '{name}' must be a mapping, got {describe(node)}")
        return
    case = _merge(defaults, _checked(node, mistakes), mistakes)
    for variant, overrides in _variants(name, node.entries.get("matrix"), mistakes).items():
        merged = case
        for part in overrides:
            merged = _merge(merged, part, mistakes)
        yield Draft(name=name, variant=variant, place=place, table=merged.table, values=merged.values)


def _variants(name: str, matrix: Node | None, mistakes: Mistakes) -> dict[str | None, tuple[Part, ...]]:
    """Variant -> what each axis overrides, for the product of all axes; `{None: ()}` for a case without a matrix."""
    if matrix is None:
        return {None: ()}
    if not isinstance(matrix, Table) or not matrix.entries:
        mistakes.add(matrix.place, f"'matrix' must map axes to their variants, got {_or_empty(matrix)}")
        return {None: ()}
    axes: list[list[tuple[str, Part]]] = []
    count = 1
    for axis, written in matrix.entries.items():
        node = _listed(axis, written)
        if not isinstance(node, Table) or not node.entries:
            mistakes.add(node.place, f"'matrix.{axis}' must map variants to what they change, got {_or_empty(node)}")
            continue
        for variant, place in node.keys.items():
            if not re.fullmatch(VARIANT, variant):
                mistakes.add(place, f"variant '{variant}' must be {NAME_HELP}, and begin with a letter, a digit or '_'")
        for variant, _, part in node.again:
            _part(part, f"matrix.{axis}.{variant}", mistakes)
        axes.append([(v, _part(part, f"matrix.{axis}.{v}", mistakes)) for v, part in node.entries.items()])
        count *= len(node.entries)
    if count > MAX_VARIANTS:
        mistakes.add(matrix.place, f"'matrix' makes {count} variants, more than {MAX_VARIANTS}")
        return {None: ()}
    product: dict[str | None, tuple[Part, ...]] = {}
    for chosen in itertools.product(*axes):
        variant = "-".join(v for v, _ in chosen)
        if variant in product:
            mistakes.add(matrix.place, f"two variants of case '{name}' are called '{variant}'")
        product[variant] = tuple(part for _, part in chosen)
    return product


def _listed(axis: str, node: Node) -> Node:
    """An axis with the name of a key that lists its values, as the variants that it stands for; anything else as it
    is."""
    if axis not in LISTED or not isinstance(node, Branch) or not all(isinstance(item, Leaf) for item in node.items):
        return node
    leaves = [item for item in node.items if isinstance(item, Leaf)]
    if len({leaf.text for leaf in leaves}) < len(leaves):
        return node
    parts = {leaf.text: Table(place=leaf.place, entries={axis: leaf}, keys={axis: leaf.place}) for leaf in leaves}
    return Table(place=node.place, entries=dict(parts), keys={leaf.text: leaf.place for leaf in leaves})


def _part(node: Node | None, name: str, mistakes: Mistakes) -> Part:
    """`defaults` or a variant, checked where it stands. With nothing after the colon it changes nothing."""
    if node is None or is_null(node):
        return _EMPTY
    if not isinstance(node, Table):
        mistakes.add(node.place, f"'{name}' must be a mapping, got {describe(node)}")
        return _EMPTY
    if "matrix" in node.entries:
        mistakes.add(node.keys["matrix"], "'matrix' belongs to a case")
    return _checked(node, mistakes)


def _checked(table: Table, mistakes: Mistakes) -> Part:
    return Part(table=table, values=CASE.check_keys(table, "", mistakes, nullable=True, ignore=("matrix",)))


def _merge(base: Part, over: Part, mistakes: Mistakes) -> Part:
    """`over` laid over `base`; MERGED keys entry by entry. What they hold is sound where no mistake was added."""
    table = _merge_tables(base.table, over.table, "", mistakes)
    values = {**base.values, **over.values}
    for key, node in over.table.entries.items():
        if is_null(node):
            values.pop(key, None)
        elif key in MERGED and isinstance(node, Table):
            merged = {**(base.values.get(key) or {}), **(over.values.get(key) or {})}
            for name, value in node.entries.items():
                if is_null(value):
                    merged.pop(name, None)
            values[key] = merged
    return Part(table=table, values=values)


def _merge_tables(base: Table, over: Table, name: str, mistakes: Mistakes) -> Table:
    """`over` laid over `base`; MERGED keys entry by entry. A null drops what is inherited, and must find it there."""
    entries, keys = dict(base.entries), dict(base.keys)
    for key, node in over.entries.items():
        if key == "matrix" and not name:
            continue
        inherited = entries.get(key)
        if is_null(node):
            if inherited is None:
                dotted = f"{name}.{key}" if name else key
                mistakes.add(over.keys[key], f"'{dotted}' has no value, and there is no inherited one to drop")
            entries.pop(key, None)
            keys.pop(key, None)
        elif not name and key in MERGED and isinstance(node, Table):
            entries[key] = _merge_tables(inherited if isinstance(inherited, Table) else _NOTHING, node, key, mistakes)
            keys[key] = over.keys[key]
        else:
            entries[key], keys[key] = node, over.keys[key]
    return Table(place=over.place, entries=entries, keys=keys)


def _check_merged(draft: Draft, known_marks: Collection[str] | None, mistakes: Mistakes) -> None:
    entries = draft.table.entries
    if "model" not in entries:
        mistakes.add(draft.place, f"case '{draft.name}' has no 'model'")
    if len(draft.id) > MAX_ID:
        mistakes.add(draft.place, f"case id '{draft.id[:40]}...' is longer than {MAX_ID} characters")
    args, assets, marks = entries.get("args"), entries.get("assets"), entries.get("marks")
    if isinstance(args, Table) and isinstance(assets, Table):
        for flag in assets.entries:
            if flag in args.entries:
                mistakes.add(assets.keys[flag], f"'assets.{flag}' is also given as 'args.{flag}': keep one of them")
    if isinstance(marks, Branch) and known_marks is not None:
        for mark in marks.items:
            if isinstance(mark, Leaf) and isinstance(mark.value, str) and mark.value not in known_marks:
                mistakes.add(mark.place, f"'{mark.value}' not found in `markers` configuration option")


def _or_empty(node: Node) -> str:
    return "an empty mapping" if isinstance(node, Table) else describe(node)
