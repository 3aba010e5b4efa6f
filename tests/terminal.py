"""A terminal as far as pytest and the live status use one: lines that wrap and scroll, a cursor that returns."""

from __future__ import annotations

import os
import re

_TOKEN = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b([78D])|(.)", re.DOTALL)
_TORN = re.compile(r"\x1b(\[\d*)?\Z")
_MARK = b"\0"


def received(master: int, slave: int) -> str:
    """All that was written to a pseudo-terminal before now.

    The kernel hands it over in pieces and in its own time, so a read by itself may find the first half of a write.
    """
    os.write(slave, _MARK)
    data = b""
    while _MARK not in data:
        data += os.read(master, 1 << 16)
    return data.replace(_MARK, b"").decode()


class Terminal:
    """Feed it what was written and look at `text`, the screen with what has scrolled out above it."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.columns, self.rows = columns, rows
        self._lines: list[list[str]] = [[]]
        self._row = self._column = self._top = 0
        self._saved = (0, 0)
        self._torn = ""

    def feed(self, written: str) -> None:
        """Take what a program wrote, or a piece of it.

        Raises AssertionError at an escape that it does not know.
        """
        written = self._torn + written
        self._torn = torn[0] if (torn := _TORN.search(written)) else ""
        for number, command, order, letter in _TOKEN.findall(written.removesuffix(self._torn)):
            if command == "A":
                # What has scrolled out is out of reach.
                self._row = max(self._row - int(number or 1), self._top)
            elif command == "J":
                del self._lines[self._row + 1 :], self._lines[self._row][self._column :]
            elif command and command != "m":
                raise AssertionError(f"escape {command!r}")
            elif order == "D":
                self._down()
            elif order == "7":
                self._saved = (self._row - self._top, self._column)
            elif order == "8":
                self._row, self._column = self._top + self._saved[0], self._saved[1]
            elif letter == "\n":
                self._down()
            elif letter == "\r":
                self._column = 0
            elif letter:
                self._put(letter)

    @property
    def text(self) -> str:
        """What is to be seen, without trailing blanks."""
        return "\n".join("".join(line).rstrip() for line in self._lines).rstrip()

    def _put(self, letter: str) -> None:
        if self._column == self.columns:
            self._down()
            self._column = 0
        line = self._lines[self._row]
        line += " " * (self._column + 1 - len(line))
        line[self._column] = letter
        self._column += 1

    def _down(self) -> None:
        self._row += 1
        self._top = max(self._top, self._row - self.rows + 1)
        if self._row == len(self._lines):
            self._lines.append([])
