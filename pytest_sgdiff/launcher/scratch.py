"""A folder for the temporary files of one launch, gone after it, also where nobody lived to remove it.

It lies in the system's own and not in the launch's folder: names of sockets made in it may have 107 characters.
Whoever makes one first removes those that were left behind: their lock, which the launch inherits, is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator

from pytest_sgdiff.errors import SgdiffError

COMPILED = "TORCHINDUCTOR_CACHE_DIR"
PREFIX = "sgdiff-tmp-"


@contextlib.contextmanager
def scratch() -> Iterator[tuple[dict[str, str], int]]:
    """The folder as variables of the launch's environment, and the descriptor that the launch must inherit.

    torch keeps what it compiled in the system's folder too; that stays where it is without pytest, since launches
    share it on purpose. Raises SgdiffError if there is no room for the folder.
    """
    try:
        path, lock = _make()
    except OSError as error:
        raise SgdiffError(
            f"there is no folder for the launch's temporary files: {error.strerror or error}; make room, or name "
            "another with TMPDIR"
        ) from None
    compiled = os.environ.get(COMPILED) or os.path.join(tempfile.gettempdir(), f"torchinductor_{_user()}")
    try:
        yield {COMPILED: compiled, "TMPDIR": path}, lock
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _make() -> tuple[str, int]:
    for left in glob.glob(os.path.join(glob.escape(tempfile.gettempdir()), f"{PREFIX}*")):
        _remove_unowned(left)
    # It gets the name by which others find it once it is locked.
    fresh = tempfile.mkdtemp(prefix="sgdiff-")
    lock = os.open(fresh, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path = os.path.join(os.path.dirname(fresh), os.path.basename(fresh).replace("sgdiff-", PREFIX, 1))
        os.rename(fresh, path)
    except BaseException:
        os.close(lock)
        raise
    return path, lock


def _remove_unowned(path: str) -> None:
    """Remove the folder if it is this user's and no launch has it any more."""
    with contextlib.suppress(OSError):
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            if os.fstat(lock).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)


def _user() -> str:
    """As torch names it in the folder's name."""
    try:
        return re.sub(r'[\\/:*?"<>|]', "_", getpass.getuser())
    except (OSError, KeyError):  # an id without a name, as in containers
        return str(os.getuid())
