"""Leases within one process: what they hold, whom they exclude, and what a waiter is told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import Gpu
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.files.procfs import where
from pytest_sgdiff.gpus import (
    Eligible,
    Pool,
    describe,
    host_lock,
    inventory,
    lease_records,
    lock_files,
    ports,
    queue_state,
    resolve,
)
from pytest_sgdiff.gpus.devices import Use
from pytest_sgdiff.gpus.explain import held_by_others
from pytest_sgdiff.gpus.nvml_file import FileReader
from pytest_sgdiff.gpus.wait_reasons import Wait, WaitReason, in_words
from tests.waiting import wait_for

DATA = Path(__file__).parents[1] / "data" / "nvml"
FIRST = "GPU-00000000-0000-4000-8000-00000000000a"


class Bench:
    """A faked machine with four H200s and a lock directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "nvml.json"
        self.locks = str(folder / "locks")
        self.content: dict[str, Any] = json.loads((DATA / "h200-x4.json").read_text())
        self.write()
        self.reader = FileReader(str(self.path))

    def write(self) -> None:
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.content))
        new.replace(self.path)

    def occupy(self, index: int, *rows: dict[str, object]) -> None:
        self.content["gpus"][index]["processes"] = list(rows)
        self.write()

    def pool(self, spec: str = "all", run: str = "run") -> Pool:
        eligible = resolve(spec, visible="0,1,2,3", reader=self.reader)
        return Pool(eligible, run_id=run, folder=self.locks, reader=self.reader, settle_s=0, poll_s=0.005, patience_s=0)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_lease_gives_numbers_ports_and_locks_to_the_launch(bench: Bench) -> None:
    with bench.pool().lease(2, timeout_s=5, tag="ltx2") as lease:
        assert lease.indices == (0, 1)
        assert lease.env() == {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": "0,1",
            "SGDIFF_GPU_UUIDS": ",".join(gpu.uuid for gpu in lease.gpus),
            "SGDIFF_LEASE": lease.id,
            "SGDIFF_RUN": "run",
        }
        assert (lease.ports.scheduler - lease.ports.http, lease.ports.master - lease.ports.http) == (10, 40)
        assert len(lease.pass_fds) == 3
        assert not any(os.get_inheritable(fd) for fd in lease.pass_fds)
        with lease.shared():
            assert len(lease.pass_fds) == 5
        assert lease.cpus == tuple(sorted(os.sched_getaffinity(0)))


def test_the_numbers_are_those_of_the_machine_within_what_the_caller_sees(bench: Bench) -> None:
    eligible = resolve("all", visible="3,2", reader=bench.reader)
    pool = Pool(eligible, run_id="run", folder=bench.locks, reader=bench.reader, settle_s=0)
    with pool.lease(2, timeout_s=5) as lease:
        assert lease.env()["CUDA_VISIBLE_DEVICES"] == "2,3"


def test_a_case_without_gpus_gets_ports_and_sees_no_gpu(bench: Bench) -> None:
    pool = Pool(resolve("none"), run_id="run", folder=bench.locks, settle_s=0)
    with pool.lease(0, timeout_s=0, tag="cpu") as lease:
        assert lease.gpus == ()
        assert lease.env()["CUDA_VISIBLE_DEVICES"] == ""
        assert lease.ports.http >= 20000


def test_a_mig_slice_goes_by_its_uuid(bench: Bench) -> None:
    slice_ = Gpu(index=0, uuid="MIG-1111", name="NVIDIA H200", mig_profile="1g.18gb")
    eligible = Eligible(gpus=(slice_,), spec="MIG-1111")
    pool = Pool(eligible, run_id="run", folder=bench.locks, reader=bench.reader, settle_s=0)
    with pool.lease(1, timeout_s=5) as lease:
        assert lease.env()["CUDA_VISIBLE_DEVICES"] == "MIG-1111"


def test_a_mig_slice_that_is_all_there_is_goes_by_the_number_that_cuda_gives_it(bench: Bench) -> None:
    """SGLang Diffusion does `int()` on every entry."""
    facts = {"nvml_index": 0, "name": "NVIDIA H100"}
    parent = {"facts": {**facts, "uuid": "GPU-a", "mig_enabled": True}}
    cut = [{"facts": {**facts, "uuid": f"MIG-{n}", "mig_profile": "2g.20gb", "parent": "GPU-a"}} for n in range(2)]
    for there, visible in ((cut[:1], "0"), (cut, "MIG-0")):
        bench.content = {"gpus": [parent, *there]}
        bench.write()
        eligible = resolve("MIG-0", reader=bench.reader, env={})
        pool = Pool(eligible, run_id="run", folder=bench.locks, reader=bench.reader, settle_s=0)
        with pool.lease(1, timeout_s=5) as lease:
            assert lease.env()["CUDA_VISIBLE_DEVICES"] == visible
            assert lease.env()["SGDIFF_GPU_UUIDS"] == "MIG-0"


def test_two_runs_never_share_a_gpu_or_a_port(bench: Bench) -> None:
    with bench.pool(run="a").lease(2, timeout_s=5) as one, bench.pool(run="b").lease(2, timeout_s=5) as other:
        assert (one.indices, other.indices) == ((0, 1), (2, 3))
        assert one.ports.http != other.ports.http


def test_a_block_with_a_bound_port_is_passed_over(bench: Bench) -> None:
    with socket.socket() as squatter:
        squatter.bind(("", 0))
        first = squatter.getsockname()[1] - 40
        block, fd = ports.take(lock_files.lock_dir(bench.locks), [first, *ports.blocks()])
        os.close(fd)
    assert block.http != first


def test_no_free_block_is_an_error_that_says_how_to_see_why(bench: Bench) -> None:
    with socket.socket() as squatter:
        squatter.bind(("", 0))
        taken = squatter.getsockname()[1]
        with pytest.raises(LeaseError) as caught:
            ports.take(lock_files.lock_dir(bench.locks), [taken])
    assert str(caught.value) == (
        f"no block of free ports from {taken} on: other launches hold them or other programs use them; "
        "`ss -ltnp` lists those programs"
    )


@pytest.mark.parametrize(
    ("ephemeral", "first", "last", "many"),
    [((32768, 60999), 20000, 65440, True), ((10000, 61000), 61024, 65440, True), ((1024, 65535), 20000, 65440, True)],
)
def test_blocks_keep_clear_of_the_ports_that_the_kernel_hands_out(
    ephemeral: tuple[int, int], first: int, last: int, many: bool
) -> None:
    found = ports.blocks(ephemeral=ephemeral)
    assert (found[0], found[-1], len(found) >= 16) == (first, last, many)
    if ephemeral[0] > 20000:
        assert not any(ephemeral[0] < block + ports.SPAN and block <= ephemeral[1] for block in found)


def test_waiting_says_who_has_what_and_for_whom_one_waits(bench: Bench) -> None:
    said: list[Wait] = []
    with bench.pool(run="a").lease(3, timeout_s=5, tag="wan22") as held:
        bench.occupy(3, {"pid": 419, "name": "/opt/python3", "used_mb": 1002})
        with pytest.raises(LeaseError) as caught:
            bench.pool(run="b").lease(2, timeout_s=0.5, tag="ltx2", on_wait=said.append)
        theirs = WaitReason(code="held", gpus=held.indices, tag="wan22", pid=os.getpid(), owner=os.getuid())
    assert held.indices == (0, 1, 2)
    assert said[0] == Wait(aim="gpus", count=2, reasons=(theirs,))
    assert len(said) == len({wait.reasons for wait in said})
    assert f"ltx2 got no 2 GPUs within 0.5 s: {in_words([theirs])}" in str(caught.value)
    with bench.pool(run="a").lease(3, timeout_s=5, tag="wan22"):
        lease_records.mark_busy(
            bench.locks, bench.content["gpus"][3]["facts"]["uuid"], "process 419 (python3, 1002 MiB)"
        )
        with pytest.raises(LeaseError) as caught:
            bench.pool(run="b").lease(2, timeout_s=0, tag="ltx2")
    marked = WaitReason(code="busy", gpus=(3,), mark="process 419 (python3, 1002 MiB)")
    assert str(caught.value) == (
        f"ltx2 got no 2 GPUs within 0 s: {in_words([theirs, marked])}. "
        "`sgdiff gpus` shows the queue; a larger --sgdiff-gpu-timeout waits longer"
    )


def test_a_foreign_process_on_one_gpu_costs_only_that_gpu(bench: Bench) -> None:
    bench.occupy(0, {"pid": 419, "name": "python3", "used_mb": 1002})
    with bench.pool().lease(3, timeout_s=10) as lease:
        assert lease.indices == (1, 2, 3)


def test_a_gpu_is_given_out_once_the_foreign_process_has_left(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_records, "QUARANTINE_S", 0.2)
    for index in range(4):
        bench.content["gpus"][index]["state"]["used_mb"] = 40000
    bench.write()
    said: list[Wait] = []

    def leave() -> None:
        wait_for(lambda: said)
        for index in range(4):
            bench.content["gpus"][index]["state"]["used_mb"] = 0
        bench.write()

    stranger = threading.Thread(target=leave)
    stranger.start()
    with bench.pool().lease(4, timeout_s=20, on_wait=said.append) as lease:
        stranger.join()
        assert lease.indices == (0, 1, 2, 3)
    hidden = Use(kind="hidden", used_mb=40000)
    assert said[0].reasons == tuple(WaitReason(code="busy", gpus=(index,), uses=(hidden,)) for index in range(4))


def test_a_case_that_can_never_fit_is_told_at_once(bench: Bench) -> None:
    with pytest.raises(LeaseError) as caught:
        bench.pool("2").lease(4, timeout_s=60, tag="wan22")
    assert str(caught.value) == "wan22 needs 4 GPUs, and --sgdiff-gpus=2 gives only 2 of them"


def test_only_the_products_that_are_asked_for_are_leased_and_waited_for(bench: Bench) -> None:
    bench.content["gpus"][2]["facts"]["name"] = "NVIDIA H100 80GB HBM3"
    bench.write()
    with bench.pool().lease(1, timeout_s=5, tag="one", products=["H100"]) as lease:
        assert lease.indices == (2,)
        with bench.pool().lease(1, timeout_s=5, tag="two", products=["H200"]) as other:
            assert other.indices == (3,)
            with pytest.raises(LeaseError) as caught:
                bench.pool().lease(1, timeout_s=0, tag="three", products=["H100"])
    one = WaitReason(code="held", gpus=(2,), tag="one", pid=os.getpid())
    assert str(caught.value) == (
        f"three got no 1 GPU within 0 s: {in_words([one])}. "
        "`sgdiff gpus` shows the queue; a larger --sgdiff-gpu-timeout waits longer"
    )


def test_a_second_lease_beside_the_first_is_refused(bench: Bench) -> None:
    pool = bench.pool()
    with pool.lease(1, timeout_s=5, tag="one"):
        with pytest.raises(LeaseError) as caught:
            pool.lease(1, timeout_s=5, tag="two")
        assert str(caught.value).startswith("two asks for GPUs while the lease of one is held: ")
    with pool.lease(1, timeout_s=5):
        pass


def test_a_budget_bounds_a_run_over_all_its_workers_and_no_other_run(bench: Bench) -> None:
    first, second, other = bench.pool("2", "ours"), bench.pool("2", "ours"), bench.pool("2", "theirs")
    with first.lease(2, timeout_s=5), other.lease(2, timeout_s=5):
        pass
    with first.lease(1, timeout_s=5), second.lease(1, timeout_s=5):
        with pytest.raises(LeaseError):
            bench.pool("2", "ours").lease(1, timeout_s=0)
        with other.lease(2, timeout_s=5) as lease:
            assert lease.indices == (2, 3)


def test_tickets_are_served_in_order_so_a_wide_case_is_not_starved(bench: Bench) -> None:
    """While a 4-GPU case waits for one GPU, a later 1-GPU case of unknown length may not take another."""
    order: list[str] = []
    holder = bench.pool(run="a").lease(1, timeout_s=5, tag="holder")

    def run(count: int, name: str) -> None:
        with bench.pool(run=name).lease(count, timeout_s=20, tag=name):
            order.append(name)

    wide = threading.Thread(target=run, args=(4, "wide"))
    wide.start()
    wait_for(lambda: len(queue_state(bench.locks)["queue"]) == 1)
    small = threading.Thread(target=run, args=(1, "small"))
    small.start()
    wait_for(lambda: len(queue_state(bench.locks)["queue"]) == 2)
    time.sleep(0.1)
    assert order == []
    holder.release()
    wide.join()
    small.join()
    assert order == ["wide", "small"]


def test_alone_waits_for_all_launches_and_keeps_new_ones_out(bench: Bench) -> None:
    pools = [bench.pool(run=name) for name in "abc"]
    one, two, three = (pool.lease(1, timeout_s=5, tag=f"case {place}") for place, pool in enumerate(pools))
    events: list[Wait | str] = []

    def be_alone() -> None:
        with two.alone(timeout_s=20, on_wait=events.append):
            assert two.co_runners() == ()
            events.append("alone")
            time.sleep(0.05)
            events.append("not alone any more")

    def share() -> None:
        with three.shared(timeout_s=20):
            events.append("shared")

    with one.shared():
        assert two.co_runners() == ("case 0",)
        alone = threading.Thread(target=be_alone)
        alone.start()
        wait_for(lambda: events)
        late = threading.Thread(target=share)
        late.start()
        time.sleep(0.1)
        assert events == [Wait(aim="alone", reasons=(WaitReason(code="launches", cases=("case 0",)),))]
    alone.join()
    late.join()
    assert events[1:] == ["alone", "not alone any more", "shared"]
    for lease in (one, two, three):
        lease.release()


def test_being_alone_has_a_limit_that_names_who_is_in_the_way(bench: Bench) -> None:
    with (
        bench.pool(run="a").lease(1, timeout_s=5, tag="wan22") as one,
        bench.pool(run="b").lease(1, timeout_s=5, tag="ltx2") as other,
        one.shared(),
        pytest.raises(LeaseError) as caught,
        other.alone(timeout_s=0.05),
    ):
        pass
    assert str(caught.value) == (
        "ltx2 did not get exclusive use of the host within 0.05 s: wan22 still running; "
        "see `sgdiff gpus`, or choose another --sgdiff-isolation"
    )


def test_the_memory_of_a_launch_is_waited_for(bench: Bench) -> None:
    with bench.pool().lease(1, timeout_s=5) as lease:
        bench.occupy(0, {"pid": 419, "name": "python3", "used_mb": 1002})
        (left,) = lease.wait_until_free(0.1)
        assert (left.code, left.gpus, [process.pid for process in left.uses[0].processes]) == ("in-use", (0,), [419])
        leaver = threading.Timer(0.15, bench.occupy, args=(0,))
        leaver.start()
        assert lease.wait_until_free(10) == ()
        leaver.join()


def test_a_long_wait_for_free_gpus_says_who_is_on_them(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_sgdiff.gpus.lease.FREED_S", 0.15)
    said: list[Wait] = []
    with bench.pool().lease(1, timeout_s=5) as lease:
        bench.occupy(0, {"pid": 419, "name": "python3", "used_mb": 1002})
        assert lease.wait_until_free(0.05, said.append)
        assert said == []
        assert lease.wait_until_free(0.6, said.append)
    assert [(wait.aim, [one.code for one in wait.reasons]) for wait in said] == [("free", ["in-use"])]


def test_a_lease_knows_the_processes_of_its_launch(bench: Bench) -> None:
    with bench.pool().lease(1, timeout_s=5) as lease:
        script = (
            "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'], env={})"
        )
        child = subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, **lease.env()},
            pass_fds=lease.pass_fds,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdin is not None
        child.stdout.readline()
        lease.launched(child.pid)
        grandchild = int(Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()[0])
        assert lease.owns(child.pid)
        assert lease.owns(grandchild)
        assert not lease.owns(os.getpid())
        assert not lease.owns(1)
        child.communicate(b"\n")


def test_the_state_of_the_pool_shows_holders_queue_and_foreign_processes(bench: Bench) -> None:
    bench.occupy(3, {"pid": 419, "name": "python3", "used_mb": 1002})
    gpus = inventory(bench.reader)

    def give_up() -> None:
        with pytest.raises(LeaseError):
            bench.pool("idx:0,1", "b").lease(1, timeout_s=0.5, tag="wan22")

    with bench.pool(run="a").lease(2, timeout_s=5, estimate_s=90, tag="ltx2"):
        waiting = threading.Thread(target=give_up)
        waiting.start()
        wait_for(lambda: queue_state(bench.locks)["queue"])
        state = queue_state(bench.locks, gpus=gpus, reader=bench.reader)
        waiting.join()
    assert [row["state"] for row in state["gpus"]] == ["held", "held", "free", "busy"]
    assert json.loads(json.dumps(state)) == state
    pid = os.getpid()
    text = describe(state)
    assert f"GPU 0  NVIDIA H200  {FIRST}  held: ltx2 (process {pid}, run a)\n" in text
    assert "busy: process 419 (python3, 1002 MiB)\n" in text
    assert f"held     GPUs 0,1 by ltx2, process {pid}, for 0 s of about 90 s\n" in text
    assert f"queue  1 1 GPU for wan22, process {pid}, since 0 s" in text
    later = describe(queue_state(bench.locks, gpus=gpus[:1]))
    assert f"GPU 0  NVIDIA H200  {FIRST}  free\n" in later
    assert f"GPU ?  not visible here  {gpus[1].uuid}  not held\n" in later
    assert later.endswith("no leases, no queue")


def test_a_gpu_of_which_the_driver_tells_nothing_is_free_as_far_as_that_goes(bench: Bench) -> None:
    del bench.content["gpus"][1]["state"], bench.content["gpus"][1]["processes"]
    del bench.content["gpus"][2]["processes"]  # its memory and load say that nobody is there
    bench.write()
    rows = queue_state(bench.locks, gpus=inventory(bench.reader), reader=bench.reader)["gpus"]
    told = [(row["state"], row["why"]) for row in rows[:3]]
    assert told == [("free", ""), ("free", "the driver does not report whether a process uses it"), ("free", "")]


def dead_lease(bench: Bench, **changes: object) -> Path:
    """The record of a lease of GPU 0 whose owner is gone."""
    about = {"run": "old", "pid": 1, "tag": "ltx2", "estimate_s": 60, "since": 1.7e9, "uuids": [FIRST]}
    content = {**about, "uid": os.getuid(), "where": where(), "child": None, **changes}
    path = Path(bench.locks) / "lease" / "deadbeef0000"
    path.write_text(json.dumps(content))
    return path


def test_a_lease_from_before_the_host_was_started_anew_is_forgotten(bench: Bench) -> None:
    pool = bench.pool()
    path = dead_lease(bench, where="00000000-another-boot:pid:[4026531836]", child=os.getpid())
    assert held_by_others(bench.locks, "run", pool.eligible) == 0
    assert queue_state(bench.locks)["holders"] == []
    assert not path.exists()


def test_the_record_of_a_dead_lease_that_another_user_left_holds_nothing(bench: Bench) -> None:
    """Only that user may remove it; until he runs again it lies about."""
    pool = bench.pool()
    path = dead_lease(bench, uid=os.getuid() + 1)
    assert held_by_others(bench.locks, "run", pool.eligible) == 0
    state = queue_state(bench.locks, gpus=inventory(bench.reader), reader=bench.reader)
    assert (state["holders"], state["gpus"][0]["state"], path.exists()) == ([], "free", True)
    child = lock_files.locked_file(f"{bench.locks}/gpu/{FIRST}")
    assert child is not None
    assert held_by_others(bench.locks, "run", pool.eligible) == 1
    text = describe(queue_state(bench.locks, gpus=inventory(bench.reader)))
    assert "held     GPU 0 by ltx2, process 1, for " in text
    os.close(child)


def test_a_full_lock_directory_is_told_with_the_cure_and_leaves_no_ticket(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = bench.pool()

    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(LeaseError) as caught:
        pool.lease(1, timeout_s=5, tag="ltx2")
    assert str(caught.value) == (
        f"ltx2 got no GPUs: {bench.locks}: No space left on device; correct that, or name another lock directory "
        "with --sgdiff-lock-dir, the same for all runs of the host"
    )
    assert os.listdir(f"{bench.locks}/queue") == []


FIX = "correct that, or name another lock directory with --sgdiff-lock-dir, the same for all runs of the host"


@pytest.mark.parametrize("alone", [False, True])
def test_a_lock_directory_that_loses_a_folder_during_a_run_is_told_with_the_fix(bench: Bench, alone: bool) -> None:
    with bench.pool().lease(1, timeout_s=5, tag="ltx2") as lease:
        os.rmdir(f"{bench.locks}/launch")
        with pytest.raises(LeaseError) as caught, lease.alone() if alone else lease.shared():
            raise AssertionError("the host was entered")
        assert str(caught.value) == (
            f"ltx2 cannot be launched: {bench.locks}/launch/{lease.id}: No such file or directory; {FIX}"
        )
        with pytest.raises(LeaseError) as caught:
            lease.co_runners()
        assert str(caught.value) == (
            f"what runs at the same time as ltx2 cannot be read: {bench.locks}/launch: No such file or directory; {FIX}"
        )
        os.mkdir(f"{bench.locks}/launch")
        with lease.alone():  # nothing was kept locked
            pass


def test_a_lock_directory_that_is_taken_away_during_a_launch_is_told_with_the_fix(bench: Bench) -> None:
    lease = bench.pool().lease(1, timeout_s=5, tag="ltx2")
    with pytest.raises(LeaseError) as caught, lease.shared():
        os.rename(bench.locks, f"{bench.locks}.old")
    assert str(caught.value) == (
        f"the end of the launch of ltx2 cannot be recorded: {bench.locks}/mutex: No such file or directory; {FIX}"
    )
    os.rename(f"{bench.locks}.old", bench.locks)
    lease.release()


def test_a_launch_that_cannot_be_noted_is_told_with_the_fix(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    with bench.pool().lease(1, timeout_s=5, tag="ltx2") as lease:
        with monkeypatch.context() as patched:
            patched.setattr(os, "pwrite", full)
            with pytest.raises(LeaseError) as caught:
                lease.launched(os.getpid())
        assert str(caught.value) == f"ltx2 cannot be launched: {bench.locks}: No space left on device; {FIX}"


def test_gpus_are_given_back_even_while_somebody_sits_on_the_pools_lock(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept by this process they would be lost to all its later cases."""

    def stuck(folder: str) -> Any:
        raise LeaseError(f"{folder}/mutex has been locked for 30 s")

    pool = bench.pool()
    lease = pool.lease(4, timeout_s=5, tag="wan22")
    with monkeypatch.context() as patched:
        patched.setattr("pytest_sgdiff.gpus.lease.mutex", stuck)
        with pytest.raises(LeaseError, match="has been locked for 30 s"):
            lease.release()
    with pool.lease(4, timeout_s=5) as again:
        assert again.indices == (0, 1, 2, 3)


def test_a_file_of_somebody_else_in_the_queue_stops_nobody(bench: Bench) -> None:
    pool = bench.pool()
    Path(bench.locks, "queue", ".nfs0001").write_text("")
    with pool.lease(1, timeout_s=5) as lease:
        assert lease.indices == (0,)


def test_a_launch_is_no_longer_seen_by_the_time_that_its_lock_is_free(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever gets the host to itself next would otherwise take it for a launch beside its own."""
    folder = bench.pool().folder
    close, seen = os.close, []

    def spy(fd: int) -> None:
        close(fd)
        if fd == lock:  # the number is taken again by the next file that is opened
            monkeypatch.setattr(os, "close", close)
            seen.append(host_lock.running(folder))

    with host_lock.entered(folder, ident="a", tag="wan22", alone=False, timeout_s=5) as (lock, _):
        assert host_lock.running(folder) == ("wan22",)
        monkeypatch.setattr(os, "close", spy)
    assert seen == [()]


def test_a_lock_directory_on_a_network_file_system_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_files, "filesystem_type", lambda path: 0x6969)
    with pytest.raises(LeaseError) as caught:
        lock_files.lock_dir(bench.locks)
    assert str(caught.value) == (
        f"the lock directory {bench.locks} is on NFS, where locks between processes are not reliable; "
        "set SGDIFF_LOCK_DIR to a directory on a local disk that all runs of this host share"
    )


def test_the_type_of_the_file_system_is_read_from_the_kernel() -> None:
    assert lock_files.filesystem_type("/proc") == 0x9FA0
    assert lock_files.filesystem_type("/does/not/exist") == 0


def test_the_lock_directory_can_be_named_and_all_may_use_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SGDIFF_LOCK_DIR", str(tmp_path / "named"))
    folder = Path(lock_files.lock_dir())
    assert folder == tmp_path / "named"
    assert {path.stat().st_mode & 0o7777 for path in (folder, folder / "gpu", folder / "lease")} == {0o1777}
    os.close(lock_files.open_lock_file(str(folder / "gpu" / "x")))
    assert (folder / "gpu" / "x").stat().st_mode & 0o777 == 0o666
    monkeypatch.setenv("SGDIFF_LOCK_DIR", "/proc/nowhere")
    with pytest.raises(LeaseError) as caught:
        lock_files.lock_dir()
    assert str(caught.value).startswith("no lock directory can be used (/proc/nowhere: ")


def test_a_link_in_the_place_of_a_lock_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    folder = Path(lock_files.lock_dir(bench.locks))
    (tmp_path / "precious").write_text("")
    (folder / "gpu" / FIRST).symlink_to(tmp_path / "precious")
    with pytest.raises(LeaseError, match=f"{FIRST}: Too many levels of symbolic links; correct that"):
        bench.pool().lease(1, timeout_s=1)


def test_gpus_are_leased_next_to_each_other_by_nvlink(bench: Bench) -> None:
    gpus = inventory(bench.reader)
    eligible = replace(
        resolve("all", visible="0,1,2,3", reader=bench.reader),
        cliques={gpu.uuid: gpu.index % 2 for gpu in gpus},
    )
    pool = Pool(eligible, run_id="run", folder=bench.locks, reader=bench.reader, settle_s=0)
    with pool.lease(2, timeout_s=5) as lease:
        assert lease.indices == (0, 2)


@pytest.mark.parametrize("besides", [0, 1, 10, 40])
def test_a_port_that_something_keeps_after_a_launch_is_left_to_it(bench: Bench, besides: int) -> None:
    """One of HTTP, of the broker that a server takes besides, of the scheduler, or of the store."""
    with bench.pool().lease(1, timeout_s=5) as lease, socket.socket() as keeper:
        before = lease.ports
        assert lease.usable_ports() == before
        keeper.bind(("127.0.0.1", before.http + besides))
        keeper.listen()
        after = lease.usable_ports()
        assert after == lease.ports != before
        # Nobody else gets them.
        with bench.pool(run="b").lease(1, timeout_s=5) as other:
            assert other.ports.http not in (before.http, after.http)


def test_the_halves_of_a_lease_share_no_gpu_and_no_port(bench: Bench) -> None:
    with bench.pool().lease(2, timeout_s=5) as lease, lease.shared(), lease.halves() as (one, other):
        assert (one.indices, other.indices) == ((0,), (1,))
        assert (one.env()["CUDA_VISIBLE_DEVICES"], other.env()["CUDA_VISIBLE_DEVICES"]) == ("0", "1")
        assert one.ports == lease.ports
        assert other.ports.http != one.ports.http
        assert one.id == other.id == lease.id
        # The locks of the whole are inherited by both, so that nothing is free before both are dead.
        assert set(lease.pass_fds) <= set(one.pass_fds)
        assert len(other.pass_fds) == len(lease.pass_fds)
