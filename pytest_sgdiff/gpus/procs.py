"""Which processes belong to a lease, as /proc tells, and the end of those whose owner has died.

A process is the lease's if its environment carries `SGDIFF_LEASE=<id>`; or if it is of the session that the launch
began and its environment is gone, which is what setproctitle (SGLang's workers use it) leaves of it; or if its parent
is. Only such processes of the same user, boot and PID namespace are ever signalled.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from dataclasses import dataclass

LEASE_VARIABLE = "SGDIFF_LEASE"
RUN_VARIABLE = "SGDIFF_RUN"
UUIDS_VARIABLE = "SGDIFF_GPU_UUIDS"
# The engine's own shutdown takes a second or two; the launcher gives it 20 s, but nobody waits for an orphan's result.
ORPHAN_GRACE_S = 2.0
ORPHAN_TERM_S = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    """One row of /proc. `environ` is None where it may not be read."""

    pid: int
    parent: int
    session: int
    zombie: bool
    uid: int
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
    if environ:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            text = file.read()
    return Process(pid, int(fields[1]), int(fields[3]), fields[0] in (b"Z", b"X"), uid, text)


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


def family(tag: str, child: int | None = None) -> set[int]:
    """PIDs of this user that carry `tag` (`SGDIFF_LEASE=...`), or come from the launch `child`; never this process."""
    everybody = processes(environ=True)
    word = tag.encode()
    mine = os.getuid()
    found = {row.pid for row in everybody if row.uid == mine and _carries(row, word, child)}
    while True:
        more = {row.pid for row in everybody if row.parent in found and row.uid == mine} - found
        if not more:
            return found - {os.getpid()}
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


def signal_all(pids: set[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end(tag: str, child: int | None = None, *, term_s: float = ORPHAN_TERM_S) -> int:
    """Ends all processes of the tag: SIGTERM, at most `term_s`, SIGKILL. Returns how many there were."""
    found = family(tag, child)
    everyone = set(found)
    signal_all(found, signal.SIGTERM)
    deadline = time.monotonic() + term_s
    while found and time.monotonic() < deadline:
        time.sleep(0.02)
        found = family(tag, child)
        everyone |= found
    signal_all(found, signal.SIGKILL)
    return len(everyone)
