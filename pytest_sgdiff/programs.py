"""Other programs that are asked something: what they print, within a time and a size."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

_MOST_BYTES = 4 * 1024 * 1024


def printed(
    argv: Sequence[str], *, timeout_s: float, cwd: str | None = None, env: Mapping[str, str] | None = None
) -> tuple[str | None, str]:
    """What the command prints, up to 4 MiB, within `timeout_s` seconds; else None and why. Never raises OSError.

    It gets a group of its own, of which nothing stays, and writes to a file: a pipe would be kept open by a child that
    it leaves behind.
    """
    try:
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                cwd=cwd,
                env=env,
                start_new_session=True,
            )
            try:
                code: int | None = process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if code is None:
                return None, f"it did not end within {timeout_s:g} s"
            if code:
                return None, f"it exited with {code}"
            output.seek(0)
            return output.read(_MOST_BYTES).decode(errors="replace"), ""
    except OSError as error:
        return None, f"it cannot be run: {error.strerror or error}"
