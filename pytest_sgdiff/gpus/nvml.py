"""What is asked of the NVIDIA driver: the one interface below which GPUs are faked in tests.

A counter that the driver, the card or a MIG slice does not have is None ("unknown"), never an exception and never 0.
"""

from __future__ import annotations

import os
from typing import Protocol

from pytest_sgdiff.data import GpuEvent, GpuFacts, GpuProcess, GpuState

NVML_FILE_VARIABLE = "SGDIFF_NVML_FILE"


class NvmlReader(Protocol):
    """What is asked of the driver. UUIDs are NVML's, of whole GPUs and of MIG slices alike."""

    def driver(self) -> str | None:
        """The driver's version, `580.159.04`."""

    def cuda(self) -> str | None:
        """The newest CUDA that the driver supports, `13.0`."""

    def facts(self) -> tuple[GpuFacts, ...]:
        """Every GPU and every MIG slice that can be seen, in NVML's order. Raises LeaseError if NVML cannot start."""

    def state(self, uuid: str) -> GpuState:
        """The counters now; about a millisecond."""

    def processes(self, uuid: str) -> tuple[GpuProcess, ...] | None:
        """Who has a context on the GPU; None if the driver does not say."""

    def thermal_ns(self, uuid: str) -> int | None:
        """Nanoseconds that the GPU was held back by heat since the driver was loaded."""

    def linked(self, one: str, other: str) -> bool | None:
        """Whether two GPUs talk over NVLink."""

    def xids(self) -> tuple[GpuEvent, ...]:
        """Xid errors since the last call; the first call only begins to listen."""


def default_reader() -> NvmlReader:
    """The real reader, or one that replays the file that SGDIFF_NVML_FILE names."""
    path = os.environ.get(NVML_FILE_VARIABLE)
    if path:
        from pytest_sgdiff.gpus.nvml_file import FileReader

        return FileReader(path)
    from pytest_sgdiff.gpus.nvml_driver import PynvmlReader

    return PynvmlReader()
