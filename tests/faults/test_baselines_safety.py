"""Whatever happens while a baseline is written, the old or the new one is there, whole."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines.write import LOCK, locked
from pytest_sgdiff.data import Baseline, LaunchRecord, Machine, Measurement, Recorded, Workload
from pytest_sgdiff.errors import BaselineError

pytestmark = pytest.mark.faults

H200 = Machine(kind="gpu", product="NVIDIA H200", count=1)
FIX = "nothing was changed. Make room or make it writable, or name another folder with --sgdiff-baselines"


def baseline(e2e: float = 1143.69, *, steps: int = 50) -> Baseline:
    launches = tuple(
        LaunchRecord(number=n, metrics={"e2e": e2e + n, "denoise": e2e - 90}, steps_ms=(e2e / steps,) * steps)
        for n in range(5)
    )
    measurement = Measurement(case="tiny_wan", machine=H200, workload=Workload(digest="d"), launches=launches)
    recorded = Recorded(at="2026-11-23T17:25:00Z", command="pytest --sgdiff-update", sessions=("s1",))
    return baselines.renew(None, measurement, recorded, engine_version="0.5.17")


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
def fork() -> Iterator[Callable[[Callable[[], object]], int]]:
    """Run a function in a process of its own; it is gone when the test ends."""
    children: list[int] = []

    def start(work: Callable[[], object]) -> int:
        child = os.fork()
        if child == 0:
            try:
                work()
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
        return child

    yield start
    for child in children:
        with suppress(ChildProcessError):  # the test waited for it: the number may be another process's by now
            if os.waitpid(child, os.WNOHANG) == (0, 0):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def test_a_kill_at_any_moment_leaves_the_old_or_the_new_file(tmp_path: Path, fork: Callable[..., int]) -> None:
    one, two = baseline(1000.0), baseline(2000.0)
    path = baselines.save(tmp_path, one)
    texts = {path.read_text()}
    baselines.save(tmp_path, two)
    texts.add(path.read_text())

    def write_on() -> None:
        while True:
            baselines.save(tmp_path, one)
            baselines.save(tmp_path, two)

    seen = set()
    for kill in range(60):
        child = fork(write_on)
        time.sleep(0.003 + 0.0007 * kill)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert path.read_text() in texts
        seen.add(path.read_text())
        assert baselines.load(path).measurement.case == "tiny_wan"
    assert seen == texts  # otherwise nothing was written between the kills, and nothing was tried
    baselines.save(tmp_path, one)
    assert names(tmp_path) == ["nvidia-h200-x1/tiny_wan.json"]  # what the killed left is cleared away


def test_a_file_that_grows_too_large_leaves_the_old_one(tmp_path: Path, fork: Callable[..., int]) -> None:
    """As a full disk, but for one process: RLIMIT_FSIZE makes the kernel refuse the write half way."""
    old = baseline(1000.0)
    path = baselines.save(tmp_path, old)
    before = path.read_text()

    def write_too_much() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            baselines.save(tmp_path, baseline(2000.0))
        except BaselineError as error:
            (tmp_path / "message").write_text(str(error))

    child = fork(write_too_much)
    assert os.waitpid(child, 0)[1] == 0
    message = (tmp_path / "message").read_text()
    assert message == f"{path}: cannot be written: File too large; {FIX}"
    (tmp_path / "message").unlink()
    assert path.read_text() == before
    assert names(tmp_path) == ["nvidia-h200-x1/tiny_wan.json"]


SAVE_TWICE = """
import sys
from pathlib import Path
from pytest_sgdiff import baselines
from pytest_sgdiff.errors import BaselineError
from tests.faults.test_baselines_safety import baseline, names
import subprocess
root = Path(sys.argv[1])
path = baselines.save(root, baseline(1000.0))
before = path.read_text()
subprocess.run(sys.argv[2], shell=True, check=True)
try:
    baselines.save(root, baseline(2000.0, steps=200))
except BaselineError as error:
    print(error)
assert path.read_text() == before
assert [name for name in names(root) if name != "filler"] == ["nvidia-h200-x1/tiny_wan.json"], names(root)
"""


def in_a_small_file_system(root: Path, then: str) -> subprocess.CompletedProcess[str]:
    """Save, change the file system, save again: in a mount namespace of its own, with a tmpfs of 64 KiB."""
    mount = f"mount -t tmpfs -o size=64k none {root} && exec {sys.executable} -c '{SAVE_TWICE}' {root} '{then}'"
    return subprocess.run(
        ["unshare", "--map-root-user", "--mount", "sh", "-c", mount],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )


def may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    trial = ["unshare", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs none /mnt"]
    return subprocess.run(trial, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not may_mount(), reason="this machine allows no mounts of one's own")


@needs_mounts
def test_a_full_disk_leaves_the_old_file_and_says_so(tmp_path: Path) -> None:
    done = in_a_small_file_system(tmp_path, f"head -c 1m /dev/zero > {tmp_path}/filler || true")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "nvidia-h200-x1" / "tiny_wan.json"
    assert done.stdout == f"{path}: cannot be written: No space left on device; {FIX}\n"


@needs_mounts
def test_a_read_only_tree_keeps_its_file_and_says_so(tmp_path: Path) -> None:
    done = in_a_small_file_system(tmp_path, f"mount -o remount,ro {tmp_path}")
    assert done.returncode == 0, done.stderr
    path = tmp_path / "nvidia-h200-x1" / "tiny_wan.json"
    assert done.stdout == f"{path}: cannot be written: Read-only file system; {FIX}\n"


def test_a_place_that_cannot_be_a_folder_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BaselineError) as caught:
        baselines.save(tmp_path / "file", baseline())
    assert str(caught.value).startswith(f"{tmp_path / 'file'}/nvidia-h200-x1/tiny_wan.json: cannot be written: ")


def test_two_runs_that_write_at_once_leave_whole_files(tmp_path: Path, fork: Callable[..., int]) -> None:
    one, two = baseline(1000.0), baseline(2000.0)
    path = baselines.save(tmp_path, one)
    texts = {path.read_text()}
    baselines.save(tmp_path, two)
    texts.add(path.read_text())

    def write(what: Baseline) -> Callable[[], None]:
        def writes() -> None:
            for _ in range(40):
                baselines.save(tmp_path, what)
                baselines.save(tmp_path, replace(what, measurement=replace(what.measurement, case=f"c{os.getpid()}")))

        return writes

    children = [fork(write(one)), fork(write(two))]
    running = set(children)
    while running:
        assert path.read_text() in texts
        for child in tuple(running):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                assert status == 0
                running.remove(child)
    assert names(tmp_path) == sorted(
        ["nvidia-h200-x1/tiny_wan.json", *(f"nvidia-h200-x1/c{child}.json" for child in children)]
    )


def test_two_runs_that_extend_at_once_both_keep_their_launches(tmp_path: Path, fork: Callable[..., int]) -> None:
    baselines.save(tmp_path, baseline(1000.0))

    def extend(session: str) -> Callable[[], None]:
        fresh = baseline(1000.0).measurement
        told = Recorded(at="2026-11-24T17:25:00Z", command="pytest --sgdiff-update=extend", sessions=(session,))

        def renewed(old: Baseline | None) -> Baseline:
            return baselines.renew(old, fresh, told, engine_version="0.5.17", extend=True)

        def extends() -> None:
            for _ in range(5):
                baselines.update(tmp_path, H200, "tiny_wan", renewed)

        return extends

    children = [fork(extend("s2")), fork(extend("s3"))]
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]
    extended = baselines.find(tmp_path, H200, "tiny_wan")
    assert extended is not None
    assert len(extended.measurement.launches) == 5 + 2 * 5 * 5
    assert set(extended.recorded.sessions) == {"s1", "s2", "s3"}


def test_a_run_that_hangs_while_writing_is_named_and_keeps_nobody_out_once_dead(
    tmp_path: Path, fork: Callable[..., int]
) -> None:
    def hang() -> None:
        with locked(tmp_path, 1.0):
            time.sleep(60)

    child = fork(hang)
    lock = tmp_path / LOCK
    deadline = time.monotonic() + 5
    while not (lock.exists() and lock.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    with pytest.raises(BaselineError) as caught:
        baselines.save(tmp_path, baseline(), lock_timeout_s=0.1)
    host = os.uname().nodename
    assert str(caught.value) == (
        f"{lock}: process {child} on {host} has been writing baselines for 0.1 s; nothing was changed. "
        "Wait until it ends, or end it, then repeat"
    )
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    baselines.save(tmp_path, baseline(), lock_timeout_s=0.1)
    assert names(tmp_path) == ["nvidia-h200-x1/tiny_wan.json"]


# ----------------------------------------------------------------------------------------- what others put in the way


def _outside(tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A folder beside that of the baselines, and what is in it."""
    (tmp_path / "outside").mkdir()
    kept = {"precious": "mine", ".tmp-1": "mine too", "tiny.json": "{}"}
    for name, text in kept.items():
        (tmp_path / "outside" / name).write_text(text)
    return tmp_path / "outside", kept


def _texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["link", "link to nothing", "link to a FIFO", "FIFO", "folder", "second name"])
def test_what_is_in_the_place_of_the_lock_is_neither_written_nor_waited_for(tmp_path: Path, kind: str) -> None:
    outside, kept = _outside(tmp_path)
    root = tmp_path / "baselines"
    root.mkdir()
    os.mkfifo(tmp_path / "fifo")
    made = {
        "link": lambda lock: lock.symlink_to(outside / "precious"),
        "link to nothing": lambda lock: lock.symlink_to(outside / "new"),
        "link to a FIFO": lambda lock: lock.symlink_to(tmp_path / "fifo"),
        "FIFO": os.mkfifo,
        "folder": Path.mkdir,
        "second name": lambda lock: os.link(outside / "precious", lock),
    }
    made[kind](root / LOCK)
    with pytest.raises(BaselineError, match=f"{root / LOCK}: is not a lock file of this plugin"):
        baselines.save(root, baseline())
    assert _texts(outside) == kept
    assert [path.name for path in root.iterdir()] == [LOCK]


def test_a_machine_folder_that_is_a_link_is_neither_read_nor_written(tmp_path: Path) -> None:
    outside, kept = _outside(tmp_path)
    root = tmp_path / "baselines"
    path = baselines.path_for(root, baseline().measurement.machine, baseline().measurement.case)
    root.mkdir()
    path.parent.symlink_to(outside)
    with pytest.raises(BaselineError, match=f"{path.parent}: is a link"):
        baselines.save(root, baseline())
    with pytest.raises(BaselineError, match=f"{path.parent}: is a link"):
        baselines.find(root, baseline().measurement.machine, baseline().measurement.case)
    assert list(baselines.every(root)) == [path.parent]
    assert [flaw.path for flaw in baselines.check(root, {})] == [str(path.parent)]
    assert list(baselines.suite(root, baseline().measurement.machine)) == []
    assert _texts(outside) == kept


@pytest.mark.parametrize("kind", ["link", "FIFO", "folder"])
def test_what_is_in_the_place_of_a_baseline_is_neither_read_nor_written_over(tmp_path: Path, kind: str) -> None:
    outside, kept = _outside(tmp_path)
    root, new = tmp_path / "baselines", baseline()
    path = baselines.path_for(root, new.measurement.machine, new.measurement.case)
    path.parent.mkdir(parents=True)
    made = {"link": lambda file: file.symlink_to(outside / "tiny.json"), "FIFO": os.mkfifo, "folder": Path.mkdir}
    made[kind](path)
    for use in (
        lambda: baselines.find(root, new.measurement.machine, new.measurement.case),
        lambda: baselines.save(root, new),
    ):
        with pytest.raises(BaselineError, match=f"{path}: is"):
            use()
    assert _texts(outside) == kept
