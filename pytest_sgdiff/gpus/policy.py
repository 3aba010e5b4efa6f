"""Who gets which GPUs: pure functions over what is known of the queue, tried on by every waiter alike.

Tickets are served in order. The first that does not fit is the *head*: its start is estimated from when the leases
end, and later tickets may pass it only if they do not delay it (EASY backfilling: Lifka 1995; Mu'alem and Feitelson
2001). So small cases fill gaps, and a wide one is never starved.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from pytest_sgdiff.isolation import Isolation

# Choosing 8 of 16 has 12,870 ways; beyond this many only neighbours in the wiring order are looked at.
_MOST_SUBSETS = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Slot:
    """Where a GPU sits: its number in PCI order, its NUMA node and its NVLink group."""

    uuid: str
    index: int
    numa: int | None = None
    clique: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Ticket:
    """A request in the queue: `count` of the `eligible` GPUs, of which its run may hold `budget` in all (None: no
    bound), for an expected `estimate_s` (infinite if nobody knows). A `stalled` one does not run now: it is passed."""

    seq: int
    id: str
    count: int
    eligible: frozenset[str]
    run: str = ""
    budget: int | None = None
    estimate_s: float = math.inf
    stalled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Holding:
    """GPUs that cannot be had now, whom they belong to and in how many seconds they are expected back. A `foreign`
    is no lease: nobody knows whether it ever ends."""

    uuids: frozenset[str]
    run: str = ""
    ends_in_s: float = math.inf
    foreign: bool = False


def plan(
    tickets: Sequence[Ticket], holdings: Sequence[Holding], slots: Mapping[str, Slot]
) -> dict[str, tuple[str, ...]]:
    """Ticket id -> the GPUs that it may take now. What no holding names is free. Never grants a GPU twice."""
    taken = {uuid for holding in holdings for uuid in holding.uuids}
    held = list(holdings)
    granted: dict[str, tuple[str, ...]] = {}
    head: Ticket | None = None
    reserved: frozenset[str] = frozenset()
    head_starts_s = math.inf
    for ticket in sorted(tickets, key=lambda ticket: (ticket.seq, ticket.id)):
        if ticket.stalled:
            continue
        free = ticket.eligible - taken
        if head is None:
            chosen = _fit(ticket, free, held, slots)
            if chosen is None and _reachable(ticket, held):
                head = ticket
                head_starts_s, reserved = _start(ticket, held, slots)
        elif ticket.estimate_s <= head_starts_s < math.inf:
            chosen = _fit(ticket, free, held, slots)
        elif _spares_budget(ticket, head, held, head_starts_s):
            chosen = _fit(ticket, free - reserved, held, slots)
        else:
            chosen = None
        if chosen is not None:
            granted[ticket.id] = chosen
            taken.update(chosen)
            held.append(Holding(uuids=frozenset(chosen), run=ticket.run, ends_in_s=ticket.estimate_s))
    return granted


def _fit(
    ticket: Ticket, free: frozenset[str], held: Sequence[Holding], slots: Mapping[str, Slot]
) -> tuple[str, ...] | None:
    if len(free) < ticket.count or not _within(ticket, _held_by(ticket.run, held)):
        return None
    return pick([slots[uuid] for uuid in free], ticket.count, [slots[uuid] for uuid in ticket.eligible])


def _reachable(ticket: Ticket, held: Sequence[Holding]) -> bool:
    """Whether the ticket fits once all leases have ended. If not, waiting GPUs kept for it would only stand idle."""
    lost = {uuid for holding in held if holding.foreign for uuid in holding.uuids}
    return len(ticket.eligible - lost) >= ticket.count and _within(ticket, 0)


def _start(ticket: Ticket, held: Sequence[Holding], slots: Mapping[str, Slot]) -> tuple[float, frozenset[str]]:
    """In how many seconds the ticket can start, and with which GPUs; all of its GPUs if nobody knows when."""
    remaining = sorted(held, key=lambda holding: holding.ends_in_s)
    while remaining and remaining[0].ends_in_s < math.inf:
        ends_in_s = remaining[0].ends_in_s
        remaining = [holding for holding in remaining if holding.ends_in_s > ends_in_s]
        free = ticket.eligible - {uuid for holding in remaining for uuid in holding.uuids}
        chosen = _fit(ticket, free, remaining, slots)
        if chosen is not None:
            # A lease that outlived its estimate ends "now": nobody may then pass the head on the strength of it.
            return max(0.0, ends_in_s), frozenset(chosen)
    return math.inf, ticket.eligible


def _spares_budget(ticket: Ticket, head: Ticket, held: Sequence[Holding], head_starts_s: float) -> bool:
    """Whether the head's run still has room for it once the ticket, of the same run, is running beside it."""
    if ticket.run != head.run or head.budget is None:
        return True
    then = [holding for holding in held if holding.ends_in_s > head_starts_s]
    return _held_by(head.run, then) + ticket.count + head.count <= head.budget


def _held_by(run: str, held: Sequence[Holding]) -> int:
    return sum(len(holding.uuids) for holding in held if holding.run == run)


def _within(ticket: Ticket, already: int) -> bool:
    return ticket.budget is None or already + ticket.count <= ticket.budget


def pick(free: Sequence[Slot], count: int, all_slots: Sequence[Slot]) -> tuple[str, ...]:
    """The best `count` of the `free` GPUs, in index order: fewest NVLink groups, fewest NUMA nodes, fewest aligned
    blocks of 2, 4 and 8 broken up that were free as a whole, lowest indices. `free` holds at least `count`."""
    if count == 0:
        return ()
    ordered = sorted(
        free, key=lambda slot: (slot.clique, -1 if slot.numa is None else slot.numa, slot.index, slot.uuid)
    )
    ways: list[tuple[Slot, ...]]
    if math.comb(len(ordered), count) <= _MOST_SUBSETS:
        ways = list(combinations(ordered, count))
    else:
        ways = [tuple(ordered[at : at + count]) for at in range(len(ordered) - count + 1)]
    blocks = _whole_blocks(ordered, all_slots)

    def badness(way: tuple[Slot, ...]) -> tuple[int, int, int, tuple[int, ...], tuple[str, ...]]:
        indices = {slot.index for slot in way}
        broken = sum(bool(block & indices) and not block <= indices for block in blocks)
        return (
            len({slot.clique for slot in way}),
            len({slot.numa for slot in way}),
            broken,
            tuple(sorted(indices)),
            tuple(slot.uuid for slot in way),
        )

    best = set(min(badness(way) for way in ways)[-1])
    return tuple(slot.uuid for slot in sorted(free, key=lambda slot: (slot.index, slot.uuid)) if slot.uuid in best)


def _whole_blocks(free: Sequence[Slot], all_slots: Sequence[Slot]) -> list[frozenset[int]]:
    """Aligned blocks of 2, 4 and 8 indices that are free as a whole."""
    there, have = {slot.index for slot in all_slots}, {slot.index for slot in free}
    blocks = []
    for size in (2, 4, 8):
        for start in range(0, max(there, default=0) + 1, size):
            block = frozenset(range(start, start + size))
            if block <= there and block <= have:
                blocks.append(block)
    return blocks


def runs_alone(isolation: Isolation, *, look: int, recording: bool = False) -> bool:
    """Whether a launch has the host to itself. `look` counts the looks at the data from 1.

    `confirm` shares at the first look, which other work can only slow down, and is alone from the second on, so that no
    `regressed` rests on a disturbed launch.
    """
    if isolation == "confirm":
        return recording or look > 1
    return isolation == "alone"
