"""Where the output of every command leaves: whatever it quotes, no line gives an order to a terminal or a CI system."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TextIO

from pytest_sgdiff.printable import printable, printable_lines


class PrintableOutput(io.TextIOBase):
    """A stream that writes each line to another one, without what `hide` takes out, and `printable`. Lines are held
    until they end: close it."""

    def __init__(self, stream: TextIO, hide: Callable[[str], str]) -> None:
        self._stream, self._hide = stream, hide
        self._unfinished = ""

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        whole, end, self._unfinished = (self._unfinished + text).rpartition("\n")
        if end:
            # As a whole, for a secret may have several lines.
            self._stream.write(printable_lines(self._hide(whole)) + end)
        return len(text)

    def write_ours(self, text: str) -> None:
        """Write a text of this package as it is, in which nobody else has a word: what looks like a secret is none."""
        self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        """Write the last line, if it has no end. The other stream stays open."""
        if not self.closed:
            self._stream.write(printable(self._hide(self._unfinished)))
            self._unfinished = ""
        super().close()
