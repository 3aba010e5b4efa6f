"""What a watch sees of a launch, and which of it is a disturbance; on readings of a real H200 where there are some."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.data import (
    Disturbance,
    DisturbanceCode,
    Gpu,
    GpuEvent,
    GpuProcess,
    GpuSeries,
    GpuState,
    LaunchRecord,
    Watch,
)
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.files import procfs
from pytest_sgdiff.reports.launch_notes import notes, notes_of_all
from pytest_sgdiff.watch import Watcher, disturbances, sm_clock_mhz
from pytest_sgdiff.watch.watcher import lasting_growth, unlisted_mb
from tests.waiting import wait_for

UUID = "GPU-0"
GPU = Gpu(index=0, uuid=UUID, name="NVIDIA H200")
RECORDED = json.loads((Path(__file__).parents[1] / "data" / "nvml" / "h200-series.json").read_text())


def recorded(name: str, *, foreign: Sequence[GpuProcess] = ()) -> Watch:
    columns = {key: tuple(column) for key, column in RECORDED[name].items() if key != "processes"}
    return Watch(gpus=(GpuSeries(gpu_uuid=UUID, **columns),), foreign=tuple(foreign))


class Driver:
    """Answers from a script: one list of processes per look, the last repeated; everything else constant."""

    def __init__(
        self,
        looks: Sequence[Sequence[tuple[int, str, int]] | None] = ((),),
        state: GpuState | Callable[[int], GpuState] | None = None,
        xids: Sequence[GpuEvent] = (),
        heat: Sequence[int | None] = (None, None),
    ) -> None:
        self._looks = list(looks)
        self._state = state or GpuState(used_mb=0, util_pct=0, sm_mhz=1980, reasons=0)
        self._xids = [(), tuple(xids)]
        self._heat = list(heat)
        self.asked = 0

    def state(self, uuid: str) -> GpuState:
        return self._state(self.asked) if callable(self._state) else self._state

    def processes(self, uuid: str) -> tuple[GpuProcess, ...] | None:
        rows = self._looks[min(self.asked, len(self._looks) - 1)]
        self.asked += 1
        if rows is None:
            return None
        return tuple(GpuProcess(gpu_uuid=uuid, pid=pid, name=name, used_mb=used) for pid, name, used in rows)

    def thermal_ns(self, uuid: str) -> int | None:
        return self._heat.pop(0)

    def xids(self) -> tuple[GpuEvent, ...]:
        return self._xids.pop(0)


def watched(
    driver: Driver | None, looks: int, *, owns: Callable[[int], bool] = lambda pid: False, **more: object
) -> Watch:
    more = {"stolen_s": lambda: None, **more}
    watcher = Watcher([GPU], reader=driver, owns=owns, interval_s=0.01, **more)  # type: ignore[arg-type]
    with watcher:
        deadline = time.monotonic() + 5
        while driver is not None and driver.asked < looks - 1 and time.monotonic() < deadline:
            time.sleep(0.002)
    return watcher.watch


# ------------------------------------------------------------------------------------------------- real readings


def test_an_undisturbed_h200_is_at_its_power_cap_and_that_is_no_disturbance() -> None:
    watch, before = recorded("slow"), recorded("baseline")
    assert disturbances(watch, baseline=[before]) == ()
    assert notes(watch) == ("at its power cap in 5 of 6 samples, normal at full load",)


def test_a_real_contended_launch_shows_the_stranger_and_the_clocks_that_it_costs() -> None:
    """PID 5138 computed on the GPU all the time; 5161 and 5231 were the launch: its command and its worker."""
    stranger = GpuProcess(gpu_uuid=UUID, pid=5138, name="/usr/bin/python3", used_mb=714, when="start")
    found = disturbances(recorded("contended", foreign=[stranger]), baseline=[recorded("baseline"), None])
    assert found == (
        Disturbance(code="foreign-process", gpu_uuid=UUID, processes=(stranger,)),
        Disturbance(code="slow-clock", gpu_uuid=UUID, mhz=1545, usual_mhz=1845),
    )


def test_a_foreign_process_that_was_seen_twice_is_told_once_with_both_sightings() -> None:
    first = GpuProcess(gpu_uuid=UUID, pid=5138, name=None, used_mb=584, when="start")
    again = replace(first, name="/opt/contend.py", used_mb=714, when="end")
    other = replace(again, pid=8)
    assert disturbances(Watch(foreign=(first, other, again))) == (
        Disturbance(code="foreign-process", gpu_uuid=UUID, processes=(first, again)),
        Disturbance(code="foreign-process", gpu_uuid=UUID, processes=(other,)),
    )


def test_the_launch_of_a_real_contended_series_is_told_from_the_stranger() -> None:
    """The real lists, in their order, with the launch's two PIDs known as ours."""
    looks = [[(int(pid), "python3", used) for pid, used in row.items()] for row in RECORDED["contended"]["processes"]]
    looks = [looks[0], looks[30], looks[50], looks[-1]]
    watch = watched(Driver(looks), 4, owns=lambda pid: pid in (5161, 5231))
    assert [(process.pid, process.when) for process in watch.foreign] == [(5138, "start")]
    assert watch.pids == "exact"


def test_clocks_are_compared_only_under_load_and_with_enough_samples() -> None:
    idle = GpuSeries(gpu_uuid=UUID, at_s=(0, 1, 2), sm_mhz=(345, 345, 345), util_pct=(0, 0, 0), temperature_c=(30,) * 3)
    two = GpuSeries(gpu_uuid=UUID, at_s=(0, 1), sm_mhz=(900, 900), util_pct=(99, 99))
    assert sm_clock_mhz(idle) is None
    assert sm_clock_mhz(two) is None
    assert sm_clock_mhz(recorded("baseline").gpus[0]) == 1845
    assert disturbances(Watch(gpus=(idle, two)), baseline=[recorded("baseline")]) == ()
    assert disturbances(recorded("contended"), baseline=[Watch(gpus=(idle,)), None]) == ()


# ------------------------------------------------------------------------------------------------------- reasons


@pytest.mark.parametrize(
    ("bit", "code"),
    [
        (0x08, "hardware-slowdown"),
        (0x20, "thermal-slowdown-driver"),
        (0x40, "thermal-slowdown-hardware"),
        (0x80, "power-brake"),
    ],
)
def test_each_reason_that_holds_a_gpu_back_is_a_disturbance_with_its_evidence(bit: int, code: DisturbanceCode) -> None:
    series = GpuSeries(
        gpu_uuid=UUID, at_s=(0, 1, 2), reasons=(0, bit | 0x04, None), temperature_c=(70, 87, None), util_pct=(99,) * 3
    )
    watch = Watch(gpus=(replace(series, sm_mhz=(None,) * 3),))
    expected = Disturbance(code=code, gpu_uuid=UUID, reason=bit, count=1, of=2, temperature_c=87)
    assert disturbances(watch) == (expected,)


@pytest.mark.parametrize("bit", [0x00, 0x01, 0x02, 0x04, 0x10, 0x100])
def test_idle_power_cap_and_clock_settings_are_none(bit: int) -> None:
    series = GpuSeries(gpu_uuid=UUID, at_s=(0,), reasons=(bit,), sm_mhz=(1980,), util_pct=(99,))
    assert disturbances(Watch(gpus=(series,))) == ()


def test_heat_between_two_samples_is_seen_by_the_counter() -> None:
    watch = watched(Driver(heat=(5_000_000, 255_000_000)), 3)
    heat = GpuEvent(kind="heat", gpu_uuid=UUID, ms=250)
    assert watch.gpu_events == (heat,)
    assert disturbances(watch) == (Disturbance(code="heat", gpu_uuid=UUID, event=heat),)
    assert watched(Driver(heat=(5_000_000, 5_000_000)), 3).gpu_events == ()


def test_heat_that_the_samples_show_is_told_once_and_no_name_of_a_process_hides_it() -> None:
    heat = GpuEvent(kind="heat", gpu_uuid=UUID, ms=250)
    hot = GpuSeries(gpu_uuid=UUID, at_s=(0,), reasons=(0x20,))
    thermald = GpuProcess(gpu_uuid=UUID, pid=8, name="thermald")
    told = [one.code for one in disturbances(Watch(gpus=(hot,), gpu_events=(heat,)))]
    assert told == ["thermal-slowdown-driver"]
    told = [one.code for one in disturbances(Watch(foreign=(thermald,), gpu_events=(heat,)))]
    assert told == ["foreign-process", "heat"]


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("GPU-5d1e: Xid 79", GpuEvent(kind="xid", gpu_uuid="GPU-5d1e", number=79)),
        ("a GPU: Xid 79", GpuEvent(kind="xid", number=79)),
        ("GPU-5d1e: held back by heat for 250 ms", GpuEvent(kind="heat", gpu_uuid="GPU-5d1e", ms=250)),
        ("the Xid of a later version", GpuEvent(kind="other", text="the Xid of a later version")),
    ],
)
def test_what_an_older_recording_says_of_a_gpu_is_read_as_an_event(text: str, event: GpuEvent) -> None:
    assert GpuEvent.of_text(text) == event


@pytest.mark.parametrize(
    ("profile", "uuid", "counts"),
    [
        (None, "GPU-1", False),
        (None, "GPU-00", False),
        (None, "", True),
        ("1g.18gb", "GPU-1", True),
    ],
)
def test_an_error_of_another_gpu_is_not_this_launch_s_unless_nobody_can_tell(
    profile: str | None, uuid: str, *, counts: bool
) -> None:
    """The case on the next GPU may crash there. An error of a slice bears the name of its whole GPU."""
    xid = GpuEvent(kind="xid", gpu_uuid=uuid, number=31)
    with Watcher([replace(GPU, mig_profile=profile)], reader=Driver(xids=(xid,)), owns=lambda pid: False) as watcher:
        pass
    assert watcher.watch.gpu_events == ((xid,) if counts else ())


def test_an_error_of_the_gpu_is_a_disturbance() -> None:
    xid = GpuEvent(kind="xid", gpu_uuid=UUID, number=79)
    watch = watched(Driver(xids=(xid,)), 3)
    assert disturbances(watch) == (Disturbance(code="xid", gpu_uuid=UUID, event=xid),)


# ------------------------------------------------------------------------------------------------------- processes


def test_a_process_that_comes_and_goes_is_foreign() -> None:
    both = [(7, "sglang", 500), (8, "/opt/train", 900)]
    looks = [[], [(7, "sglang", 500)], both, both, [(7, "sglang", 500)], []]
    watch = watched(Driver(looks), 6, owns=lambda pid: pid == 7)
    train = GpuProcess(gpu_uuid=UUID, pid=8, name="/opt/train", used_mb=900)
    assert disturbances(watch) == (Disturbance(code="foreign-process", gpu_uuid=UUID, processes=(train,)),)


def test_ours_stay_ours_after_their_end() -> None:
    """A PID that was ours when it was first seen is not asked about again: by then it may be gone from /proc."""
    asked: list[int] = []

    def owns(pid: int) -> bool:
        asked.append(pid)
        return len(asked) == 1

    watch = watched(Driver([[(7, "sglang", 500)]]), 4, owns=owns)
    assert (watch.foreign, asked) == ((), [7])


def test_a_process_that_is_gone_before_anybody_could_ask_whose_it_was_is_not_held_against_the_launch() -> None:
    """The engine's own helpers live for moments; a foreign process that stays is seen again."""
    nobody = 2**22 + 7
    once = [[(7, "sglang", 500)], [(7, "sglang", 500), (nobody, "", 3)], [(7, "sglang", 500)]]
    twice = [*once[:2], *once[1:]]
    assert watched(Driver(once), 3, owns=lambda pid: pid == 7).foreign == ()
    assert [process.pid for process in watched(Driver(twice), 4, owns=lambda pid: pid == 7).foreign] == [nobody]


def test_pids_of_another_namespace_are_calibrated_by_time() -> None:
    """In a container the list holds PIDs of the host: what is there by the end of the start-up is ours."""
    looks = [[], [(90001, "", 500)], [(90001, "", 500)]]
    assert watched(Driver(looks), 3, settled_s=10).pids == "calibrated"
    assert watched(Driver(looks), 3, settled_s=10).foreign == ()
    late = watched(Driver(looks), 3, settled_s=0)
    assert [process.pid for process in late.foreign] == [90001]
    early = watched(Driver([[(90001, "", 500)]]), 3, settled_s=10)
    assert [process.pid for process in early.foreign] == [90001], "on the GPU before the launch began"


def test_a_list_that_stays_empty_while_memory_is_used_is_unusable_and_said_so() -> None:
    watch = watched(Driver([()], state=lambda look: GpuState(used_mb=200 * look)), 4)
    assert (watch.pids, watch.foreign) == ("unusable", ())
    assert "processes" in watch.unknown
    assert disturbances(watch) == ()
    assert notes(watch) == (
        (
            "not reported by the driver, so not checked: sm_mhz, mem_mhz, power_w, temperature_c, util_pct, reasons, "
            "processes"
        ),
    )


def test_an_empty_list_of_processes_is_an_answer() -> None:
    watch = watched(Driver([()]), 3)
    assert (watch.pids, watch.foreign) == (None, ())
    assert watch.unknown == ("mem_mhz", "power_w", "temperature_c")


def test_every_gpu_has_to_list_its_processes() -> None:
    class Half(Driver):
        def processes(self, uuid: str) -> tuple[GpuProcess, ...] | None:
            return super().processes(uuid) if uuid == UUID else None

    both = [GPU, replace(GPU, index=1, uuid="GPU-1")]
    with Watcher(both, reader=Half(heat=(None,) * 4), owns=lambda pid: False, interval_s=0.01) as watcher:
        pass
    assert "processes" in watcher.watch.unknown


def test_what_a_driver_does_not_tell_is_unknown_and_neither_clears_nor_condemns() -> None:
    watch = watched(Driver([None], state=GpuState(sm_mhz=1980)), 3)
    assert watch.unknown == ("mem_mhz", "power_w", "temperature_c", "util_pct", "used_mb", "reasons", "processes")
    assert watch.pids is None
    assert set(watch.gpus[0].reasons) == {None}
    assert disturbances(watch, baseline=[recorded("baseline")]) == ()


def test_a_driver_that_fails_in_the_middle_leaves_what_was_seen() -> None:
    def state(look: int) -> GpuState:
        if look >= 2:
            raise LeaseError("the driver went away")
        return GpuState(sm_mhz=1980)

    driver = Driver(state=state)
    watcher = Watcher([GPU], reader=driver, owns=lambda pid: False, interval_s=0.005)
    with watcher:
        time.sleep(0.1)
    assert watcher.watch.gpus[0].sm_mhz == (1980, 1980)


def test_without_a_driver_only_the_neighbours_are_known() -> None:
    watch = watched(None, 0, co_runners=lambda: ("wan22",), to_be_alone=False, isolation="confirm")
    assert (watch.co_runners, watch.to_be_alone, watch.alone) == (("wan22",), False, False)
    assert watch.isolation == "confirm"
    assert "processes" in watch.unknown
    assert disturbances(watch) == ()


def test_what_was_asked_and_what_was_are_two_things() -> None:
    assert watched(None, 0, to_be_alone=False).alone is True

    def fail() -> tuple[str, ...]:
        raise LeaseError("the lock directory went away")

    unknown = watched(None, 0, to_be_alone=True, co_runners=fail)
    assert (unknown.to_be_alone, unknown.alone) == (True, None)


@pytest.mark.parametrize("isolation", ["confirm", "alone"])
def test_a_launch_that_was_to_be_alone_and_was_not_is_disturbed(isolation: str) -> None:
    """In the default mode the launches of later looks."""
    watch = watched(Driver(), 3, co_runners=lambda: ("wan22", "ltx2"), to_be_alone=True, isolation=isolation)
    assert watch.alone is False
    assert disturbances(watch) == (Disturbance(code="not-alone", cases=("wan22", "ltx2")),)
    assert disturbances(replace(watch, to_be_alone=False)) == ()


@pytest.mark.parametrize(
    ("isolation", "disturbed"),
    [("window", True), ("quiet", True), ("host", True), ("confirm", False), ("shared", False), (None, False)],
)
def test_a_recording_of_an_older_form_is_judged_as_it_was(isolation: str | None, *, disturbed: bool) -> None:
    """It says that a launch was not alone, and not whether it was to be."""
    found = disturbances(Watch(alone=False, co_runners=("wan22",), isolation=isolation))
    assert found == ((Disturbance(code="not-alone", cases=("wan22",)),) if disturbed else ())


# ---------------------------------------------------------------------------------------------------- hidden memory


@pytest.mark.parametrize("name", ["baseline", "slow", "contended"])
def test_what_real_processes_use_is_listed_to_within_a_few_mib(name: str) -> None:
    """The driver's own reserve, 615 MiB, and about 6 MiB for each process are not on the lists of a real H200."""
    series = RECORDED[name]
    values = [
        unlisted_mb(
            GpuState(used_mb=used),
            [GpuProcess(gpu_uuid=UUID, pid=int(pid), used_mb=mb) for pid, mb in row.items()],
        )
        for used, row in zip(series["memory_mb"], series["processes"], strict=True)
    ]
    known = [value for value in values if value is not None]
    assert len(known) == len(values)
    assert (min(known) >= 615, max(known) - min(known) <= 12) == (True, True)
    assert lasting_growth(values) in range(13)


def hiding(looks: Sequence[int]) -> Driver:
    """A launch of 500 MiB, and `looks` MiB more in use at each look."""
    rows: list[list[tuple[int, str, int]]] = [[], *([(7, "sglang", 500)] for _ in looks[1:])]

    def state(look: int) -> GpuState:
        look = min(look, len(looks) - 1)
        return GpuState(used_mb=looks[look] + (500 if look else 0), util_pct=0, sm_mhz=1980, reasons=0)

    return Driver(rows, state=state)


def test_memory_that_comes_and_stays_without_a_listed_process_is_somebody() -> None:
    watch = watched(hiding([0, 14, 14, 14, 900, 900, 900]), 7, owns=lambda pid: pid == 7)
    assert watch.hidden_mb == 900
    assert disturbances(watch) == (Disturbance(code="hidden-memory", gpu_uuid=UUID, memory_mb=900),)
    assert notes(watch)[0].startswith("not reported by the driver")


def test_memory_that_a_launch_allocates_between_two_questions_is_nobody() -> None:
    """Memory and processes are read a moment apart; a process's end is seen before its memory is free."""
    watch = watched(hiding([0, 14, 5000, 5000, 14, 3000, 14]), 7, owns=lambda pid: pid == 7)
    assert watch.hidden_mb == 14
    assert disturbances(watch) == ()


NOT_TOLD = "not reported by the driver, so not checked: mem_mhz, power_w, temperature_c"


class Hiding:
    """Two GPUs, each with 500 MiB of the launch from the second look on; `hidden` is what nobody lists on GPU-1."""

    def __init__(self, hidden: Sequence[int]) -> None:
        self._hidden = hidden
        self._states = {"GPU-0": 0, "GPU-1": 0}
        self._lists = {"GPU-0": 0, "GPU-1": 0}

    @property
    def asked(self) -> int:
        return self._lists["GPU-1"]

    def state(self, uuid: str) -> GpuState:
        look = self._states[uuid]
        self._states[uuid] += 1
        hidden = self._hidden[min(look, len(self._hidden) - 1)] if uuid == "GPU-1" else 14 * bool(look)
        return GpuState(used_mb=hidden + 500 * bool(look), util_pct=0, sm_mhz=1980, reasons=0)

    def processes(self, uuid: str) -> tuple[GpuProcess, ...]:
        look = self._lists[uuid]
        self._lists[uuid] += 1
        return (GpuProcess(gpu_uuid=uuid, pid=7, name="sglang", used_mb=500),) if look else ()

    def thermal_ns(self, uuid: str) -> int | None:
        return None

    def xids(self) -> tuple[str, ...]:
        return ()


def watched_both(hidden: Sequence[int]) -> Watch:
    driver = Hiding(hidden)
    gpus = [GPU, replace(GPU, index=1, uuid="GPU-1")]
    watcher = Watcher(gpus, reader=driver, owns=lambda pid: pid == 7, interval_s=0.01, stolen_s=lambda: None)
    with watcher:
        wait_for(lambda: driver.asked >= len(hidden))
    return watcher.watch


def test_hidden_memory_on_one_of_two_gpus_is_somebody_on_that_gpu() -> None:
    watch = watched_both([0, 20, 900, 900, 900, 900])
    assert (watch.hidden_mb, watch.hidden_by_gpu) == (900, {"GPU-0": 14, "GPU-1": 900})
    assert disturbances(watch) == (Disturbance(code="hidden-memory", gpu_uuid="GPU-1", memory_mb=900),)


def test_what_two_gpus_show_in_undisturbed_launches_is_nobody_and_no_news() -> None:
    watch = watched_both([0, 20, 20, 20, 20])
    assert watch.hidden_by_gpu == {"GPU-0": 14, "GPU-1": 20}
    assert (disturbances(watch), notes(watch)) == ((), (NOT_TOLD,))


def test_hidden_memory_is_judged_above_its_limit_only() -> None:
    watch = Watch(gpus=two_gpus(), hidden_mb=64, hidden_by_gpu={"GPU-0": 64, "GPU-1": 64})
    assert disturbances(watch) == ()
    beyond = replace(watch, hidden_mb=65, hidden_by_gpu={"GPU-0": 65, "GPU-1": 65})
    assert [one.gpu_uuid for one in disturbances(beyond)] == ["GPU-0", "GPU-1"]


def test_hidden_memory_over_more_gpus_than_were_measured_is_noted_and_not_judged() -> None:
    grown = {f"GPU-{index}": 70 for index in range(3)}
    watch = Watch(gpus=tuple(GpuSeries(gpu_uuid=uuid) for uuid in grown), hidden_mb=70, hidden_by_gpu=grown)
    assert disturbances(watch) == ()
    assert notes(watch) == ("up to 70 MiB more in use on a GPU than the listed processes use",)


def test_a_recording_that_does_not_say_on_which_of_two_gpus_memory_grew_is_not_judged_by_it() -> None:
    watch = Watch(gpus=two_gpus(), hidden_mb=70)
    assert disturbances(watch) == ()
    assert notes(watch) == ("up to 70 MiB more in use on a GPU than the listed processes use",)


def test_a_recording_of_one_gpu_needs_no_figure_for_each() -> None:
    watch = Watch(gpus=two_gpus()[:1], hidden_mb=70)
    assert disturbances(watch) == (Disturbance(code="hidden-memory", gpu_uuid="GPU-0", memory_mb=70),)


def two_gpus() -> tuple[GpuSeries, ...]:
    return tuple(GpuSeries(gpu_uuid=uuid) for uuid in ("GPU-0", "GPU-1"))


def test_memory_without_lists_says_nothing_of_strangers() -> None:
    assert unlisted_mb(GpuState(used_mb=None), []) is None
    assert unlisted_mb(GpuState(used_mb=9), None) is None
    assert unlisted_mb(GpuState(used_mb=9), [GpuProcess(gpu_uuid=UUID, pid=7, used_mb=None)]) is None
    assert lasting_growth([None, 0, 900]) is None
    assert lasting_growth([900, 14, 14, 14]) == 0
    assert watched(Driver([()], state=lambda look: GpuState(used_mb=200 * look)), 4).hidden_mb is None


def test_a_watch_of_a_case_without_gpus_knows_nothing_and_complains_of_nothing() -> None:
    watcher = Watcher([], reader=None, owns=lambda pid: False, interval_s=0.01)
    with watcher:
        pass
    assert (watcher.watch.gpus, watcher.watch.unknown, disturbances(watcher.watch)) == ((), (), ())


def test_the_watch_measures_its_own_cost_and_samples_at_its_interval() -> None:
    def slow(look: int) -> GpuState:
        time.sleep(0.01)
        return GpuState()

    watcher = Watcher([GPU], reader=Driver(state=slow), owns=lambda pid: False, interval_s=0.05)
    with watcher:
        time.sleep(0.3)
    samples = len(watcher.watch.gpus[0].at_s)
    assert 3 <= samples <= 8
    assert watcher.watch.cost_ms is not None
    assert watcher.watch.cost_ms >= 10 * samples - 1


def test_the_real_children_of_a_launch_are_ours_by_descent() -> None:
    """The command and its worker both show on the GPU, as in the recordings of the real engine."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import subprocess, sys; subprocess.run(['sleep', '30'])"], start_new_session=True
    )
    try:
        children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
        while not (worker := children.read_text().split()):
            time.sleep(0.01)
        from pytest_sgdiff.files.procfs import is_descendant

        looks = [[], [(child.pid, "sglang", 518), (int(worker[0]), "sglang", 7182), (1, "init", 5)]]
        watch = watched(Driver(looks), 3, owns=lambda pid: is_descendant(pid, child.pid))
        assert [process.pid for process in watch.foreign] == [1]
    finally:
        os.killpg(child.pid, 9)
        child.wait()


# ---------------------------------------------------------------------------------------------------- the hypervisor


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("cpu  2611072 310109 354013 4566188 20479 0 5143 3373 0 0\ncpu0 1 2 3 4 5 6 7 8 9 0\n", 3373),
        ("cpu  1 2 3 4\n", None),
        ("intr 1 2 3 4 5 6 7 8\n", None),
        ("", None),
    ],
    ids=["linux", "old", "other", "empty"],
)
def test_what_a_hypervisor_withheld_is_read_from_the_kernel(tmp_path: Path, text: str, ticks: int | None) -> None:
    stat = tmp_path / "stat"
    stat.write_text(text)
    assert procfs.stolen_s(stat) == (None if ticks is None else ticks / os.sysconf("SC_CLK_TCK"))


def test_where_the_kernel_has_no_such_file_nothing_is_known(tmp_path: Path) -> None:
    assert procfs.stolen_s(tmp_path / "none") is None


def test_the_real_kernel_tells_it() -> None:
    first = procfs.stolen_s()
    assert first is not None
    assert 0 <= first <= (procfs.stolen_s() or 0)


@pytest.mark.parametrize(
    ("before", "after", "stolen"), [(7.0, 10.246, 3.25), (7.0, 2.0, 0.0), (None, 2.0, None), (7.0, None, None)]
)
def test_what_was_withheld_during_the_launch_is_kept(
    before: float | None, after: float | None, stolen: float | None
) -> None:
    told = iter((before, after))
    assert watched(Driver(), 2, stolen_s=lambda: next(told)).stolen_s == stolen


def test_withheld_cpus_are_noted_and_not_judged() -> None:
    watches = [Watch(stolen_s=stolen) for stolen in (0.5, 0.0, 3.25, None)]
    assert disturbances(watches[2]) == ()
    assert [notes(watch) for watch in watches] == [
        ("the hypervisor withheld CPU time for 0.50 s in total",),
        (),
        ("the hypervisor withheld CPU time for 3.25 s in total",),
        (),
    ]
    launches = [LaunchRecord(number=number, watch=watch) for number, watch in enumerate(watches)]
    assert notes_of_all(launches) == ["launches 0, 2: the hypervisor withheld CPU time for 0.50 to 3.25 s in total"]
