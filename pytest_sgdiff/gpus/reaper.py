"""The end of launches whose pytest worker died: their GPUs stay locked until they are dead too."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence

from pytest_sgdiff.gpus.locks import is_locked, mutex
from pytest_sgdiff.gpus.procs import (
    LEASE_VARIABLE,
    ORPHAN_GRACE_S,
    ORPHAN_TERM_S,
    RUN_VARIABLE,
    end,
    family,
    signal_all,
    where,
)
from pytest_sgdiff.gpus.records import LeaseRecord, lease_records, remove


class Reaper:
    """Ends orphans step by step, so that a waiter can do it between two looks. Never waits itself."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._first_seen: dict[str, float] = {}
        self._where = where()

    def step(self, records: Sequence[LeaseRecord]) -> None:
        """Looks at the leases of dead owners: TERM after a grace, KILL later, the record removed when all is over."""
        for record in records:
            if record.alive or record.where != self._where or record.uid != os.getuid():
                continue
            age_s = time.monotonic() - self._first_seen.setdefault(record.id, time.monotonic())
            left = family(f"{LEASE_VARIABLE}={record.id}", record.child)
            if not left:
                _bury(self._folder, record)
            elif age_s > ORPHAN_GRACE_S + ORPHAN_TERM_S:
                signal_all(left, signal.SIGKILL)
            elif age_s > ORPHAN_GRACE_S:
                signal_all(left, signal.SIGTERM)


def reap(folder: str, run_id: str, *, everything: bool = False) -> int:
    """Ends at once the launches of this run whose worker died; with `everything`, all that the run ever started.

    For the controller, when a worker is down, and at the end of the session. Returns how many processes were ended.
    """
    with mutex(folder):
        dead = [record for record in lease_records(folder) if record.run == run_id and not record.alive]
    ended = 0
    for record in dead:
        if record.where == where() and record.uid == os.getuid():
            ended += end(f"{LEASE_VARIABLE}={record.id}", record.child)
            _bury(folder, record)
    if everything:
        ended += end(f"{RUN_VARIABLE}={run_id}")
    return ended


def _bury(folder: str, record: LeaseRecord) -> None:
    """Removes the record of a dead lease, unless something that /proc does not show still holds its GPUs."""
    with mutex(folder):
        if not any(is_locked(os.path.join(folder, "gpu", uuid)) for uuid in record.uuids):
            remove(os.path.join(folder, "lease", record.id))
