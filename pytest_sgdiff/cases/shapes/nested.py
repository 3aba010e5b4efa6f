"""Shapes of lists and mappings."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any

from pytest_sgdiff.cases.shapes.protocol import Schema, Shape, did_you_mean, fits, said, said_of_keys
from pytest_sgdiff.cases.shapes.single import Int, OneOf, Scalar
from pytest_sgdiff.cases.tree import Branch, Leaf, Mistakes, Node, Place, Table, describe, is_null, to_plain

_SCALAR = Scalar()


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """What follows a flag of the engine: a single value, or a list of them."""

    def check(self, node: Node, name: str, mistakes: Mistakes) -> Any:
        if isinstance(node, Branch):
            return ListOf(item=_SCALAR, least=1).check(node, name, mistakes)
        if isinstance(node, Table):
            mistakes.add(node.place, f"'{name}' must be a value or a list of values, got a mapping")
            return None
        return _SCALAR.check(node, name, mistakes)

    def schema(self) -> Schema:
        return either(Scalar().schema(), ListOf(item=Scalar(), least=1).schema(), what="a value or a list of values")


@dataclass(frozen=True, kw_only=True, slots=True)
class Json:
    """Anything that JSON can hold."""

    def check(self, node: Node, name: str, mistakes: Mistakes) -> Any:
        if isinstance(node, Leaf) and node.value is not None:
            return Scalar().check(node, name, mistakes)
        for index, item in enumerate(node.items if isinstance(node, Branch) else ()):
            self.check(item, f"{name}[{index}]", mistakes)
        for key, value in (node.entries if isinstance(node, Table) else {}).items():
            self.check(value, f"{name}.{key}", mistakes)
        return to_plain(node)

    def schema(self) -> Schema:
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class ListOf:
    """A list, as a tuple, of at least `least` items."""

    item: Shape
    least: int = 0

    def check(self, node: Node, name: str, mistakes: Mistakes) -> tuple[Any, ...] | None:
        if not isinstance(node, Branch):
            fix = f": write [{node.text}]" if isinstance(node, Leaf) and node.text else ""
            mistakes.add(node.place, f"'{name}' must be a list, got {describe(node)}{fix}")
            return None
        if len(node.items) < self.least:
            mistakes.add(node.place, f"'{name}' must not be empty")
            return None
        return tuple(self.item.check(item, f"{name}[{i}]", mistakes) for i, item in enumerate(node.items))

    def schema(self) -> Schema:
        least = {"minItems": self.least} if self.least else {}
        return {"type": "array", "items": self.item.schema(), **least, **said("a list, such as [a, b]")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Increasing:
    """A list of whole numbers, each larger than the one before, from 1 upwards."""

    def check(self, node: Node, name: str, mistakes: Mistakes) -> tuple[int, ...] | None:
        found = len(mistakes)
        numbers = ListOf(item=Int(minimum=1), least=1).check(node, name, mistakes)
        if numbers is None or len(mistakes) > found:
            return None
        if list(numbers) != sorted(set(numbers)):
            mistakes.add(node.place, f"'{name}' must increase, got {list(numbers)}")
            return None
        return numbers

    def schema(self) -> Schema:
        return {**ListOf(item=Int(minimum=1), least=1).schema(), "uniqueItems": True}


@dataclass(frozen=True, kw_only=True, slots=True)
class MapOf:
    """A mapping whose keys match the pattern `key`, which `what` describes, or are one of a table's names.
    `nullable`: a null drops an inherited entry."""

    value: Shape
    key: str | OneOf
    what: str = ""
    nullable: bool = False

    def check(self, node: Node, name: str, mistakes: Mistakes) -> dict[str, Any] | None:
        if not isinstance(node, Table):
            mistakes.add(node.place, f"'{name}' must be a mapping, got {describe(node)}")
            return None
        checked: dict[str, Any] = {}
        pattern = self._pattern
        for key, place, value in node.written():
            if not fits(pattern, key):
                what = self.key.what if isinstance(self.key, OneOf) else self.what
                mistakes.add(place, f"key '{key}' of '{name}' must be {what}{self._fix(key)}")
            elif not (self.nullable and is_null(value)):
                checked[key] = self.value.check(value, f"{name}.{key}", mistakes)
        return checked

    @property
    def _pattern(self) -> str:
        return self.key.pattern if isinstance(self.key, OneOf) else self.key

    def _fix(self, key: str) -> str:
        """The spelling that was meant, for the slips that flags invite: `--num-gpus`, `num_gpus`."""
        if isinstance(self.key, OneOf):
            return self.key.hint(key)
        meant = key.lstrip("-").replace("_", "-")
        return f", did you mean '{meant}'?" if meant != key and re.fullmatch(self.key, meant) else ""

    def schema(self) -> Schema:
        value = or_null(self.value.schema()) if self.nullable else self.value.schema()
        what = self.key.what if isinstance(self.key, OneOf) else self.what
        names = {"pattern": f"^(?:{self._pattern})$", "errorMessage": f"a key here must be {what}"}
        # An editor proposes the names of a table only if they are properties.
        known = {"properties": dict.fromkeys(self.key.plain, value)} if isinstance(self.key, OneOf) else {}
        return {"type": "object", **known, "additionalProperties": value, "propertyNames": names, **said("a mapping")}


@dataclass(frozen=True, kw_only=True, slots=True)
class OneOrEach:
    """One value for all, or a mapping of names to one each."""

    value: Shape
    key: OneOf
    what: str

    def check(self, node: Node, name: str, mistakes: Mistakes) -> Any:
        if isinstance(node, Table):
            return MapOf(value=self.value, key=self.key).check(node, name, mistakes)
        return self.value.check(node, name, mistakes)

    def schema(self) -> Schema:
        each = MapOf(value=self.value, key=self.key).schema()
        return either(self.value.schema(), each, what=f"{self.what}, or a mapping of metrics to one each")


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """A mapping with fixed keys, built into the dataclass `kind` of `pytest_sgdiff.data`.

    `relation` adds the mistakes that only the whole record shows. `formerly` maps keys of earlier versions to those
    that took their place, with another meaning; `aliases` those that only have another name now, and still work.
    `fields` are the names of the dataclass's fields, where a key has another; `also` are those that no key has.
    """

    kind: type[Any]
    keys: Mapping[str, Shape]
    help: Mapping[str, str]
    relation: Callable[[Any, Table, str, Mistakes], None] | None = None
    formerly: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)
    also: Mapping[str, Any] = field(default_factory=dict)

    def check(self, node: Node, name: str, mistakes: Mistakes) -> Any:
        if not isinstance(node, Table):
            mistakes.add(node.place, f"'{name}' must be a mapping, got {describe(node)}")
            return None
        found = len(mistakes)
        checked = self.check_keys(node, name, mistakes)
        for key in self.required():
            if key not in node.entries:
                mistakes.add(node.place, f"'{name}' has no '{key}'")
        if len(mistakes) > found:
            return None
        record = self.kind(**checked, **self.also)
        if self.relation is not None:
            self.relation(record, node, name, mistakes)
        return record

    def check_keys(
        self, node: Table, name: str, mistakes: Mistakes, *, nullable: bool = False, ignore: Collection[str] = ()
    ) -> dict[str, Any]:
        """The values of the keys that are there, without those to `ignore`; unknown keys are mistakes.

        With `nullable`, a key without value is skipped: it drops an inherited one.
        """
        checked: dict[str, Any] = {}
        for key, place, value in node.written():
            now = key if key in self.keys else self._other(key, place, node, name, mistakes, ignore)
            if now is not None and not (nullable and is_null(value)):
                dotted = f"{name}.{key}" if name else key
                checked[self.fields.get(now, now)] = self.keys[now].check(value, dotted, mistakes)
        return checked

    def _other(
        self, key: str, place: Place, node: Table, name: str, mistakes: Mistakes, ignore: Collection[str]
    ) -> str | None:
        """The key that one is another name of. None for one that is to be ignored, and for a mistake, which is
        added."""
        if key in ignore:
            return None
        if key in self.formerly:
            now = f"{name}.{self.formerly[key]}"
            mistakes.add(
                place,
                f"'{name}.{key}' is '{now}' now: {self.help[self.formerly[key]]} (it was what a pass rules out)",
            )
        elif key not in self.aliases:
            unknown_key(place, key, (*self.keys, *ignore), name, mistakes)
        elif self.aliases[key] in node.entries:
            now = self.aliases[key]
            mistakes.add(place, f"'{name}.{key}' is the earlier name of '{name}.{now}': keep one of them")
        else:
            return self.aliases[key]
        return None

    def required(self) -> tuple[str, ...]:
        """Keys whose dataclass field has no default."""
        return tuple(
            f.name for f in dataclasses.fields(self.kind) if f.default is MISSING and f.default_factory is MISSING
        )

    def schema(self) -> Schema:
        properties = {key: {"description": self.help[key], **shape.schema()} for key, shape in self.keys.items()}
        for key, now in self.aliases.items():
            properties[key] = {**self.keys[now].schema(), "description": f"the earlier name of `{now}`"}
            properties[key]["deprecated"] = True
        required = {"required": list(self.required())} if self.required() else {}
        keys = said_of_keys(self.keys, self.required())
        return {"type": "object", "properties": properties, "additionalProperties": False, **required, **keys}


@dataclass(frozen=True, kw_only=True, slots=True)
class WordOrRecord:
    """One of several words, each of which stands for a value, or a mapping with fixed keys."""

    words: Mapping[str, Any]
    record: Record

    def check(self, node: Node, name: str, mistakes: Mistakes) -> Any:
        if isinstance(node, Table):
            return self.record.check(node, name, mistakes)
        word = node.text if isinstance(node, Leaf) else ""
        if word not in self.words:
            known = ", ".join(self.words)
            hint = did_you_mean(word, self.words) if word else ""
            mistakes.add(node.place, f"'{name}' must be {known}, or a mapping, got {describe(node)}{hint}")
            return None
        return self.words[word]

    def schema(self) -> Schema:
        words = list(self.words)
        # Without the words an `enum` would refuse every mapping.
        return either(
            {"type": "string", "pattern": f"^(?:{'|'.join(words)})$", "examples": words},
            {**self.record.schema(), "minProperties": 1},
            what=f"{', '.join(words)}, or a mapping of {', '.join(self.record.keys)}",
        )


def unknown_key(place: Place, key: str, known: Collection[str], name: str, mistakes: Mistakes) -> None:
    """Add the mistake of a key that nobody knows, with the one that was meant or all that there are."""
    prefix = f"{name}." if name else ""
    dotted = {f"{prefix}{word}" for word in known}
    hint = did_you_mean(key, known).replace("'", f"'{prefix}", 1) or f"; known are {', '.join(sorted(dotted))}"
    mistakes.add(place, f"unknown key '{prefix}{key}'{hint}")


def either(*schemas: Schema, what: str) -> Schema:
    """The schema of a value that is of one of several kinds, none of which shares a type with another: what each says
    of its own type stays. An editor says of a list of alternatives only that none of them fits."""
    merged: Schema = {}
    types: list[str] = []
    for schema in schemas:
        kinds = schema["type"]
        types += kinds if isinstance(kinds, list) else [kinds]
        merged |= schema
    return {**merged, "type": types, **said(what)}


def or_null(schema: Schema) -> Schema:
    """The schema of a value that may also be null, which drops an inherited one."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    kinds = schema.get("type")
    if kinds is None:
        return schema
    return {**schema, "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"]}
