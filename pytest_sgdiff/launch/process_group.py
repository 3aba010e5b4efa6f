"""The processes of one launch: found whole, ended whole.

A launch is the leader, its process group, its session, its descendants, and everything that carries the launch's tag
in its environment. The four overlap, and each has a hole that another one closes: a daemon leaves group and session,
an orphan is no descendant any more, and a process that renames itself overwrites the environment that /proc shows.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from typing import Literal

from pytest_sgdiff.files.procfs import Process, environment, listening, processes

TAG = "SGDIFF_LAUNCH"
"""Environment variable that marks every process of a launch; its value is unique per launch."""

LINGER_S = 2.0
"""How long processes may outlive a leader that ended by itself before they are told to end: a worker that was shut
down properly, and multiprocessing's resource tracker, need a moment."""

KILLED_S = 60.0
"""How long a killed process may take to disappear. The driver frees a GPU's memory in uninterruptible sleep, which
takes seconds for tens of GiB."""

UNKNOWN_S = 0.5
"""How long a child may take from fork to exec, on a machine that is busy."""

POLL_S = 0.05
"""How often an ending group is looked at. Nothing is measured any more by then."""


def _tagged(found: Process, tag: str) -> bool:
    return f"{TAG}={tag}".encode() in (environment(found.pid, found.uid) or b"").split(b"\0")


def members(leader: int, tag: str) -> frozenset[int]:
    """Process ids of the launch that are alive, the leader among them.

    Sound only while the leader has not been reaped: until then its number cannot be given to another process.
    """
    everybody = list(processes())
    family = {leader}
    grew = True
    while grew:
        children = {one.pid for one in everybody if one.parent in family}
        grew = not children <= family
        family |= children
    return frozenset(
        one.pid
        for one in everybody
        if not one.zombie and (one.pid in family or leader in (one.group, one.session) or _tagged(one, tag))
    )


def listener(leader: int, tag: str, port: int) -> Literal["own", "other", "unknown"]:
    """Whether a process of the launch listens on a TCP port of this host, or only others do; `unknown` where none can
    be seen, as in another network or of another user."""
    found = listening(port)
    if not found:
        return "unknown"
    return "own" if found & members(leader, tag) else "other"


def _send(leader: int, tag: str, number: signal.Signals) -> None:
    # The group first and at once, so that no member of it is left to start another one in between.
    for kill, target in [(os.killpg, leader), *((os.kill, pid) for pid in members(leader, tag) if pid != leader)]:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(target, number)


def _gone_within(leader: int, tag: str, seconds: float, between: Callable[[float], object]) -> bool:
    end = time.monotonic() + seconds
    while members(leader, tag):
        if time.monotonic() >= end:
            return False
        between(POLL_S)
    return True


def end(
    leader: int, tag: str, *, grace_s: float, linger_s: float, between: Callable[[float], object]
) -> frozenset[int]:
    """End every process of the launch and return the ids of those that could not be ended (normally none).

    They have `linger_s` to go by themselves, `grace_s` after SIGTERM, and are then killed. `between(seconds)` is
    called while waiting; it must keep the launch's pipe flowing, or a process that is about to end may block on it.
    An exception in between, such as a second Ctrl-C, shortens the grace but never saves a process. Nor does Ctrl-C
    while they are killed: it is raised afterwards.
    """
    try:
        if _gone_within(leader, tag, linger_s, between):
            return frozenset()
        _send(leader, tag, signal.SIGTERM)
        if _gone_within(leader, tag, grace_s, between):
            return frozenset()
    finally:
        left = _kill(leader, tag)
    return left


def _kill(leader: int, tag: str) -> frozenset[int]:
    """Kill every process of the launch; gives those that are left after KILLED_S."""
    interrupted: KeyboardInterrupt | None = None
    limit = time.monotonic() + KILLED_S
    while True:
        try:
            # Again and again: a process may have been between fork and exec, or in no list yet, at the first signal.
            while (left := members(leader, tag)) and time.monotonic() < limit:
                _send(leader, tag, signal.SIGKILL)
                time.sleep(POLL_S)
            break
        except KeyboardInterrupt as once_more:
            interrupted = once_more
    if interrupted is not None:
        raise interrupted
    return left


def end_unknown(tag: str) -> None:
    """Kill every process of a launch whose leader is not known: the start itself was interrupted, after the fork.

    A child that has not come to its exec yet does not carry the tag, so this looks for UNKNOWN_S, at least twice.
    """
    limit = time.monotonic() + UNKNOWN_S
    while True:
        last = time.monotonic() >= limit
        for one in processes():
            if not one.zombie and one.pid != os.getpid() and _tagged(one, tag):
                with contextlib.suppress(ProcessLookupError, PermissionError, ChildProcessError):
                    os.kill(one.pid, signal.SIGKILL)
                    os.waitpid(one.pid, 0)
        if last:
            return
        time.sleep(POLL_S)
