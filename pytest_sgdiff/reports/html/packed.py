"""Sections of a page made small. What a page shows of its cases is alike but for its numbers, so a section is kept as
the numbers of its lines, sorted by the line and the place in it where they stand, and compressed. `unpack` in page.js
is the other half.

Why not plain compression: measured on the sections of the bundled recordings, 30 KB each, deflate alone makes 6.3 KB of
one, and this 2.1 KB, as much as LZMA, which no browser reads.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterable

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_HERE = "\0"
"""Where a number stands in a line. Reports show no such character."""


def packed(sections: Iterable[str]) -> str:
    """The sections as text of letters, digits, `+`, `/` and `=`."""
    lines: dict[str, int] = {}
    columns: list[list[list[str]]] = []
    shapes: list[list[int]] = []
    for section in sections:
        shape = []
        for line in section.split("\n"):
            numbers = _NUMBER.findall(line)
            bare = _NUMBER.sub(_HERE, line)
            number = lines.setdefault(bare, len(lines))
            if number == len(columns):
                columns.append([[] for _ in numbers])
            for column, value in zip(columns[number], numbers, strict=True):
                column.append(value)
            shape.append(number)
        shapes.append(shape)
    joined = [[" ".join(column) for column in line] for line in columns]
    text = json.dumps([list(lines), joined, shapes], ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(text: str) -> list[str]:
    """What was packed, as page.js reads it."""
    lines, joined, shapes = json.loads(zlib.decompress(base64.b64decode(text)))
    columns = [[iter(column.split(" ")) for column in line] for line in joined]

    def line(number: int) -> str:
        first, *rest = str(lines[number]).split(_HERE)
        return first + "".join(next(column) + part for column, part in zip(columns[number], rest, strict=True))

    return ["\n".join(map(line, shape)) for shape in shapes]
