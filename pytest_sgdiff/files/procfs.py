"""What the kernel says of processes and of the host, in /proc: the one module that reads there."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
_STEAL = 8
"""The figure of the line `cpu` that counts steal, in ticks of all CPUs since the start (proc(5))."""

LINUX_PORTS = (32768, 60999)
"""The ports that Linux hands out by itself where nobody set others (ip(7))."""

_LISTEN = "0A"
"""The state of a socket that listens (include/net/tcp_states.h)."""


@dataclass(frozen=True, slots=True)
class Process:
    """One row of /proc. `started` is when the kernel started it, in ticks since boot: with the number, its identity.
    `environ` is None where it was not asked for, may not be read, or is another user's."""

    pid: int
    parent: int
    group: int
    session: int
    zombie: bool
    uid: int
    started: int
    environ: bytes | None = None


def process(pid: int, *, environ: bool = False) -> Process | None:
    """The process, or None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The command's name stands in parentheses and may itself hold spaces and parentheses.
            fields = file.read().rpartition(b")")[2].split()
        uid = os.stat(f"/proc/{pid}").st_uid
        state, parent, group, session, started = fields[0], *(int(fields[at]) for at in (1, 2, 3, 19))
    except (OSError, ValueError, IndexError):
        return None
    text = environment(pid, uid) if environ else None
    return Process(pid, parent, group, session, state in (b"Z", b"X"), uid, started, text)


def environment(pid: int, uid: int) -> bytes | None:
    """The environment with which a process of the user `uid` was started, its variables parted by NUL bytes; None for
    another user's, who could make the reading wait, and where it cannot be read."""
    if uid != os.getuid():
        return None
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()
    return None


def processes(*, environ: bool = False) -> Iterator[Process]:
    """All processes that can be seen, zombies among them."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := process(int(name), environ=environ)) is not None:
            yield found


def exists(pid: int) -> bool:
    """Whether a process has this number now, whoever's it is."""
    return os.path.exists(f"/proc/{pid}")


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


@functools.cache
def where() -> str:
    """Which boot of which kernel, and which PID namespace: PIDs mean something only within it."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            boot = file.read().strip()
        return f"{boot}:{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return "unknown"


def mounts() -> str:
    """Which mount namespace this process is in; empty where the kernel does not say."""
    try:
        return os.readlink("/proc/self/ns/mnt")
    except OSError:
        return ""


def lock_holders(fd: int) -> tuple[int, ...]:
    """PIDs of this PID namespace that hold a lock on the open file."""
    info = os.fstat(fd)
    wanted = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
    try:
        with open("/proc/locks", encoding="ascii") as file:
            rows = [line.split() for line in file if "->" not in line]
    except OSError:
        return ()
    return tuple(int(row[4]) for row in rows if len(row) > 5 and row[5] == wanted and int(row[4]) > 0)


def ephemeral_ports() -> tuple[int, int]:
    """The first and the last of the ports that the kernel hands out by itself; `LINUX_PORTS` where it does not say."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
            low, high = file.read().split()
        return int(low), int(high)
    except (OSError, ValueError):
        return LINUX_PORTS


def cpu_facts() -> dict[str, str]:
    """What the kernel says of the first CPU, by name; empty where it does not."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            rows = [line.partition(":") for line in file]
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in reversed(rows)}


def stolen_s(stat: Path = STAT) -> float | None:
    """CPU time (s, over all CPUs, since the start) for which a hypervisor had this machine wait with work at hand; 0 on
    real hardware, None where the kernel does not say."""
    try:
        words = stat.read_text(encoding="ascii").split("\n", 1)[0].split()
        return int(words[_STEAL]) / os.sysconf("SC_CLK_TCK") if words[0] == "cpu" else None
    except (OSError, ValueError, IndexError):
        return None


def listening(port: int) -> frozenset[int]:
    """PIDs of the processes that listen on a TCP port, of those that this process may look into."""
    sockets = set()
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError), open(f"/proc/self/net/{name}", encoding="ascii") as file:
            for row in list(file)[1:]:
                fields = row.split()
                if len(fields) > 9 and fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    sockets.add(f"socket:[{fields[9]}]")
    return frozenset(int(name) for name in os.listdir("/proc") if name.isdigit() and _holds(name, sockets))


def _holds(pid: str, sockets: set[str]) -> bool:
    with contextlib.suppress(OSError):
        return any(_link(f"/proc/{pid}/fd/{fd}") in sockets for fd in os.listdir(f"/proc/{pid}/fd"))
    return False


def _link(path: str) -> str:
    with contextlib.suppress(OSError):
        return os.readlink(path)
    return ""
