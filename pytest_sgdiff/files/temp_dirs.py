"""Folders in the system's own folder for temporary files, each locked by whoever has it.

The kernel drops the lock with the last process that has it open, however that ended. So whoever makes such a folder
first removes those of the same kind that were left behind.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import stat
import tempfile

from pytest_sgdiff.files.locks import try_lock


def make(prefix: str, name: str = "") -> tuple[str, int]:
    """Make the folder `<prefix><name>`, with a name of its own where none is given, and return its path and the
    descriptor that holds its lock; folders of the prefix that nobody has any more are removed. Raises OSError."""
    for left in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), f"{glob.escape(prefix)}*")):
        _remove_unowned(left)
    # It gets the name by which others find it once it is locked.
    fresh = tempfile.mkdtemp(prefix="sgdiff-")
    lock = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try_lock(lock)  # nobody else knows of it yet
        path = os.path.join(os.path.dirname(fresh), prefix + (name or os.path.basename(fresh).removeprefix("sgdiff-")))
        os.rename(fresh, path)
    except BaseException:
        os.close(lock)
        with contextlib.suppress(OSError):
            os.rmdir(fresh)
        raise
    return path, lock


def ours(path: str | os.PathLike[str]) -> None:
    """Make the folder, closed to all others, or see that it is this user's.

    Whoever guesses its name may have made it, or a link to another folder, before. Raises OSError.
    """
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(errno.EPERM, "is not this user's folder", os.fspath(path)) from None


def _remove_unowned(path: str) -> None:
    """Remove the folder if it is this user's and nobody has it any more."""
    with contextlib.suppress(OSError):
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.fstat(lock).st_uid == os.getuid() and try_lock(lock):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)
