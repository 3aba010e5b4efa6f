"""The JSON Schema of the engine's flags, from the tables: every flag of every known release, as one release or another
takes it. A flag that no table has stays allowed: the engine may be newer.
"""

from __future__ import annotations

import re
from typing import Any

from pytest_sgdiff.cases.shapes import Schema, said
from pytest_sgdiff.engines.flags import models, table
from pytest_sgdiff.engines.flags.check import OWN
from pytest_sgdiff.engines.flags.descriptions import DESCRIPTIONS
from pytest_sgdiff.engines.flags.lookup import spans_of

_INTEGER = r"^\s*[-+]?\d[\d_]*\s*$"
_NUMBER = r"^\s*[-+]?(?:[\d_]+\.?[\d_]*(?:[eE][-+]?\d+)?|\.\d[\d_]*(?:[eE][-+]?\d+)?|[iI][nN][fF]\w*|[nN][aA][nN])\s*$"
_TRUE_FALSE = r"^(?:[tT][rR][uU][eE]|[fF][aA][lL][sS][eE])$"


def flag_schemas(names: str) -> dict[str, Schema]:
    """Name -> schema of every flag whose name a case file may have, which the pattern `names` says; sorted."""
    known = sorted({name for flags in table.FLAGS.values() for name in flags.split()}, key=str.lower)
    return {name: _flag(name) for name in known if re.fullmatch(names, name)}


def _flag(name: str) -> Schema:
    value, what = _value(name)
    text = DESCRIPTIONS.get(name, f"The flag --{name} of the engine")
    notes: Schema = {"description": f"{text}. Takes {what}; {_releases(name)}."}
    if name in OWN:
        key = OWN[name]
        told = f"the plugin writes --{name} " + (
            f"from '{key}' of the case: set that" if key else "itself: leave it out"
        )
        notes = {"description": told, "deprecated": True, "deprecationMessage": told, "doNotSuggest": True}
    return {**notes, **value}


def _releases(name: str) -> str:
    """`sglang 0.5.13 to 0.5.17`, or `sglang 0.5.12 and later`."""
    spans = spans_of(name)
    first, last = spans[0][0], spans[-1][1]
    return f"sglang 0.5.{first}" + (" and later" if last == table.NEWEST else f" to 0.5.{last}" if last > first else "")


def _value(name: str) -> tuple[Schema, str]:
    """What the flag takes, and that in words; null drops an inherited flag."""
    kinds = {kind for (_, _, kind), names in table.FLAGS.items() if name in names.split()}
    if kinds <= {"switch", "boolean"}:
        if kinds == {"switch"}:
            return {"type": ["boolean", "null"], **said("true or false")}, "true or false"
        return {"type": ["boolean", "string", "null"], "pattern": _TRUE_FALSE, **said("true or false")}, "true or false"
    single, what = _single(name)
    if kinds & {"switch", "boolean"}:
        single = {**single, "type": ["boolean", *single["type"]]}
    if "list" not in kinds:
        return _nullable({**single, **said(what)}), what
    several = f"{what}, or a list"
    each = {"minItems": 1, "items": {**single, **said(what)}}
    if "enum" in single:
        return {"anyOf": [_nullable(single), {"type": "array", **each}]}, several
    return _nullable({**single, "type": [*single["type"], "array"], **each, **said(several)}), several


def _single(name: str) -> tuple[Schema, str]:
    """One value of the flag: from a choice, a number, or any text."""
    choices = _choices(name)
    if choices:
        return {"enum": choices}, f"one of {', '.join(dict.fromkeys(map(str, choices)))}"
    # A number in quotes is one, too: all that the engine sees is text.
    if name in table.INTEGERS.split():
        return {"type": ["integer", "string"], "pattern": _INTEGER}, "a whole number"
    if name in table.FLOATS.split():
        return {"type": ["number", "string"], "pattern": _NUMBER}, "a number"
    named = {"attention-backend": models.ATTENTION, "pipeline-class-name": models.PIPELINES}.get(name)
    return {"type": ["string", "number"], **({"examples": sorted(named)} if named else {})}, "text or a number"


def _choices(name: str) -> list[Any]:
    """Every value that one release or another allows; none where one allows any. Numbers also as such."""
    sets = [values.split() for _, values in table.CHOICES.get(name, ())]
    if not sets or not all(sets):
        return []
    texts = list(dict.fromkeys(value for values in sets for value in values))
    return [*texts, *(int(text) for text in texts if text.isdecimal())]


def _nullable(schema: Schema) -> Schema:
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [*schema["type"], "null"]}
