"""Which shard measures what. Pure: every shard works it out by itself, on a host of its own, and must get the same.

So it depends on the selected cases and on the committed baselines alone: on no order, GPU, engine, worker or clock.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """What one shard measures as a whole: all tests of a case, or of a Python file. `name` is the same on every host.
    `seconds` is how long that takes, `gpu_seconds` the same times its GPUs. `beside` names pieces that belong to it.
    """

    name: str
    seconds: float
    gpu_seconds: float
    beside: tuple[str, ...] = ()


def split(pieces: Sequence[Piece], of: int) -> Mapping[str, int]:
    """The number of the shard for each piece, from 1 to `of`: the longest first, each to the shard that has least so
    far (LPT: no shard then takes more than a third longer than in the best split). Pieces that belong together, to
    which several others may lead, count as one.
    """
    by_name = {piece.name: piece for piece in pieces}
    groups = sorted(
        (
            (
                -math.fsum(by_name[name].seconds for name in group),
                -math.fsum(by_name[name].gpu_seconds for name in group),
                group,
            )
            for group in _together(by_name)
        ),
    )
    # More shards than groups: the last ones get nothing, whatever number they are given.
    loads = [(0.0, number) for number in range(1, min(of, len(groups)) + 1)]
    found: dict[str, int] = {}
    for seconds, _, group in groups:
        load, number = loads[0]
        heapq.heapreplace(loads, (load - seconds, number))
        found.update(dict.fromkeys(group, number))
    return found


def _together(by_name: Mapping[str, Piece]) -> Iterable[tuple[str, ...]]:
    """The names of pieces that belong together, sorted; a piece that is not in the selection joins nothing."""
    neighbours: dict[str, set[str]] = defaultdict(set)
    for piece in by_name.values():
        for other in piece.beside:
            if other in by_name:
                neighbours[piece.name].add(other)
                neighbours[other].add(piece.name)
    seen: set[str] = set()
    for name in sorted(by_name):
        if name in seen:
            continue
        group, waiting = {name}, [name]
        while waiting:
            new = neighbours[waiting.pop()] - group
            group |= new
            waiting += new
        seen |= group
        yield tuple(sorted(group))
