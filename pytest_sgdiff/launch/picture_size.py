"""Width and height of a picture or video that the engine wrote, from the head of its file.

Only the formats that SGLang writes: PNG, JPEG, WebP, and MP4. The log's `Sampling params` are what was asked for; some
models take another size from their input image, and say so nowhere.
"""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

_MOST_PARTS = 10_000
"""Segments of a JPEG or boxes of an MP4 that are looked at: a broken file must not keep its reader busy."""
_SIZED = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""JPEG's markers of a frame, which hold its size; the other three of their range are tables."""


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """(width, height) in pixels; None for a file of another format, or one that is incomplete or cannot be read."""
    try:
        with open(path, "rb") as file:
            head = file.read(30)
            found: tuple[int, ...] | None = None
            if head.startswith(b"\x89PNG\r\n\x1a\n"):
                found = struct.unpack(">II", head[16:24])
            elif head.startswith(b"\xff\xd8"):
                found = _jpeg(file)
            elif head[:4] == b"RIFF" and head[8:12] == b"WEBP":
                found = _webp(head)
            elif head[4:8] == b"ftyp":
                file.seek(0, os.SEEK_END)
                found = _mp4(file, 0, file.tell())
    except (OSError, struct.error):
        return None
    return (int(found[0]), int(found[1])) if found and all(found) else None


def _jpeg(file: BinaryIO) -> tuple[int, ...] | None:
    at = 2
    for _ in range(_MOST_PARTS):
        file.seek(at)
        mark, kind, length = struct.unpack(">BBH", file.read(4))
        if mark != 0xFF:
            return None
        if kind in _SIZED:
            height, width = struct.unpack(">xHH", file.read(5))
            return width, height
        at += 2 + length
    return None


def _webp(head: bytes) -> tuple[int, ...] | None:
    if head[12:16] == b"VP8X":
        return tuple(1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        return tuple(size & 0x3FFF for size in struct.unpack("<HH", head[26:30]))
    return None


def _mp4(file: BinaryIO, at: int, end: int) -> tuple[int, ...] | None:
    """The size of the first track that has one: a track of sound has none."""
    for _ in range(_MOST_PARTS):
        if at + 8 > end:
            return None
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        head = 8
        if size == 1:
            (size,), head = struct.unpack(">Q", file.read(8)), 16
        size = size or end - at
        if size < head:
            return None
        if kind in (b"moov", b"trak") and (found := _mp4(file, at + head, min(at + size, end))):
            return found
        if kind == b"tkhd":
            # The last two fields, in 65536ths of a pixel.
            file.seek(at + size - 8)
            width, height = struct.unpack(">II", file.read(8))
            return (width >> 16, height >> 16) if width and height else None
        at += size
    return None
