"""An `NvmlReader` that replays a JSON file: GPUs for tests and demonstrations on machines without any.

    {"driver": "580.159.04", "cuda": "13.0", "links": [["GPU-a", "GPU-b"]],
     "gpus": [{"facts": {...GpuFacts...}, "state": {...GpuState...}, "thermal_ns": 0,
               "processes": [{"pid": 419, "name": "python3", "used_mb": 1002}]}]}

A key that is missing, or null, is "not told". The file is read anew at each question, so that a test changes it while
something runs. `{"error": "..."}` is a driver that does not answer.
"""

from __future__ import annotations

import json
from typing import Any

from pytest_sgdiff.data import GpuFacts, GpuProcess, GpuState
from pytest_sgdiff.errors import LeaseError


class FileReader:
    """Reads `path`. Raises LeaseError where it does not hold what is said above."""

    def __init__(self, path: str) -> None:
        self.path = path

    def _read(self) -> dict[str, Any]:
        try:
            with open(self.path, encoding="utf-8") as file:
                content = json.load(file)
        except (OSError, ValueError) as error:
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path} cannot be read: {error}") from None
        if not isinstance(content, dict):
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path} holds {type(content).__name__}, not an object")
        if "error" in content:
            raise LeaseError(f"no GPU was found: the NVIDIA driver does not answer ({content['error']})")
        return content

    def _gpu(self, uuid: str) -> dict[str, Any]:
        return next((gpu for gpu in self._read().get("gpus", ()) if gpu["facts"]["uuid"] == uuid), {})

    def driver(self) -> str | None:
        return self._read().get("driver")

    def cuda(self) -> str | None:
        return self._read().get("cuda")

    def facts(self) -> tuple[GpuFacts, ...]:
        try:
            return tuple(GpuFacts(**gpu["facts"]) for gpu in self._read().get("gpus", ()))
        except (TypeError, KeyError) as error:
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path}: the facts of a GPU are wrong: {error}") from None

    def state(self, uuid: str) -> GpuState:
        try:
            return GpuState(**(self._gpu(uuid).get("state") or {}))
        except TypeError as error:
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path}: the state of {uuid} is wrong: {error}") from None

    def processes(self, uuid: str) -> tuple[GpuProcess, ...] | None:
        rows = self._gpu(uuid).get("processes")
        try:
            return None if rows is None else tuple(GpuProcess(gpu_uuid=uuid, **row) for row in rows)
        except TypeError as error:
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path}: the processes of {uuid} are wrong: {error}") from None

    def thermal_ns(self, uuid: str) -> int | None:
        return self._gpu(uuid).get("thermal_ns")

    def linked(self, one: str, other: str) -> bool | None:
        links = self._read().get("links")
        return None if links is None else any({one, other} == set(pair) for pair in links)

    def xids(self) -> tuple[str, ...]:
        return tuple(self._read().get("xids", ()))
