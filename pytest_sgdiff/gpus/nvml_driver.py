"""The real `NvmlReader`, on nvidia-ml-py.

Every call is wrapped. All names are those of nvidia-ml-py 13; older drivers lack some of the symbols, older bindings
some of the functions, cards and MIG slices some of the counters, and what a call then raises need not be an NVMLError.
All of it comes to the same: not told.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal

from pytest_sgdiff.data import GpuEvent, GpuFacts, GpuProcess, GpuState
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.printable import printable

MIB = 1024 * 1024
_HIGHEST_PID = 1 << 22
"""PID_MAX_LIMIT of the kernel. Beyond it, as for 0 and -1, there is no process: the row was not filled in, or is of
another layout than the binding takes it for."""
_NOT_TOLD = (1 << 64) - 1
"""NVML_VALUE_NOT_AVAILABLE as the older bindings hand it on."""


class PynvmlReader:
    """`NvmlReader` on nvidia-ml-py. `module` stands in for `pynvml` in tests of this class itself."""

    def __init__(self, module: ModuleType | None = None) -> None:
        self._module: Any = module
        self._started = False
        self._handles: dict[str, Any] = {}
        self._listening: Any = None

    def _nvml(self) -> Any:
        """The started library. Raises LeaseError with the driver's own words and the fix."""
        if self._started:
            return self._module
        if self._module is None:
            self._module = _binding()
        try:
            self._module.nvmlInit()
        except AttributeError:
            raise LeaseError(_not_the_binding(self._module)) from None
        except Exception as error:  # not only NVMLError: a library that cannot be loaded is an OSError
            raise LeaseError(
                f"no GPU was found: the NVIDIA driver does not answer ({_words(error)}); is the driver installed, does "
                "nvidia-smi work, and was the container started with its GPUs (docker run --gpus "
                "all)? --sgdiff-gpus=none runs the cases that need no GPU"
            ) from None
        self._started = True
        return self._module

    def _ask(self, name: str, *args: Any, read: Callable[[Any], Any] = lambda told: told) -> Any:
        """One call of NVML, and what `read` takes of its answer; None for whatever this driver, card or binding lacks,
        cannot answer, or answers in another form."""
        nvml = self._nvml()
        try:
            return read(getattr(nvml, name)(*args))
        except Exception:
            # Of a driver without the newest process lists NVMLLibraryMismatchError, which is no NVMLError; of an old
            # binding AttributeError; of names that are no UTF-8 UnicodeDecodeError; of foreign structures ctypes' own.
            return None

    def _handle(self, uuid: str) -> Any:
        if uuid not in self._handles:
            self.facts()
        return self._handles.get(uuid)

    def driver(self) -> str | None:
        return self._text("nvmlSystemGetDriverVersion")

    def cuda(self) -> str | None:
        number = self._ask("nvmlSystemGetCudaDriverVersion_v2", read=int)
        return None if not number else f"{number // 1000}.{number % 1000 // 10}"

    def _text(self, name: str, *args: Any) -> str | None:
        told: str | None = self._ask(name, *args, read=_text)
        return told

    def facts(self) -> tuple[GpuFacts, ...]:
        found: list[GpuFacts] = []
        for number in range(self._ask("nvmlDeviceGetCount", read=int) or 0):
            handle = self._ask("nvmlDeviceGetHandleByIndex", number)
            if handle is None:  # a card that fell off the bus is counted but cannot be had
                continue
            whole = self._facts(handle, number)
            found.append(whole)
            self._handles[whole.uuid] = handle
            if whole.mig_enabled:
                found += self._slices(handle, whole)
        return tuple(found)

    def _facts(self, handle: Any, number: int) -> GpuFacts:
        bus = self._ask("nvmlDeviceGetPciInfo", handle, read=lambda pci: _text(pci.busId))
        return GpuFacts(
            uuid=self._text("nvmlDeviceGetUUID", handle) or f"GPU-unknown-{number}",
            nvml_index=number,
            name=self._text("nvmlDeviceGetName", handle) or "NVIDIA GPU",
            memory_mb=self._ask("nvmlDeviceGetMemoryInfo", handle, read=_total_mb),
            pci=bus,
            numa_node=None if bus is None else numa_node_of(bus),
            mig_enabled=self._ask("nvmlDeviceGetMigMode", handle, read=lambda modes: bool(modes[0])),
            compute_mode=self._ask("nvmlDeviceGetComputeMode", handle, read=int),
            fabric_state=self._fabric_state(handle),
            power_limit_w=self._ask("nvmlDeviceGetEnforcedPowerLimit", handle, read=_watts),
            sm_clock_max_mhz=self._ask("nvmlDeviceGetMaxClockInfo", handle, 1, read=int),  # NVML_CLOCK_SM
            mem_clock_max_mhz=self._ask("nvmlDeviceGetMaxClockInfo", handle, 2, read=int),  # NVML_CLOCK_MEM
            persistence=self._ask("nvmlDeviceGetPersistenceMode", handle, read=bool),
        )

    def _slices(self, parent: Any, whole: GpuFacts) -> list[GpuFacts]:
        slices = []
        for place in range(self._ask("nvmlDeviceGetMaxMigDeviceCount", parent, read=int) or 0):
            handle = self._ask("nvmlDeviceGetMigDeviceHandleByIndex", parent, place)
            uuid = None if handle is None else self._text("nvmlDeviceGetUUID", handle)
            if uuid is None:
                continue
            name = self._text("nvmlDeviceGetName", handle) or f"{whole.name} MIG"
            self._handles[uuid] = handle
            slices.append(
                GpuFacts(
                    uuid=uuid,
                    nvml_index=whole.nvml_index,
                    name=whole.name,
                    memory_mb=self._ask("nvmlDeviceGetMemoryInfo", handle, read=_total_mb),
                    pci=whole.pci,
                    numa_node=whole.numa_node,
                    mig_profile=name.rpartition("MIG")[2].strip() or "MIG",
                    parent=whole.uuid,
                    power_limit_w=whole.power_limit_w,
                    sm_clock_max_mhz=whole.sm_clock_max_mhz,
                    mem_clock_max_mhz=whole.mem_clock_max_mhz,
                    persistence=whole.persistence,
                )
            )
        return slices

    def _fabric_state(self, handle: Any) -> int | None:
        info = self._ask("c_nvmlGpuFabricInfoV_t")
        told: int | None = None
        if info is not None:
            told = self._ask("nvmlDeviceGetGpuFabricInfoV", handle, ctypes.byref(info), read=lambda _: int(info.state))
        return told

    def state(self, uuid: str) -> GpuState:
        handle = self._handle(uuid)
        if handle is None:
            return GpuState()
        # Only version 2 tells `used` and `reserved` apart: version 1 reads 645 MB on an idle H200.
        version = getattr(self._nvml(), "nvmlMemory_v2", None)
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons", handle, read=int)
        if reasons is None:
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle, read=int)
        return GpuState(
            used_mb=self._ask("nvmlDeviceGetMemoryInfo", handle, version, read=_used_mb),
            util_pct=self._ask("nvmlDeviceGetUtilizationRates", handle, read=lambda rates: int(rates.gpu)),
            sm_mhz=self._ask("nvmlDeviceGetClockInfo", handle, 1, read=int),
            mem_mhz=self._ask("nvmlDeviceGetClockInfo", handle, 2, read=int),
            power_w=self._ask("nvmlDeviceGetPowerUsage", handle, read=_watts),
            temperature_c=self._ask("nvmlDeviceGetTemperature", handle, 0, read=int),  # NVML_TEMPERATURE_GPU
            reasons=reasons,
        )

    def processes(self, uuid: str) -> tuple[GpuProcess, ...] | None:
        handle = self._handle(uuid)
        if handle is None:
            return None
        lists = {
            name: self._ask(f"nvmlDeviceGet{name}RunningProcesses", handle, read=_rows)
            for name in ("Compute", "Graphics", "MPSCompute")
        }
        if all(rows is None for rows in lists.values()):
            return None
        memory = {pid: used_mb for rows in lists.values() for pid, used_mb in rows or ()}
        computing = {pid for name, rows in lists.items() if name != "Graphics" for pid, _ in rows or ()}
        # What the compute list would say of a process that draws is not known where there is none.
        drawing: Literal["graphics"] | None = None if lists["Compute"] is None else "graphics"
        return tuple(
            GpuProcess(
                gpu_uuid=uuid,
                pid=pid,
                name=self._text("nvmlSystemGetProcessName", pid),
                used_mb=used_mb,
                work="compute" if pid in computing else drawing,
            )
            for pid, used_mb in memory.items()
        )

    def thermal_ns(self, uuid: str) -> int | None:
        handle = self._handle(uuid)
        told: int | None = None
        if handle is not None:
            # NVML_PERF_POLICY_THERMAL
            told = self._ask("nvmlDeviceGetViolationStatus", handle, 1, read=lambda status: int(status.violationTime))
        return told

    def linked(self, one: str, other: str) -> bool | None:
        first, second = self._handle(one), self._handle(other)
        if first is None or second is None:
            return None
        told = self._ask("nvmlDeviceGetP2PStatus", first, second, 2)  # NVML_P2P_CAPS_INDEX_NVLINK
        return None if told is None else told == 0

    def xids(self) -> tuple[GpuEvent, ...]:
        if self._listening is None:
            self._listening = self._ask("nvmlEventSetCreate")
            if self._listening is not None:
                for handle in self._handles.values():
                    self._ask("nvmlDeviceRegisterEvents", handle, 8, self._listening)  # nvmlEventTypeXidCriticalError
            return ()
        told: list[GpuEvent] = []
        while len(told) < 32:
            # Raises NVMLError_Timeout if there is none.
            event = self._ask("nvmlEventSetWait_v2", self._listening, 0, read=lambda e: (e.device, int(e.eventData)))
            device, number = event or (None, 0)
            if not number:  # there is no Xid 0: an answer that was not filled in
                break
            told.append(GpuEvent(kind="xid", gpu_uuid=self._text("nvmlDeviceGetUUID", device) or "", number=number))
        return tuple(dict.fromkeys(told))


def _binding() -> ModuleType:
    """The module `pynvml` of nvidia-ml-py. Raises LeaseError if there is none, or another one of that name."""
    try:
        with warnings.catch_warnings():
            # The package pynvml says of itself that it is out of date; where warnings are errors it could not be had.
            warnings.simplefilter("ignore")
            import pynvml
    except ImportError:
        raise LeaseError(
            "no GPU was found: the package nvidia-ml-py, which asks the NVIDIA driver, is not installed; "
            "pip install nvidia-ml-py"
        ) from None
    except Exception as error:  # whatever a module of that name does when it is imported
        raise LeaseError(
            f"no GPU was found: the module pynvml, which asks the NVIDIA driver, cannot be imported ({_words(error)}); "
            "pip install --force-reinstall nvidia-ml-py"
        ) from None
    module: ModuleType = pynvml
    return module


def _not_the_binding(module: Any) -> str:
    where = getattr(module, "__file__", None) or "the module pynvml"
    return (
        f"no GPU was found: {where} is not the module pynvml of nvidia-ml-py, which asks the NVIDIA driver; rename "
        "or remove it, then pip install --force-reinstall nvidia-ml-py"
    )


def _words(error: Exception) -> str:
    """What an error says, its class where it says nothing or cannot say it."""
    try:
        return printable(str(error)) or type(error).__name__
    except Exception:  # NVMLError asks the library for its words
        return type(error).__name__


def _rows(rows: Any) -> list[tuple[int, int | None]]:
    """PID and memory (MiB, None where not told) of each process."""
    told = []
    for row in rows:
        pid, used = int(row.pid), getattr(row, "usedGpuMemory", None)
        if 0 < pid <= _HIGHEST_PID:
            told.append((pid, None if used is None or used >= _NOT_TOLD else int(used) // MIB))
    return told


def _total_mb(memory: Any) -> int:
    return int(memory.total) // MIB


def _used_mb(memory: Any) -> int | None:
    """`used` of version 2 leaves `reserved` out on the driver read here (0 used, 645 MB reserved, idle); where a driver
    counts it in, NVML's documentation lets it be taken off again."""
    used, reserved = getattr(memory, "used", None), getattr(memory, "reserved", None)
    return None if used is None or reserved is None else _without(used, reserved, memory) // MIB


def _watts(milliwatts: Any) -> float:
    return float(milliwatts) / 1000


def numa_node_of(bus: str) -> int | None:
    """The NUMA node of a PCI address such as `00000000:00:06.0`; None where the kernel has none for it (-1)."""
    domain, _, rest = bus.partition(":")
    try:
        with open(f"/sys/bus/pci/devices/{domain[-4:]}:{rest}/numa_node".lower(), encoding="ascii") as file:
            node = int(file.read())
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None


def _without(used: int, reserved: int, memory: Any) -> int:
    """Bytes in use by programs: whether `used` holds `reserved` shows in whether the parts sum up to the total."""
    free, total = getattr(memory, "free", None), getattr(memory, "total", None)
    counted_in = (
        free is not None and total is not None and abs(total - free - used) < abs(total - free - used - reserved)
    )
    return max(0, used - reserved) if counted_in else used


def _text(value: Any) -> str | None:
    """NVML's strings: `bytes` in older bindings, a name that is not known is None. A process chooses its own name."""
    if value is None:
        return None
    return printable(value.decode(errors="replace") if isinstance(value, bytes) else str(value))
