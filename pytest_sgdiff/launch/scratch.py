"""A folder for the temporary files of one launch, gone after it, also where nobody lived to remove it.

It lies in the system's own and not in the launch's folder: names of sockets made in it may have 107 characters.
The launch inherits its lock, so that the next one removes it only when the launch is gone too.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import shutil
import tempfile
from collections.abc import Iterator

from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.files import temp_dirs

COMPILED = "TORCHINDUCTOR_CACHE_DIR"
PREFIX = "sgdiff-tmp-"


@contextlib.contextmanager
def scratch() -> Iterator[tuple[dict[str, str], int]]:
    """The folder as variables of the launch's environment, and the descriptor that the launch must inherit.

    torch keeps what it compiled in the system's folder too; that stays where it is without pytest, since launches
    share it on purpose. Raises SgdiffError if there is no room for the folder.
    """
    try:
        path, lock = temp_dirs.make(PREFIX)
    except OSError as error:
        raise SgdiffError(
            f"there is no folder for the launch's temporary files: {error.strerror or error}; free some space, or "
            "name another folder with TMPDIR"
        ) from None
    compiled = os.environ.get(COMPILED) or os.path.join(tempfile.gettempdir(), f"torchinductor_{_user()}")
    try:
        yield {COMPILED: compiled, "TMPDIR": path}, lock
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _user() -> str:
    """As torch names it in the folder's name."""
    try:
        return re.sub(r'[\\/:*?"<>|]', "_", getpass.getuser())
    except (OSError, KeyError):  # an id without a name, as in containers
        return str(os.getuid())
