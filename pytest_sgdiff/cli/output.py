"""Where the output of every command leaves: whatever it quotes, no line gives an order to a terminal or a CI system."""

from __future__ import annotations

import io
from typing import TextIO

from pytest_sgdiff.printable import printable


class PrintableOutput(io.TextIOBase):
    """A stream that writes each line `printable` to another one. Lines are held until they end: close it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._unfinished = ""

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._unfinished = (self._unfinished + text).split("\n")
        for line in lines:
            self._stream.write(f"{printable(line)}\n")
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Write the last line, if it has no end. The other stream stays open."""
        if not self.closed:
            self._stream.write(printable(self._unfinished))
            self._unfinished = ""
        super().close()
