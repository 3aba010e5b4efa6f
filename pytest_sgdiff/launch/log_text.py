"""What is handed on of a log, to be judged: all of it, but of a very long one what can tell anything.

A launch that has just ended and its recording are read by this one function, so that both are judged alike.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import BinaryIO, Final

from pytest_sgdiff.engines.log import tells
from pytest_sgdiff.files.data_files import DataFileError, opened

TEXT_LIMIT: Final = 1 << 24
"""Bytes up to which a log is handed on whole. The file holds everything."""

SCAN_LIMIT: Final = 1 << 28
"""Bytes of a middle that are looked through. A sparse file of any size takes no room and hours to read."""

CHUNK: Final = 1 << 20
"""Bytes that are looked through at a time; a line that is longer is cut."""

_ENDS = re.compile(rb"[\r\n]+")


def read_log(path: Path, *, below: Path | None = None) -> str:
    """The text of a log. Of one beyond TEXT_LIMIT its beginning and end, half of that each, and between them, up to
    half of that again, the lines that tell the engine's adapter something; a line says how much was left out.

    `below` is the folder that was named, below which no link is followed, if it is not the log's.

    Raises FileNotFoundError; raises DataFileError for what is no log.
    """
    with opened(path, below=below or path.parent) as descriptor:
        if descriptor is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        try:
            with open(descriptor, "rb", closefd=False) as file:
                return _text(file, path.name)
        except OSError as error:
            raise DataFileError(path, "unreadable", f"cannot be read: {error.strerror or error}") from None


def _text(file: BinaryIO, name: str) -> str:
    half = TEXT_LIMIT // 2
    if (size := os.fstat(file.fileno()).st_size) <= TEXT_LIMIT:
        # No further than that: a process may be writing to it.
        return file.read(TEXT_LIMIT).decode("utf-8", "replace")
    head, rest = _whole_lines(file.read(half))
    told, end = bytearray(), min(size - half, half + SCAN_LIMIT)
    while (left := end - file.tell()) > 0 and (data := file.read(min(CHUNK, left))):
        lines, rest = _whole_lines(rest + data)
        for line in _ENDS.split(lines):
            if len(told) < half and tells(line.decode("utf-8", "replace")):
                told += line + b"\n"
    if end < size - half:
        rest = b""
        file.seek(size - half)
    tail = rest + file.read(half)
    # No path: it would be taken for words of the engine, and a recording lies elsewhere than the launch did.
    left_out = f"\n[sgdiff: {size - len(head) - len(told) - len(tail)} bytes left out here, see {name}]\n"
    return left_out.join(part.decode("utf-8", "replace") for part in (head, bytes(told) + tail))


def _whole_lines(data: bytes) -> tuple[bytes, bytes]:
    """The lines that have an end, and what follows them; all of it where none has."""
    cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    return (data[:cut], data[cut:]) if cut else (data, b"")
