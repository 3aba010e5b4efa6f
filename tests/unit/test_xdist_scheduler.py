"""The scheduler on workers that only keep what they are sent."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_sgdiff.data import Gpu
from pytest_sgdiff.gpus import Eligible, held_by_others
from pytest_sgdiff.plugin.xdist import CaseNeed, GpuSchedule, GpuScheduling, workers_for
from pytest_sgdiff.plugin.xdist.interrupts import Interrupts
from pytest_sgdiff.plugin.xdist.needs import read_needs, write_needs
from pytest_sgdiff.plugin.xdist.scheduler import units


class Worker:
    """Runs what it is sent, one at a time, when told to; starts an item only once it knows the next."""

    def __init__(self, number: int) -> None:
        self.gateway = SimpleNamespace(id=f"gw{number}")
        self.shutting_down = False
        self.queue: list[int] = []

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.queue += indices

    def shutdown(self) -> None:
        self.shutting_down = True


class Rig:
    """A scheduler, its workers and the cases' needs; `run` ends what a worker runs now."""

    def __init__(self, cases: dict[str, tuple[int, float | None]], *, workers: int, size: int) -> None:
        self.ids = [*cases, "::sgdiff-park"]
        needs = {
            name: CaseNeed(node_id=name, gpus=gpus, estimate_s=seconds)
            for name, (gpus, seconds) in cases.items()
            if seconds != -1
        }
        self.others = 0
        self.counted: list[int] = []
        config: Any = SimpleNamespace()
        self.scheduling = GpuScheduling(
            config,
            workers=workers,
            size=size,
            needs=lambda: needs,
            held_by_others=lambda: self.others,
            on_collected=self.counted.append,
        )
        self.workers = [Worker(number) for number in range(workers)]
        for worker in self.workers:
            self.scheduling.add_node(worker)
        for worker in self.workers:
            self.scheduling.add_node_collection(worker, self.ids)
        self.scheduling.schedule()

    def start(self) -> None:
        """Workers that sit on the park item and were sent more leave it."""
        for worker in self.workers:
            if len(worker.queue) > 1 and self.ids[worker.queue[0]].endswith("park"):
                self.scheduling.mark_test_complete(worker, worker.queue.pop(0))

    @property
    def running(self) -> list[str]:
        self.start()
        return [self.ids[worker.queue[0]] for worker in self.workers if len(worker.queue) > 1]

    def finish(self, name: str) -> None:
        worker = next(worker for worker in self.workers if worker.queue and self.ids[worker.queue[0]] == name)
        self.scheduling.mark_test_complete(worker, worker.queue.pop(0))

    def run_all(self) -> list[str]:
        order = []
        while running := self.running:
            order.append(running[0])
            self.finish(running[0])
        return order


def test_the_case_with_most_gpu_seconds_starts_first_and_nothing_is_bound_before_its_gpus_are_free() -> None:
    rig = Rig({"short": (1, 10), "wide": (4, 60), "long": (1, 200), "pair": (2, 50)}, workers=4, size=4)
    assert rig.running == ["wide"]
    assert rig.scheduling.waits
    rig.finish("wide")
    assert rig.running == ["long", "pair", "short"]
    assert not rig.scheduling.waits


def test_a_smaller_case_goes_first_where_the_larger_does_not_fit() -> None:
    rig = Rig({"a": (2, 100), "b": (4, 40), "c": (2, 30)}, workers=3, size=4)
    assert rig.running == ["a", "c"]
    rig.finish("c")
    assert rig.running == ["a"]
    rig.finish("a")
    assert rig.running == ["b"]


def test_a_case_that_nobody_has_timed_counts_as_five_minutes() -> None:
    rig = Rig({"timed": (1, 200), "new": (1, None), "wide": (2, 160)}, workers=1, size=2)
    assert rig.run_all() == ["wide", "new", "timed"]


def test_the_end_is_seen_when_all_workers_are_parked_again() -> None:
    rig = Rig({"a": (1, 1), "b": (1, 1)}, workers=2, size=2)
    assert (rig.scheduling.tests_finished, rig.scheduling.has_pending) == (False, True)
    rig.run_all()
    assert (rig.scheduling.tests_finished, rig.scheduling.has_pending) == (True, False)
    assert rig.counted == [2]


def test_gpus_that_other_runs_hold_are_left_to_them_and_the_wait_is_ended_by_a_poke() -> None:
    rig = Rig({"a": (2, 100), "b": (2, 90), "c": (1, 10)}, workers=3, size=4)
    rig.others = 4
    rig.finish(rig.running[0])
    assert rig.running == ["b"]
    rig.others = 0
    rig.scheduling.remove_pending_tests_from_node(None, ())
    assert rig.running == ["c", "b"]


def test_if_nothing_of_ours_runs_the_next_case_takes_its_place_in_the_hosts_queue() -> None:
    rig = Rig({"a": (4, 100), "b": (1, 10)}, workers=2, size=4)
    rig.others = 4
    assert rig.running == ["a"]
    rig.finish("a")
    assert rig.running == ["b"], "its lease waits for a GPU; without a ticket it never would get one"


def test_a_case_that_is_too_wide_goes_out_at_once_to_be_refused() -> None:
    rig = Rig({"wide": (8, 100), "a": (4, 10)}, workers=2, size=4)
    assert rig.running == ["wide", "a"]


def test_cases_without_gpus_and_other_tests_run_beside_the_others() -> None:
    cases = {"cpu": (0, 50), "t.py::a": (0, -1), "t.py::b": (0, -1), "gpu": (4, 10)}
    rig = Rig(cases, workers=4, size=4)  # type: ignore[arg-type]
    rig.others = 4
    assert sorted(rig.running) == ["cpu", "gpu", "t.py::a", "t.py::b"]


def test_other_tests_go_out_with_their_neighbours_of_the_same_file() -> None:
    collection = [f"a.py::t{number}" for number in range(20)] + [f"b.py::t{number}" for number in range(4)] + ["case"]
    needs = {24: CaseNeed(node_id="case", gpus=1, estimate_s=5)}
    assert units(collection, range(25), needs, workers=2) == [
        (24,),
        *[tuple(range(start, min(start + 3, 20))) for start in range(0, 20, 3)],
        (20, 21, 22),
        (23,),
    ]


def test_a_crashed_worker_fails_what_it_ran_and_its_replacement_goes_on() -> None:
    rig = Rig({"a": (4, 100), "b": (4, 50)}, workers=1, size=4)
    assert rig.running == ["a"]
    assert rig.scheduling.collection_is_completed
    crashed = rig.workers.pop()
    assert rig.scheduling.remove_node(crashed) == "a"
    assert not rig.scheduling.tests_finished
    rig.workers = [Worker(9)]
    rig.scheduling.add_node(rig.workers[0])
    assert rig.running == []
    rig.scheduling.add_node_collection(rig.workers[0], rig.ids)
    rig.scheduling.schedule()
    assert rig.run_all() == ["b"]
    assert rig.scheduling.tests_finished


def test_a_worker_that_dies_on_the_park_item_fails_nothing() -> None:
    rig = Rig({"a": (1, 1)}, workers=2, size=1)
    (busy,) = (worker for worker in rig.workers if len(worker.queue) > 1)
    (idle,) = (worker for worker in rig.workers if worker is not busy)
    assert rig.scheduling.remove_node(idle) is None
    with pytest.raises(KeyError):
        rig.scheduling.remove_node(idle)


def test_a_crash_returns_the_untouched_rest_of_a_group_to_the_queue() -> None:
    tests = {f"t.py::{number}": (0, -1) for number in range(8)}
    rig = Rig(tests, workers=1, size=1)  # type: ignore[arg-type]
    assert rig.running == ["t.py::0"]
    assert rig.workers[0].queue[:2] == [0, 1]
    assert rig.scheduling.remove_node(rig.workers.pop()) == "t.py::0"
    rig.workers = [Worker(9)]
    rig.scheduling.add_node(rig.workers[0])
    rig.scheduling.add_node_collection(rig.workers[0], rig.ids)
    rig.scheduling.schedule()
    assert rig.run_all() == [f"t.py::{number}" for number in range(1, 8)]


def test_a_test_that_is_to_run_again_comes_first() -> None:
    rig = Rig({"a": (1, 9), "b": (1, 8), "c": (1, 7)}, workers=1, size=1)
    rig.finish(rig.running[0])
    rig.scheduling.mark_test_pending("a")
    assert rig.run_all() == ["b", "a", "c"]


def test_workers_that_collected_different_tests_are_reported_and_run_nothing() -> None:
    reports: list[pytest.CollectReport] = []
    config: Any = SimpleNamespace(hook=SimpleNamespace(pytest_collectreport=lambda report: reports.append(report)))
    scheduling = GpuScheduling(config, workers=2, size=1, needs=dict)
    workers = [Worker(0), Worker(1)]
    for worker, ids in zip(workers, (["a"], ["b"]), strict=True):
        scheduling.add_node(worker)
        scheduling.add_node_collection(worker, [*ids, "::sgdiff-park"])
    scheduling.schedule()
    assert [report.nodeid for report in reports] == ["gw1"]
    assert "Different tests were collected between gw0 and gw1" in str(reports[0].longrepr)
    assert [worker.queue for worker in workers] == [[], []]
    assert scheduling.tests_finished, "so that xdist ends the session instead of waiting for ever"


def test_an_empty_collection_ends_at_once() -> None:
    config: Any = SimpleNamespace()
    scheduling = GpuScheduling(config, workers=1, size=1, needs=dict)
    worker = Worker(0)
    scheduling.add_node(worker)
    scheduling.add_node_collection(worker, [])
    scheduling.schedule()
    assert scheduling.tests_finished
    assert worker.queue == []


def test_needs_cross_to_the_controller_through_a_file(tmp_path: Any) -> None:
    path = str(tmp_path / "needs.json")
    assert read_needs(path) == {}
    need = CaseNeed(node_id="cases/x.yaml::ltx2", gpus=2, estimate_s=90.5)
    write_needs(path, [need, CaseNeed(node_id="cases/x.yaml::new", gpus=1)])
    assert read_needs(path)["cases/x.yaml::ltx2"] == need
    assert read_needs(path)["cases/x.yaml::new"].seconds == 300
    assert [entry.name for entry in tmp_path.iterdir()] == ["needs.json"]


def test_auto_means_as_many_workers_as_can_hold_leases() -> None:
    gpus = tuple(Gpu(index=index, uuid=f"GPU-{index}", name="NVIDIA H200") for index in range(4))
    assert workers_for(Eligible(gpus=gpus, spec="all")) == 4
    assert workers_for(Eligible(gpus=gpus, spec="2", budget=2)) == 2
    assert workers_for(Eligible(gpus=(), spec="none", budget=0)) == 1


@pytest.mark.parametrize("dist", ["no", "each", "loadfile", "loadgroup", "worksteal"])
def test_other_ways_to_distribute_keep_their_own_scheduler(dist: str) -> None:
    schedule = GpuSchedule(Eligible(gpus=(), spec="none"), run_id="r", needs_path="/n", folder="/l")
    config: Any = SimpleNamespace(getvalue=lambda name: dist)
    node: Any = SimpleNamespace(config=config, workerinput={})
    assert schedule.pytest_xdist_make_scheduler(config, None) is None
    schedule.pytest_configure_node(node)
    assert node.workerinput == {}


def test_what_others_hold_counts_only_as_far_as_it_cuts_our_share(tmp_path: Any) -> None:
    from pytest_sgdiff.gpus import Pool
    from pytest_sgdiff.gpus.nvml_file import FileReader
    from pytest_sgdiff.gpus.selection import resolve

    reader = FileReader(str(tmp_path / "nvml.json"))
    facts = [{"facts": {"uuid": f"GPU-{n}", "nvml_index": n, "name": "NVIDIA H200"}} for n in range(4)]
    (tmp_path / "nvml.json").write_text(json.dumps({"gpus": facts}))
    everything, two = (resolve(spec, visible="0,1,2,3", reader=reader) for spec in ("all", "2"))
    folder = str(tmp_path / "locks")
    pool = Pool(everything, run_id="theirs", folder=folder, reader=reader, settle_s=0)
    with pool.lease(3, timeout_s=5):
        assert held_by_others(folder, "ours", everything) == 3
        assert held_by_others(folder, "ours", two) == 1
        assert held_by_others(folder, "theirs", everything) == 0


@pytest.fixture
def default_sigterm() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def sigterm() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def next_event(dsession: Any) -> None:
    """What xdist's loop does with the next event."""
    name, given = dsession.queue.get(timeout=20)
    getattr(dsession, f"worker_{name}")(**given)


@pytest.mark.usefixtures("default_sigterm")
def test_the_signals_that_end_a_job_interrupt_the_controller_until_pytest_is_done() -> None:
    cleanups: list[Any] = []
    session: Any = SimpleNamespace(config=SimpleNamespace(add_cleanup=cleanups.append))
    schedule = GpuSchedule(Eligible(gpus=(), spec="none"), run_id="r", needs_path="/n", folder="/l")
    schedule.pytest_sessionstart(session)
    with pytest.raises(KeyboardInterrupt):
        sigterm()
    sigterm()  # as GNU timeout sends it twice: it ends already
    for cleanup in cleanups:
        cleanup()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("default_sigterm")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_no_signal_raises_while_the_loop_waits_in_its_queue(number: signal.Signals) -> None:
    interrupts, dsession = Interrupts(), SimpleNamespace(queue=Queue())
    with interrupts.of_run():
        with interrupts.in_loop(dsession):
            # Held by xdist's loop at that moment, or by a thread that has an event for it.
            with dsession.queue.mutex:
                for _ in range(3):
                    os.kill(os.getpid(), number)
            with pytest.raises(KeyboardInterrupt):
                next_event(dsession)
        sigterm()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("default_sigterm")
def test_a_loop_that_does_not_come_round_is_interrupted_where_it_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sgdiff.plugin.xdist.interrupts.PATIENCE_S", -1.0)
    interrupts, dsession = Interrupts(), SimpleNamespace(queue=Queue())
    with interrupts.of_run(), interrupts.in_loop(dsession):
        sigterm()
        with pytest.raises(KeyboardInterrupt):
            sigterm()


def test_a_run_in_another_thread_than_the_main_one_leaves_the_signals_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        interrupts = Interrupts()
        with interrupts.of_run(), interrupts.in_loop(SimpleNamespace(queue=Queue())):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
