"""What holds for every queue: no GPU twice, budgets kept, the head never delayed, and good company picked."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.gpus.policy import Holding, Slot, Ticket, pick, plan, runs_alone

UUIDS = tuple(f"GPU-{index}" for index in range(8))
SLOTS = {uuid: Slot(uuid=uuid, index=index, numa=index // 4) for index, uuid in enumerate(UUIDS)}
ALL = frozenset(UUIDS)


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[Ticket], list[Holding]]:
    free, holdings = list(UUIDS), []
    for run in draw(st.lists(st.sampled_from("ab?"), max_size=4)):
        count = draw(st.integers(0, min(3, len(free))))
        mine, free = free[:count], free[count:]
        ends = math.inf if run == "?" else draw(st.sampled_from([-5.0, 3.0, 10.0, 60.0, math.inf]))
        holdings.append(Holding(uuids=frozenset(mine), run=run, ends_in_s=ends, foreign=run == "?"))
    tickets = [
        Ticket(
            seq=seq,
            id=f"t{seq}",
            count=draw(st.integers(1, 8)),
            eligible=draw(st.sampled_from([ALL, frozenset(UUIDS[:4]), frozenset(UUIDS[2:])])),
            run=run,
            budget={"a": None, "b": 4}[run],
            estimate_s=draw(st.sampled_from([1.0, 10.0, 100.0, math.inf])),
            stalled=draw(st.sampled_from([False, False, False, True])),
        )
        for seq, run in enumerate(draw(st.lists(st.sampled_from("ab"), max_size=6)))
    ]
    return tickets, holdings


@given(queues())
def test_grants_are_disjoint_complete_eligible_and_within_budget(queue: tuple[list[Ticket], list[Holding]]) -> None:
    tickets, holdings = queue
    granted = plan(tickets, holdings, SLOTS)
    taken = [uuid for holding in holdings for uuid in holding.uuids] + [u for gpus in granted.values() for u in gpus]
    assert len(taken) == len(set(taken))
    by_id = {ticket.id: ticket for ticket in tickets}
    for ident, gpus in granted.items():
        assert len(gpus) == by_id[ident].count
        assert set(gpus) <= by_id[ident].eligible
        assert not by_id[ident].stalled
    held = sum(len(h.uuids) for h in holdings if h.run == "b")
    new = sum(len(gpus) for ident, gpus in granted.items() if by_id[ident].run == "b")
    assert new == 0 or held + new <= 4


@given(queues())
def test_the_first_ticket_that_fits_is_always_served(queue: tuple[list[Ticket], list[Holding]]) -> None:
    tickets, holdings = queue
    first = next((ticket for ticket in tickets if not ticket.stalled), None)
    taken = {uuid for holding in holdings for uuid in holding.uuids}
    if first is None or len(first.eligible - taken) < first.count or first.budget is not None:
        return
    assert first.id in plan(tickets, holdings, SLOTS)


@given(queues(), st.floats(1, 100))
def test_nobody_who_passes_the_head_delays_it(queue: tuple[list[Ticket], list[Holding]], estimate_s: float) -> None:
    """After the leases that the head waits for have ended, and all passers that are due, it fits."""
    tickets, holdings = queue
    head = Ticket(seq=-1, id="head", count=4, eligible=ALL, run="a")
    holdings = [replace(h, ends_in_s=max(h.ends_in_s, 0.0)) for h in holdings if not h.foreign]
    granted = plan([head, *tickets], holdings, SLOTS)
    if "head" in granted:
        return
    by_id = {ticket.id: ticket for ticket in tickets}

    def free_at(time_s: float, *, passers: bool) -> int:
        busy = {u for h in holdings if h.ends_in_s > time_s for u in h.uuids}
        if passers:
            busy |= {u for i, gpus in granted.items() if by_id[i].estimate_s > time_s for u in gpus}
        return len(ALL - busy)

    for time_s in sorted({h.ends_in_s for h in holdings if h.ends_in_s < math.inf}):
        if free_at(time_s, passers=False) >= 4:
            assert free_at(time_s, passers=True) >= 4
            return
    assert granted == {}, "nobody knows when the head can start, so nobody may take what it waits for"


def ticket(seq: int, count: int, estimate_s: float = math.inf, **more: object) -> Ticket:
    return Ticket(seq=seq, id=f"t{seq}", count=count, eligible=ALL, estimate_s=estimate_s, **more)  # type: ignore[arg-type]


def test_a_short_case_fills_the_gap_before_the_head_and_a_long_one_does_not() -> None:
    six_until_30 = [Holding(uuids=frozenset(UUIDS[:6]), ends_in_s=30)]
    assert plan([ticket(1, 8), ticket(2, 1, 20)], six_until_30, SLOTS) == {"t2": ("GPU-6",)}
    assert plan([ticket(1, 8), ticket(2, 1, 40)], six_until_30, SLOTS) == {}
    # A head that needs only four leaves some over for ever.
    assert plan([ticket(1, 4), ticket(2, 1)], six_until_30, SLOTS) == {"t2": ("GPU-6",)}


def test_nobody_passes_a_head_whose_wait_overran_its_estimate() -> None:
    overdue = [Holding(uuids=frozenset(UUIDS[:6]), ends_in_s=-100)]
    assert plan([ticket(1, 8), ticket(2, 1, 1)], overdue, SLOTS) == {}


def test_gpus_are_not_kept_for_a_case_that_a_foreign_process_makes_impossible() -> None:
    stranger = [Holding(uuids=frozenset(UUIDS[:1]), foreign=True)]
    assert plan([ticket(1, 8), ticket(2, 1)], stranger, SLOTS) == {"t2": ("GPU-1",)}


def test_a_stopped_waiter_is_passed() -> None:
    assert plan([ticket(1, 8, stalled=True), ticket(2, 8)], [], SLOTS) == {"t2": UUIDS}


def test_cases_of_1_1_2_and_4_gpus_pack_into_aligned_blocks() -> None:
    granted = plan([ticket(1, 1), ticket(2, 1), ticket(3, 2), ticket(4, 4)], [], SLOTS)
    assert [[SLOTS[uuid].index for uuid in granted[f"t{seq}"]] for seq in (1, 2, 3, 4)] == [
        [0],
        [1],
        [2, 3],
        [4, 5, 6, 7],
    ]


def test_a_pair_that_is_linked_is_preferred_to_neighbours_that_are_not() -> None:
    slots = [Slot(uuid=f"GPU-{index}", index=index, clique=index // 2) for index in range(4)]
    assert pick([slots[0], slots[1], slots[3]], 2, slots) == ("GPU-0", "GPU-1")
    assert pick([slots[1], slots[2], slots[3]], 2, slots) == ("GPU-2", "GPU-3")


def test_many_gpus_are_picked_from_without_trying_all_ways() -> None:
    slots = [Slot(uuid=f"GPU-{index:02d}", index=index, numa=index // 16) for index in range(32)]
    chosen = pick(slots, 16, slots)
    assert {int(uuid[4:]) // 16 for uuid in chosen} == {0}


@given(st.sets(st.integers(0, 7), min_size=1), st.integers(1, 8))
def test_a_pick_is_what_was_asked_for(free: set[int], count: int) -> None:
    if count <= len(free):
        chosen = pick([SLOTS[UUIDS[index]] for index in sorted(free)], count, list(SLOTS.values()))
        assert len(set(chosen)) == count
        assert set(chosen) <= {UUIDS[index] for index in free}


def test_later_looks_and_recordings_run_alone_by_default() -> None:
    assert [runs_alone("confirm", look=look) for look in (1, 2, 3)] == [False, True, True]
    assert runs_alone("confirm", look=1, recording=True)
    assert [runs_alone("shared", look=look, recording=True) for look in (1, 2)] == [False, False]
    assert [runs_alone("alone", look=look) for look in (1, 2)] == [True, True]
