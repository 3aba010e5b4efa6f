"""The places of a case's keys, kept small: a large suite has a dozen of them for each of ten thousand cases."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from pytest_sgdiff.cases.tree import Table
from pytest_sgdiff.data import Location


class Locations(Mapping[str, Location]):
    """Dotted key -> its place. A `Location` is made when somebody asks for it: until then two numbers stand for it, in
    one string of bytes, which Python's garbage collector does not look into."""

    __slots__ = ("_keys", "_path", "_places")

    def __init__(self, path: str, keys: tuple[str, ...], places: bytes) -> None:
        self._path, self._keys, self._places = path, keys, places

    def __getitem__(self, key: str) -> Location:
        try:
            at = 2 * self._keys.index(key)
        except ValueError:
            raise KeyError(key) from None
        places = memoryview(self._places).cast("I")
        return Location(path=self._path, line=places[at], column=places[at + 1])

    def __contains__(self, key: object) -> bool:
        return key in self._keys

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return repr(dict(self))


class KeySets:
    """The keys that cases of one file have: mostly the same, and kept once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._seen: dict[Shape, tuple[str, ...]] = {}

    def of(self, table: Table) -> tuple[tuple[str, ...], Locations]:
        """Every dotted key under the table, those of each table together, and their places."""
        places: list[int] = []
        shape = _shape(table, places)
        keys = self._seen.get(shape)
        if keys is None:
            keys = self._seen[shape] = tuple(_names(table, ""))
        return keys, Locations(self._path, keys, array("I", places).tobytes())


Shape = tuple[Any, ...]
"""The keys of a table, and the shapes of the tables among its values: which dotted keys there are."""


def _shape(table: Table, places: list[int]) -> Shape:
    """The shape of a table, whose places are added in the order of `_names`."""
    places += chain.from_iterable(table.keys.values())
    inner = [(key, node) for key, node in table.entries.items() if type(node) is Table]
    return tuple(table.entries), tuple([(key, _shape(node, places)) for key, node in inner])


def _names(table: Table, prefix: str) -> Iterator[str]:
    yield from (prefix + key for key in table.entries)
    for key, node in table.entries.items():
        if isinstance(node, Table):
            yield from _names(node, f"{prefix}{key}.")
