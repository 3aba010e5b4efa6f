"""Who has the GPUs that a waiter waits for, as the policy counts it and as people are told."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set

from pytest_sgdiff.data import Gpu
from pytest_sgdiff.gpus.lease_records import Busy, LeaseRecord, Waiter
from pytest_sgdiff.gpus.orphans import ORPHAN_GRACE_S, ORPHAN_TERM_S
from pytest_sgdiff.gpus.policy import Holding


def holdings(leases: Sequence[LeaseRecord], taken: frozenset[str]) -> list[Holding]:
    """Whom the taken GPUs belong to: leases, launches that outlived theirs, and what nobody accounts for."""
    found = []
    for lease in leases:
        # The engine's workers do not inherit the locks: until the dead lease is buried, one of them may live.
        # Of another user's lease only the locks are believed: it may name any GPU.
        whole = lease.ours and (lease.alive or lease.reapable)
        uuids = frozenset(lease.uuids) if whole else frozenset(lease.uuids) & taken
        ends_in_s = lease.ends_in_s if lease.alive else ORPHAN_GRACE_S + ORPHAN_TERM_S
        found.append(Holding(uuids=uuids, run=lease.run, ends_in_s=ends_in_s))
    known = {uuid for holding in found for uuid in holding.uuids}
    found.append(Holding(uuids=taken - known, ends_in_s=math.inf, stranger=True))
    return found


def obstacles(
    gpus: Sequence[Gpu],
    ident: str,
    queue: Sequence[Waiter],
    leases: Sequence[LeaseRecord],
    busy: Mapping[str, Busy],
    taken: Set[str],
) -> str:
    """`GPU 0,1: held by ltx2 (process 42); GPU 2: busy, process 77 (python3, 1002 MiB); 1 before it in the queue`.

    `leases`, `busy` and `taken` (GPUs whose lock somebody has) are what the last look found.
    """
    index = {gpu.uuid: gpu.index for gpu in gpus}
    parts = []
    told: set[str] = set()
    for lease in leases:
        whole = lease.ours and (lease.alive or lease.reapable)
        mine = [uuid for uuid in lease.uuids if uuid in index and (whole or uuid in taken)]
        if mine:
            told.update(mine)
            parts.append(f"{_names(index, mine)}: {_holder(lease)}")
    for uuid, mark in busy.items():
        if uuid in index and uuid not in told:
            told.add(uuid)
            parts.append(f"{_names(index, [uuid])}: busy, {mark.reason}")
    rest = [uuid for uuid in index if uuid in taken and uuid not in told]
    if rest:
        parts.append(f"{_names(index, rest)}: locked by a process that left no record")
    before = []
    for waiter in queue:
        if waiter.ticket.id == ident:
            break
        count = waiter.ticket.count
        before.append(f"{waiter.tag or 'a test'} ({count} GPU{'s' * (count > 1)}{', stalled' * waiter.ticket.stalled})")
    if before:
        parts.append(f"{len(before)} before it in the queue: {', '.join(before)}")
    return "; ".join(parts) or "the GPUs it needs are promised to others in the queue"


def _names(index: Mapping[str, int], uuids: Sequence[str]) -> str:
    return "GPU " + ",".join(str(number) for number in sorted(index[uuid] for uuid in uuids))


def _holder(lease: LeaseRecord) -> str:
    if lease.alive:
        return f"held by {lease.tag or 'a test'} (process {lease.pid})"
    child = f"process {lease.child}" if lease.child else "a process"
    fate = "is being ended" if lease.reapable else f"can be ended by user {lease.owner} alone, or in its container"
    return f"{child} of {lease.tag or 'a test'} outlived its pytest worker {lease.pid} and {fate}"
