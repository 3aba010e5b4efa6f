"""The JSON Schema of case files, generated from the keys; editors complete and check with it.

`python -m pytest_sgdiff.cases.json_schema` writes `case.schema.json` anew after a change of the keys; a test compares
the two.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from pytest_sgdiff.cases.flag_schema import flag_schemas
from pytest_sgdiff.cases.keys import CASE, CASE_ID, FLAG, LISTED, MATRIX_HELP, MERGED, NAME_HELP, RESERVED, VARIANT
from pytest_sgdiff.cases.marks import CASE_MARKS
from pytest_sgdiff.cases.shapes import Schema, either, or_null, said, said_of_keys
from pytest_sgdiff.data import SERVE, Case

FILE = Path(__file__).with_name("case.schema.json")
TITLE = "pytest-sgdiff case file"
ENGINES = ("sglang-generate", SERVE)
"""Engines with the flags of the tables."""


def document_schema() -> Schema:
    """The schema of one file. What only a merged case shows, such as a model for every case, it cannot say."""
    keys = {key: {"description": CASE.help[key], **or_null(_with_default(key))} for key in CASE.keys}
    overrides: Schema = {"$ref": "#/$defs/overrides"}
    variants = _map_of(overrides, VARIANT, "variants and what they change")
    listed = {
        key: either(
            variants,
            {"type": "array", "minItems": 1, "uniqueItems": True, "items": CASE.keys[key].schema()},
            what="a mapping of variants, or a list of values",
        )
        for key in LISTED
    }
    matrix = {**_map_of(variants, ".+", MATRIX_HELP), "properties": listed}
    about = f"the cases by id ({NAME_HELP}); an id is unique over all files"
    cases = _map_of({"$ref": "#/$defs/case"}, CASE_ID, about, besides=RESERVED)
    merged = ", ".join(MERGED)
    defaults = {"description": f"merged into every case of the file; {merged} key by key", **overrides}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        **_closed({"defaults": defaults, "cases": cases}, needed=["cases"]),
        "if": _in_every_part({"engine": {"enum": [*ENGINES, None]}}, axis={"items": {"enum": list(ENGINES)}}),
        "then": _in_every_part({"args": {"$ref": "#/$defs/flags"}}),
        "$defs": {
            "case": _closed({**keys, "matrix": matrix}),
            "overrides": or_null(_closed(keys)),
            "flags": {"properties": flag_schemas(FLAG)},
        },
    }


def _in_every_part(keys: Schema, *, axis: Schema | None = None) -> Schema:
    """A schema of these keys wherever in a file they may stand: in defaults, cases and variants. Engines of other
    plugins have flags of their own, and one part of a file may name the engine of another. `axis` is the schema of the
    axis `engine`, which may list them."""
    part: Schema = {"properties": keys}
    axes: Schema = {"additionalProperties": {"additionalProperties": part}}
    if axis is not None:
        axes["properties"] = {"engine": {**axis, "additionalProperties": part}}
    case: Schema = {"properties": {**keys, "matrix": axes}}
    return {"properties": {"defaults": part, "cases": {"additionalProperties": case}}}


def text() -> str:
    """The file's text."""
    return json.dumps(document_schema(), indent=2, ensure_ascii=False) + "\n"


def _closed(properties: Schema, *, needed: Sequence[str] = ()) -> Schema:
    required = {"required": list(needed)} if needed else {}
    keys = said_of_keys(properties, needed)
    return {"type": "object", "properties": properties, "additionalProperties": False, **required, **keys}


def _map_of(value: Schema, key: str, description: str, *, besides: Sequence[str] = ()) -> Schema:
    """A mapping whose names fit `key`, and are none of `besides`."""
    made_of = f"a name here is made of {NAME_HELP}"
    name: Schema = {"pattern": f"^(?:{key})$", "errorMessage": made_of}
    if besides:
        name = {
            **name,
            "not": {"enum": list(besides)},
            "errorMessage": f"{made_of}, and is none of {', '.join(besides)}",
        }
    return {
        "description": description,
        "type": "object",
        "minProperties": 1,
        "additionalProperties": value,
        "propertyNames": name,
        **said("a mapping"),
    }


def _with_default(key: str) -> dict[str, Any]:
    """The key's schema, with the default of `Case` where the file would write it the same way."""
    schema = CASE.keys[key].schema()
    if key == "marks":
        schema["items"]["examples"] = list(CASE_MARKS)
    if key == "engine":
        schema["examples"] = list(ENGINES)
    defaults = {f.name: f.default for f in fields(Case) if f.default is not MISSING}
    default = defaults.get(key)
    return {**schema, "default": default} if isinstance(default, (str, int)) and default != "" else schema


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
