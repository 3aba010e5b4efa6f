"""An `NvmlReader` that replays a JSON file: GPUs for tests and demonstrations on machines without any.

    {"driver": "580.159.04", "cuda": "13.0", "links": [["GPU-a", "GPU-b"]],
     "gpus": [{"facts": {...GpuFacts...}, "state": {...GpuState...}, "thermal_ns": 0,
               "processes": [{"pid": 419, "name": "python3", "used_mb": 1002, "work": "compute"}]}]}

A key that is missing, or null, is "unknown". The file is read anew at each question, so that a test changes it while
something runs. `{"error": "..."}` is a driver that does not answer.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pytest_sgdiff.data import GpuEvent, GpuFacts, GpuProcess, GpuState
from pytest_sgdiff.errors import LeaseError, WireError
from pytest_sgdiff.files.wire import from_plain

T = TypeVar("T", GpuFacts, GpuState, GpuProcess)


class FileReader:
    """Reads `path`. Raises LeaseError where it does not hold what is said above."""

    def __init__(self, path: str) -> None:
        self.path = path

    def _read(self) -> dict[str, Any]:
        try:
            with open(self.path, encoding="utf-8") as file:
                content = json.load(file)
        except (OSError, ValueError, RecursionError) as error:
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path} cannot be read: {error}") from None
        if not isinstance(content, dict):
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path} holds {type(content).__name__}, not an object")
        if "error" in content:
            raise LeaseError(f"no GPU was found: the NVIDIA driver does not answer ({content['error']})")
        return content

    def _gpus(self) -> list[dict[str, Any]]:
        rows = self._read().get("gpus") or []
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path}: `gpus` is no list of objects")
        if not all("facts" in row for row in rows):
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path}: the facts of a GPU are wrong: 'facts' is missing")
        return rows

    def _gpu(self, uuid: str) -> dict[str, Any]:
        rows = (row for row in self._gpus() if isinstance(row.get("facts"), dict))
        return next((row for row in rows if row["facts"].get("uuid") == uuid), {})

    def _made(self, cls: type[T], plain: object, what: str) -> T:
        try:
            return from_plain(cls, plain)
        except WireError as error:
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path}: {what} wrong: {error}") from None

    def driver(self) -> str | None:
        return self._read().get("driver")

    def cuda(self) -> str | None:
        return self._read().get("cuda")

    def facts(self) -> tuple[GpuFacts, ...]:
        return tuple(self._made(GpuFacts, row.get("facts"), "the facts of a GPU are") for row in self._gpus())

    def state(self, uuid: str) -> GpuState:
        return self._made(GpuState, self._gpu(uuid).get("state") or {}, f"the state of {uuid} is")

    def processes(self, uuid: str) -> tuple[GpuProcess, ...] | None:
        rows = self._gpu(uuid).get("processes")
        if rows is None:
            return None
        what = f"the processes of {uuid} are"
        if not isinstance(rows, list) or not all(isinstance(row, dict) and "gpu_uuid" not in row for row in rows):
            raise LeaseError(f"SGDIFF_NVML_FILE={self.path}: {what} wrong: no list of objects without `gpu_uuid`")
        return tuple(self._made(GpuProcess, {**row, "gpu_uuid": uuid}, what) for row in rows)

    def thermal_ns(self, uuid: str) -> int | None:
        told = self._gpu(uuid).get("thermal_ns")
        return told if isinstance(told, int) else None

    def linked(self, one: str, other: str) -> bool | None:
        links = self._read().get("links")
        return None if links is None else any({one, other} == set(pair) for pair in links)

    def xids(self) -> tuple[GpuEvent, ...]:
        return tuple(map(GpuEvent.of_text, self._read().get("xids", ())))
