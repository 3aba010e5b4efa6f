"""What a launch prints, on its way from a pipe to its log file: secrets taken out before they reach the disk."""

from __future__ import annotations

import fcntl
import os
import pathlib
import re
import select
import struct
import termios
import time
from collections.abc import Callable
from typing import Final

from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.launch.log_text import read_log

CHUNK: Final = 1 << 16
LINE_LIMIT: Final = 1 << 18
"""Bytes without a line end that are kept back before they are written in parts; a progress bar may be one line."""

SECRET_LIMIT: Final = 1 << 14
"""Bytes of an over-long line that stay back with each part: no secret that is cut in two is longer."""

KEY_BEGINS: Final = b"-----BEGIN "
KEY_ENDS: Final = b"-----END "
"""The lines around a private key, which is a secret of many lines."""

CLOSED_POLL_S: Final = 0.02
"""How often to look whether a launch has ended that has closed its output: mostly it has, that very moment."""

_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ENDS = re.compile(r"[\r\n]+")


def clean_lines(text: str) -> list[str]:
    """Lines of raw output as people read them: progress bars split up, colours gone, blank lines left out."""
    return [line for raw in _ENDS.split(text) if (line := _ANSI.sub("", raw).strip())]


def _before_key(held: bytes, cut: int) -> int:
    """Where the lines up to `cut` may be written, so that no private key is written before its end is there."""
    begins = held.rfind(KEY_BEGINS, max(0, cut - SECRET_LIMIT), cut)
    return cut if begins < 0 or held.find(KEY_ENDS, begins, cut) >= 0 else begins


class LogCopy:
    """Copies a launch's output into its log, redacted line by line, while the launch runs.

    Bytes that are no UTF-8 arrive in the file as they were written. `on_line` gets each cleaned line. Close it.
    """

    def __init__(
        self, path: pathlib.Path, *, redact: Callable[[str], str], on_line: Callable[[str], None] | None
    ) -> None:
        self._path = path
        self._redact = redact
        self._on_line = on_line
        self._held = b""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, _FLAGS, 0o644)
        except OSError as error:
            raise SgdiffError(f"{path}: the launch's log cannot be written: {error.strerror}") from error
        # Only one end is not inherited: the other one is given to the child as its stdout and stderr.
        self._pipe, self.write_end = os.pipe()
        self._open = True
        self._failed = False

    def child_started(self) -> None:
        """Close our copy of the end that the child writes to, so that the pipe ends when the launch's processes do."""
        os.close(self.write_end)
        self.write_end = -1

    def pump(self, seconds: float) -> None:
        """Copy what has arrived, or wait for it for at most `seconds`.

        After a failed write output is read and dropped: a launch that is being stopped must be able to get rid of it.
        """
        if not self._open:
            time.sleep(min(seconds, CLOSED_POLL_S))
        elif select.select([self._pipe], [], [], seconds)[0]:
            self._read(CHUNK)

    def divert(self, path: pathlib.Path) -> None:
        """Write what comes from now on into another file. Raises SgdiffError if that cannot be written."""
        self.feed(b"", last=True)
        try:
            other = os.open(path, _FLAGS, 0o644)
        except OSError as error:
            raise SgdiffError(f"{path}: the launch's log cannot be written: {error.strerror}") from error
        os.close(self._file)
        self._file = other

    def drain(self) -> None:
        """Copy what is in the pipe now, and the rest of a last line without an end.

        Not what comes meanwhile: a process that nobody could find may hold the pipe, and print without end.
        """
        left = self._waiting()
        while self._open and left > 0 and select.select([self._pipe], [], [], 0)[0]:
            left -= self._read(min(left, CHUNK))
        self.feed(b"", last=True)

    def _waiting(self) -> int:
        """Bytes in the pipe now."""
        if not self._open:
            return 0
        return int(struct.unpack("i", fcntl.ioctl(self._pipe, termios.FIONREAD, b"\0" * 4))[0])

    def _read(self, at_most: int) -> int:
        """Copy what the pipe has, and return how much that was."""
        data = os.read(self._pipe, at_most)
        self._open = bool(data)
        self.feed(data, last=not data)
        return len(data)

    def close(self) -> None:
        """Close the file and the pipe; may be called twice."""
        for end in (self._file, self._pipe, self.write_end):
            if end >= 0:
                os.close(end)
        self._file = self._pipe = self.write_end = -1
        self._open = False

    def text(self) -> str:
        """The log as written so far, as `log_text` hands it on. Raises SgdiffError if it cannot be read."""
        try:
            return read_log(self._path)
        except FileNotFoundError as error:
            raise SgdiffError(f"{self._path}: the launch's log cannot be read: {error.strerror}") from error

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """Take output as it was read; `last` ends a line that has no end."""
        if self._failed:
            return
        held = self._held + data
        if last:
            whole, rest = held, b""
        else:
            cut = _before_key(held, max(held.rfind(b"\n"), held.rfind(b"\r")) + 1)
            whole, rest = held[:cut], held[cut:]
        out = self._redacted(whole) if whole else b""
        if len(rest) > LINE_LIMIT:
            part, rest = self._part(rest)
            out += part
        self._held = rest
        if out:
            self._write(out)
            if self._on_line is not None:
                for line in clean_lines(out.decode("utf-8", "replace")):
                    self._on_line(line)

    def _part(self, line: bytes) -> tuple[bytes, bytes]:
        """Split an over-long line into what may be written and what must stay back.

        The last word stays, because a secret may be growing in it; then, of what is redacted, as much as the longest
        secret: one that begins in there and goes on in bytes that have not come yet is still whole when they come.
        """
        word = max(line.rfind(b" "), line.rfind(b"\t")) + 1
        if len(line) - word > LINE_LIMIT // 2:
            word = len(line)
        redacted = self._redacted(line[:word])
        return redacted[:-SECRET_LIMIT], redacted[-SECRET_LIMIT:] + line[word:]

    def _redacted(self, data: bytes) -> bytes:
        return self._redact(data.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self._failed = True
            raise SgdiffError(
                f"{self._path}: the launch's log cannot be written: {error.strerror}; the launch was stopped, because "
                "a launch without its log proves nothing"
            ) from error
