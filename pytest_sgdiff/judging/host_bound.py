"""Whether the host decides how long a case takes, and not the GPU. Pure.

A small model, or one of many small kernels, waits for the CPU throughout. Its launches then differ even in the core of
their steps, by as much as the host does, and no number of launches shows what the engine costs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from pytest_sgdiff.data import Finding, GpuSeries, LaunchRecord
from pytest_sgdiff.step_core import Cores

HOST_CV = 0.03
"""CV of the cores from which on the host decides. Recorded: 0.1 to 1.3 % where the GPU is kept busy, 12 to 25 % where
it waits."""
BUSY = 0.95
"""A GPU that is busy for this share of the time, or more, waits for nobody."""
POWER_CAP = 0x4
"""NVML's reason for lower clocks: the GPU draws all the power that it may, so it works."""
FEWEST = 3


def host_bound(cores: Cores, launches: Sequence[LaunchRecord]) -> Finding | None:
    """What shows that the host decides, with the evidence at hand; None where nothing does, or where the GPU was seen
    to be busy."""
    sides = [[math.log(launch.core) for launch in side] for side in (cores.then, cores.now)]
    freedom = sum(len(side) - 1 for side in sides)
    squares = math.fsum((x - statistics.fmean(side)) ** 2 for side in sides for x in side)
    cv = math.sqrt(squares / freedom) if freedom else 0.0
    if max(map(len, sides)) < FEWEST or cv <= HOST_CV:
        return None
    watched = [launch.watch.gpus for launch in launches if launch.watch is not None and launch.watch.gpus]
    busy = [most for gpus in watched if (most := max(_known(gpus, "util_pct"), default=None)) is not None]
    capped = [any(reasons & POWER_CAP for reasons in _known(gpus, "reasons")) for gpus in watched]
    share = statistics.median(busy) / 100 if busy else None
    if (share is not None and share >= BUSY) or 2 * sum(capped) > len(capped) > 0:
        return None
    return Finding(code="host-decides", size=cv, usual=cores.usual, busy=share, clock=_clock(launches))


def _known(gpus: Sequence[GpuSeries], column: str) -> Iterator[int]:
    return (value for gpu in gpus for value in getattr(gpu, column) if value is not None)


def _clock(launches: Sequence[LaunchRecord]) -> float | None:
    """The share of its full clock at which the GPU ran, at its best, in the middle one of the launches."""
    found = []
    for launch in launches:
        full = launch.environment.sm_clock_max_mhz
        best = max(_known(launch.watch.gpus, "sm_mhz"), default=None) if launch.watch is not None else None
        if full and best is not None:
            found.append(best / full)
    return statistics.median(found) if found else None
