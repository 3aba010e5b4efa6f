"""Owners that die, stop or fork while they hold GPUs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.gpus import Pool, lease_records, lock_files, orphans, queue_state, reap, resolve
from pytest_sgdiff.gpus.nvml_file import FileReader
from tests.waiting import alive, wait_for

pytestmark = pytest.mark.faults

FILE = Path(__file__).parents[1] / "data" / "nvml" / "h200-x4.json"
RUN = f"there-{os.getpid()}"
"""This process's own: `reap` ends what carries a run's name on the whole host, also of another run of these tests."""


class Bench:
    def __init__(self, folder: str) -> None:
        self.locks = folder
        self.reader = FileReader(str(FILE))
        self.owners: list[subprocess.Popen[str]] = []
        self.strays: list[int] = []

    def pool(self, run: str = "here") -> Pool:
        eligible = resolve("all", visible="0,1,2,3", reader=self.reader)
        return Pool(eligible, run_id=run, folder=self.locks, reader=self.reader, settle_s=0, poll_s=0.01)

    def owner(self, body: str) -> tuple[subprocess.Popen[str], list[int]]:
        """A process that leases all four GPUs, runs `body` and prints PIDs as JSON, then sleeps."""
        script = f"""
            import json, os, signal, subprocess, sys, time
            from pytest_sgdiff.gpus import Pool, resolve
            from pytest_sgdiff.gpus.nvml_file import FileReader
            reader = FileReader({str(FILE)!r})
            pool = Pool(resolve("all", visible="0,1,2,3", reader=reader), run_id={RUN!r}, folder={self.locks!r},
                        reader=reader, settle_s=0)
            lease = pool.lease(4, timeout_s=10, tag="wan22", estimate_s=60)
            def launch(*argv, **how):
                how = {{"env": {{**os.environ, **lease.env()}}, **how}}
                how |= {{"pass_fds": lease.pass_fds, "start_new_session": True, "stdout": subprocess.PIPE}}
                child = subprocess.Popen(argv, **how)
                lease.launched(child.pid)
                return child
            pids = []
            {textwrap.indent(textwrap.dedent(body), " " * 12).strip()}
            print(json.dumps(pids), flush=True)
            time.sleep(60)
        """
        owner = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self.owners.append(owner)
        assert owner.stdout is not None
        pids = json.loads(owner.stdout.readline())
        self.strays += pids
        return owner, pids


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(str(tmp_path / "locks"))
    yield bench
    for pid in bench.strays:
        if alive(pid):
            os.kill(pid, signal.SIGKILL)
    for owner in bench.owners:
        owner.kill()
        owner.wait()
        assert owner.stdout is not None
        owner.stdout.close()


def kill(owner: subprocess.Popen[str]) -> None:
    owner.kill()
    owner.wait()


@pytest.mark.parametrize("left", ["nothing", "a zombie"])
def test_gpus_of_a_killed_owner_without_a_child_are_free(bench: Bench, left: str) -> None:
    owner, _ = bench.owner("")
    owner.kill()
    os.waitid(os.P_PID, owner.pid, os.WEXITED | (os.WNOWAIT if left == "a zombie" else 0))
    bench.pool().lease(4, timeout_s=5).release()


def test_gpus_stay_locked_while_the_child_of_a_killed_owner_lives(bench: Bench) -> None:
    owner, (child,) = bench.owner('pids.append(launch("sleep", "60").pid)')
    kill(owner)
    with pytest.raises(LeaseError) as caught:
        bench.pool().lease(1, timeout_s=0.3, tag="ltx2")
    assert str(caught.value) == (
        f"ltx2 got no 1 GPU within 0.3 s: GPU 0,1,2,3: process {child} of wan22 outlived its pytest worker {owner.pid}"
        "; it is being ended. `sgdiff gpus` shows the queue; a larger --sgdiff-gpu-timeout waits longer"
    )
    assert alive(child)
    assert {row["state"] for row in queue_state(bench.locks)["gpus"]} == {"orphaned"}
    os.kill(child, signal.SIGKILL)
    with bench.pool().lease(4, timeout_s=5):
        pass


def test_a_waiter_ends_the_orphan_after_a_grace_and_gets_its_gpus(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(orphans, "ORPHAN_GRACE_S", 0.2)
    monkeypatch.setattr(orphans, "ORPHAN_TERM_S", 0.5)
    # This one ignores SIGTERM.
    owner, (child,) = bench.owner('pids.append(launch("sh", "-c", "trap : TERM; while :; do sleep 0.1; done").pid)')
    kill(owner)
    asked = time.monotonic()
    with bench.pool().lease(4, timeout_s=20):
        assert time.monotonic() - asked > 0.7
    assert not alive(child)


def test_a_worker_of_the_engine_that_inherited_no_lock_and_lost_its_environment_is_ended_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SGLang's workers: spawned without the descriptors, their environment overwritten by setproctitle."""
    monkeypatch.setattr(orphans, "ORPHAN_GRACE_S", 0.2)
    owner, (worker,) = bench.owner(
        """
        child = launch("sh", "-c", "env -i sleep 60 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- & echo $!")
        pids.append(int(child.stdout.readline()))
        child.wait()
        """
    )
    kill(owner)
    assert alive(worker)
    with bench.pool().lease(4, timeout_s=20):
        assert not alive(worker)


def test_processes_that_are_not_the_leases_are_never_signalled(bench: Bench) -> None:
    """In a session of their own with another lease's tag, and in the launch's own user: none of them is touched."""
    owner, (child, other, plain) = bench.owner(
        """
        pids.append(launch("sleep", "60").pid)
        pids.append(subprocess.Popen(["sleep", "60"], env={**os.environ, "SGDIFF_LEASE": lease.id + "0"}).pid)
        pids.append(subprocess.Popen(["sleep", "60"], start_new_session=True).pid)
        """
    )
    assert reap(bench.locks, RUN) == 0, "the owner lives: another worker of its run has died"
    assert alive(child)
    kill(owner)
    assert reap(bench.locks, "another-run", everything=True) == 0
    assert reap(bench.locks, RUN) == 1
    assert not alive(child)
    assert alive(other)
    assert alive(plain)


def test_the_controller_ends_everything_of_its_run_at_the_end(bench: Bench) -> None:
    """Also a child whose lease is no longer on record."""
    owner, (child,) = bench.owner('pids.append(launch("sleep", "60").pid); lease.release()')
    kill(owner)
    for name in os.listdir(os.path.join(bench.locks, "lease")):
        os.unlink(os.path.join(bench.locks, "lease", name))
    assert reap(bench.locks, RUN, everything=True) == 1
    assert not alive(child)


def test_a_released_lease_stays_on_record_while_its_child_lives(bench: Bench) -> None:
    _, (child,) = bench.owner('pids.append(launch("sleep", "60").pid); lease.release()')
    with pytest.raises(LeaseError):
        bench.pool().lease(1, timeout_s=0)
    os.kill(child, signal.SIGKILL)
    with bench.pool().lease(4, timeout_s=5):
        pass


def test_a_launch_that_outlives_its_owner_keeps_others_from_being_alone(bench: Bench) -> None:
    owner, (child,) = bench.owner(
        """
        shared = lease.shared()
        shared.__enter__()
        pids.append(launch("sleep", "60").pid)
        """
    )
    kill(owner)
    cpu = Pool(resolve("none"), run_id="cpu", folder=bench.locks, settle_s=0)
    with cpu.lease(0, timeout_s=5) as lease:
        with pytest.raises(LeaseError, match="wan22 still running"), lease.alone(timeout_s=0.1):
            pass
        assert lease.co_runners() == ("wan22",)
        os.kill(child, signal.SIGKILL)
        with lease.alone(timeout_s=5):
            assert lease.co_runners() == ()


def test_a_forked_child_of_the_owner_does_not_keep_the_lease(bench: Bench) -> None:
    pool = bench.pool()
    lease = pool.lease(4, timeout_s=5)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    os.close(read)
    try:
        lease.release()
        with bench.pool("other").lease(4, timeout_s=2):
            pass
    finally:
        os.close(write)
        os.waitpid(pid, 0)


def test_a_killed_waiter_leaves_no_ticket(bench: Bench) -> None:
    with bench.pool().lease(1, timeout_s=5):
        waiter = subprocess.Popen(
            [
                sys.executable,
                "-c",
                (
                    "import sys\nfrom pytest_sgdiff.gpus import Pool, resolve\n"
                    "pool = Pool(resolve('all', visible='0,1,2,3'), run_id='w', folder=sys.argv[1], settle_s=0)\n"
                    "pool.lease(4, timeout_s=60, tag='wide')"
                ),
                bench.locks,
            ],
            env={**os.environ, "SGDIFF_NVML_FILE": str(FILE)},
        )
        wait_for(lambda: queue_state(bench.locks)["queue"])
        waiter.kill()
        waiter.wait()
        assert queue_state(bench.locks)["queue"] == []
        with bench.pool("next").lease(3, timeout_s=2):
            pass


def test_a_stopped_head_of_the_queue_is_passed_and_served_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lease_records, "STALLED_S", 0.3)
    got = tmp_path / "got"
    holder = bench.pool().lease(1, timeout_s=5)
    waiter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import sys\nfrom pytest_sgdiff.gpus import Pool, resolve\n"
                "pool = Pool(resolve('all', visible='0,1,2,3'), run_id='w', folder=sys.argv[1], settle_s=0)\n"
                "pool.lease(4, timeout_s=60, tag='wide')\nopen(sys.argv[2], 'w').close()"
            ),
            bench.locks,
            str(got),
        ],
        env={**os.environ, "SGDIFF_NVML_FILE": str(FILE)},
    )
    try:
        wait_for(lambda: queue_state(bench.locks)["queue"])
        # Not while it has the mutex, which stops everybody: that is another test.
        with lock_files.mutex(bench.locks):
            waiter.send_signal(signal.SIGSTOP)
            os.waitpid(waiter.pid, os.WUNTRACED)
        wait_for(lambda: queue_state(bench.locks)["queue"][0]["stalled"])
        bench.pool("small").lease(1, timeout_s=20).release()
        holder.release()
        waiter.send_signal(signal.SIGCONT)
        wait_for(got.exists)
    finally:
        waiter.kill()
        waiter.wait()


def test_a_process_that_stops_inside_the_short_lock_is_named(bench: Bench) -> None:
    folder = lock_files.lock_dir(bench.locks)
    stopped = subprocess.Popen(
        [
            sys.executable,
            "-c",
            (
                "import sys, time\nfrom pytest_sgdiff.gpus import lock_files as locks\n"
                "with locks.mutex(sys.argv[1]):\n    print('in', flush=True)\n    time.sleep(60)"
            ),
            folder,
        ],
        stdout=subprocess.PIPE,
    )
    assert stopped.stdout is not None
    try:
        stopped.stdout.readline()
        with pytest.raises(LeaseError) as caught, lock_files.mutex(folder, limit_s=0.1):
            pass
        assert str(caught.value) == (
            f"{folder}/mutex has been locked for 0 s by process {stopped.pid}, which is stopped or hangs; "
            "continue it (fg, kill -CONT) or end it"
        )
    finally:
        stopped.kill()
        stopped.wait()
        stopped.stdout.close()
    with lock_files.mutex(folder, limit_s=1):
        pass
