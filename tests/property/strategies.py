"""Hypothesis strategies for the nouns of `pytest_sgdiff.data`, made from their type hints."""

from __future__ import annotations

import dataclasses
import types
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from pytest_sgdiff.data import GpuSeries

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(max_size=8)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXT,
    bytes: st.binary(max_size=8),
    bool: st.booleans(),
    int: st.integers(-(2**53), 2**53),
    float: FLOATS,
    type(None): st.none(),
}


def json_values(*, allow_nan: bool = False) -> st.SearchStrategy[Any]:
    """What JSON can hold; with NaN and the infinities, which Python's reader accepts."""
    numbers = st.floats() if allow_nan else FLOATS
    leaves = st.none() | st.booleans() | SCALARS[int] | numbers | TEXT
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
    )


def _series(length: int) -> st.SearchStrategy[GpuSeries]:
    """Columns of one length; a counter that was not sampled is empty."""
    hints = {name: get_args(hint)[0] for name, hint in get_type_hints(GpuSeries).items() if name != "gpu_uuid"}
    columns = {
        name: st.lists(values(hint), min_size=length, max_size=length).map(tuple) for name, hint in hints.items()
    }
    sampled = {name: column if name == "at_s" else column | st.just(()) for name, column in columns.items()}
    return st.builds(GpuSeries, gpu_uuid=TEXT, **sampled)


@cache
def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of one type as it is written in `pytest_sgdiff.data`."""
    if kind in SCALARS:
        return SCALARS[kind]
    if kind is Any:
        return json_values()
    if kind is GpuSeries:
        return st.integers(0, 2).flatmap(_series)
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return st.builds(kind, **{field.name: values(hints[field.name]) for field in dataclasses.fields(kind)})
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return st.one_of([values(arg) for arg in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(values(args[0]), max_size=2).map(tuple)
    return st.dictionaries(TEXT, values(args[1]), max_size=2)
