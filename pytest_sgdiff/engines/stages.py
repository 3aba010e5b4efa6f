"""Where a launch is, by what its engine prints while it runs: the engine's own names of stages, and three of ours.

The phrases are sglang's (runtime/utils/perf_logger.py and logging_utils.py, managers/scheduler.py,
entrypoints/diffusion_generator.py).
"""

from __future__ import annotations

import re
from typing import Final

LOADING: Final = "loading"
WARMUP: Final = "warmup"
ENDING: Final = "shutting down"

_STARTED = re.compile(r"\[(\w+)\] started\.\.\.$")
_WARMUP = re.compile(r"\bwarmup req|\bProcessing \d+ grouped request", re.IGNORECASE)
_SAVED = "Pixel data generated successfully"


def stage_reached(line: str, current: str) -> str:
    """The stage that a line of the engine's log shows; the current one if it shows none.

    The engine has no line for the start of its warmup: 0.5.14 and later draw a bar that is seen only when it advances.
    They do say that the first request is processed, and where nothing is warmed up a stage follows at once.
    """
    started = _STARTED.search(line)
    if started is not None:
        return started[1]
    if current == LOADING and _WARMUP.search(line):
        return WARMUP
    return ENDING if _SAVED in line else current
