"""A lock directory whose files are taken away: no GPU is given out twice without the first holder's stopping, nobody
waits for what cannot come, and no port is shared with the runs of another directory."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sgdiff.errors import LeaseError, LeaseLostError
from pytest_sgdiff.gpus import host_lock, lock_files, ports, queue_state
from pytest_sgdiff.gpus.lease import Lease
from pytest_sgdiff.gpus.wait_reasons import Wait
from tests.unit.test_gpus_leases import FIRST, Bench
from tests.waiting import wait_for


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def files_removed(folder: str) -> None:
    """As by what cleans up temporary files; the folders stay."""
    for path in Path(folder).rglob("*"):
        if path.is_file():
            path.unlink()


def gpu_file_removed(folder: str) -> None:
    Path(folder, "gpu", FIRST).unlink()


def gpu_file_replaced(folder: str) -> None:
    Path(folder, "gpu", FIRST).unlink()
    os.close(lock_files.open_lock_file(os.path.join(folder, "gpu", FIRST)))


def record_removed(folder: str) -> None:
    shutil.rmtree(Path(folder, "lease"))
    Path(folder, "lease").mkdir()


def all_removed(folder: str) -> None:
    shutil.rmtree(folder)


def renamed(folder: str) -> None:
    os.rename(folder, f"{folder}.old")


def made_anew(folder: str) -> None:
    renamed(folder)
    lock_files.lock_dir(folder)


LOSSES = (files_removed, gpu_file_removed, gpu_file_replaced, record_removed, made_anew)
GONE = (all_removed, renamed)


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("lose", LOSSES)
def test_a_lease_that_the_lock_directory_lost_launches_nothing(
    bench: Bench, lose: Callable[[str], None], alone: bool
) -> None:
    with bench.pool().lease(1, timeout_s=5, tag="ltx2") as lease:
        lose(bench.locks)
        with pytest.raises(LeaseLostError) as caught, lease.alone() if alone else lease.shared():
            raise AssertionError("launched")
    assert str(caught.value).startswith(f"ltx2 cannot be launched: {bench.locks}/")
    assert "exclude the lock directory from the cleanup of temporary files" in str(caught.value)


@pytest.mark.parametrize("lose", GONE)
def test_a_lock_directory_that_is_gone_launches_nothing_and_gives_everything_back(
    bench: Bench, lose: Callable[[str], None]
) -> None:
    lease = bench.pool().lease(1, timeout_s=5, tag="ltx2")
    fds = lease.pass_fds
    lose(bench.locks)
    with pytest.raises(LeaseError, match="ltx2 cannot be launched"), lease.shared():
        raise AssertionError("launched")
    lease.release()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


@pytest.mark.parametrize("lose", [files_removed, gpu_file_removed, gpu_file_replaced, record_removed])
def test_a_launch_during_which_the_lease_was_lost_does_not_count(bench: Bench, lose: Callable[[str], None]) -> None:
    with bench.pool().lease(1, timeout_s=5, tag="ltx2") as lease, pytest.raises(LeaseLostError), lease.shared():
        lose(bench.locks)


@pytest.mark.parametrize("lose", [files_removed, made_anew])
def test_of_two_holders_the_first_stops_before_its_next_launch(bench: Bench, lose: Callable[[str], None]) -> None:
    """The second cannot know."""
    first = bench.pool(run="a").lease(1, timeout_s=5, tag="first")
    with first.shared():
        pass
    lose(bench.locks)
    second = bench.pool(run="b").lease(1, timeout_s=5, tag="second")
    assert first.indices == second.indices
    with pytest.raises(LeaseLostError), first.shared():
        raise AssertionError("launched")
    with second.shared():
        pass
    first.release()
    assert queue_state(bench.locks)["holders"][0]["case"] == "second", "the first takes nothing of the second away"
    with second.alone():
        pass
    second.release()


def test_a_host_lock_that_was_replaced_while_it_was_waited_for_keeps_nobody_out(bench: Bench) -> None:
    one, two = (bench.pool(run=name).lease(1, timeout_s=5, tag=name) for name in "ab")
    said: list[Wait] = []
    found: list[LeaseError] = []

    def wait(lease: Lease) -> None:
        try:
            with lease.alone(timeout_s=20, on_wait=said.append):
                pass
        except LeaseError as error:
            found.append(error)

    with one.shared():
        waiting = threading.Thread(target=wait, args=(two,))
        waiting.start()
        wait_for(lambda: said)
        Path(bench.locks, "host").unlink()
    waiting.join()
    assert [type(error) for error in found] == [LeaseLostError]
    one.release()
    two.release()


def test_the_mutex_is_the_one_that_lies_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those who waited for a file that was removed none must be in together with those who found the new one."""
    bench.pool()
    path = os.path.join(bench.locks, "mutex")
    held = [lock_files.locked_file(path)]

    def sleep(seconds: float) -> None:
        fd = held.pop()
        assert fd is not None
        os.unlink(path)
        os.close(fd)

    monkeypatch.setattr(lock_files.time, "sleep", sleep)
    with lock_files.mutex(bench.locks):
        assert held == [], "it waited"
        assert lock_files.is_locked(path)


def test_a_ticket_that_was_removed_is_drawn_again(bench: Bench) -> None:
    """Nobody would serve it, and the case would wait until its time is up."""
    held = bench.pool(run="a").lease(4, timeout_s=5, tag="holder")
    got: list[tuple[int, ...]] = []

    def wait() -> None:
        with bench.pool(run="b").lease(2, timeout_s=60, tag="waiter") as lease:
            got.append(lease.indices)

    waiting = threading.Thread(target=wait)
    waiting.start()
    queue = Path(bench.locks, "queue")
    wait_for(lambda: list(queue.iterdir()))
    for path in queue.iterdir():
        path.unlink()
    held.release()
    waiting.join()
    assert got == [(0, 1)]
    assert list(queue.iterdir()) == []


def test_the_files_of_held_gpus_are_not_old(bench: Bench) -> None:
    """What cleans up temporary files goes by their age, and the files of a host are made once."""
    with bench.pool().lease(4, timeout_s=5):
        pass
    path = Path(bench.locks, "gpu", FIRST)
    os.utime(path, (1, 1))
    with bench.pool().lease(4, timeout_s=5):
        assert path.stat().st_mtime > 1e9


def test_a_file_that_is_replaced_when_it_is_touched_is_locked_as_it_lies_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one of a container's image is, by the copy that can be written to."""
    with bench.pool().lease(4, timeout_s=5):
        pass
    left = list(Path(bench.locks, "gpu").iterdir())
    utime = os.utime

    def copy_up(fd: int) -> None:
        for path in list(left):
            if os.path.samestat(os.fstat(fd), path.stat()):
                left.remove(path)
                path.rename(f"{path}.lower")
                path.write_text("")
        utime(fd)

    monkeypatch.setattr(os, "utime", copy_up)
    with bench.pool().lease(4, timeout_s=5) as lease, lease.shared():
        assert lease.indices == (0, 1, 2, 3)
    assert left == []


# -- ports ----------------------------------------------------------------------------------------------------------


def test_runs_of_two_lock_directories_share_no_block(tmp_path: Path) -> None:
    """Containers with the host's network, or a private lock directory."""
    folders = [lock_files.lock_dir(str(tmp_path / name)) for name in "ab"]
    held = [ports.take(folder, ports.blocks()) for folder in folders for _ in range(40)]
    assert len({block.http for block, _ in held}) == 80
    for _, fd in held:
        os.close(fd)


def test_where_a_directorys_runs_begin_is_its_own_and_stays(tmp_path: Path) -> None:
    folders = [lock_files.lock_dir(str(tmp_path / f"{number}")) for number in range(20)]
    begins = [ports.offset(folder, 199) for folder in folders]
    assert len(set(begins)) > 10
    assert begins == [ports.offset(folder, 199) for folder in folders]
    script = "import sys; from pytest_sgdiff.gpus import ports; print(ports.offset(sys.argv[1], 199))"
    told = subprocess.run([sys.executable, "-c", script, folders[0]], capture_output=True, text=True, check=True).stdout
    assert int(told) == begins[0]


def test_a_block_is_kept_by_whoever_inherited_it_and_without_a_lock_directory(tmp_path: Path) -> None:
    folder = lock_files.lock_dir(str(tmp_path / "locks"))
    block, fd = ports.take(folder, ports.blocks())
    child = subprocess.Popen(["sleep", "600"], pass_fds=[fd])
    os.close(fd)
    shutil.rmtree(folder)
    folder = lock_files.lock_dir(folder)
    with pytest.raises(LeaseError, match="no block of free ports"):
        ports.take(folder, [block.http])
    child.kill()
    child.wait()
    again, fd = ports.take(folder, [block.http])
    assert again == block
    os.close(fd)


def test_where_there_are_no_abstract_names_the_lock_directory_keeps_runs_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forbidding(socket.socket):
        def bind(self, address: object) -> None:
            if self.family == socket.AF_UNIX:
                raise PermissionError(1, "Operation not permitted")
            super().bind(address)  # type: ignore[arg-type]

    monkeypatch.setattr(ports.socket, "socket", Forbidding)
    folder = lock_files.lock_dir(str(tmp_path / "locks"))
    one, fd = ports.take(folder, ports.blocks())
    other, other_fd = ports.take(folder, ports.blocks())
    assert one.http != other.http
    assert lock_files.is_locked(os.path.join(folder, "port", str(one.http)))
    os.close(fd)
    os.close(other_fd)


def test_a_bound_port_anywhere_in_a_block_passes_it_over(tmp_path: Path) -> None:
    folder = lock_files.lock_dir(str(tmp_path / "locks"))
    for place in ("http", "scheduler", "master"):
        block, fd = ports.take(folder, ports.blocks())
        os.close(fd)
        with socket.socket() as squatter:
            squatter.bind(("127.0.0.1", getattr(block, place)))
            other, fd = ports.take(folder, ports.blocks())
            os.close(fd)
        assert other.http != block.http


def test_a_lost_lease_is_said_with_its_file_and_the_fix() -> None:
    assert str(host_lock.lost("ltx2", "/locks/gpu/GPU-1")) == (
        "ltx2 cannot be launched: /locks/gpu/GPU-1 was removed or replaced while its lock was held, so another "
        "run may have the same GPUs; exclude the lock directory from the cleanup of temporary files, or name another "
        "one with --sgdiff-lock-dir, the same for all runs of the host, and run it again"
    )
