"""Names and safe writing of the files that this tool leaves: baselines and recordings."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

TEMPORARY = ".tmp-"
"""How the name of a file begins that is not in place yet; one that lies around is left of a killed process."""


def file_name(case_id: str) -> str:
    """A case id as a file or folder name, `firered_1_1[cfg]` as it is; whatever is not safe in a name as `%2F`."""
    name = quote(case_id, safe="[]")
    return "%2E" + name[1:] if name.startswith(".") else name


def case_id(name: str) -> str:
    """The case id that `file_name` made the name of."""
    return unquote(name)


def write_atomically(path: Path, text: str) -> None:
    """Write the file so that at any moment, whatever dies, either the old or the new content is there, whole.

    The text goes to a temporary file in the same folder and to the disk before it takes the old file's place; the
    folder is written too, so that the file is there after a power cut. Raises OSError and then leaves the old file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f"{TEMPORARY}{os.getpid()}"
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    onto_disk(path.parent)


def onto_disk(path: Path) -> None:
    """Have a file or folder on the disk, so that it is there after a power cut. Raises OSError."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
