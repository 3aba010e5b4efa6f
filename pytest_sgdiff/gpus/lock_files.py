"""Files under the lock directory and the kernel's locks on them.

Every user of the host may write here. So every file is opened in this module: no link is followed, nothing but a
regular file is opened, and no opening waits, as that of a pipe would.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from urllib.parse import quote, unquote

from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.files.locks import is_at, try_lock
from pytest_sgdiff.files.procfs import lock_holders
from pytest_sgdiff.printable import printable

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
# What files here are called; whatever else lies there is somebody's own.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%-]{0,127}", re.ASCII)
_NEVER_WAIT = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_SHARED = 0o1777


def lock_dir(wanted: str | None = None) -> str:
    """The lock directory, made if need be: `wanted`, else SGDIFF_LOCK_DIR, else /run/lock/sgdiff, else /tmp.

    All runs of the host must use the same one. Raises LeaseError if it cannot be used or lies on a network file system.
    """
    named = wanted or os.environ.get(LOCK_DIR_VARIABLE)
    problems = []
    for path in (named,) if named else DEFAULT_DIRS:
        try:
            path = _make(path)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
            continue
        network = _NETWORK_FILESYSTEMS.get(filesystem_type(path))
        if network:
            raise LeaseError(
                f"the lock directory {path} is on {network}, where locks between processes are not reliable; "
                f"set {LOCK_DIR_VARIABLE} to a directory on a local disk that all runs of this host share"
            )
        return path
    raise LeaseError(
        f"no lock directory can be used ({'; '.join(problems)}); set {LOCK_DIR_VARIABLE} to a directory on a local "
        "disk that all runs of this host share"
    )


def _make(path: str) -> str:
    """Makes the lock directory if need be and returns its path without the link that it may be.

    Raises OSError if it, or a folder in it, is no folder, leads elsewhere by another user's link, is not writable, or
    lets everybody remove everybody's files.
    """
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if stat.S_ISLNK(found.st_mode):
            if found.st_uid not in (0, os.getuid()):
                raise OSError(errno.ELOOP, "is a link that another user made", path)
            path = os.path.realpath(path)
    with _made(path) as top:
        for name in FOLDERS:
            with _made(name, top=top):
                pass
    return path


@contextlib.contextmanager
def _made(path: str, top: int | None = None) -> Iterator[int]:
    """A descriptor of the folder `path` (in the folder `top`), made if need be, that all users of the host share."""
    made = False
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, dir_fd=top)
        made = True
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=top)
    try:
        found = os.fstat(fd)
        ours, open_to_all = found.st_uid == os.getuid(), found.st_mode & stat.S_IWOTH
        if ours and (made or (open_to_all and not found.st_mode & stat.S_ISVTX)):
            os.fchmod(fd, _SHARED)  # the umask took bits off; all users of the host share the directory
        elif made or (open_to_all and not found.st_mode & stat.S_ISVTX):
            raise PermissionError(errno.EPERM, "every user may remove the files of others there; chmod +t it", path)
        if not os.access(".", os.W_OK | os.X_OK, dir_fd=fd):
            raise PermissionError(errno.EACCES, "not writable for this user", path)
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def usable(folder: str, otherwise: str) -> Iterator[None]:
    """Turns what the system says of files of the lock directory (a full disk) into a LeaseError: what comes of it
    (`otherwise`), the file, the reason and the fix."""
    try:
        yield
    except OSError as error:
        raise LeaseError(
            f"{otherwise}: {printable(os.fsdecode(error.filename or folder))}: {error.strerror or error}; "
            "correct that, "
            "or name another lock directory with --sgdiff-lock-dir, the same for all runs of the host"
        ) from None


def filesystem_type(path: str) -> int:
    """The magic number of the file system, from statfs(2); 0 where it cannot be had."""
    buffer = (ctypes.c_long * 32)()  # longer than struct statfs everywhere; its first word is f_type
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "statfs") or libc.statfs(os.fsencode(path), ctypes.byref(buffer)) != 0:
        return 0
    return int(buffer[0]) & 0xFFFFFFFF


def open_file(path: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a regular file of the lock directory; not inherited unless handed over. Never waits.

    Neither the file nor the folder that it is in may be a link. Raises OSError.
    """
    head, name = os.path.split(path)
    try:
        parent = os.open(head, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            fd = os.open(name, flags | _NEVER_WAIT, 0o666, dir_fd=parent)
        finally:
            os.close(parent)
    except OSError as error:
        error.filename = path
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "is not a regular file", path)
    return fd


def open_to_write(path: str) -> int:
    """As `open_file`, of a file that has no other name: what is written here changes nothing elsewhere."""
    fd = open_file(path, os.O_RDWR)
    if os.fstat(fd).st_nlink != 1:
        os.close(fd)
        raise OSError(errno.EMLINK, "has other hard links", path)
    return fd


def open_lock_file(path: str) -> int:
    """A descriptor of the file, made if need be; not inherited unless handed over. Raises OSError.

    Without O_CREAT first: in a sticky directory the kernel refuses O_CREAT on other users' files
    (fs.protected_regular).
    """
    while True:
        with contextlib.suppress(FileNotFoundError):
            return open_file(path)
        with contextlib.suppress(FileExistsError):  # someone else made it meanwhile
            fd = open_file(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            with contextlib.suppress(PermissionError):  # a file system that has no modes
                os.fchmod(fd, 0o666)
            return fd


def names(folder: str, kind: str) -> list[str]:
    """Names of the files of a kind (`FOLDERS`), in order, without what nobody of this package would call a file."""
    path = os.path.join(folder, kind)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return sorted(name for name in os.listdir(fd) if _NAME.fullmatch(name))
    finally:
        os.close(fd)


def remove(path: str) -> None:
    """Removes a file of the dead. In a sticky directory only its owner's user may: others' files do no harm, and nor
    does what is no file."""
    head, name = os.path.split(path)
    with contextlib.suppress(OSError):
        parent = os.open(head, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.unlink(name, dir_fd=parent)
        finally:
            os.close(parent)


def gpu_file(folder: str, uuid: str, kind: str = "gpu") -> str:
    """The file of a GPU. Old drivers have MIG slices with a slash in their UUID."""
    return os.path.join(folder, kind, quote(uuid, safe=""))


def uuids(folder: str, kind: str = "gpu") -> list[str]:
    """The GPUs that have a file of the kind."""
    told = ((name, unquote(name)) for name in names(folder, kind))
    return [uuid for name, uuid in told if is_uuid(uuid) and quote(uuid, safe="") == name]


def is_uuid(text: str) -> bool:
    """Whether a text that others wrote can be the UUID of a GPU."""
    return text.isascii() and text.isprintable() and _NAME.fullmatch(quote(text, safe="")) is not None


def locked_file(path: str, *, shared: bool = False) -> int | None:
    """A descriptor that holds the lock, or None if somebody else does."""
    fd = open_lock_file(path)
    if try_lock(fd, shared=shared):
        return fd
    os.close(fd)
    return None


def is_locked(path: str) -> bool:
    """Whether somebody holds the lock; False if there is no such file, True if it may not be read."""
    try:
        fd = open_file(path)
    except PermissionError:
        return True
    except OSError:
        return False
    try:
        return locked_by_others(fd)
    finally:
        os.close(fd)


def locked_by_others(fd: int) -> bool:
    """Whether somebody else holds the lock of the open file."""
    # Shared, so that two who look at once do not take each other for the holder.
    return not try_lock(fd, shared=True)


@contextlib.contextmanager
def mutex(folder: str, *, limit_s: float | None = None) -> Iterator[None]:
    """The short lock under which the pool is looked at and changed.

    Raises LeaseError that names the holder if it does not get it within `limit_s` (MUTEX_LIMIT_S): somebody was stopped
    inside it.
    """
    limit_s = MUTEX_LIMIT_S if limit_s is None else limit_s
    path = os.path.join(folder, "mutex")
    deadline = time.monotonic() + limit_s
    fd = open_lock_file(path)
    try:
        pause_s = 0.0002
        while not (try_lock(fd) and is_at(fd, path)):
            if time.monotonic() > deadline:
                holders = ", ".join(f"process {pid}" for pid in lock_holders(fd)) or "a process of another container"
                raise LeaseError(
                    f"{path} has been locked for {limit_s:.0f} s by {holders}, which is stopped or hangs; "
                    "continue it (fg, kill -CONT) or end it"
                )
            if not is_at(fd, path):  # it was removed, and somebody may have made another one, while this waited
                removed, fd = fd, open_lock_file(path)
                os.close(removed)
            else:
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


def bump(folder: str) -> None:
    """Tells the waiters that something changed, by the file's content: its time has the kernel's coarse clock."""
    path = os.path.join(folder, "gen")
    with contextlib.suppress(OSError):  # another user's whose umask kept us out: then only the slow poll is left
        os.close(open_lock_file(path))
        fd = open_to_write(path)
        try:
            os.pwrite(fd, f"{time.monotonic_ns():020d} {os.getpid():010d}\n".encode(), 0)
        finally:
            os.close(fd)


def generation(folder: str) -> bytes:
    """Changes whenever somebody bumped."""
    try:
        fd = open_file(os.path.join(folder, "gen"))
    except OSError:
        return b""
    try:
        return os.pread(fd, 64, 0)
    finally:
        os.close(fd)
