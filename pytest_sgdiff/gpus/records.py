"""What the lock directory says in words: tickets, leases and quarantined GPUs as JSON files.

A ticket or lease lives exactly as long as its file is locked; what is written in it only describes it. All functions
that look at several files want the mutex held, so that nobody reads what is being written.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_sgdiff.gpus.locks import is_locked, locked_file, open_lock_file, try_lock
from pytest_sgdiff.gpus.policy import Ticket
from pytest_sgdiff.gpus.procs import where

# A waiter touches its ticket at least once a second; one that has not for this long is stopped (Ctrl-Z, a debugger).
STALLED_S = 15.0
# How long a GPU that was found in use is left alone before it is looked at again.
QUARANTINE_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseRecord:
    """A lease as its file tells. `alive` is whether its owner is; `child` the launch's process, leader of a session."""

    id: str
    uuids: tuple[str, ...]
    run: str
    pid: int
    uid: int
    where: str
    tag: str
    since: float
    estimate_s: float
    child: int | None
    alive: bool

    @property
    def reapable(self) -> bool:
        """Whether its owner is dead and this process may end what is left: same user, boot and PID namespace."""
        return not self.alive and self.uid == os.getuid() and self.where == where()

    @property
    def ends_in_s(self) -> float:
        return self.since + self.estimate_s - time.time()


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiter:
    """A ticket and who waits on it."""

    ticket: Ticket
    tag: str
    pid: int
    since: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Busy:
    """A GPU that was found in use by a stranger; left alone until `until` (seconds since the epoch)."""

    uuid: str
    until: float
    reason: str


def write_locked(path: str, content: Mapping[str, Any]) -> int:
    """Makes the file and returns a descriptor that holds its lock. Raises OSError; the caller has the mutex."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        if not try_lock(fd):
            raise BlockingIOError(11, "locked by another process right after it was made", path)
        rewrite(fd, content)
    except BaseException:
        os.close(fd)
        remove(path)
        raise
    return fd


def rewrite(fd: int, content: Mapping[str, Any]) -> None:
    """Replaces what the file says."""
    text = json.dumps(content).encode()
    os.pwrite(fd, text, 0)
    os.ftruncate(fd, len(text))


def read_json(path: str) -> dict[str, Any] | None:
    """The file's content; None if it is gone or torn (its writer was killed, or is writing)."""
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def remove(path: str) -> None:
    """Removes a file of the dead. In a sticky directory only its owner's user may: others' files do no harm."""
    with contextlib.suppress(FileNotFoundError, PermissionError):
        os.unlink(path)


def next_number(folder: str) -> int:
    """The number of the next ticket: behind all that wait. With the mutex."""
    numbers = [name.partition("-")[0] for name in os.listdir(os.path.join(folder, "queue"))]
    # Anybody may leave a file there, and file systems leave their own (.nfs0001).
    return 1 + max((int(number) for number in numbers if number.isdecimal()), default=0)


def waiters(folder: str) -> list[Waiter]:
    """All who wait, in order; tickets of the dead are removed. With the mutex."""
    found = []
    now = time.time()
    for name in sorted(os.listdir(os.path.join(folder, "queue"))):
        path = os.path.join(folder, "queue", name)
        number, _, ident = name.partition("-")
        if not is_locked(path):
            remove(path)
            continue
        content = read_json(path)
        if content is None:
            continue
        with contextlib.suppress(OSError, KeyError, TypeError, ValueError):
            ticket = Ticket(
                seq=int(number),
                id=ident,
                count=int(content["count"]),
                eligible=frozenset(content["eligible"]),
                run=str(content["run"]),
                budget=content["budget"],
                estimate_s=_seconds(content["estimate_s"]),
                stalled=now - os.stat(path).st_mtime > STALLED_S,
            )
            found.append(
                Waiter(ticket=ticket, tag=str(content["tag"]), pid=int(content["pid"]), since=float(content["since"]))
            )
    return found


def lease_records(folder: str) -> list[LeaseRecord]:
    """All leases, those of dead owners too. With the mutex."""
    found = []
    for name in sorted(os.listdir(os.path.join(folder, "lease"))):
        path = os.path.join(folder, "lease", name)
        alive = is_locked(path)
        content = read_json(path)
        if not alive and (content is None or _holds_nothing(content) or _of_an_earlier_boot(content)):
            remove(path)
            continue
        if content is None:
            continue
        with contextlib.suppress(KeyError, TypeError, ValueError):
            found.append(
                LeaseRecord(
                    id=name,
                    uuids=tuple(content["uuids"]),
                    run=str(content["run"]),
                    pid=int(content["pid"]),
                    uid=int(content["uid"]),
                    where=str(content["where"]),
                    tag=str(content["tag"]),
                    since=float(content["since"]),
                    estimate_s=_seconds(content["estimate_s"]),
                    child=content["child"],
                    alive=alive,
                )
            )
    return found


def _holds_nothing(content: Mapping[str, Any]) -> bool:
    """Whether a lease of a dead owner is of no use to the reaper: it has no GPUs, and its launch has ended too."""
    child = content.get("child")
    return not content.get("uuids") and (child is None or not os.path.exists(f"/proc/{child}"))


def _of_an_earlier_boot(content: Mapping[str, Any]) -> bool:
    """Whether the host was started anew since: nothing of the launch can be left, whatever its PID is now."""
    then, now = str(content.get("where", "")).partition(":")[0], where().partition(":")[0]
    return then != now and not {"", "unknown"} & {then, now}


def mark_busy(folder: str, uuid: str, reason: str) -> None:
    """Tells all waiters to leave the GPU alone for a while."""
    path = os.path.join(folder, "busy", uuid)
    with contextlib.suppress(OSError):  # another user's mark that we may not replace says the same
        os.close(open_lock_file(path))
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            rewrite(fd, {"until": time.time() + QUARANTINE_S, "reason": reason})
        finally:
            os.close(fd)


def busy_marks(folder: str) -> dict[str, Busy]:
    """GPUs in quarantine now."""
    found = {}
    for name in os.listdir(os.path.join(folder, "busy")):
        content = read_json(os.path.join(folder, "busy", name))
        if content is not None and float(content.get("until", 0)) > time.time():
            found[name] = Busy(uuid=name, until=float(content["until"]), reason=str(content.get("reason", "in use")))
    return found


def lock_gpus(folder: str, uuids: frozenset[str]) -> dict[str, int]:
    """UUID -> descriptor holding its lock, for those that nobody else holds. With the mutex."""
    locked = {}
    for uuid in uuids:
        fd = locked_file(os.path.join(folder, "gpu", uuid))
        if fd is not None:
            locked[uuid] = fd
    return locked


def _seconds(value: float | None) -> float:
    """JSON has no infinity: an unknown estimate is written as null."""
    return math.inf if value is None else float(value)
