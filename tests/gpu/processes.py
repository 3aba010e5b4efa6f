"""The engine's processes, as the GPU tests find them."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable


def until(happened: Callable[[], object], *, limit_s: float = 300.0) -> None:
    """Wait for what a real engine takes its time for."""
    limit = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < limit, f"nothing happened in {limit_s:.0f} s"
        time.sleep(0.2)


def wait_for_log(folder: pathlib.Path) -> None:
    """Wait until the engine of the first launch below the folder has printed something."""
    until(lambda: any(path.stat().st_size for path in folder.rglob("engine.log")))


def engine_of(folder: pathlib.Path) -> int:
    """The process id of the engine that runs for a recording below the folder."""
    wait_for_log(folder)
    words = (str(folder).encode(), b"generate")
    lines = {path.name: _read(path / "cmdline") for path in pathlib.Path("/proc").iterdir() if path.name.isdigit()}
    return min(int(pid) for pid, line in lines.items() if all(word in line for word in words))


def parent_of(pid: int) -> int:
    """The process that started it."""
    return int(_read(pathlib.Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()[1])


def alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    state = _read(pathlib.Path(f"/proc/{pid}/stat")).rpartition(b")")[2].split()[:1]
    return bool(state) and state[0] not in {b"Z", b"X"}


def _read(path: pathlib.Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
