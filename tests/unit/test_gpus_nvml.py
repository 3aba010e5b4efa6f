"""The real reader on a stand-in for pynvml that answers what a real H200 answered, and the reader of files."""

from __future__ import annotations

import ctypes
import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pynvml
import pytest
from packaging.requirements import Requirement

from pytest_sgdiff.data import GpuEvent, GpuProcess, GpuState
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.gpus.devices import inventory, use_of
from pytest_sgdiff.gpus.nvml import default_reader
from pytest_sgdiff.gpus.nvml_driver import PynvmlReader
from pytest_sgdiff.gpus.nvml_file import FileReader

DATA = Path(__file__).parents[1] / "data" / "nvml"
READING = json.loads((DATA / "h200-reading.json").read_text())
UUID = "GPU-00000000-0000-4000-8000-00000000000a"
FACTS = {"uuid": "GPU-0", "nvml_index": 0, "name": "NVIDIA H200"}


class NVMLError(Exception):
    pass


def pynvml_like(*, lacking: tuple[str, ...] = (), unsupported: tuple[str, ...] = (), busy: bool = False) -> ModuleType:
    """A module with pynvml's functions and the values read from an H200; `lacking` ones do not exist at all."""
    static, dynamic = READING["static"], READING["busy_dyn" if busy else "idle_dyn"]
    rows = (
        [SimpleNamespace(**row) for row in READING["busy_procs"]["nvmlDeviceGetComputeRunningProcesses"]]
        if busy
        else []
    )
    memory = {None: dynamic["nvmlDeviceGetMemoryInfo"], 2: dynamic["memory_v2"]}
    clocks = {1: dynamic["clk_sm"], 2: dynamic["clk_mem"]}
    highest = {1: static["max_sm"], 2: static["max_mem"]}
    names = {
        "nvmlInit": lambda: None,
        "nvmlSystemGetDriverVersion": lambda: READING["driver"],
        "nvmlSystemGetCudaDriverVersion_v2": lambda: READING["cuda_driver"],
        "nvmlSystemGetProcessName": lambda pid: "/engine/venv/bin/python3",
        "nvmlDeviceGetCount": lambda: READING["count"],
        "nvmlDeviceGetHandleByIndex": lambda number: f"handle {number}",
        "nvmlDeviceGetUUID": lambda h: static["nvmlDeviceGetUUID"],
        "nvmlDeviceGetName": lambda h: static["nvmlDeviceGetName"].encode(),
        "nvmlDeviceGetPciInfo": lambda h: SimpleNamespace(**static["nvmlDeviceGetPciInfo"]),
        "nvmlDeviceGetMigMode": lambda h: static["nvmlDeviceGetMigMode"],
        "nvmlDeviceGetComputeMode": lambda h: static["nvmlDeviceGetComputeMode"],
        "nvmlDeviceGetPersistenceMode": lambda h: static["nvmlDeviceGetPersistenceMode"],
        "nvmlDeviceGetEnforcedPowerLimit": lambda h: static["nvmlDeviceGetEnforcedPowerLimit"],
        "nvmlDeviceGetMaxClockInfo": lambda h, kind: highest[kind],
        "nvmlDeviceGetClockInfo": lambda h, kind: clocks[kind],
        "nvmlDeviceGetMemoryInfo": lambda h, version=None: SimpleNamespace(**memory[version]),
        "nvmlDeviceGetUtilizationRates": lambda h: SimpleNamespace(**dynamic["nvmlDeviceGetUtilizationRates"]),
        "nvmlDeviceGetPowerUsage": lambda h: dynamic["nvmlDeviceGetPowerUsage"],
        "nvmlDeviceGetTemperature": lambda h, sensor: dynamic["temp_gpu"],
        "nvmlDeviceGetCurrentClocksEventReasons": lambda h: dynamic["nvmlDeviceGetCurrentClocksEventReasons"],
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda h: dynamic["nvmlDeviceGetCurrentClocksThrottleReasons"],
        "nvmlDeviceGetComputeRunningProcesses": lambda h: rows,
        "nvmlDeviceGetGraphicsRunningProcesses": lambda h: [],
        "nvmlDeviceGetMPSComputeRunningProcesses": lambda h: [],
        "nvmlDeviceGetViolationStatus": lambda h, policy: SimpleNamespace(**dynamic[f"violation_{policy}"]),
    }
    module = ModuleType("pynvml")
    module.NVMLError = NVMLError
    module.nvmlMemory_v2 = 2

    def refuse(*_: object) -> None:
        raise NVMLError("Not Supported")

    for name, function in names.items():
        if name not in lacking:
            setattr(module, name, refuse if name in unsupported else function)
    return module


def test_facts_of_a_real_h200() -> None:
    (fact,) = PynvmlReader(pynvml_like()).facts()
    assert (fact.uuid, fact.nvml_index, fact.name, fact.pci) == (UUID, 0, "NVIDIA H200", "00000000:00:06.0")
    assert (fact.memory_mb, fact.power_limit_w, fact.sm_clock_max_mhz, fact.mem_clock_max_mhz) == (
        143771,
        700.0,
        1980,
        3201,
    )
    assert (fact.persistence, fact.mig_enabled, fact.compute_mode, fact.parent) == (True, False, 0, None)


def test_an_idle_h200_uses_no_memory_though_version_1_of_the_call_says_615_mib() -> None:
    reader = PynvmlReader(pynvml_like())
    assert reader.state(UUID) == GpuState(
        used_mb=0, util_pct=0, sm_mhz=345, mem_mhz=3201, power_w=84.462, temperature_c=38, reasons=1
    )
    assert reader.processes(UUID) == ()


def test_a_busy_h200_lists_its_process_and_its_power_cap() -> None:
    reader = PynvmlReader(pynvml_like(busy=True))
    state = reader.state(UUID)
    assert (state.used_mb, state.util_pct, state.sm_mhz, state.reasons) == (1010, 99, 1470, 4)
    assert reader.processes(UUID) == (
        GpuProcess(gpu_uuid=UUID, pid=419, name="/engine/venv/bin/python3", used_mb=1002),
    )


def test_a_driver_that_counts_its_reserve_as_used_gets_it_taken_off() -> None:
    module = pynvml_like()
    counted = {"total": 1000 << 20, "free": 300 << 20, "used": 700 << 20, "reserved": 615 << 20}
    module.nvmlDeviceGetMemoryInfo = lambda h, version=None: SimpleNamespace(**counted)
    assert PynvmlReader(module).state(UUID).used_mb == 85


@pytest.mark.parametrize("how", ["lacking", "unsupported"])
@pytest.mark.parametrize(
    ("call", "counter"),
    [
        ("nvmlDeviceGetMemoryInfo", "used_mb"),
        ("nvmlDeviceGetUtilizationRates", "util_pct"),
        ("nvmlDeviceGetClockInfo", "sm_mhz"),
        ("nvmlDeviceGetPowerUsage", "power_w"),
        ("nvmlDeviceGetTemperature", "temperature_c"),
    ],
)
def test_what_a_driver_does_not_tell_is_unknown_and_never_zero(how: str, call: str, counter: str) -> None:
    state = PynvmlReader(pynvml_like(**{how: (call,)})).state(UUID)
    assert getattr(state, counter) is None
    assert state.reasons == 1


def test_the_older_name_of_the_reasons_is_tried() -> None:
    older = pynvml_like(lacking=("nvmlDeviceGetCurrentClocksEventReasons",), busy=True)
    neither = pynvml_like(
        lacking=("nvmlDeviceGetCurrentClocksEventReasons",), unsupported=("nvmlDeviceGetCurrentClocksThrottleReasons",)
    )
    assert PynvmlReader(older).state(UUID).reasons == 4
    assert PynvmlReader(neither).state(UUID).reasons is None


def test_processes_are_unknown_only_if_no_list_is_told() -> None:
    names = ("Compute", "Graphics", "MPSCompute")
    calls = tuple(f"nvmlDeviceGet{name}RunningProcesses" for name in names)
    assert PynvmlReader(pynvml_like(unsupported=calls)).processes(UUID) is None
    assert PynvmlReader(pynvml_like(unsupported=calls[:1])).processes(UUID) == ()


def test_mig_slices_are_found_by_their_own_uuids() -> None:
    module = pynvml_like()
    whole = module.nvmlDeviceGetUUID
    module.nvmlDeviceGetMigMode = lambda h: [1, 1]
    module.nvmlDeviceGetMaxMigDeviceCount = lambda h: 7
    slices = {0: "MIG-aaaa", 2: "MIG-bbbb"}

    def by_index(handle: str, place: int) -> str:
        if place not in slices:
            raise NVMLError("Not Found")
        return slices[place]

    module.nvmlDeviceGetMigDeviceHandleByIndex = by_index
    module.nvmlDeviceGetUUID = lambda h: h if h.startswith("MIG") else whole(h)
    module.nvmlDeviceGetName = lambda h: "NVIDIA H200 MIG 1g.18gb" if h.startswith("MIG") else "NVIDIA H200"
    facts = PynvmlReader(module).facts()
    assert [(f.uuid, f.mig_profile, f.parent, f.mig_enabled) for f in facts] == [
        (UUID, None, None, True),
        ("MIG-aaaa", "1g.18gb", UUID, None),
        ("MIG-bbbb", "1g.18gb", UUID, None),
    ]


def test_a_driver_that_does_not_answer_says_why_and_what_to_do() -> None:
    module = pynvml_like(unsupported=("nvmlInit",))
    with pytest.raises(LeaseError) as caught:
        PynvmlReader(module).facts()
    assert str(caught.value) == (
        "no GPU was found: the NVIDIA driver does not answer (Not Supported); is the driver installed, does "
        "nvidia-smi work, and was the container started with its GPUs (docker run --gpus all)? "
        "--sgdiff-gpus=none runs the cases that need no GPU"
    )


def test_xids_are_listened_to_from_the_first_question_on() -> None:
    module = pynvml_like()
    registered, waiting = [], [SimpleNamespace(device="handle 0", eventData=79)]
    module.nvmlEventSetCreate = lambda: "events"
    module.nvmlDeviceRegisterEvents = lambda handle, kind, events: registered.append((handle, kind))

    def wait(events: str, timeout_ms: int) -> SimpleNamespace:
        if not waiting:
            raise NVMLError("Timeout")
        return waiting.pop()

    module.nvmlEventSetWait_v2 = wait
    reader = PynvmlReader(module)
    reader.facts()
    assert reader.xids() == ()
    assert registered == [("handle 0", 8)]
    assert reader.xids() == (GpuEvent(kind="xid", gpu_uuid=UUID, number=79),)
    assert reader.xids() == ()


def test_an_event_without_a_number_is_no_error_and_one_that_comes_often_is_told_once() -> None:
    module = pynvml_like()
    waiting = [SimpleNamespace(device="handle 0", eventData=number) for number in (0, 79, 79, 13)]
    module.nvmlEventSetCreate = lambda: "events"
    module.nvmlEventSetWait_v2 = lambda events, timeout_ms: waiting.pop()
    reader = PynvmlReader(module)
    reader.xids()
    assert reader.xids() == tuple(GpuEvent(kind="xid", gpu_uuid=UUID, number=number) for number in (13, 79))


def test_the_environment_may_name_a_file_in_the_place_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGDIFF_NVML_FILE", str(DATA / "h200-x4.json"))
    reader = default_reader()
    assert [fact.nvml_index for fact in reader.facts()] == [0, 1, 2, 3]
    monkeypatch.delenv("SGDIFF_NVML_FILE")
    assert isinstance(default_reader(), PynvmlReader)


def test_a_file_is_read_anew_at_each_question_and_null_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "nvml.json"
    content = json.loads((DATA / "h200-x4.json").read_text())
    uuid = content["gpus"][0]["facts"]["uuid"]
    content["gpus"][0]["state"]["util_pct"] = None
    content["gpus"][0]["processes"] = None
    path.write_text(json.dumps(content))
    reader = FileReader(str(path))
    assert reader.state(uuid).util_pct is None
    assert reader.processes(uuid) is None
    content["gpus"][0]["state"]["util_pct"] = 99
    path.write_text(json.dumps(content))
    assert reader.state(uuid).util_pct == 99
    path.write_text('{"error": "Driver Not Loaded"}')
    with pytest.raises(LeaseError) as caught:
        reader.facts()
    assert str(caught.value) == "no GPU was found: the NVIDIA driver does not answer (Driver Not Loaded)"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "holds list, not an object"),
        ({"gpus": [{}]}, "the facts of a GPU are wrong: 'facts'"),
        ({"gpus": [{"facts": FACTS, "state": {"mhz": 1}}]}, "the state of GPU-0 is wrong: "),
        (
            {"gpus": [{"facts": FACTS, "processes": [{"gpu_uuid": "GPU-0", "pid": 1}]}]},
            "the processes of GPU-0 are wrong",
        ),
        ({"gpus": 4}, "`gpus` is no list of objects"),
        ({"gpus": ["GPU-0"]}, "`gpus` is no list of objects"),
        ({"gpus": [{"facts": "GPU-0"}]}, "the facts of a GPU are wrong: "),
        ({"gpus": [{"facts": {**FACTS, "nvml_index": "0"}}]}, "nvml_index: must be a whole number"),
        ({"gpus": [{"facts": {**FACTS, "pci": 7}}]}, "the facts of a GPU are wrong: pci"),
        ({"gpus": [{"facts": FACTS, "state": {"util_pct": "5"}}]}, "the state of GPU-0 is wrong: util_pct"),
        ({"gpus": [{"facts": FACTS, "processes": 7}]}, "the processes of GPU-0 are wrong"),
        ({"gpus": [{"facts": FACTS, "processes": [{"pid": "1"}]}]}, "pid: must be a whole number"),
        ({"gpus": [{"facts": FACTS, "processes": [{"pid": 1, "work": "mining"}]}]}, "work: "),
    ],
)
def test_a_file_that_is_written_wrongly_is_named_with_what_is_wrong(
    tmp_path: Path, content: object, problem: str
) -> None:
    path = tmp_path / "gpus.json"
    path.write_text(json.dumps(content))
    reader = FileReader(str(path))
    with pytest.raises(LeaseError) as caught:
        use_of(inventory(reader)[0], reader)
    assert str(caught.value).startswith(f"SGDIFF_NVML_FILE={path}")
    assert problem in str(caught.value)


def _error(code: int) -> Callable[[], Exception]:
    return lambda: pynvml.NVMLError(code)


# Every error that the real binding has a class for, one that it has none for, and what is no NVMLError at all.
RAISED: dict[str, Callable[[], Exception]] = {
    **{name: _error(getattr(pynvml, name)) for name in dir(pynvml) if re.fullmatch("NVML_ERROR_[A-Z_0-9]+", name)},
    "an unknown code": _error(4711),
    "mismatch": lambda: pynvml.NVMLLibraryMismatchError("Unversioned function called"),
    "old binding": lambda: AttributeError("module 'pynvml' has no attribute"),
    "missing library": lambda: OSError("libnvidia-ml.so.1: cannot open shared object file"),
    "ctypes": lambda: ctypes.ArgumentError("argument 1: wrong type"),
    "a name in latin-1": lambda: UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "unexpected end of data"),
    "a structure of another form": lambda: TypeError("byref() argument must be a ctypes instance"),
}
CALLS = (
    *("nvmlSystemGetDriverVersion", "nvmlSystemGetCudaDriverVersion_v2", "nvmlSystemGetProcessName"),
    *("nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetUUID", "nvmlDeviceGetName"),
    *("nvmlDeviceGetPciInfo", "nvmlDeviceGetMigMode", "nvmlDeviceGetComputeMode", "nvmlDeviceGetPersistenceMode"),
    *("nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetMaxClockInfo", "nvmlDeviceGetClockInfo"),
    *("nvmlDeviceGetMemoryInfo", "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPowerUsage"),
    *("nvmlDeviceGetTemperature", "nvmlDeviceGetCurrentClocksEventReasons"),
    *("nvmlDeviceGetCurrentClocksThrottleReasons", "nvmlDeviceGetComputeRunningProcesses"),
    *("nvmlDeviceGetGraphicsRunningProcesses", "nvmlDeviceGetMPSComputeRunningProcesses"),
    *("nvmlDeviceGetViolationStatus", "nvmlDeviceGetP2PStatus", "nvmlDeviceGetGpuFabricInfoV"),
    *("nvmlDeviceGetMaxMigDeviceCount", "nvmlDeviceGetMigDeviceHandleByIndex"),
    *("nvmlEventSetCreate", "nvmlDeviceRegisterEvents", "nvmlEventSetWait_v2"),
)


def everything(reader: PynvmlReader) -> dict[str, object]:
    """All that can be asked of a reader, twice where the first time only begins something."""
    reader.xids()
    return {
        "driver": reader.driver(),
        "cuda": reader.cuda(),
        "facts": reader.facts(),
        "state": reader.state(UUID),
        "processes": reader.processes(UUID),
        "thermal": reader.thermal_ns(UUID),
        "linked": reader.linked(UUID, UUID),
        "xids": reader.xids(),
    }


@pytest.mark.parametrize("call", CALLS)
def test_whatever_a_call_raises_is_not_told_and_takes_nothing_else_away(call: str) -> None:
    for make in RAISED.values():
        module = pynvml_like(busy=True)
        module.NVMLError = pynvml.NVMLError
        module.c_nvmlGpuFabricInfoV_t = pynvml.c_nvmlGpuFabricInfoV_t
        module.nvmlDeviceGetMigMode = lambda h: [1, 1]
        module.nvmlEventSetCreate = lambda: "events"

        def fail(*_: object, make: Callable[[], Exception] = make) -> None:
            raise make()

        setattr(module, call, fail)
        told = everything(PynvmlReader(module))
        seen = told["facts"] if call in ("nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex") else told["processes"]
        if call in ("nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex"):
            assert seen == ()
        elif call == "nvmlDeviceGetUUID":
            assert seen is None, "the GPU goes by another name"
        elif call == "nvmlDeviceGetComputeRunningProcesses":
            assert seen == ()
        elif call == "nvmlSystemGetProcessName":
            assert seen == (GpuProcess(gpu_uuid=UUID, pid=419, used_mb=1002),)
        else:
            assert seen == (GpuProcess(gpu_uuid=UUID, pid=419, name="/engine/venv/bin/python3", used_mb=1002),)


@pytest.mark.parametrize("answer", [None, "N/A", b"\xff", (), SimpleNamespace(), -1])
@pytest.mark.parametrize("call", CALLS)
def test_an_answer_of_another_form_is_not_told_either(call: str, answer: object) -> None:
    module = pynvml_like(busy=True)
    module.nvmlEventSetCreate = lambda: "events"
    setattr(module, call, lambda *_: answer)
    everything(PynvmlReader(module))


@pytest.mark.parametrize("kind", RAISED)
def test_a_driver_that_cannot_be_started_is_an_error_with_the_fix_whatever_it_raises(kind: str) -> None:
    module = pynvml_like()
    module.NVMLError = pynvml.NVMLError

    def fail() -> None:
        raise RAISED[kind]()

    module.nvmlInit = fail
    with pytest.raises(LeaseError) as caught:
        PynvmlReader(module).facts()
    assert str(caught.value).startswith("no GPU was found: ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("x = 1", "is not the module pynvml of nvidia-ml-py"),
        ("def nvmlInit(): raise OSError('libnvidia-ml.so.1: cannot open')", "does not answer (libnvidia-ml.so.1:"),
        ("1 / 0", "cannot be imported (division by zero)"),
        ("raise ImportError('no such thing')", "is not installed"),
    ],
)
def test_another_module_of_the_same_name_is_named_with_the_fix(tmp_path: Path, content: str, problem: str) -> None:
    """In a process of its own: `sgdiff gpus` as it is typed."""
    (tmp_path / "pynvml.py").write_text(content)
    script = "import sys; from pytest_sgdiff.cli import main; sys.exit(main(['gpus', '--lock-dir', sys.argv[1]]))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(tmp_path / "locks")],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert problem in done.stdout


class Driver470:
    """The installed binding's own code on the functions of a driver that lacks all that is newer than release 470."""

    newer = (
        *("_v3", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetGpuFabricInfoV"),
        "nvmlDeviceGetCurrentClocksEventReasons",
    )

    def pointer(self, name: str) -> Callable[..., int]:
        if name.endswith("Processes_v3") or name in self.newer:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)

        def call(*args: object) -> int:
            return self.answer(name, *args)

        return call

    def answer(self, name: str, *args: object) -> int:
        said: dict[str, bytes] = {
            "nvmlDeviceGetUUID": UUID.encode(),
            "nvmlDeviceGetName": b"NVIDIA A100-SXM4-80GB",
            "nvmlSystemGetDriverVersion": b"470.256.02",
            "nvmlSystemGetProcessName": b"/venv/bin/python3",
        }
        if name in said:
            args[-2].value = said[name]  # type: ignore[attr-defined]
        elif name == "nvmlDeviceGetCount_v2":
            args[0]._obj.value = 1  # type: ignore[attr-defined]
        elif name.startswith("nvmlDeviceGetPciInfo"):
            args[1]._obj.busId = b"00000000:01:00.0"  # type: ignore[attr-defined]
        return 0


class Driver580(Driver470):
    """One that has all of that, and lists processes with these rows."""

    newer = ()
    rows: tuple[tuple[int, int], ...] = ()

    def pointer(self, name: str) -> Callable[..., int]:
        return lambda *args: self.answer(name, *args)

    def answer(self, name: str, *args: object) -> int:
        if name == "nvmlDeviceGetComputeRunningProcesses_v3":
            args[1]._obj.value = len(self.rows)  # type: ignore[attr-defined]
            if args[2] is None:
                return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
            data = b"".join(struct.pack("<IxxxxQII", pid, used, 0, 0) for pid, used in self.rows)
            ctypes.memmove(args[2], data, len(data))
        return super().answer(name, *args)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Driver470], PynvmlReader]:
    """The reader on the nvidia-ml-py that is installed, over a driver's functions."""

    def reader(driver: Driver470) -> PynvmlReader:
        monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer", driver.pointer)
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
        return PynvmlReader(pynvml)

    return reader


def test_a_driver_without_the_newest_process_lists_does_not_tell_who_is_there(
    installed: Callable[[Driver470], PynvmlReader],
) -> None:
    """The binding then raises NVMLLibraryMismatchError, which is no NVMLError."""
    reader = installed(Driver470())
    (fact,) = reader.facts()
    assert (fact.uuid, fact.name, reader.driver()) == (UUID, "NVIDIA A100-SXM4-80GB", "470.256.02")
    assert reader.processes(UUID) is None
    assert use_of(inventory(reader)[0], reader) == ()


def test_rows_that_name_no_process_are_left_out(installed: Callable[[Driver470], PynvmlReader]) -> None:
    """PID 0 and -1, and what no Linux gives out: rows that were not filled in, or are of another layout."""
    driver = Driver580()
    driver.rows = ((4711, 518 << 20), (0, 0), (0xFFFFFFFF, 1 << 20), (545259520, 1 << 20), (1 << 22, 2 << 20))
    processes = installed(driver).processes(UUID)
    assert processes is not None
    assert [(one.pid, one.used_mb) for one in processes] == [(4711, 518), (1 << 22, 2)]


def test_no_release_of_the_binding_is_admitted_that_misreads_the_lists() -> None:
    """12.535.77 takes 32 bytes for a row, today's drivers fill in 24; all others from 12.535.108 on take 24."""
    (bound,) = [need for line in requires("pytest-sgdiff") or () if (need := Requirement(line)).name == "nvidia-ml-py"]
    assert not bound.specifier.contains("12.535.77")
    assert bound.specifier.contains("12.535.108")
    assert bound.specifier.contains("13.615.71")
    assert ctypes.sizeof(pynvml.c_nvmlProcessInfo_t) == 24


def test_what_a_process_is_listed_for_is_told_apart() -> None:
    module = pynvml_like()
    row = SimpleNamespace(pid=1, usedGpuMemory=18 << 20)
    module.nvmlDeviceGetGraphicsRunningProcesses = lambda h: [row, SimpleNamespace(pid=2, usedGpuMemory=None)]
    module.nvmlDeviceGetComputeRunningProcesses = lambda h: [SimpleNamespace(pid=2, usedGpuMemory=(1 << 64) - 1)]
    listed = PynvmlReader(module).processes(UUID)
    assert listed is not None
    assert [(one.pid, one.work, one.used_mb) for one in listed] == [(2, "compute", None), (1, "graphics", 18)]
    module.nvmlDeviceGetComputeRunningProcesses = lambda h: 1 / 0
    listed = PynvmlReader(module).processes(UUID)
    assert listed is not None
    assert [(one.pid, one.work) for one in listed] == [(1, None), (2, None)]


def test_a_name_that_a_process_chose_is_printable() -> None:
    module = pynvml_like(busy=True)
    module.nvmlSystemGetProcessName = lambda pid: b"/tmp/x\n::error::\x1b[31m\xff"
    reader = PynvmlReader(module)
    (process,) = reader.processes(UUID) or ()
    (use,) = use_of(inventory(reader)[0], reader)
    for text in (process.name, str(use)):
        assert text is not None
        assert "\\n" in text
        assert not re.search(r"[\x00-\x1f]", text)
