"""The end of launches whose pytest worker died: their GPUs stay locked until they are dead too."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Sequence

from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.gpus.lease_records import LeaseRecord, lease_records
from pytest_sgdiff.gpus.lock_files import bump, gpu_file, is_locked, mutex, remove, usable
from pytest_sgdiff.gpus.processes import (
    LEASE_VARIABLE,
    ORPHAN_GRACE_S,
    ORPHAN_TERM_S,
    RUN_VARIABLE,
    end,
    family,
    signal_all,
)


class Reaper:
    """Ends orphans step by step, so that a waiter can do it between two looks. Never waits itself."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._first_seen: dict[str, float] = {}

    def step(self, records: Sequence[LeaseRecord]) -> bool:
        """Looks at the leases of dead owners: TERM after a grace, KILL later, the record removed when all is over.

        Returns whether that freed anything.
        """
        freed = False
        for record in records:
            if not record.reapable:
                continue
            age_s = time.monotonic() - self._first_seen.setdefault(record.id, time.monotonic())
            left = family(f"{LEASE_VARIABLE}={record.id}", record.child, record.child_started)
            if not left:
                freed = _bury(self._folder, record) or freed
            elif age_s > ORPHAN_GRACE_S + ORPHAN_TERM_S:
                signal_all(left, signal.SIGKILL)
            elif age_s > ORPHAN_GRACE_S:
                signal_all(left, signal.SIGTERM)
        return freed


def reap(folder: str, run_id: str, *, everything: bool = False) -> int:
    """Ends at once the launches of this run whose worker died; with `everything`, all that the run ever started.

    For the controller, when a worker is down, and at the end of the session. Returns how many processes were ended.
    """
    dead: list[LeaseRecord] = []
    # What carries the run's tag is found without the lock directory, should it be gone or stuck.
    with contextlib.suppress(LeaseError), usable(folder, "leases cannot be read"), mutex(folder):
        dead = [record for record in lease_records(folder) if record.run == run_id and record.reapable]
    ended = 0
    for record in dead:
        ended += end(f"{LEASE_VARIABLE}={record.id}", record.child, record.child_started)
        with contextlib.suppress(LeaseError), usable(folder, "a lease cannot be removed"):
            _bury(folder, record)
    if everything:
        ended += end(f"{RUN_VARIABLE}={run_id}")
    return ended


def _bury(folder: str, record: LeaseRecord) -> bool:
    """Removes the record of a dead lease, unless something that /proc does not show still holds its GPUs."""
    with mutex(folder):
        if any(is_locked(gpu_file(folder, uuid)) for uuid in record.uuids):
            return False
        remove(os.path.join(folder, "lease", record.id))
    bump(folder)
    return True
