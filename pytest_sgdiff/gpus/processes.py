"""Which processes belong to a lease, as /proc tells, and the end of those whose owner has died.

A process is the lease's if its environment carries `SGDIFF_LEASE=<id>`; or if it is of the session that the launch
began and its environment is gone, which is what setproctitle (SGLang's workers use it) leaves of it; or if its parent
is. Only such processes of the same user, boot and PID namespace are ever signalled, and none that only bears the
number of one: a number is given out again after a process's end.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass

LEASE_VARIABLE = "SGDIFF_LEASE"
RUN_VARIABLE = "SGDIFF_RUN"
UUIDS_VARIABLE = "SGDIFF_GPU_UUIDS"
# The engine's own shutdown takes a second or two; the launcher gives it 20 s, but nobody waits for an orphan's result.
ORPHAN_GRACE_S = 2.0
ORPHAN_TERM_S = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    """One row of /proc. `started` is when the kernel started it, in ticks since boot: with the number, its identity.
    `environ` is None where it may not be read, or is another user's."""

    pid: int
    parent: int
    session: int
    zombie: bool
    uid: int
    started: int
    environ: bytes | None = None


def process(pid: int, *, environ: bool = False) -> Process | None:
    """The process, or None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the name may hold blanks and brackets
        uid = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    text = None
    if environ and uid == os.getuid():  # another user could make the reading of theirs wait
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            text = file.read()
    return Process(pid, int(fields[1]), int(fields[3]), fields[0] in (b"Z", b"X"), uid, int(fields[19]), text)


def processes(*, environ: bool = False) -> list[Process]:
    """All live processes that can be seen; zombies hold nothing and are left out."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [found for pid in pids if (found := process(pid, environ=environ)) and not found.zombie]


@functools.cache
def where() -> str:
    """Which boot of which kernel, and which PID namespace: PIDs mean something only within it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return "unknown"


def family(tag: str, child: int | None = None, child_started: int | None = None) -> dict[int, int]:
    """PID -> when it was started, of the processes of this user that carry `tag` (`SGDIFF_LEASE=...`), or come from the
    launch `child`, unless that number is another process's by now; never this process."""
    everybody = processes(environ=True)
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


def is_descendant(pid: int, of: int) -> bool:
    """Whether `pid` is `of` or comes from it."""
    seen = 0
    while pid not in (0, 1) and seen < 64:
        if pid == of:
            return True
        found = process(pid)
        if found is None:
            return False
        pid, seen = found.parent, seen + 1
    return False


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
