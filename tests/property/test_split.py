"""Laws of the split into shards: every case is in one, whatever the order, and none waits long for another."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.plugin.split import Piece, split

NAMES = st.text("abcdef", min_size=1, max_size=2)


@st.composite
def suites(draw: st.DrawFn) -> list[Piece]:
    names = draw(st.lists(NAMES, unique=True, max_size=12))
    return [
        Piece(
            name=name,
            seconds=draw(st.floats(0, 1e4)),
            gpu_seconds=draw(st.floats(0, 1e5)),
            beside=tuple(draw(st.lists(NAMES, max_size=1))),
        )
        for name in names
    ]


@given(suites(), st.integers(1, 6), st.randoms(use_true_random=False))
def test_each_case_is_in_one_shard_whatever_the_order(pieces: list[Piece], of: int, randomness: random.Random) -> None:
    found = split(pieces, of)
    assert set(found) == {one.name for one in pieces}
    assert set(found.values()) <= set(range(1, of + 1))
    mixed = list(pieces)
    randomness.shuffle(mixed)
    assert split(mixed, of) == found
    assert all(found[one.name] == found[other] for one in pieces for other in one.beside if other in found)


@given(suites(), st.integers(1, 6))
def test_no_shard_waits_for_another_by_more_than_its_last_group(pieces: list[Piece], of: int) -> None:
    """As longest-first promises: without its shortest group no shard has more than the one that has least."""
    found = split(pieces, of)
    alone = [one for one in pieces if not one.beside and all(one.name not in other.beside for other in pieces)]
    if len(alone) < len(pieces) or not pieces:
        return
    loads = {shard: [one.seconds for one in pieces if found[one.name] == shard] for shard in range(1, of + 1)}
    least = min(sum(times) for times in loads.values())
    assert all(sum(times) - min(times) <= least * (1 + 1e-9) for times in loads.values() if times)
