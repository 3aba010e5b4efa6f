"""The decision in the queue, taken under the mutex by every waiter alike: whose turn it is, and with which GPUs.

A grant is a lease on record whose GPUs are locked but not yet found idle.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_sgdiff.files.procfs import where
from pytest_sgdiff.gpus import lease_records
from pytest_sgdiff.gpus.lease_records import Busy, LeaseRecord
from pytest_sgdiff.gpus.lock_files import bump, closing, mutex, remove
from pytest_sgdiff.gpus.policy import Slot, plan
from pytest_sgdiff.gpus.selection import Eligible
from pytest_sgdiff.gpus.wait_reasons import WaitReason, holdings, obstacles


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """GPUs that are ours, still to be found idle."""

    fds: Mapping[str, int]
    record_fd: int
    record: dict[str, Any]


def look(
    folder: str, eligible: Eligible, ident: str, about: dict[str, Any], found_busy: Mapping[str, Busy]
) -> tuple[Grant | None, list[LeaseRecord], tuple[WaitReason, ...]]:
    """One look at the queue for the ticket `ident`: a grant or why not, and all leases on record. `found_busy` are the
    GPUs that this process found in use lately, whether or not it could leave a mark of it."""
    usable = frozenset(gpu.uuid for gpu in eligible.gpus)
    with mutex(folder):
        waiting = lease_records.waiters(folder)
        leases = lease_records.lease_records(folder)
        busy = {**lease_records.busy_marks(folder), **found_busy}
        queue = lease_records.unserved(waiting, leases)
        wanted = frozenset().union(*(waiter.ticket.eligible for waiter in queue))
        unmarked = wanted - busy.keys()
        free, free_for_others = lease_records.lock_gpus(folder, unmarked & usable, unmarked - usable)
        try:
            granted = plan(
                [waiter.ticket for waiter in queue],
                holdings(leases, wanted - free.keys() - free_for_others),
                _slots(eligible, wanted),
            ).get(ident, ())
            mine = {uuid: free.pop(uuid) for uuid in granted}
        finally:
            for fd in free.values():
                os.close(fd)
        if mine:
            return enter(folder, ident, mine, about), leases, ()
    asked = {uuid for waiter in queue if waiter.ticket.id == ident for uuid in waiter.ticket.eligible}
    gpus = [gpu for gpu in eligible.gpus if gpu.uuid in asked]
    return None, leases, obstacles(gpus, ident, queue, leases, busy, wanted - free.keys() - free_for_others)


def enter(folder: str, ident: str, fds: Mapping[str, int], about: dict[str, Any]) -> Grant:
    """Puts the lease on record. With the mutex."""
    record = {
        **about,
        "uuids": sorted(fds),
        "uid": os.getuid(),
        "where": where(),
        "since": time.time(),
        "child": None,
        "child_started": None,
    }
    try:
        fd = lease_records.write_locked(os.path.join(folder, "lease", ident), record)
    except BaseException:
        for gpu_fd in fds.values():
            os.close(gpu_fd)
        raise
    return Grant(fds=fds, record_fd=fd, record=record)


def give_back(folder: str, ident: str, grant: Grant, busy: Mapping[str, str] | None = None) -> None:
    """Undoes a grant; the GPUs in `busy` are left alone for a while. The ticket keeps its place."""
    with closing(*grant.fds.values(), grant.record_fd) as held, mutex(folder):
        for uuid, reason in (busy or {}).items():
            lease_records.mark_busy(folder, uuid, reason)
        held.close()
        remove(os.path.join(folder, "lease", ident))
    bump(folder)


def _slots(eligible: Eligible, uuids: frozenset[str]) -> dict[str, Slot]:
    """Where the GPUs sit. Those that only other runs can see come last, each in a group of its own."""
    known = {gpu.uuid: gpu for gpu in eligible.gpus}
    slots = {}
    for place, uuid in enumerate(sorted(uuids), 1000):
        gpu = known.get(uuid)
        slots[uuid] = (
            Slot(uuid=uuid, index=place, clique=place)
            if gpu is None
            else Slot(uuid=uuid, index=gpu.index, numa=gpu.numa_node, clique=eligible.cliques.get(uuid, 0))
        )
    return slots
