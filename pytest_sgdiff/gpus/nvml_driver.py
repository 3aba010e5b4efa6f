"""The real `NvmlReader`, on nvidia-ml-py.

Every call is wrapped. All names are those of nvidia-ml-py 13; older drivers lack some of the symbols, older bindings
some of the functions, cards and MIG slices some of the counters, which all comes to the same: not told.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import ModuleType
from typing import Any

from pytest_sgdiff.data import GpuFacts, GpuProcess, GpuState
from pytest_sgdiff.errors import LeaseError

MIB = 1024 * 1024


class PynvmlReader:
    """`NvmlReader` on nvidia-ml-py. `module` stands in for `pynvml` in tests of this class itself."""

    def __init__(self, module: ModuleType | None = None) -> None:
        self._module: Any = module
        self._started = False
        self._handles: dict[str, Any] = {}
        self._listening: Any = None

    def _nvml(self) -> Any:
        """The started library. Raises LeaseError with the driver's own words and the cure."""
        if self._started:
            return self._module
        if self._module is None:
            try:
                import pynvml
            except ImportError:
                raise LeaseError(
                    "no GPU was found: the package nvidia-ml-py, which asks the NVIDIA driver, is not installed; "
                    "pip install nvidia-ml-py"
                ) from None
            self._module = pynvml
        try:
            self._module.nvmlInit()
        except self._module.NVMLError as error:
            raise LeaseError(
                f"no GPU was found: the NVIDIA driver does not answer ({error}); is the driver installed, does "
                "nvidia-smi work, and was the container started with its GPUs (docker run --gpus all)?"
            ) from None
        self._started = True
        return self._module

    def _ask(self, name: str, *args: Any) -> Any:
        """One call of NVML; None for whatever this driver, card or binding does not have."""
        nvml = self._nvml()
        function: Callable[..., Any] | None = getattr(nvml, name, None)
        if function is None:
            return None
        try:
            return function(*args)
        except nvml.NVMLError:
            return None

    def _handle(self, uuid: str) -> Any:
        if uuid not in self._handles:
            self.facts()
        return self._handles.get(uuid)

    def driver(self) -> str | None:
        return _text(self._ask("nvmlSystemGetDriverVersion"))

    def cuda(self) -> str | None:
        number = self._ask("nvmlSystemGetCudaDriverVersion_v2")
        return None if not number else f"{number // 1000}.{number % 1000 // 10}"

    def facts(self) -> tuple[GpuFacts, ...]:
        found: list[GpuFacts] = []
        for number in range(self._ask("nvmlDeviceGetCount") or 0):
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
        mig = self._ask("nvmlDeviceGetMigMode", handle)
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
        power = self._ask("nvmlDeviceGetEnforcedPowerLimit", handle)
        persistence = self._ask("nvmlDeviceGetPersistenceMode", handle)
        pci = self._ask("nvmlDeviceGetPciInfo", handle)
        bus = None if pci is None else _text(pci.busId)
        return GpuFacts(
            uuid=_text(self._ask("nvmlDeviceGetUUID", handle)) or f"GPU-unknown-{number}",
            nvml_index=number,
            name=_text(self._ask("nvmlDeviceGetName", handle)) or "NVIDIA GPU",
            memory_mb=None if memory is None else int(memory.total) // MIB,
            pci=bus,
            numa_node=None if bus is None else numa_node_of(bus),
            mig_enabled=None if mig is None else bool(mig[0]),
            compute_mode=self._ask("nvmlDeviceGetComputeMode", handle),
            fabric_state=self._fabric_state(handle),
            power_limit_w=None if power is None else power / 1000,
            sm_clock_max_mhz=self._ask("nvmlDeviceGetMaxClockInfo", handle, 1),  # NVML_CLOCK_SM
            mem_clock_max_mhz=self._ask("nvmlDeviceGetMaxClockInfo", handle, 2),  # NVML_CLOCK_MEM
            persistence=None if persistence is None else bool(persistence),
        )

    def _slices(self, parent: Any, whole: GpuFacts) -> list[GpuFacts]:
        slices = []
        for place in range(self._ask("nvmlDeviceGetMaxMigDeviceCount", parent) or 0):
            handle = self._ask("nvmlDeviceGetMigDeviceHandleByIndex", parent, place)
            uuid = None if handle is None else _text(self._ask("nvmlDeviceGetUUID", handle))
            if uuid is None:
                continue
            name = _text(self._ask("nvmlDeviceGetName", handle)) or f"{whole.name} MIG"
            memory = self._ask("nvmlDeviceGetMemoryInfo", handle)
            self._handles[uuid] = handle
            slices.append(
                GpuFacts(
                    uuid=uuid,
                    nvml_index=whole.nvml_index,
                    name=whole.name,
                    memory_mb=None if memory is None else int(memory.total) // MIB,
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
        make = getattr(self._nvml(), "c_nvmlGpuFabricInfoV_t", None)
        if make is None:
            return None
        info = make()
        told = self._ask("nvmlDeviceGetGpuFabricInfoV", handle, ctypes.byref(info))
        return None if told is None else int(info.state)

    def state(self, uuid: str) -> GpuState:
        handle = self._handle(uuid)
        if handle is None:
            return GpuState()
        # Only version 2 tells `used` and `reserved` apart: version 1 reads 645 MB on an idle H200.
        memory = self._ask("nvmlDeviceGetMemoryInfo", handle, getattr(self._nvml(), "nvmlMemory_v2", None))
        reserved = getattr(memory, "reserved", None)
        used = getattr(memory, "used", None)
        util = self._ask("nvmlDeviceGetUtilizationRates", handle)
        power = self._ask("nvmlDeviceGetPowerUsage", handle)
        reasons = self._ask("nvmlDeviceGetCurrentClocksEventReasons", handle)
        if reasons is None:
            reasons = self._ask("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        return GpuState(
            # `used` of version 2 leaves `reserved` out on the driver read here (0 used, 645 MB reserved, idle);
            # where a driver counts it in, NVML's documentation lets it be taken off again.
            used_mb=None if used is None or reserved is None else _without(used, reserved, memory) // MIB,
            util_pct=None if util is None else int(util.gpu),
            sm_mhz=self._ask("nvmlDeviceGetClockInfo", handle, 1),
            mem_mhz=self._ask("nvmlDeviceGetClockInfo", handle, 2),
            power_w=None if power is None else power / 1000,
            temperature_c=self._ask("nvmlDeviceGetTemperature", handle, 0),  # NVML_TEMPERATURE_GPU
            reasons=None if reasons is None else int(reasons),
        )

    def processes(self, uuid: str) -> tuple[GpuProcess, ...] | None:
        handle = self._handle(uuid)
        listed = None
        seen: dict[int, GpuProcess] = {}
        for name in (
            "nvmlDeviceGetComputeRunningProcesses",
            "nvmlDeviceGetGraphicsRunningProcesses",
            "nvmlDeviceGetMPSComputeRunningProcesses",
        ):
            rows = None if handle is None else self._ask(name, handle)
            if rows is None:
                continue
            listed = rows
            for row in rows:
                used = getattr(row, "usedGpuMemory", None)
                seen[row.pid] = GpuProcess(
                    gpu_uuid=uuid,
                    pid=row.pid,
                    name=_text(self._ask("nvmlSystemGetProcessName", row.pid)),
                    used_mb=None if used is None else used // MIB,
                )
        return None if listed is None else tuple(seen.values())

    def thermal_ns(self, uuid: str) -> int | None:
        handle = self._handle(uuid)
        told = None if handle is None else self._ask("nvmlDeviceGetViolationStatus", handle, 1)  # ..._POLICY_THERMAL
        return None if told is None else int(told.violationTime)

    def linked(self, one: str, other: str) -> bool | None:
        first, second = self._handle(one), self._handle(other)
        if first is None or second is None:
            return None
        told = self._ask("nvmlDeviceGetP2PStatus", first, second, 2)  # NVML_P2P_CAPS_INDEX_NVLINK
        return None if told is None else told == 0

    def xids(self) -> tuple[str, ...]:
        if self._listening is None:
            self._listening = self._ask("nvmlEventSetCreate")
            if self._listening is not None:
                for handle in self._handles.values():
                    self._ask("nvmlDeviceRegisterEvents", handle, 8, self._listening)  # nvmlEventTypeXidCriticalError
            return ()
        told: list[str] = []
        while len(told) < 32:
            event = self._ask("nvmlEventSetWait_v2", self._listening, 0)  # raises NVMLError_Timeout if there is none
            if event is None:
                break
            uuid = _text(self._ask("nvmlDeviceGetUUID", event.device)) or "a GPU"
            told.append(f"{uuid}: Xid {event.eventData}")
        return tuple(told)


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
    """NVML's strings: `bytes` in older bindings, a name that is not known is None."""
    if value is None:
        return None
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
