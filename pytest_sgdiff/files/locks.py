"""The kernel's locks: the one module that asks for them.

A lock is an `flock` on an open file description: the kernel drops it when the last process that has the description
open is gone, however it went. Therefore nothing here unlocks: a lock is given back by closing the descriptor, and a
child that inherited it keeps it. Reading is enough to lock, so files of other users can be locked too.
"""

from __future__ import annotations

import fcntl
import os


def try_lock(fd: int, *, shared: bool = False) -> bool:
    """Take the lock if nobody is in the way; never waits. Raises OSError where the file system has no locks."""
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_at(fd: int, path: str | os.PathLike[str]) -> bool:
    """Whether the open file is still the one that lies at the path: a lock on another one keeps nobody out."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(os.fstat(fd), there)
