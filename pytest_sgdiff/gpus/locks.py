"""Files under the lock directory and the kernel's locks on them.

A lock is an `flock` on an open file description: the kernel drops it when the last process that has the description
open is gone, however it went. Therefore nothing here ever unlocks: a lock is given back by closing the descriptor,
and a child that inherited it keeps it. Reading is enough to lock, so files of other users can be locked too.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import time
from collections.abc import Iterator

from pytest_sgdiff.errors import LeaseError

LOCK_DIR_VARIABLE = "SGDIFF_LOCK_DIR"
DEFAULT_DIRS = ("/run/lock/sgdiff", "/tmp/sgdiff-locks")
FOLDERS = ("gpu", "queue", "lease", "busy", "port", "launch")
# linux/magic.h and fs/smb/client: file systems on which flock is emulated over a network, or not at all.
_NETWORK_FILESYSTEMS = {
    0x6969: "NFS",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x517B: "SMB",
    0x00C36400: "Ceph",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
}
MUTEX_LIMIT_S = 30.0


def lock_dir(wanted: str | None = None) -> str:
    """The lock directory, made if need be: `wanted`, else SGDIFF_LOCK_DIR, else /run/lock/sgdiff, else /tmp.

    All runs of the host must use the same one. Raises LeaseError if it cannot be used or lies on a network file system.
    """
    named = wanted or os.environ.get(LOCK_DIR_VARIABLE)
    problems = []
    for path in (named,) if named else DEFAULT_DIRS:
        try:
            _make(path)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
            continue
        network = _NETWORK_FILESYSTEMS.get(filesystem_type(path))
        if network:
            raise LeaseError(
                f"the lock directory {path} lies on {network}, where locks do not hold between processes reliably; "
                f"set {LOCK_DIR_VARIABLE} to a directory on a local disk that all runs of this host share"
            )
        return path
    raise LeaseError(
        f"no lock directory can be used ({'; '.join(problems)}); set {LOCK_DIR_VARIABLE} to a directory on a local "
        "disk that all runs of this host share"
    )


def _make(path: str) -> None:
    for folder in (path, *(os.path.join(path, name) for name in FOLDERS)):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
            os.chmod(folder, 0o1777)  # the umask took bits off; all users of the host share the directory
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "not writable for this user", folder)


@contextlib.contextmanager
def usable(folder: str, otherwise: str) -> Iterator[None]:
    """Turns what the system says of files of the lock directory (a full disk) into a LeaseError: what comes of it
    (`otherwise`), the file, the reason and the cure."""
    try:
        yield
    except OSError as error:
        raise LeaseError(
            f"{otherwise}: {error.filename or folder}: {error.strerror or error}; put that right, "
            "or name another lock directory with --sgdiff-lock-dir, the same for all runs of the host"
        ) from None


def filesystem_type(path: str) -> int:
    """The magic number of the file system, from statfs(2); 0 where it cannot be had."""
    buffer = (ctypes.c_long * 32)()  # longer than struct statfs everywhere; its first word is f_type
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "statfs") or libc.statfs(os.fsencode(path), ctypes.byref(buffer)) != 0:
        return 0
    return int(buffer[0]) & 0xFFFFFFFF


def open_lock_file(path: str) -> int:
    """A descriptor of the file, made if need be; not inherited unless handed over.

    Without O_CREAT first: in a sticky directory the kernel refuses O_CREAT on other users' files
    (fs.protected_regular). O_NOFOLLOW because anybody may put a link there.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        with contextlib.suppress(PermissionError):  # someone else made it meanwhile
            os.fchmod(fd, 0o666)
        return fd


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Takes the lock if nobody is in the way; never waits."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def locked_file(path: str, *, shared: bool = False) -> int | None:
    """A descriptor that holds the lock, or None if somebody else does."""
    fd = open_lock_file(path)
    if try_lock(fd, shared=shared):
        return fd
    os.close(fd)
    return None


def is_locked(path: str) -> bool:
    """Whether somebody holds the lock; False if there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look at once do not take each other for the holder.
        return not try_lock(fd, shared=True)
    finally:
        os.close(fd)


@contextlib.contextmanager
def mutex(folder: str, *, limit_s: float = MUTEX_LIMIT_S) -> Iterator[None]:
    """The short lock under which the pool is looked at and changed.

    Raises LeaseError that names the holder if it does not get it within `limit_s`: somebody was stopped inside it.
    """
    path = os.path.join(folder, "mutex")
    fd = open_lock_file(path)
    try:
        deadline = time.monotonic() + limit_s
        pause_s = 0.0002
        while not try_lock(fd):
            if time.monotonic() > deadline:
                holders = ", ".join(f"process {pid}" for pid in lock_holders(fd)) or "a process of another container"
                raise LeaseError(
                    f"{path} has been locked for {limit_s:.0f} s by {holders}, which is stopped or hangs; "
                    "let it go on (fg, kill -CONT) or end it"
                )
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, 0.02)
        yield
    finally:
        os.close(fd)


def closing(*fds: int) -> contextlib.ExitStack:
    """Closes the descriptors when it is closed, at the latest at the end of its block: locks are given back even where
    the mutex cannot be had."""
    held = contextlib.ExitStack()
    for fd in fds:
        held.callback(os.close, fd)
    return held


def lock_holders(fd: int) -> tuple[int, ...]:
    """PIDs that hold a lock on the file, as /proc/locks tells: those of this PID namespace."""
    info = os.fstat(fd)
    wanted = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}"
    try:
        with open("/proc/locks", encoding="ascii") as file:
            rows = [line.split() for line in file if "->" not in line]
    except OSError:
        return ()
    return tuple(int(row[4]) for row in rows if len(row) > 5 and row[5] == wanted and int(row[4]) > 0)


def bump(folder: str) -> None:
    """Tells the waiters that something changed, by the file's content: its time has the kernel's coarse clock."""
    with contextlib.suppress(OSError):  # another user's whose umask kept us out: then only the slow poll is left
        os.close(open_lock_file(os.path.join(folder, "gen")))
        fd = os.open(os.path.join(folder, "gen"), os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.pwrite(fd, f"{time.monotonic_ns():020d} {os.getpid():010d}\n".encode(), 0)
        finally:
            os.close(fd)


def generation(folder: str) -> bytes:
    """Changes whenever somebody bumped."""
    try:
        with open(os.path.join(folder, "gen"), "rb", buffering=0) as file:
            return file.read(64)
    except OSError:
        return b""
