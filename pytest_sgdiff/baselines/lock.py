"""The lock of a baselines folder: of two runs that write there, one waits."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pytest_sgdiff.errors import BaselineError

__all__ = ["LOCK", "LOCK_TIMEOUT_S", "locked"]

LOCK = ".lock"
_NO_LOCK = "is no lock of this plugin but a link or something else, which is not opened; take it away, then repeat"
LOCK_TIMEOUT_S = 30.0
"""How long a writer waits for another: writing takes milliseconds, so the other one hangs."""


@contextmanager
def locked(root: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of a baselines folder. The kernel lets it go when the holder dies, however it dies.

    Raises BaselineError if another run holds it for more than `timeout_s`.
    """
    import fcntl

    root.mkdir(parents=True, exist_ok=True)
    path = root / LOCK
    deadline = time.monotonic() + timeout_s
    while True:
        descriptor = _open(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder took the file away: a lock on a file without a name keeps nobody out.
            if _is(path, os.fstat(descriptor)):
                break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another run"
                os.close(descriptor)
                raise BaselineError(
                    f"{path}: {holder} has been writing baselines for {timeout_s:g} s; nothing was changed. "
                    "Wait until it ends, or end it, then repeat"
                ) from None
            time.sleep(0.02)
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _open(path: Path) -> int:
    """The lock file, made if it is not there. It comes with the folder, which others may have filled: a link would have
    another file emptied, and so would a file that has a second name."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise BaselineError(f"{path}: {_NO_LOCK}") from None
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise BaselineError(f"{path}: {_NO_LOCK}")
    return descriptor


def _is(path: Path, found: os.stat_result) -> bool:
    try:
        now = path.lstat()
    except FileNotFoundError:
        return False
    return (now.st_dev, now.st_ino) == (found.st_dev, found.st_ino)
