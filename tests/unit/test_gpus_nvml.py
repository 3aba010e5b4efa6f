"""The real reader on a stand-in for pynvml that answers what a real H200 answered, and the reader of files."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from pytest_sgdiff.data import GpuProcess, GpuState
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
        "nvidia-smi work, and was the container started with its GPUs (docker run --gpus all)?"
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
    assert reader.xids() == (f"{UUID}: Xid 79",)
    assert reader.xids() == ()


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
