"""The JSON Schema of case files, generated from the keys; editors complete and check with it.

`python -m pytest_sgdiff.cases.json_schema` writes `case.schema.json` anew after a change of the keys; a test compares
the two.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from pytest_sgdiff.cases.keys import CASE, CASE_ID, LISTED, MATRIX_HELP, MERGED, NAME_HELP, VARIANT
from pytest_sgdiff.cases.shapes import Schema, or_null
from pytest_sgdiff.data import Case

FILE = Path(__file__).with_name("case.schema.json")
TITLE = "pytest-sgdiff case file"


def document_schema() -> Schema:
    """The schema of one file. What only a merged case shows, such as a model for every case, it cannot say."""
    keys = {key: or_null({"description": CASE.help[key], **_with_default(key)}) for key in CASE.keys}
    overrides: Schema = {"$ref": "#/$defs/overrides"}
    variants = _map_of({"anyOf": [overrides, {"type": "null"}]}, VARIANT, "variants and what they change")
    listed = {
        key: {
            "anyOf": [variants, {"type": "array", "minItems": 1, "uniqueItems": True, "items": CASE.keys[key].schema()}]
        }
        for key in LISTED
    }
    matrix = {**_map_of(variants, ".+", MATRIX_HELP), "properties": listed}
    cases = _map_of({"$ref": "#/$defs/case"}, CASE_ID, f"the cases by id ({NAME_HELP}); an id is unique over all files")
    merged = ", ".join(MERGED)
    defaults = {"description": f"merged into every case of the file; {merged} key by key", **overrides}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": TITLE,
        **_closed({"defaults": defaults, "cases": cases}),
        "required": ["cases"],
        "$defs": {"case": _closed({**keys, "matrix": matrix}), "overrides": _closed(keys)},
    }


def text() -> str:
    """The file's text."""
    return json.dumps(document_schema(), indent=2, ensure_ascii=False) + "\n"


def _closed(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _map_of(value: Schema, key: str, description: str) -> Schema:
    return {
        "description": description,
        "type": "object",
        "minProperties": 1,
        "additionalProperties": value,
        "propertyNames": {"pattern": f"^(?:{key})$"},
    }


def _with_default(key: str) -> dict[str, Any]:
    """The key's schema, with the default of `Case` where the file would write it the same way."""
    schema = CASE.keys[key].schema()
    defaults = {f.name: f.default for f in fields(Case) if f.default is not MISSING}
    default = defaults.get(key)
    return {**schema, "default": default} if isinstance(default, (str, int)) and default != "" else schema


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
