"""The end of launches whose pytest worker died: their GPUs stay locked until they are dead too.

A process is the lease's if its environment carries `SGDIFF_LEASE=<id>`; or if it is of the session that the launch
began and its environment is gone, which is what setproctitle (SGLang's workers use it) leaves of it; or if its parent
is. Only such processes of the same user, boot and PID namespace are ever signalled, and none that only bears the
number of one: a number is given out again after a process's end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Mapping, Sequence

from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.files.procfs import Process, process, processes
from pytest_sgdiff.gpus.lease_records import LeaseRecord, lease_records
from pytest_sgdiff.gpus.lock_files import bump, gpu_file, is_locked, mutex, remove, usable

LEASE_VARIABLE = "SGDIFF_LEASE"
RUN_VARIABLE = "SGDIFF_RUN"
UUIDS_VARIABLE = "SGDIFF_GPU_UUIDS"
# The engine's own shutdown takes a second or two; `launch` gives it 20 s, but nobody waits for an orphan's result.
ORPHAN_GRACE_S = 2.0
ORPHAN_TERM_S = 5.0


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


def family(tag: str, child: int | None = None, child_started: int | None = None) -> dict[int, int]:
    """PID -> when it was started, of the processes of this user that carry `tag` (`SGDIFF_LEASE=...`), or come from the
    launch `child`, unless that number is another process's by now; never this process."""
    everybody = [row for row in processes(environ=True) if not row.zombie]  # those hold nothing
    word = tag.encode()
    mine = os.getuid()
    leader = next((row for row in everybody if row.pid == child), None)
    if child_started is None or (leader is not None and leader.started != child_started):
        child = None
    found = {row.pid: row.started for row in everybody if row.uid == mine and _carries(row, word, child)}
    while True:
        more = {row.pid: row.started for row in everybody if row.parent in found and row.uid == mine}
        if more.keys() <= found.keys():
            return {pid: started for pid, started in found.items() if pid != os.getpid()}
        found |= more


def _carries(row: Process, word: bytes, child: int | None) -> bool:
    environ = row.environ or b""
    if word in environ.split(b"\0"):
        return True
    return child is not None and row.session == child and b"PATH=" not in environ


def signal_all(found: Mapping[int, int], number: int) -> None:
    """Sends the signal to the processes that `family` found, as far as they still live."""
    for pid, started in found.items():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            try:
                # The descriptor is of one process, whoever gets its number next.
                fd = os.pidfd_open(pid)
            except OSError as error:
                if error.errno not in (errno.ENOSYS, errno.EPERM):  # an old kernel, or a container that forbids it
                    raise
                if _is(pid, started):
                    os.kill(pid, number)
                continue
            try:
                if _is(pid, started):
                    signal.pidfd_send_signal(fd, number)
            finally:
                os.close(fd)


def _is(pid: int, started: int) -> bool:
    row = process(pid)
    return row is not None and row.started == started


def end(tag: str, child: int | None = None, child_started: int | None = None, *, term_s: float = ORPHAN_TERM_S) -> int:
    """Ends all processes of the tag: SIGTERM, at most `term_s`, SIGKILL. Returns how many there were."""
    found = family(tag, child, child_started)
    everyone = set(found)
    signal_all(found, signal.SIGTERM)
    deadline = time.monotonic() + term_s
    while found and time.monotonic() < deadline:
        time.sleep(0.02)
        found = family(tag, child, child_started)
        everyone |= found.keys()
    signal_all(found, signal.SIGKILL)
    return len(everyone)
