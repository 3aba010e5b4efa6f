"""Data <-> plain builtins, checked inbound.

Whatever crosses a process border (a worker's result on its way to the controller) or lies in a file is first turned
into None, bool, int, float, str, list and dict. Outbound a number that is not finite is refused, inbound everything is
checked against the dataclass: a value of another type is an error, never converted, and the message opens with its
path:

    launches[2].metrics.e2e: must be a finite number, got 'x'

Law: `from_plain(type(x), to_plain(x)) == x` for everything in `pytest_sgdiff.data`, also through `json`. Three things
are not kept: a whole number in a float field comes back as float (and is equal), a field typed `Any` holds builtins
only, so a tuple in it comes back as a list, and text that UTF-8 cannot carry has its lone surrogates replaced by `?`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from pytest_sgdiff.errors import WireError
from pytest_sgdiff.files.wire_paths import Place, fail, in_range, shown
from pytest_sgdiff.files.wire_readers import Unknown, reader_of

T = TypeVar("T")


def to_plain(value: object, *, omit_defaults: bool = False) -> Any:
    """`value` as builtins. With `omit_defaults`, fields that hold their default are left out (for files).

    Raises WireError for a number that is not finite, a mapping whose keys are not text, or a type without a plain form.
    """
    return _plain(value, (), omit_defaults=omit_defaults)


def from_plain(cls: type[T], plain: object, *, where: str = "", unknown: Unknown = "refuse") -> T:
    """`plain` as a `cls`, which is one of the dataclasses of `pytest_sgdiff.data`.

    `where` opens the path of every message. Unknown keys are errors (a typing mistake, or another version's data)
    unless `unknown` is "ignore", which is for files that other tools may write.
    Raises WireError, whose `path` leads to the value from `plain`.
    """
    start: Place = (where,) if where else ()
    try:
        return cast(T, reader_of(cast(Any, cls), unknown)(plain, start))
    except WireError as error:
        path = error.path[1:] if where else error.path
        raise WireError(str(error), path) from None


def _plain(value: object, path: Place, *, omit_defaults: bool) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value) if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int):
        return in_range(int(value), path)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise fail(path, f"must be a finite number, got {value!r}")
        return float(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name), (*path, field.name), omit_defaults=omit_defaults)
            for field in dataclasses.fields(value)
            if not (omit_defaults and _holds_default(value, field))
        }
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise fail(path, f"must have text as keys, got {shown(key)}")
        return {
            _plain(key, path, omit_defaults=omit_defaults): _plain(item, (*path, key), omit_defaults=omit_defaults)
            for key, item in value.items()
        }
    if isinstance(value, tuple | list):
        return [_plain(item, (*path, index), omit_defaults=omit_defaults) for index, item in enumerate(value)]
    raise fail(path, f"has no plain form, got {shown(value)}")


def _holds_default(value: object, field: dataclasses.Field[Any]) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return bool(getattr(value, field.name) == field.default_factory())
    if field.default is dataclasses.MISSING:
        return False
    held = getattr(value, field.name)
    return held is field.default or (type(held) is type(field.default) and held == field.default)
