"""Data <-> plain builtins, checked inbound.

Whatever crosses a process border (a worker's result on its way to the controller) or lies in a file is first turned
into None, bool, int, float, str (base64 of bytes), list and dict. Outbound a number that is not finite is refused,
inbound everything is checked against the dataclass: a value of another type is an error, never converted, and the
message opens with its path:

    launches[2].metrics.e2e: must be a finite number, got 'x'

Law: `from_plain(type(x), to_plain(x)) == x` for everything in `pytest_sgdiff.data`, also through `json`. Three things
are not kept: a whole number in a float field comes back as float (and is equal), a field typed `Any` holds builtins
only, so a tuple in it comes back as a list, and text that UTF-8 cannot carry has its lone surrogates replaced by `?`.
"""

from __future__ import annotations

import base64
import dataclasses
import math
import types
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from sys import intern
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pytest_sgdiff.data import GpuSeries
from pytest_sgdiff.errors import WireError

T = TypeVar("T")
Place = tuple[str | int, ...]

_SHOWN_CHARACTERS = 60
_NUMBERS = frozenset({bool, int, float, type(None)})
_NAME = 60
"""Characters of the longest text that is kept once for all that have it."""
_LARGE = 1e18
"""Numbers below are finite, and whole ones are within 64 bits; larger ones are looked at one by one."""
Reader = Callable[[Any, Place], Any]
Unknown = Literal["refuse", "ignore"]


def to_plain(value: object, *, omit_defaults: bool = False) -> Any:
    """`value` as builtins. With `omit_defaults`, fields that hold their default are left out (for files), but for
    a `code`, by which the classes of a union are distinguished.

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
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
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
            # A `code` tells the classes of a union apart.
            if field.name == "code" or not (omit_defaults and _holds_default(value, field))
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
        # Most of a result are columns of numbers.
        if _NUMBERS.issuperset(map(type, value)) and all(one is None or -_LARGE < one < _LARGE for one in value):
            return list(value)
        return [_plain(item, (*path, index), omit_defaults=omit_defaults) for index, item in enumerate(value)]
    raise fail(path, f"has no plain form, got {shown(value)}")


def _holds_default(value: object, field: dataclasses.Field[Any]) -> bool:
    if field.default_factory is not dataclasses.MISSING:
        return bool(getattr(value, field.name) == field.default_factory())
    if field.default is dataclasses.MISSING:
        return False
    held = getattr(value, field.name)
    return held is field.default or (type(held) is type(field.default) and held == field.default)


@cache
def reader_of(kind: Any, unknown: Unknown) -> Reader:
    """The function that checks one type; made once per type."""
    if dataclasses.is_dataclass(kind):
        return _dataclass_reader(cast(type, kind), unknown)
    if kind in _SCALARS:
        return _SCALARS[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union_reader(args, unknown)
    if origin is Literal:
        return _literal_reader(args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return _tuple_reader(args[0], unknown)
    if origin is not None and issubclass(origin, Mapping) and args[0] is str:
        return _mapping_reader(args[1], unknown)
    raise TypeError(f"no plain form is defined for {kind!r}")


def _read_str(plain: Any, path: Place) -> str:
    if not isinstance(plain, str):
        raise fail(path, f"must be text, got {shown(plain)}")
    # Results cross from workers one by one: the names that all of them have are kept once.
    return intern(str(whole_text(plain, path))) if len(plain) <= _NAME else whole_text(plain, path)


def _read_bool(plain: Any, path: Place) -> bool:
    if not isinstance(plain, bool):
        raise fail(path, f"must be true or false, got {shown(plain)}")
    return plain


def _read_int(plain: Any, path: Place) -> int:
    if isinstance(plain, bool) or not isinstance(plain, int):
        raise fail(path, f"must be a whole number, got {shown(plain)}")
    return in_range(plain, path)


def _read_float(plain: Any, path: Place) -> float:
    if isinstance(plain, bool) or not isinstance(plain, int | float):
        raise fail(path, f"must be a finite number, got {shown(plain)}")
    try:
        number = float(plain)
    except OverflowError:  # an integer of more than 308 digits
        number = math.inf
    if not math.isfinite(number):
        raise fail(path, f"must be a finite number, got {shown(plain)}")
    return number


def _read_bytes(plain: Any, path: Place) -> bytes:
    try:
        if isinstance(plain, str):
            return base64.b64decode(plain, validate=True)
    except ValueError:
        pass
    raise fail(path, f"must be bytes as base64, got {shown(plain)}")


def _read_none(plain: Any, path: Place) -> None:
    if plain is not None:
        raise fail(path, f"must be null, got {shown(plain)}")


def _read_any(plain: Any, path: Place) -> Any:
    if plain is None or isinstance(plain, bool):
        return plain
    if isinstance(plain, str):
        return whole_text(plain, path)
    if isinstance(plain, int):
        return in_range(plain, path)
    if isinstance(plain, float):
        return _read_float(plain, path)
    if isinstance(plain, list | tuple):
        return [_read_any(item, (*path, index)) for index, item in enumerate(plain)]
    if isinstance(plain, Mapping):
        return _mapping_reader(Any, "refuse")(plain, path)
    raise fail(path, f"must be null, true, false, a number, text, a list or a mapping, got {shown(plain)}")


_SCALARS: Mapping[Any, Reader] = types.MappingProxyType(
    {
        str: _read_str,
        bytes: _read_bytes,
        bool: _read_bool,
        int: _read_int,
        float: _read_float,
        type(None): _read_none,
        Any: _read_any,
    }
)
_NAMES: Mapping[Any, str] = types.MappingProxyType(
    {str: "text", bool: "true or false", int: "a whole number", float: "a finite number", type(None): "null"}
)


def _union_reader(kinds: tuple[Any, ...], unknown: Unknown) -> Reader:
    # In the order of _NAMES: a whole number must stay one where int and float are both allowed.
    rank = list(_NAMES)
    ordered = sorted(kinds, key=lambda kind: rank.index(kind) if kind in rank else len(rank))
    readers = [reader_of(kind, unknown) for kind in ordered]
    if type(None) in kinds and len(kinds) == 2:
        inner = next(reader_of(kind, unknown) for kind in kinds if kind is not type(None))
        return lambda plain, path: None if plain is None else inner(plain, path)
    named = [_NAMES.get(kind, "a list") for kind in ordered]

    def read(plain: Any, path: Place) -> Any:
        for reader in readers:
            with suppress(WireError):
                return reader(plain, path)
        raise fail(path, f"must be {', '.join(named[:-1])} or {named[-1]}, got {shown(plain)}")

    return read


def _literal_reader(values: tuple[Any, ...]) -> Reader:
    named = ", ".join(repr(value) for value in values)

    def read(plain: Any, path: Place) -> Any:
        if not isinstance(plain, str) or plain not in values:
            raise fail(path, f"must be one of {named}, got {shown(plain)}")
        return plain

    return read


def _tuple_reader(kind: Any, unknown: Unknown) -> Reader:
    reader = reader_of(kind, unknown)
    kinds = frozenset(get_args(kind) or (kind,))
    numbers = kinds if kinds <= {int, float, type(None)} else frozenset()

    def read(plain: Any, path: Place) -> tuple[Any, ...]:
        if not isinstance(plain, list | tuple):
            raise fail(path, f"must be a list, got {shown(plain)}")
        if numbers.issuperset(map(type, plain)) and all(one is None or -_LARGE < one < _LARGE for one in plain):
            return tuple(plain)
        return tuple(reader(item, (*path, index)) for index, item in enumerate(plain))

    return read


def _mapping_reader(kind: Any, unknown: Unknown) -> Reader:
    reader = reader_of(kind, unknown)

    def read(plain: Any, path: Place) -> dict[str, Any]:
        if not isinstance(plain, Mapping):
            raise fail(path, f"must be a mapping, got {shown(plain)}")
        for key in plain:
            if not isinstance(key, str):
                raise fail(path, f"must have text as keys, got {shown(key)}")
            whole_text(key, path)
        return {intern(str(key)): reader(item, (*path, key)) for key, item in plain.items()}

    return read


def _dataclass_reader(cls: type, unknown: Unknown) -> Reader:
    hints = get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    readers = {name: reader_of(hints[name], unknown) for name in fields}
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]

    def read(plain: Any, path: Place) -> Any:
        if not isinstance(plain, Mapping):
            raise fail(path, f"must be a mapping of {cls.__name__}'s fields, got {shown(plain)}")
        if unknown == "refuse":
            for key in plain:
                if key not in fields:
                    told = fail(path, f"has the unknown key {shown(key)}")
                    # The place is the key's own: that is the line to mend.
                    raise WireError(str(told), (*path, key))
        for name in required:
            if name not in plain:
                raise fail((*path, name), "is missing")
        value = cls(**{name: reader(plain[name], (*path, name)) for name, reader in readers.items() if name in plain})
        if isinstance(value, GpuSeries):
            _check_columns(value, path)
        return value

    return read


def _check_columns(series: GpuSeries, path: Place) -> None:
    """The columns of a series are read side by side; one that was not sampled at all is empty."""
    for field in dataclasses.fields(series):
        column = getattr(series, field.name)
        if isinstance(column, tuple) and column and len(column) != len(series.at_s):
            raise fail((*path, field.name), f"has {len(column)} values for {len(series.at_s)} samples")


def spell(path: Place) -> str:
    """`("launches", 2, "metrics", "e2e")` as `launches[2].metrics.e2e`; a key that is no plain word in quotes."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        elif not text:
            text = key
        elif any(c.isspace() or c in ".[]'\"" for c in key) or not key:
            text += f"[{key!r}]"
        else:
            text += f".{key}"
    return text


def fail(path: Place, message: str) -> WireError:
    """The error to raise: its message opens with the path."""
    where = spell(path)
    return WireError(f"{where}: {message}" if where else message, path)


def in_range(number: int, path: Place) -> int:
    """The number. Raises WireError for one that no counter of 64 bits holds: it is no measurement, and no float."""
    if abs(number) >= 1 << 64:
        raise fail(path, f"must be a whole number of at most 64 bits, got {shown(number)}")
    return number


def whole_text(text: str, path: Place) -> str:
    """The text. Raises WireError for one with half a character (a lone surrogate), which JSON can spell and no file
    can hold."""
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise fail(path, f"must be text of whole characters, got {shown(text)}")
    return text


def shown(value: object) -> str:
    """A value as messages quote it, cut where it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python spells no number beyond a length
        text = "a number of thousands of digits"
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
