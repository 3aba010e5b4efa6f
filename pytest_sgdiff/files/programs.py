"""Small programs that are asked something and end by themselves: an engine for its version, git for a commit, pytest
for its marks. A signal that ends this process leaves none of them behind.

(A launch is another matter: `pytest_sgdiff.launch.run`.)
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from pytest_sgdiff.files.held_back import held_back

POLL_S = 0.1
"""How often a signal, or the end of whoever waits, is noticed."""

_MOST_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a program said, up to 4 MiB each of `out` and `err`, and its exit code; None if it did not run to its end,
    and then `why`."""

    code: int | None
    out: str = ""
    err: str = ""
    why: str = ""


def ask(
    argv: Sequence[str | os.PathLike[str]],
    *,
    timeout_s: float,
    cwd: str | os.PathLike[str] | None = None,
    env: Mapping[str, str] | None = None,
    abandoned: Callable[[], bool] = lambda: False,
) -> Answer:
    """Run a program for at most `timeout_s` seconds. Never raises OSError.

    It gets a session of its own, of whose group nothing stays, and writes to files: a pipe would be kept open by a
    child that it leaves behind. A signal that ends this process ends the program first. Raises KeyboardInterrupt once
    nobody waits for the answer any more (`abandoned`), as in a worker whose controller died.
    """
    try:
        # An exception in the middle would leave a child behind whose number nobody knows yet, and the second of two
        # signals one that was not killed yet.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, held_back() as ending:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd, env=env, start_new_session=True
            )
            try:
                code = _ended(process, time.monotonic() + timeout_s, lambda: ending() or abandoned())
            finally:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if code is None and abandoned():
                raise KeyboardInterrupt
            if code is None:
                return Answer(code=None, why=f"it did not end within {timeout_s:g} s")
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read(_MOST_BYTES).decode(errors="replace"))
            return Answer(code=code, out=texts[0], err=texts[1])
    except OSError as error:
        return Answer(code=None, why=f"it cannot be run: {error.strerror or error}")
    except ValueError as error:  # a zero byte in the command
        return Answer(code=None, why=f"it cannot be run: {error}")


def _ended(process: subprocess.Popen[bytes], deadline: float, ending: Callable[[], bool]) -> int | None:
    """The exit code; None at the deadline, or if this process is to end."""
    while not ending() and (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(min(left, POLL_S))
    return None
