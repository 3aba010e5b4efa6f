"""What is handed on of a log, to be judged: all of it, but of a very long one what can tell anything.

A launch that has just ended and its recording are read by this one function, so that both are judged alike.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from pytest_sgdiff.engines.enginelog import tells

TEXT_LIMIT: Final = 1 << 24
"""Bytes up to which a log is handed on whole. The file holds everything."""

CHUNK: Final = 1 << 20
"""Bytes that are looked through at a time; a line that is longer is cut."""

_ENDS = re.compile(rb"[\r\n]+")


def read_log(path: Path) -> str:
    """The text of a log. Of one beyond TEXT_LIMIT its beginning and end, half of that each, and between them, up to
    half of that again, the lines that tell the engine's adapter something; a line says how much was left out.

    Raises OSError.
    """
    half = TEXT_LIMIT // 2
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= TEXT_LIMIT:
            return file.read().decode("utf-8", "replace")
        head, rest = _whole_lines(file.read(half))
        told = bytearray()
        while (left := size - half - file.tell()) > 0 and (data := file.read(min(CHUNK, left))):
            lines, rest = _whole_lines(rest + data)
            for line in _ENDS.split(lines):
                if len(told) < half and tells(line.decode("utf-8", "replace")):
                    told += line + b"\n"
        tail = rest + file.read()
    # No path: it would be taken for words of the engine, and a recording lies elsewhere than the launch did.
    left_out = f"\n[sgdiff: {size - len(head) - len(told) - len(tail)} bytes left out here, see {path.name}]\n"
    return left_out.join(part.decode("utf-8", "replace") for part in (head, bytes(told) + tail))


def _whole_lines(data: bytes) -> tuple[bytes, bytes]:
    """The lines that have an end, and what follows them; all of it where none has."""
    cut = max(data.rfind(b"\n"), data.rfind(b"\r")) + 1
    return (data[:cut], data[cut:]) if cut else (data, b"")
