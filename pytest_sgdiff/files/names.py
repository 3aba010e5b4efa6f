"""Names of the files that this tool leaves; `pytest_sgdiff.files.data_files` reads and writes them."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, unquote


def file_name(case_id: str) -> str:
    """A case id as a file or folder name, `firered_1_1[cfg]` as it is; whatever is not safe in a name as `%2F`."""
    name = quote(case_id, safe="[]", errors="surrogatepass")
    return "%2E" + name[1:] if name.startswith(".") else name


def case_id(name: str) -> str:
    """The case id that `file_name` made the name of."""
    return unquote(name)


def onto_disk(path: Path) -> None:
    """Have a file or folder on the disk, so that it is there after a power cut. Raises OSError."""
    opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
