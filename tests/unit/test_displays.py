"""A display on a GPU: what only draws does not keep a case from it, and what draws too much is said at once."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_sgdiff.data import Gpu, GpuProcess, GpuState, LaunchRecord, Watch
from pytest_sgdiff.data.displays import drawers, only_draw, who_draws
from pytest_sgdiff.errors import LeaseError, NeverIdleError
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.gpus import Pool, devices, inventory, lease_records, queue_state, resolve
from pytest_sgdiff.gpus.devices import in_use, use_of
from pytest_sgdiff.gpus.wait_reasons import Wait
from pytest_sgdiff.reports.launch_notes import notes, notes_of_all
from pytest_sgdiff.watch import Watcher, disturbances
from tests.unit.test_gpus_leases import Bench

XORG = {"pid": 2210, "name": "/usr/lib/xorg/Xorg", "used_mb": 43}
SHELL = {"pid": 2391, "name": "/usr/bin/gnome-shell", "used_mb": 18}
LARGE = {"pid": 2391, "name": "/usr/bin/gnome-shell", "used_mb": 300}
BROWSER = {"pid": 3001, "name": "/opt/firefox", "used_mb": 120, "work": "graphics"}
GAME = {"pid": 3002, "name": "/opt/game", "used_mb": 1500, "work": "graphics"}
MPS = {"pid": 77, "name": "nvidia-cuda-mps-server", "used_mb": 30}
STRANGER = {"pid": 419, "name": "python3", "used_mb": 1002}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def kinds(bench: Bench, *rows: dict[str, object], **state: object) -> list[str]:
    bench.content["gpus"][0]["state"] |= state
    bench.occupy(0, *rows)
    return [use.kind for use in use_of(inventory(bench.reader)[0], bench.reader)]


@pytest.mark.parametrize(
    ("rows", "state", "found"),
    [
        ([XORG, SHELL], {}, []),
        ([XORG, SHELL, BROWSER], {"used_mb": 300}, []),
        ([{**XORG, "used_mb": None}], {}, []),
        ([{**XORG, "pid": 1, "name": "/usr/lib/xorg/Xorg vt2 -displayfd 3"}], {}, []),
        ([XORG, LARGE], {}, ["display"]),
        ([GAME], {}, ["display"]),
        ([XORG, STRANGER], {}, ["process"]),
        ([LARGE, STRANGER], {}, ["display", "process"]),
        ([{**XORG, "work": "compute"}], {}, ["process"]),
        ([MPS], {}, ["mps"]),
        ([XORG, SHELL], {"used_mb": 900}, ["hidden"]),
        ([], {"used_mb": 257}, ["hidden"]),
        ([], {"used_mb": 256}, []),
        ([XORG, SHELL], {"util_pct": 6}, ["utilisation"]),
        ([], {"util_pct": 6}, ["utilisation"]),
        ([], {"util_pct": 5}, []),
        ([STRANGER], {"util_pct": 99, "used_mb": 40000}, ["process"]),
    ],
)
def test_what_speaks_against_a_gpu(
    bench: Bench, rows: Sequence[dict[str, object]], state: dict[str, object], found: list[str]
) -> None:
    assert kinds(bench, *rows, **state) == found


def test_each_use_in_words_with_what_ends_it(bench: Bench) -> None:
    def words(*rows: dict[str, object], **state: object) -> list[str]:
        kinds(bench, *rows, **state)
        return [str(use) for use in use_of(inventory(bench.reader)[0], bench.reader)]

    fix = "sudo systemctl isolate multi-user.target ends the display; or close the program that draws"
    assert words(XORG, LARGE) == [f"Xorg, gnome-shell draw on it with 343 MiB, more than 256: {fix}"]
    assert words(GAME) == [f"game draws on it with 1500 MiB, more than 256: {fix}"]
    assert words(MPS) == [
        "process 77 (nvidia-cuda-mps-server, 30 MiB), the MPS daemon: echo quit | nvidia-cuda-mps-control"
    ]
    assert words(XORG, util_pct=12) == [f"12 % utilisation while Xorg draws on it: {fix}"]
    assert words(util_pct=12) == ["12 % utilisation"]


def test_a_process_that_draws_is_known_by_the_driver_or_by_its_name() -> None:
    def process(name: str | None, work: str | None) -> GpuProcess:
        return GpuProcess(gpu_uuid="GPU-0", pid=5, name=name, used_mb=10, work=work)  # type: ignore[arg-type]

    drawing = [process("Xorg", None), process("blender", "graphics"), process(None, "graphics")]
    other = [process("Xorg", "compute"), process("python3", None), process(None, None), process("/opt/Xorg2", None)]
    assert list(drawers([*drawing, *other])) == drawing
    assert list(only_draw([*drawing, *other])) == drawing
    assert who_draws(drawing) == "Xorg, blender, process 5"


def test_a_gpu_with_a_display_is_leased_and_shown_as_free(bench: Bench) -> None:
    for index in range(4):
        bench.occupy(index, XORG, SHELL)
    with bench.pool().lease(4, timeout_s=5) as lease:
        assert lease.wait_until_free(0.0) == ()
    rows = queue_state(bench.locks, gpus=inventory(bench.reader), reader=bench.reader)["gpus"]
    assert {(row["state"], row["why"]) for row in rows} == {("free", "a display is drawn on it (Xorg, gnome-shell)")}
    assert resolve("auto", visible="0,1,2,3", reader=bench.reader).size == 4


@pytest.mark.parametrize("row", [LARGE, GAME, MPS])
def test_what_never_ends_by_itself_is_said_before_anybody_waits(bench: Bench, row: dict[str, object]) -> None:
    for index in range(4):
        bench.occupy(index, row)
    said: list[Wait] = []
    with pytest.raises(NeverIdleError) as caught:
        bench.pool().lease(1, timeout_s=3600, tag="ltx2", on_wait=said.append)
    assert str(caught.value).startswith("ltx2 got no 1 GPU, and waiting does not help: GPU 0: busy, ")
    assert said == []
    with bench.pool().lease(0, timeout_s=5):
        pass


def test_other_gpus_are_taken_while_a_display_draws_much_on_one(bench: Bench) -> None:
    bench.occupy(0, LARGE)
    with bench.pool().lease(3, timeout_s=30) as lease:
        assert lease.indices == (1, 2, 3)
    with pytest.raises(NeverIdleError):
        bench.pool().lease(4, timeout_s=3600)


def test_what_comes_while_a_case_waits_is_said_then(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_records, "QUARANTINE_S", 0.05)
    for index in range(4):
        bench.occupy(index, STRANGER)

    def come(wait: Wait) -> None:
        for index in range(4):
            bench.occupy(index, LARGE)

    with pytest.raises(NeverIdleError):
        bench.pool().lease(1, timeout_s=3600, on_wait=come)


def test_a_foreign_process_is_waited_for_as_ever(bench: Bench) -> None:
    for index in range(4):
        bench.occupy(index, XORG, STRANGER)
    with pytest.raises(LeaseError) as caught:
        bench.pool().lease(1, timeout_s=0.2)
    assert not isinstance(caught.value, NeverIdleError)


@pytest.mark.parametrize(
    ("rows", "state", "left"),
    [
        ([], {"util_pct": 99}, 0),
        ([XORG], {"util_pct": 99}, 0),
        ([STRANGER], {"util_pct": 99}, 1),
        ([], {"used_mb": 900}, 1),
    ],
)
def test_after_a_launch_its_own_utilisation_is_not_waited_for(
    bench: Bench, rows: Sequence[dict[str, object]], state: dict[str, object], left: int
) -> None:
    with bench.pool().lease(1, timeout_s=5) as lease:
        kinds(bench, *rows, **state)
        assert len(lease.wait_until_free(0.0)) == left


# -- idle at two readings -------------------------------------------------------------------------------------------


class Readings:
    """A driver that answers each reading of the GPU from a script, the last one repeated; and a clock that moves as
    often as somebody sleeps."""

    def __init__(self, *util_pct: int) -> None:
        self._left = list(util_pct)
        self.asked = 0
        self.now_s = 0.0

    def processes(self, uuid: str) -> tuple[GpuProcess, ...]:
        return ()

    def state(self, uuid: str) -> GpuState:
        self.asked += 1
        return GpuState(used_mb=0, util_pct=self._left.pop(0) if len(self._left) > 1 else self._left[0])

    def monotonic(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.mark.parametrize(
    ("readings", "patience_s", "busy", "asked"),
    [
        ((0, 0), 0.0, False, 2),
        ((0, 99), 0.0, True, 2),
        ((99,), 0.0, True, 2),
        ((99, 0, 0), 2.0, False, 3),
        ((0, 99, 0, 0), 2.0, False, 4),
        ((0, 99, 0, 99), 1.0, True, 4),
    ],
)
def test_a_gpu_is_idle_at_two_readings_a_second_apart_and_no_sooner(
    monkeypatch: pytest.MonkeyPatch, readings: tuple[int, ...], patience_s: float, busy: bool, asked: int
) -> None:
    """Utilisation is an average over the last second: one reading may be of the moment before a process began."""
    driver = Readings(*readings)
    monkeypatch.setattr(devices, "time", driver)
    gpu = Gpu(index=0, uuid="GPU-0", name="NVIDIA H200")
    found = in_use([gpu], driver, settle_s=1.0, patience_s=patience_s)  # type: ignore[arg-type]
    assert (bool(found), driver.asked) == (busy, asked)
    if not busy:
        assert driver.now_s >= 1.0


@pytest.mark.parametrize(("row", "waited_s"), [(MPS, 0.0), (GAME, 0.0), (STRANGER, 2.0)])
def test_only_what_may_end_is_given_time_to(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, row: dict[str, object], waited_s: float
) -> None:
    clock = Readings(0)
    monkeypatch.setattr(devices, "time", clock)
    bench.occupy(0, row)
    assert in_use(inventory(bench.reader)[:1], bench.reader, settle_s=1.0, patience_s=2.0)
    assert (clock.now_s > 0, clock.now_s >= waited_s) == (waited_s > 0, True)


def test_a_pool_reads_twice_a_second_apart_unless_it_is_told_otherwise(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU that is in use from the second reading on is not given out."""
    at_s: list[float] = []
    clock = Readings(0)
    state = type(bench.reader).state

    def later(self: object, uuid: str) -> GpuState:
        at_s.append(clock.now_s)
        # The first question is whether anything is there that never ends by itself.
        return state(bench.reader, uuid) if len(at_s) < 3 else GpuState(used_mb=0, util_pct=99)

    eligible = resolve("idx:0", visible="0,1,2,3", reader=bench.reader)
    monkeypatch.setattr(type(bench.reader), "state", later)
    monkeypatch.setattr(devices, "time", clock)
    pool = Pool(eligible, run_id="run", folder=bench.locks, reader=bench.reader, patience_s=0)
    with pytest.raises(LeaseError, match="busy, 99 % utilisation"):
        pool.lease(1, timeout_s=0)
    assert at_s[2] - at_s[1] >= 1.0


# -- during a launch ------------------------------------------------------------------------------------------------


class Driver:
    """One list of processes per look, the last repeated."""

    def __init__(self, *looks: Sequence[dict[str, object]], used_mb: int | None = None) -> None:
        self._looks, self._used_mb, self.asked = looks, used_mb, 0

    def state(self, uuid: str) -> GpuState:
        return GpuState(used_mb=self._used_mb, util_pct=0)

    def processes(self, uuid: str) -> tuple[GpuProcess, ...]:
        rows = self._looks[min(self.asked, len(self._looks) - 1)]
        self.asked += 1
        return tuple(GpuProcess(gpu_uuid=uuid, **row) for row in rows)  # type: ignore[arg-type]

    def thermal_ns(self, uuid: str) -> None:
        return None

    def xids(self) -> tuple[str, ...]:
        return ()


def watched(driver: Driver, looks: int, ours: Sequence[int] = ()) -> Watch:
    gpu = Gpu(index=0, uuid="GPU-0", name="NVIDIA GB10")
    watcher = Watcher([gpu], reader=driver, owns=lambda pid: pid in ours, interval_s=0.001, stolen_s=lambda: None)
    with watcher:
        while driver.asked < looks - 1:
            time.sleep(0.001)
    return watcher.watch


SMALL = {**GAME, "used_mb": 9}
OURS = {"pid": 9, "name": "python3", "used_mb": 20000, "work": "compute"}


@pytest.mark.parametrize("ours", [(), (9,)], ids=["calibrated", "exact"])
@pytest.mark.parametrize("came", [0, 2], ids=["there before", "came later"])
def test_a_display_disturbs_no_launch_and_is_noted(ours: tuple[int, ...], came: int) -> None:
    watch = watched(_looks(ours, came), 5, ours)
    assert (watch.foreign, [one.pid for one in watch.drawing]) == ((), [2210, 2391])
    assert disturbances(watch) == ()
    assert "a display was drawn on the GPUs: Xorg, gnome-shell" in notes(watch)
    launch = LaunchRecord(number=0, metrics={}, watch=watch)
    assert "launch 0: a display was drawn on the GPUs: Xorg, gnome-shell" in notes_of_all([launch])


def _looks(ours: tuple[int, ...], came: int) -> Driver:
    own = [OURS] if ours else []
    return Driver(*[own] * came, [*own, XORG, SHELL])


def test_a_display_alone_says_nothing_of_whose_the_listed_processes_are() -> None:
    watch = watched(Driver([XORG]), 3)
    assert (watch.pids, watch.foreign) == (None, ())


@pytest.mark.parametrize(
    "looks",
    [
        ([[OURS], [OURS, XORG, GAME]]),
        ([[OURS, XORG, GAME], [OURS, XORG, {**GAME, "used_mb": 20}]]),
        (
            [
                [OURS, {**GAME, "used_mb": 9}],
                [OURS, {**GAME, "used_mb": 9, "work": "compute"}],
                [OURS, {**GAME, "used_mb": 9}],
            ]
        ),
    ],
    ids=["much at last", "much at first", "it computed for a while"],
)
def test_what_drew_much_or_computed_at_any_time_disturbs(looks: Sequence[Sequence[dict[str, object]]]) -> None:
    watch = watched(Driver(*looks), len(looks) + 2, ours=(9,))
    assert GAME["pid"] in [one.pid for one in watch.foreign]
    assert watch.drawing == ()
    assert disturbances(watch) != ()


def test_a_foreign_process_beside_a_display_disturbs_as_ever() -> None:
    watch = watched(Driver([OURS, XORG], [OURS, XORG, STRANGER]), 4, ours=(9,))
    assert [one.pid for one in watch.foreign] == [419]
    assert [one.pid for one in watch.drawing] == [2210]


def test_a_display_survives_a_recording() -> None:
    watch = watched(_looks((9,), 0), 3, (9,))
    again = from_plain(Watch, json.loads(json.dumps(to_plain(watch))))
    assert again == watch
    assert [one.work for one in again.drawing] == [None, None]
