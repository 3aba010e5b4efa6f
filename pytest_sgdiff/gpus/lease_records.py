"""What the lock directory says in words: tickets, leases and quarantined GPUs as JSON files.

A ticket or lease lives exactly as long as its file is locked; what is written in it only describes it. All functions
that look at several files want the mutex held, so that nobody reads what is being written.

Any user of the host may have written a file. So each is read as far as RECORD_BYTES, a value of another type than this
package writes is as an unfinished file, text is made printable, and nobody but the file's owner is believed to have
written it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_sgdiff.files.locks import is_at, try_lock
from pytest_sgdiff.files.procfs import exists, where
from pytest_sgdiff.gpus.lock_files import (
    gpu_file,
    is_locked,
    is_uuid,
    locked_by_others,
    locked_file,
    names,
    open_file,
    open_lock_file,
    open_to_write,
    remove,
    uuids,
)
from pytest_sgdiff.gpus.policy import Ticket
from pytest_sgdiff.printable import printable

T = TypeVar("T")

RECORD_BYTES = 64 * 1024
"""The longest record that is read; one of this package has some hundred bytes and 45 more for each GPU."""

# A waiter touches its ticket at least once a second; one that has not for this long is stopped (Ctrl-Z, a debugger).
STALLED_S = 15.0
# How long a GPU that was found in use is left alone before it is looked at again.
QUARANTINE_S = 5.0
_LAST_NUMBER = 999_999_999
_TICKET = re.compile(r"([0-9]{9})-([0-9a-z]{1,32})", re.ASCII)
_HIGHEST_PID = 1 << 22  # PID_MAX_LIMIT of the kernel
_LONGEST_TEXT = 500
_FURTHEST_S = 1e11  # seconds; in the year 5138


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseRecord:
    """A lease as its file tells. `alive` is whether its owner is; `child` the launch's process, leader of a session,
    and `child_started` when the kernel started it; `owner` the user that made the file, `ours` whether that is this
    one."""

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
    child_started: int | None
    alive: bool
    owner: int
    ours: bool

    @property
    def reapable(self) -> bool:
        """Whether its owner is dead and this process may end what is left: same user, boot and PID namespace.

        What the file says of its user counts for nothing: anybody may write another user's number."""
        return not self.alive and self.ours and self.uid == os.getuid() and self.where == where()

    @property
    def ends_in_s(self) -> float:
        return self.since + self.estimate_s - time.time()


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiter:
    """A ticket and who waits on it; `owner` is the user that made its file."""

    ticket: Ticket
    owner: int
    tag: str
    pid: int
    since: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Busy:
    """A GPU that was found in use by a foreign process; left alone until `until` (seconds since the epoch)."""

    uuid: str
    until: float
    reason: str


def write_locked(path: str, content: Mapping[str, Any]) -> int:
    """Makes the file and returns a descriptor that holds its lock. Raises OSError; the caller has the mutex."""
    fd = open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        with contextlib.suppress(PermissionError):  # a file system that has no modes
            os.fchmod(fd, 0o644)
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


@dataclass(frozen=True, slots=True)
class _Found:
    """A file that was looked at: whether somebody holds its lock, what it says (None: no record, or an unfinished one),
    which user made it, whether that is this one, and when it was last touched."""

    alive: bool
    content: dict[str, Any] | None
    owner: int
    ours: bool
    touched: float

    def run(self) -> str:
        """The run that it is of. Another user's is never one of this user's, whatever it is called."""
        run = _text((self.content or {})["run"])
        return run if self.ours else f"{run} of user {self.owner}"


def _look_at(path: str) -> _Found | None:
    """The file; None if there is none that may be read."""
    try:
        fd = open_file(path)
    except OSError:
        return None
    try:
        about = os.fstat(fd)
        # A file with a second name may be another one of this user's.
        ours = about.st_uid == os.getuid() and about.st_nlink == 1
        content = _parsed(os.pread(fd, RECORD_BYTES + 1, 0))
        alive = locked_by_others(fd)
        return _Found(alive=alive, content=content, owner=about.st_uid, ours=ours, touched=about.st_mtime)
    finally:
        os.close(fd)


def _parsed(text: bytes) -> dict[str, Any] | None:
    """The record; None if that is none, or unfinished (its writer was killed, or is writing)."""
    if len(text) > RECORD_BYTES:
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _whole(value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"no number from {least} to {most}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_FURTHEST_S < value < _FURTHEST_S:
        raise ValueError("no number of seconds")
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return printable(value[:_LONGEST_TEXT])


def _uuids(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and is_uuid(one) for one in value):
        raise ValueError("no UUIDs")
    return tuple(value)


def _seconds(value: object) -> float:
    """JSON has no infinity: an unknown estimate is written as null."""
    return math.inf if value is None else _number(value)


def _or_none(read: Callable[[object], T], value: object) -> T | None:
    return None if value is None else read(value)


def _pid(value: object) -> int:
    return _whole(value, 1, _HIGHEST_PID)


def read_tag(path: str) -> tuple[str, bool] | None:
    """Whose launch the file marks, and whether it still runs; None where there is no such mark."""
    found = _look_at(path)
    if found is None or found.content is None:
        return None
    with contextlib.suppress(ValueError):
        return _text(found.content.get("tag")), found.alive
    return None


def next_number(folder: str) -> int:
    """The number of the next ticket: behind all that wait. With the mutex."""
    queue = os.path.join(folder, "queue")
    # Anybody may leave a file there, and file systems leave their own (.nfs0001).
    tickets = sorted((name for name in names(folder, "queue") if _TICKET.fullmatch(name)), reverse=True)
    last = next((int(name.partition("-")[0]) for name in tickets if is_locked(os.path.join(queue, name))), 0)
    # Whoever took the last number is before nobody: equal numbers are in the order of their ids.
    return min(last + 1, _LAST_NUMBER)


def ticket_name(number: int, ident: str) -> str:
    """The name of a ticket's file."""
    return f"{number:09d}-{ident}"


def waiters(folder: str) -> list[Waiter]:
    """All who wait, in order; tickets of the dead are removed. With the mutex."""
    waiting = []
    now = time.time()
    for name in names(folder, "queue"):
        path = os.path.join(folder, "queue", name)
        ticket_of, found = _TICKET.fullmatch(name), _look_at(path)
        if ticket_of is None or found is None:
            continue
        if not found.alive:
            remove(path)
            continue
        told = found.content or {}
        with contextlib.suppress(KeyError, ValueError):
            ticket = Ticket(
                seq=int(ticket_of[1]),
                id=ticket_of[2],
                count=_whole(told["count"], 1, 1 << 16),
                eligible=frozenset(_uuids(told["eligible"])),
                run=found.run(),
                budget=_or_none(lambda value: _whole(value, 0, 1 << 16), told["budget"]),
                estimate_s=_seconds(told["estimate_s"]),
                stalled=now - found.touched > STALLED_S,
            )
            tag, pid, since = _text(told["tag"]), _pid(told["pid"]), _number(told["since"])
            waiting.append(Waiter(ticket=ticket, owner=found.owner, tag=tag, pid=pid, since=since))
    return waiting


def unserved(waiting: Sequence[Waiter], leases: Sequence[LeaseRecord]) -> list[Waiter]:
    """Those who have no lease yet. A lease serves its own user's ticket alone: anybody can read, and use, its name."""
    serving = {(lease.owner, lease.id) for lease in leases}
    return [waiter for waiter in waiting if (waiter.owner, waiter.ticket.id) not in serving]


def lease_records(folder: str) -> list[LeaseRecord]:
    """All leases, those of dead owners too. With the mutex."""
    leases = []
    for name in names(folder, "lease"):
        path = os.path.join(folder, "lease", name)
        found = _look_at(path)
        if found is None:
            continue
        record = _lease_record(name, found)
        if not found.alive and (record is None or _holds_nothing(record) or _of_an_earlier_boot(record)):
            remove(path)
        elif record is not None:
            leases.append(record)
    return leases


def _lease_record(name: str, found: _Found) -> LeaseRecord | None:
    told = found.content or {}
    with contextlib.suppress(KeyError, ValueError):
        return LeaseRecord(
            id=name,
            uuids=_uuids(told["uuids"]),
            run=found.run(),
            pid=_pid(told["pid"]),
            uid=_whole(told["uid"], 0, 1 << 32),
            where=_text(told["where"]),
            tag=_text(told["tag"]),
            since=_number(told["since"]),
            estimate_s=_seconds(told["estimate_s"]),
            child=_or_none(_pid, told["child"]),
            child_started=_or_none(lambda value: _whole(value, 0, 1 << 63), told.get("child_started")),
            alive=found.alive,
            owner=found.owner,
            ours=found.ours,
        )
    return None


def _holds_nothing(record: LeaseRecord) -> bool:
    """Whether a lease of a dead owner is of no use to the reaper: it has no GPUs, and its launch has ended too."""
    return not record.uuids and (record.child is None or not exists(record.child))


def _of_an_earlier_boot(record: LeaseRecord) -> bool:
    """Whether the host was started anew since: nothing of the launch can be left, whatever its PID is now."""
    then, now = record.where.partition(":")[0], where().partition(":")[0]
    return then != now and not {"", "unknown"} & {then, now}


def mark_busy(folder: str, uuid: str, reason: str) -> None:
    """Tells all waiters to leave the GPU alone for a while."""
    path = gpu_file(folder, uuid, "busy")
    with contextlib.suppress(OSError):  # another user's mark that we may not replace says the same
        os.close(open_lock_file(path))
        fd = open_to_write(path)
        try:
            rewrite(fd, {"until": time.time() + QUARANTINE_S, "reason": reason})
        finally:
            os.close(fd)


def busy_marks(folder: str) -> dict[str, Busy]:
    """GPUs in quarantine now. A mark that reaches further than any that is made here is none: a clock that was set
    back, or somebody who would keep the GPU from all others for ever."""
    marks = {}
    now = time.time()
    for uuid in uuids(folder, "busy"):
        found = _look_at(gpu_file(folder, uuid, "busy"))
        told = {} if found is None or found.content is None else found.content
        with contextlib.suppress(KeyError, ValueError):
            until = _number(told["until"])
            if now < until <= now + QUARANTINE_S:
                marks[uuid] = Busy(uuid=uuid, until=until, reason=_text(told["reason"]) or "in use")
    return marks


def lock_gpus(folder: str, wanted: frozenset[str], others: frozenset[str]) -> tuple[dict[str, int], frozenset[str]]:
    """UUID -> descriptor holding its lock, for those of `wanted` that nobody else holds; and those of `others`, GPUs
    that only other runs wait for, that nobody holds. With the mutex."""
    locked = {}
    try:
        for uuid in sorted(wanted):
            fd = _locked_to_keep(gpu_file(folder, uuid))
            if fd is not None:
                locked[uuid] = fd
    except BaseException:
        for fd in locked.values():
            os.close(fd)
        raise
    return locked, frozenset(uuid for uuid in others if not is_locked(gpu_file(folder, uuid)))


def _locked_to_keep(path: str) -> int | None:
    """A descriptor that holds the lock of the file at the path, which is young; None if somebody else has it.

    What cleans up temporary files goes by their age. It may also take the file away between its opening and its
    locking, and touching a file of a container's image puts another one in its place."""
    for _ in range(2):
        fd = locked_file(path)
        if fd is None:
            break
        with contextlib.suppress(OSError):  # another user's may be kept from us
            os.utime(fd)
        if is_at(fd, path):
            return fd
        os.close(fd)
    return None
