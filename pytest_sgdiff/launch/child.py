"""A run of pytest, or of a build, that a command starts: a process and everything that it started, with its output in a
file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_sgdiff.files import data_files
from pytest_sgdiff.options import SETTINGS

OF_OTHER_RUNS = (
    *(one.variable for one in SETTINGS if one.variable and one.group not in ("places", "host")),
    *("SGDIFF_ENGINE_CMD", "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"),
)
"""Variables that the shell or a CI job sets for other runs: one that a command starts is none of those. Where things
are, and how launches share the machine, holds for every run; the command itself says which engine it launches."""

NOTHING_SAID = 128
"""The exit code from which on a run of pytest with `--sgdiff-exit-codes=bisect` says nothing of the engine."""

_DIES_WITH_ITS_PARENT = 1
"""PR_SET_PDEATHSIG of prctl(2)."""

GRACE_S = 40.0
"""How long a child may take to end after Ctrl-C: pytest ends its engines first, and these get 4 s and more."""


def run(
    words: Sequence[str],
    *,
    log: Path,
    below: Path,
    cwd: Path,
    env: Mapping[str, str],
    timeout_s: float | None = None,
    inherits: Sequence[int] = (),
) -> int | None:
    """The exit code; None if it took longer than `timeout_s`. The log lies `below` a folder. It has a session of its
    own: Ctrl-C reaches it once, from here.

    Raises:
        OSError: it cannot be started.
        DataFileError: there is no room for the log, or it is none.
    """
    data_files.write(log, "", below=below)
    with open(log, "ab", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env=env,
            start_new_session=True,
            pass_fds=tuple(inherits),
        )
        try:
            return child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child if it runs, and what is left of its group."""
    try:
        if child.poll() is None:
            _signal(child, signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(GRACE_S)
    finally:
        _signal(child, signal.SIGKILL)
        child.wait()


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def end_with_parent(parent: int | None, *, is_worker: bool) -> None:
    """Have this process end as after Ctrl-C if the command `parent` that started it is killed: nobody else would end
    its engines, and the next command waits for them. Where the system offers no such thing, it goes on to its own end.
    `is_worker`: its parent is pytest, which is told itself.

    Raises KeyboardInterrupt if the parent was killed before this was said.
    """
    import ctypes

    # A shell without job control has a command that ends in `&` ignore SIGINT, and what that starts inherits it. Here
    # the signal comes from the command, or for it, and from nobody's keyboard. Only the main thread may set handlers.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, signal.default_int_handler)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DIES_WITH_ITS_PARENT, int(signal.SIGINT))
    if parent not in (None, os.getppid()) and not is_worker:
        raise KeyboardInterrupt


def tail(log: Path, *, below: Path, lines: int = 15) -> str:
    """The end of a log, as far as it can be read."""
    with contextlib.suppress(data_files.DataFileError):
        raw = data_files.read_bytes(log, below=below, at_most=1 << 26) or b""
        return "\n".join(raw.decode("utf-8", "replace").splitlines()[-lines:])
    return ""
