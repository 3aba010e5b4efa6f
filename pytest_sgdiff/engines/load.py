"""How long an engine took to load its model: from the start of its process to workers that take requests.

From 0.5.21 on `generate` and `serve` both log when that was, by CLOCK_MONOTONIC (launch_server.py). Of an older server
the moment is known at which its line `Starting FastAPI server.` arrived, which follows the workers' start at once.
"""

from __future__ import annotations

import re

from pytest_sgdiff.data import Launch
from pytest_sgdiff.engines.log import LogEvidence
from pytest_sgdiff.engines.log_prefix import ANSI, STAMP

_LOADED = re.compile(r"Starting FastAPI server\.|\[server-load\] workers_ready_monotonic_ns=\d+")


def says_loaded(line: str) -> bool:
    """Whether a line is the engine's own record of workers that are ready."""
    plain = ANSI.sub("", line).strip()
    stamp = STAMP.match(plain)
    return stamp is not None and _LOADED.match(plain, stamp.end()) is not None


def load_ms(launch: Launch, log: LogEvidence) -> float | None:
    """Milliseconds from the start to workers that are ready; None where nothing says so, or what says so cannot be of
    this process: another boot's clock, or a time after its end."""
    if log.workers_ready_ns is not None and launch.started_ns is not None:
        took_ms = (log.workers_ready_ns - launch.started_ns) / 1e6
        return took_ms if 0 < took_ms <= _life_ms(launch) else None
    loaded_s = None if launch.served is None else launch.served.loaded_s
    return None if loaded_s is None or loaded_s <= 0 else 1000 * loaded_s


def _life_ms(launch: Launch) -> float:
    return float("inf") if launch.wall_s is None else 1000 * launch.wall_s
