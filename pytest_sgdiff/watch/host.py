"""What the host did to a launch beside its GPUs: the time for which a hypervisor withheld the CPUs."""

from __future__ import annotations

import os
from pathlib import Path

STAT = Path("/proc/stat")
_STEAL = 8
"""The figure of the line `cpu` that counts steal, in ticks of all CPUs since the start (proc(5))."""


def stolen_s(stat: Path = STAT) -> float | None:
    """CPU time (s, over all CPUs, since the start) for which this virtual machine had work for a CPU and was not given
    it; 0 on real hardware, None where the kernel does not tell."""
    try:
        words = stat.read_text(encoding="ascii").split("\n", 1)[0].split()
        return int(words[_STEAL]) / os.sysconf("SC_CLK_TCK") if words[0] == "cpu" else None
    except (OSError, ValueError, IndexError):
        return None
