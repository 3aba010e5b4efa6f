"""Blocks of ports that no other launch on this host has.

The engine probes a port and binds it tens of seconds later, so two launches that start together take the same one;
asking the kernel for a free port has the same gap. A block is therefore locked, by a socket that the launch inherits,
and lies below the range from which the kernel hands out ports by itself.

Ports belong to a network, and so does the lock: the name of an abstract socket is known in the network namespace and
nowhere else. Runs that share the network keep clear of each other whatever their lock directories are, as containers
with the host's network do. Another user can take the names, as he can take the ports themselves.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import socket
from collections.abc import Sequence

from pytest_sgdiff.data import Ports
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.files.procfs import ephemeral_ports, mounts
from pytest_sgdiff.gpus.lock_files import locked_file

BASE = 20000
SPAN = 64
_SCHEDULER, _MASTER = 10, 40
_FEWEST_BLOCKS = 16


def blocks(base: int = BASE, span: int = SPAN, ephemeral: tuple[int, int] | None = None) -> tuple[int, ...]:
    """First ports of the blocks, below and above the kernel's own range; all above `base` if that leaves too few."""
    low, high = ephemeral_ports() if ephemeral is None else ephemeral
    every = range(base, 65536 - span, span)
    clear = tuple(first for first in every if first + span <= low or first > high)
    return clear if len(clear) >= _FEWEST_BLOCKS else tuple(every)


def offset(folder: str, count: int) -> int:
    """At which of `count` blocks the runs of a lock directory begin to look: those of another directory, or of another
    container, begin elsewhere, so that they seldom meet. The same in all processes that see the same directory."""
    about = os.stat(folder)
    seed = f"{about.st_dev}:{about.st_ino}:{mounts()}".encode()
    return int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") % count


def take(folder: str, choice: Sequence[int]) -> tuple[Ports, int]:
    """The first block of `choice`, from the directory's `offset` on, that nobody holds and whose ports can be bound,
    and the descriptor that holds it.

    Raises LeaseError if there is none.
    """
    begin = offset(folder, len(choice))
    for first in (*choice[begin:], *choice[:begin]):
        fd = _hold(folder, first)
        if fd is None:
            continue
        ports = Ports(http=first, scheduler=first + _SCHEDULER, master=first + _MASTER)
        if free(ports):
            return ports, fd
        os.close(fd)
    raise LeaseError(
        f"no block of free ports from {choice[0]} on: other launches hold them or other programs use them; "
        "`ss -ltnp` lists those programs"
    )


def free(ports: Ports) -> bool:
    """Whether nothing listens on any of them, nor on the one that a server takes besides."""
    return all(_can_bind(port) for port in (ports.http, ports.broker, ports.scheduler, ports.master))


def _hold(folder: str, first: int) -> int | None:
    """A descriptor that holds the block, or None if somebody else does."""
    try:
        lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            lock.bind(f"\0sgdiff-ports-{first}")
            return lock.detach()
        finally:
            lock.close()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
    # A kernel or a sandbox without such names: then runs of the same lock directory keep clear of each other.
    return locked_file(os.path.join(folder, "port", str(first)))


def _can_bind(port: int) -> bool:
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        try:
            # As the engine binds it: connections of an earlier launch that are long closed do not keep it from that.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
            probe.listen(1)
        except OSError:
            return False
    return True
