"""What tests of real processes wait for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


def alive(pid: int) -> bool:
    """Whether it runs: a dead orphan stays in /proc for as long as the machine's init does not ask for it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_for(
    condition: Callable[[], object], limit_s: float = 20.0, otherwise: str = "it did not come to pass"
) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)
