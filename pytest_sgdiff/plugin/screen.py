"""The terminal, shared by pytest's reporter and by what shows the progress of cases from a thread.

`Screen` takes the place of the reporter's file. It remembers the unfinished line that pytest is writing, so that
lines can come in between and a block can stand below it: before pytest writes on, the block is gone and the line is as
it was.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from typing import Any

from pytest_sgdiff.printable import printable
from pytest_sgdiff.runner.progress import cells

SIZE = (80, 24)
"""Columns and rows of a terminal that does not know its size."""


class Screen:
    """A file for pytest's reporter, in which `line` and `show` may write between its words. Thread-safe. Close it.

    Both write past pytest's capture, which redirects file descriptors: to a copy of the terminal's own, made while
    nothing is captured. A file without a descriptor (a test's own pytest run) is written itself.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._fd: int | None = None
        # Signal handlers write from the thread that they interrupt.
        self._lock = threading.RLock()
        self._unfinished = ""
        self._between = False
        self._block: tuple[str, ...] = ()
        self._lost = False
        with contextlib.suppress(OSError, ValueError, AttributeError):
            file.flush()
            self._fd = os.dup(file.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def size(self) -> tuple[int, int]:
        """Columns and rows now; some terminals say that they have none."""
        with contextlib.suppress(OSError, TypeError):
            columns, rows = os.get_terminal_size(self._fd)  # type: ignore[arg-type]
            return columns or SIZE[0], rows or SIZE[1]
        return SIZE

    def write(self, text: str) -> int:
        """What pytest writes."""
        with self._lock:
            lead = self._erasure()
            self._block = ()
            rest = text
            if self._between and text:
                # The unfinished line was ended before its time: what ends it comes too late, what goes on starts anew.
                self._between = False
                if text.startswith("\n"):
                    rest = text[1:]
                else:
                    lead += self._unfinished
            self._unfinished = text.rpartition("\n")[2] if "\n" in text else self._unfinished + text
            try:
                self._put(lead + rest)
            except BrokenPipeError:
                # `| head` has seen enough; the cases are measured to their end all the same.
                self._lost = True
            return len(text)

    def line(self, text: str) -> None:
        """Write a line that stays."""
        with self._lock:
            lead = self._erasure()
            if self._unfinished and not self._between:
                lead += "\n"
                self._between = True
            self._block = ()
            self._try(f"{lead}{printable(text)}\n")

    def show(self, lines: Sequence[str]) -> None:
        """Let these lines stand below what pytest has written until it writes more; none: nothing."""
        with self._lock:
            if tuple(lines) == self._block:
                return
            erasure, self._block = self._erasure(), tuple(lines)
            shown = list(map(printable, lines))
            lead = "\r\n" if self._unfinished and lines else ""
            # The cursor waits where the block begins: there `^C` and words of others do no harm, and a terminal that
            # is resized keeps it there.
            up = f"\x1b[{len(lines) - 1}A" if len(lines) > 1 else ""
            self._try(erasure + lead + "\r\n".join(shown) + up + "\r" * bool(lines))

    def close(self) -> None:
        """Leave the file as pytest expects it."""
        with self._lock:
            self.show(())
            if self._between:
                self._between = False
                self._try(self._unfinished)
            self._lost = True
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def _erasure(self) -> str:
        """What takes the block away and leaves the cursor behind pytest's unfinished line."""
        if not self._block:
            return ""
        above = ""
        if self._unfinished:
            rows = -(-cells(self._unfinished) // self.size()[0])
            above = f"\x1b[{max(1, rows)}A\r{self._unfinished}"
        return f"\r\x1b[J{above}"

    def _try(self, text: str) -> None:
        # Progress is for the eye: a terminal that is gone must not stop a measurement.
        try:
            self._put(text)
        except (OSError, ValueError):
            self._lost = True

    def _put(self, text: str) -> None:
        if self._lost or not text:
            return
        if self._fd is None:
            self._file.write(text)
            self._file.flush()
            return
        data = text.encode(getattr(self._file, "encoding", None) or "utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._fd, data) :]
