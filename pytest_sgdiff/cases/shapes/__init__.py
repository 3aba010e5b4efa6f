"""What a value in a case file may look like.

The same objects refuse a file's mistakes, build its cases, and make the JSON Schema that editors complete with.
"""

from pytest_sgdiff.cases.shapes.nested import (
    Flag,
    Increasing,
    Json,
    ListOf,
    MapOf,
    OneOrEach,
    Record,
    WordOrRecord,
    either,
    or_null,
    unknown_key,
)
from pytest_sgdiff.cases.shapes.protocol import Schema, Shape, did_you_mean, said, said_of_keys
from pytest_sgdiff.cases.shapes.single import (
    Bool,
    Choice,
    Duration,
    Int,
    OneOf,
    Positive,
    Scalar,
    Share,
    Specifier,
    Text,
)

__all__ = [
    "Bool",
    "Choice",
    "Duration",
    "Flag",
    "Increasing",
    "Int",
    "Json",
    "ListOf",
    "MapOf",
    "OneOf",
    "OneOrEach",
    "Positive",
    "Record",
    "Scalar",
    "Schema",
    "Shape",
    "Share",
    "Specifier",
    "Text",
    "WordOrRecord",
    "did_you_mean",
    "either",
    "or_null",
    "said",
    "said_of_keys",
    "unknown_key",
]
