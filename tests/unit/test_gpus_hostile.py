"""What others may leave in the lock directory, which every user of the host can write to: nothing of it ends a process,
waits, prints a raw line, is written to, or stops a run for longer than it takes to say what is wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.files import procfs
from pytest_sgdiff.files.procfs import where
from pytest_sgdiff.gpus import describe, host_lock, inventory, lease_records, lock_files, orphans, queue_state, reap
from pytest_sgdiff.gpus.explain import held_by_others
from pytest_sgdiff.gpus.orphans import Reaper
from pytest_sgdiff.gpus.wait_reasons import Wait
from tests.unit.test_gpus_leases import FIRST, Bench
from tests.waiting import alive, wait_for

OTHER = 1002
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.pool()
    return made


def fifo(path: Path) -> None:
    os.mkfifo(path, 0o666)


def unix_socket(path: Path) -> None:
    # The path may be longer than a socket's address.
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(f"/proc/self/fd/{here}/{path.name}")
    os.close(here)


def dangling(path: Path) -> None:
    path.symlink_to("/nonexistent/x")


KINDS: dict[str, Callable[[Path], None]] = {
    "fifo": fifo,
    "socket": unix_socket,
    "folder": Path.mkdir,
    "dangling link": dangling,
}
HARMLESS = (
    *("lease/aaaaaaaaaaaa", "queue/000000001-aaaaaaaaaaaa", "launch/aaaaaaaaaaaa", f"busy/{FIRST}"),
    *("gpu/GPU-of-others", "port/20000", "gen"),
)
NEEDED = ("mutex", f"gpu/{FIRST}", "host", "turnstile")
USE = """
import json, sys
from pytest_sgdiff.errors import LeaseError
from pytest_sgdiff.gpus import Pool, queue_state, resolve
from pytest_sgdiff.gpus.nvml_file import FileReader
file, folder = sys.argv[1:]
reader = FileReader(file)
told = {}
def note(name, use):
    try:
        told[name] = use()
    except LeaseError as error:
        told[name] = str(error)
def lease():
    pool = Pool(resolve("all", visible="0,1,2,3", reader=reader), run_id="r", folder=folder, reader=reader, settle_s=0)
    with pool.lease(4, timeout_s=10) as lease, lease.alone(timeout_s=10):
        return [list(lease.indices), list(lease.co_runners())]
note("lease", lease)
note("state", lambda: len(queue_state(folder)["queue"]))
print(json.dumps(told))
"""


def use(bench: Bench) -> dict[str, object]:
    """A lease of all GPUs, a launch alone on the host, and `sgdiff gpus`, in a process that may hang."""
    argv = [sys.executable, "-c", USE, str(bench.path), bench.locks]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.stderr == ""
    told: dict[str, object] = json.loads(done.stdout)
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_passed_over(bench: Bench, kind: str) -> None:
    for place in HARMLESS:
        KINDS[kind](Path(bench.locks, place))
    assert use(bench) == {"lease": [[0, 1, 2, 3], []], "state": 0}


@pytest.mark.parametrize("place", NEEDED)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_where_a_lock_must_be_is_named_with_the_fix(bench: Bench, kind: str, place: str) -> None:
    KINDS[kind](Path(bench.locks, place))
    told = use(bench)["lease"]
    assert isinstance(told, str)
    assert f"{bench.locks}/{place}: " in told
    assert "correct that, or name another lock directory" in told


LEASE = {
    "run": "old",
    "pid": 1,
    "tag": "ltx2",
    "estimate_s": 60,
    "since": 1.7e9,
    "uuids": [FIRST],
    "uid": os.getuid(),
    "where": where(),
    "child": None,
    "child_started": None,
}
TICKET = {
    "run": "old",
    "pid": 1,
    "tag": "ltx2",
    "estimate_s": 60,
    "since": 1.7e9,
    "count": 1,
    "eligible": [FIRST],
    "budget": None,
}
WRONG = (
    *("null", "true", "[]", "{}", '""', '"x"', "[[1]]", '["x", ["y"]]', "-1", "0.5", "1e308", "1e999", "-1e308"),
    *("Infinity", "NaN", "1" + "0" * 30, "1" + "0" * 5000, '"\\ud800"', '["../../../escaped"]', '[".."]', '["a/b"]'),
    *('["\\ud800"]', '["' + "a" * 300 + '"]', '["x\\n"]', '["é"]'),
)


def with_field(content: dict[str, object], key: str, value: str) -> str:
    rest = json.dumps({name: told for name, told in content.items() if name != key})
    return f'{rest[:-1]}, "{key}": {value}}}'


@pytest.mark.parametrize("locked", [False, True], ids=["dead", "alive"])
@pytest.mark.parametrize(
    ("name", "content"),
    [("lease/aaaaaaaaaaaa", LEASE), ("queue/000000001-aaaaaaaaaaaa", TICKET)],
    ids=["lease", "ticket"],
)
def test_a_value_of_another_kind_is_as_an_unfinished_record(
    bench: Bench, name: str, content: dict[str, object], locked: bool
) -> None:
    path = Path(bench.locks, name)
    pool = bench.pool(run="other")
    for key in content:
        for value in WRONG:
            path.write_text(with_field(content, key, value))
            fd = lock_files.locked_file(str(path)) if locked else None
            json.dumps(queue_state(bench.locks, gpus=inventory(bench.reader)), allow_nan=False)
            held_by_others(bench.locks, "run", pool.eligible)
            if name.startswith("lease") or not locked:
                with pool.lease(1, timeout_s=5) as lease:
                    assert lease.indices[0] in (0, 1)
            if fd is not None:
                os.close(fd)
            path.unlink(missing_ok=True)
    outside = [path for path in Path(bench.locks).parent.rglob("*") if path.name.startswith(("escaped", "b", "%2E"))]
    assert [path for path in outside if path.parent.name != "locks"] == []


@pytest.mark.parametrize("text", ["[" * 50_000, '{"a":' * 50_000, "", "{", "[1]", "\x00", '"' + "a" * 5_000_000 + '"'])
@pytest.mark.parametrize("name", ["lease/aaaaaaaaaaaa", "queue/000000001-aaaaaaaaaaaa", "launch/a", f"busy/{FIRST}"])
def test_a_file_that_is_no_record_says_nothing(bench: Bench, name: str, text: str) -> None:
    Path(bench.locks, name).write_text(text)
    fd = lock_files.locked_file(os.path.join(bench.locks, name))
    assert fd is not None
    with bench.pool().lease(4, timeout_s=10) as lease, lease.alone(timeout_s=5):
        assert queue_state(bench.locks)["queue"] == []
    os.close(fd)


def test_no_more_of_a_record_is_read_than_one_can_have(bench: Bench) -> None:
    path = Path(bench.locks, "lease", "aaaaaaaaaaaa")
    path.write_text(json.dumps({**LEASE, "more": "x" * lease_records.RECORD_BYTES}))
    fd = lock_files.locked_file(str(path))
    assert fd is not None
    assert lease_records.lease_records(bench.locks) == []
    os.close(fd)


def test_a_ticket_makes_no_file_outside_the_lock_directory(bench: Bench, tmp_path: Path) -> None:
    """A waiter locks what others wait for, too, to know who is served first."""
    names = [
        "../../escaped",
        "/" + str(tmp_path / "escaped"),
        "..",
        "GPU-x\n::error::",
        "GPU-é",
        "\ud800",
        "x" * 300,
        "GPU-unknown",
    ]
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    held = []
    for number, eligible in enumerate([names, *([name] for name in names)], 1):
        path = os.path.join(bench.locks, "queue", lease_records.ticket_name(number, "aaaaaaaaaaaa"))
        held.append(lease_records.write_locked(path, {**TICKET, "count": 2, "eligible": eligible}))
    with bench.pool().lease(4, timeout_s=5) as lease:
        assert lease.indices == (0, 1, 2, 3)
    made = {path for path in tmp_path.rglob("*") if path.is_file()} - set(before)
    assert {path.name for path in made if path.parent.name == "gpu"} == {gpu.uuid for gpu in lease.gpus}
    assert not [path for path in made if not path.is_relative_to(bench.locks)]
    for fd in held:
        os.close(fd)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "9" * 200 + "-aaaaaaaaaaaa",
            "999999999-aaaaaaaaaaaa",
            "-1-a",
            "٣٣-aaaaaaaaaaaa",
            "1-",
            "000000001-a\n::error::x",
        ),
        *("000000001-\x1b[31m", "000000001-" + "a" * 200, ".nfs0001", "000000001-\udcff\udcfe"),
    ],
)
@pytest.mark.parametrize("locked", [False, True], ids=["dead", "alive"])
def test_a_name_that_no_ticket_has_neither_counts_nor_is_printed(bench: Bench, name: str, locked: bool) -> None:
    path = os.fsencode(os.path.join(bench.locks, "queue", name))
    fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    os.write(fd, json.dumps({**TICKET, "count": 4}).encode())
    assert not locked or lock_files.try_lock(fd)
    said: list[Wait] = []
    for _ in range(2):
        with bench.pool().lease(1, timeout_s=5, on_wait=said.append):
            pass
    assert "\x1b" not in describe(queue_state(bench.locks))
    os.close(fd)


def test_tickets_are_drawn_and_served_behind_the_last_number_too(bench: Bench) -> None:
    path = os.path.join(bench.locks, "queue", lease_records.ticket_name(999_999_999, "000000000000"))
    fd = lease_records.write_locked(path, {**TICKET, "eligible": ["GPU-elsewhere"]})
    with bench.pool().lease(4, timeout_s=5) as lease:
        assert lease.indices == (0, 1, 2, 3)
    os.close(fd)


@pytest.mark.parametrize("ahead_s", [1e308, 3600.0, 6.0, -1.0])
def test_a_gpu_is_left_alone_no_longer_than_a_mark_of_ours_reaches(bench: Bench, ahead_s: float) -> None:
    """Else whoever writes one, or sets the clock back, keeps the GPU from all."""
    path = Path(bench.locks, "busy", FIRST)
    path.write_text(json.dumps({"until": time.time() + ahead_s, "reason": "x"}))
    assert lease_records.busy_marks(bench.locks) == {}
    path.write_text(json.dumps({"until": time.time() + lease_records.QUARANTINE_S - 1, "reason": "x"}))
    assert list(lease_records.busy_marks(bench.locks)) == [FIRST]


def test_a_busy_gpu_that_cannot_be_marked_is_left_alone_all_the_same(bench: Bench) -> None:
    """Else it would be granted again and again, and the idle ones never."""
    Path(bench.locks, "busy", FIRST).mkdir()
    bench.occupy(0, {"pid": 419, "name": "python3", "used_mb": 1002})
    with bench.pool().lease(3, timeout_s=10) as lease:
        assert lease.indices == (1, 2, 3)


@pytest.mark.parametrize("place", ["gen", f"busy/{FIRST}"])
def test_nothing_is_written_to_a_file_that_has_another_name(bench: Bench, tmp_path: Path, place: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    mode = stat.S_IMODE(precious.stat().st_mode)
    Path(bench.locks, place).unlink(missing_ok=True)
    os.link(precious, os.path.join(bench.locks, place))
    lock_files.bump(bench.locks)
    lease_records.mark_busy(bench.locks, FIRST, "in use")
    with bench.pool().lease(4, timeout_s=5):
        pass
    assert (precious.read_text(), stat.S_IMODE(precious.stat().st_mode)) == ("precious", mode)


def test_text_of_others_is_printed_on_one_line_without_orders(bench: Bench) -> None:
    evil = "x\n::error::y\x1b[31m\u202e##[error]"
    lease, ticket = Path(bench.locks, "lease", "aaaaaaaaaaaa"), Path(bench.locks, "queue", "000000001-aaaaaaaaaaab")
    lease.write_text(json.dumps({**LEASE, "tag": evil, "run": evil, "uuids": [FIRST]}))
    ticket.write_text(json.dumps({**TICKET, "tag": evil, "run": evil, "count": 4}))
    gpus = inventory(bench.reader)
    Path(bench.locks, "busy", gpus[1].uuid).write_text(json.dumps({"until": time.time() + 4, "reason": evil}))
    Path(bench.locks, "launch", "aaaaaaaaaaaa").write_text(json.dumps({"tag": evil}))
    bench.occupy(2, {"pid": 419, "name": f"/tmp/{evil}", "used_mb": 1002})
    places = ("lease/aaaaaaaaaaaa", "queue/000000001-aaaaaaaaaaab", "launch/aaaaaaaaaaaa", f"gpu/{FIRST}")
    held = [lock_files.locked_file(os.path.join(bench.locks, place)) for place in places]
    said: list[Wait] = []
    with pytest.raises(LeaseError) as caught:
        bench.pool().lease(4, timeout_s=0.2, on_wait=said.append)
    state = queue_state(bench.locks, gpus=gpus, reader=bench.reader)
    for text in (str(caught.value), *map(str, said), *host_lock.running(bench.locks), *describe(state).split("\n")):
        assert not re.search("[\x00-\x1f\u202e]|^\\s*::|##\\[", text)
    assert "\\n" in str(caught.value)
    for fd in held:
        assert fd is not None
        os.close(fd)


def test_a_name_with_orders_in_it_is_not_printed_in_the_place_of_a_case(bench: Bench) -> None:
    """A launch of a test that is no case has no other name than that of its file."""
    held = []
    for folder in ("launch", "lease", "gpu", "busy"):
        path = os.path.join(bench.locks, folder, "x\n::error::\x1b[31m")
        Path(path).write_text(json.dumps({**LEASE, "tag": ""}))
        held.append(lock_files.locked_file(path))
    text = "".join(host_lock.running(bench.locks)) + describe(queue_state(bench.locks)).replace("\n", "")
    assert not re.search(r"[\x00-\x1f]|::", text)
    for fd in held:
        assert fd is not None
        os.close(fd)


# -- processes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def service() -> Iterator[int]:
    """A process of this user in a session of its own, with no environment, as setproctitle leaves it."""
    process = subprocess.Popen(["sleep", "600"], env={}, start_new_session=True)
    wait_for(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
    yield process.pid
    process.kill()
    process.wait()


def dead_lease(bench: Bench, child: int, started: int | None, **changes: object) -> Path:
    path = Path(bench.locks, "lease", "aaaaaaaaaaaa")
    path.write_text(json.dumps({**LEASE, "run": "run", "child": child, "child_started": started, **changes}))
    return path


def started(pid: int) -> int:
    row = procfs.process(pid)
    assert row is not None
    return row.started


def test_the_session_of_a_dead_lease_is_ended(bench: Bench, service: int) -> None:
    """What the next tests must not do, so that they can fail."""
    dead_lease(bench, service, started(service))
    assert reap(bench.locks, "run") == 1
    assert not alive(service)


@pytest.mark.parametrize("off", [-1, 1, None])
def test_a_process_that_has_got_the_number_of_another_is_not_ended(bench: Bench, service: int, off: int | None) -> None:
    dead_lease(bench, service, None if off is None else started(service) + off)
    assert reap(bench.locks, "run") == 0
    assert alive(service)


@pytest.mark.parametrize("descriptors", [True, False])
def test_a_process_that_got_the_number_before_the_signal_is_not_ended(
    service: int, monkeypatch: pytest.MonkeyPatch, descriptors: bool
) -> None:
    """An old kernel, or a container's rules, may forbid descriptors of processes: then the same by number."""
    sent: list[str] = []
    if not descriptors:

        def forbidden(pid: int) -> int:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "pidfd_open", forbidden)
    monkeypatch.setattr(signal, "pidfd_send_signal", lambda fd, number: sent.append("by descriptor"))
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append("by number"))
    orphans.signal_all({service: started(service) + 1}, signal.SIGKILL)
    assert sent == []
    orphans.signal_all({service: started(service)}, signal.SIGKILL)
    assert sent == ["by descriptor" if descriptors else "by number"]


@as_root
def test_a_lease_that_another_user_wrote_ends_nobody_and_frees_nothing(
    bench: Bench, service: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it says of its user: he can write any number."""
    monkeypatch.setattr("pytest_sgdiff.gpus.orphans.ORPHAN_GRACE_S", -1.0)
    path = dead_lease(bench, service, started(service))
    os.chown(path, OTHER, OTHER)
    (record,) = lease_records.lease_records(bench.locks)
    assert (record.owner, record.ours, record.reapable) == (OTHER, False, False)
    assert not Reaper(bench.locks).step([record])
    assert reap(bench.locks, "run") == 0
    assert alive(service)


def test_a_lease_that_is_another_file_of_ours_ends_nobody(bench: Bench, service: int, tmp_path: Path) -> None:
    path = dead_lease(bench, service, started(service))
    os.link(path, tmp_path / "elsewhere")
    assert reap(bench.locks, "run") == 0
    assert alive(service)


@as_root
def test_another_users_lease_holds_only_what_it_has_locked_and_counts_for_no_run_of_ours(bench: Bench) -> None:
    uuids = [gpu.uuid for gpu in inventory(bench.reader)]
    path = Path(bench.locks, "lease", "aaaaaaaaaaaa")
    path.write_text(json.dumps({**LEASE, "run": "run", "uuids": uuids}))
    os.chown(path, OTHER, OTHER)
    held = [lock_files.locked_file(str(path)), lock_files.locked_file(lock_files.gpu_file(bench.locks, FIRST))]
    state = queue_state(bench.locks, gpus=inventory(bench.reader))
    assert [row["state"] for row in state["gpus"]] == ["held", "free", "free", "free"]
    assert state["holders"][0]["run"] == f"run of user {OTHER}"
    pool = bench.pool("3", "run")
    assert held_by_others(bench.locks, "run", bench.pool("all", "run").eligible) == 1
    with pool.lease(3, timeout_s=5) as lease:
        assert lease.indices == (1, 2, 3)
    for fd in held:
        assert fd is not None
        os.close(fd)


@as_root
def test_another_users_lease_of_the_same_name_does_not_serve_a_ticket(bench: Bench) -> None:
    """The names of tickets can be read by all."""
    ticket = os.path.join(bench.locks, "queue", lease_records.ticket_name(1, "aaaaaaaaaaaa"))
    waiting = lease_records.write_locked(ticket, TICKET)
    path = Path(bench.locks, "lease", "aaaaaaaaaaaa")
    path.write_text(json.dumps({**LEASE, "uuids": []}))
    os.chown(path, OTHER, OTHER)
    fd = lock_files.locked_file(str(path))
    assert fd is not None
    leases = lease_records.lease_records(bench.locks)
    assert [one.ticket.id for one in lease_records.unserved(lease_records.waiters(bench.locks), leases)] == [
        "aaaaaaaaaaaa"
    ]
    os.chown(path, os.getuid(), os.getgid())
    leases = lease_records.lease_records(bench.locks)
    assert lease_records.unserved(lease_records.waiters(bench.locks), leases) == []
    os.close(fd)
    os.close(waiting)


@as_root
def test_a_mark_of_a_launch_that_another_user_made_first_stops_no_launch(bench: Bench) -> None:
    with bench.pool().lease(1, timeout_s=5, tag="ltx2") as lease:
        path = Path(bench.locks, "launch", lease.id)
        path.mkdir()  # what cannot be removed, as another user's file in a sticky folder
        with lease.alone(timeout_s=5):
            assert host_lock.running(bench.locks) == ("ltx2",)
            assert lease.co_runners() == ()
        assert host_lock.running(bench.locks) == ()


# -- the lock directory itself --------------------------------------------------------------------------------------


def refusal(path: Path) -> str:
    with pytest.raises(LeaseError) as caught:
        lock_files.lock_dir(str(path))
    return str(caught.value)


def test_a_folder_in_which_all_may_remove_everything_is_put_right_by_its_owner(tmp_path: Path) -> None:
    folder = Path(lock_files.lock_dir(str(tmp_path / "locks")))
    for path in (folder, folder / "gpu"):
        path.chmod(0o777)
    lock_files.lock_dir(str(folder))
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "gpu")} == {0o1777}
    folder.chmod(0o700)
    lock_files.lock_dir(str(folder))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700, "one that is private stays so"


@as_root
@pytest.mark.parametrize("place", [".", "gpu"])
def test_a_folder_in_which_all_may_remove_everything_is_refused_if_it_is_anothers(tmp_path: Path, place: str) -> None:
    folder = Path(lock_files.lock_dir(str(tmp_path / "locks")))
    os.chown(folder / place, OTHER, OTHER)
    assert lock_files.lock_dir(str(folder)) == str(folder), "the first user of a host makes it for all"
    (folder / place).chmod(0o777)
    assert "every user may remove the files of others there; chmod +t it" in refusal(folder)


def test_a_link_to_the_lock_directory_is_followed_if_it_is_ours(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert lock_files.lock_dir(str(tmp_path / "link")) == str(tmp_path / "real")


@as_root
def test_a_link_to_the_lock_directory_is_refused_if_it_is_anothers(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    os.lchown(tmp_path / "link", OTHER, OTHER)
    assert "is a link that another user made" in refusal(tmp_path / "link")
    assert list((tmp_path / "real").iterdir()) == []


@pytest.mark.parametrize("place", ["gpu", "queue", "lease", "busy", "port", "launch"])
def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path, place: str) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "precious").mkdir(mode=0o700)
    (tmp_path / "locks" / place).symlink_to(tmp_path / "precious")
    assert "no lock directory can be used" in refusal(tmp_path / "locks")
    assert stat.S_IMODE((tmp_path / "precious").stat().st_mode) == 0o700


@pytest.mark.parametrize("place", ["gpu", "queue", "lease", "busy", "launch"])
def test_a_folder_that_becomes_a_link_during_a_run_is_not_followed(bench: Bench, tmp_path: Path, place: str) -> None:
    pool = bench.pool()
    (tmp_path / "precious").mkdir()
    os.rename(os.path.join(bench.locks, place), tmp_path / "moved")
    os.symlink(tmp_path / "precious", os.path.join(bench.locks, place))
    with pytest.raises(LeaseError), pool.lease(1, timeout_s=5) as lease, lease.alone(timeout_s=5):
        pass
    assert list((tmp_path / "precious").iterdir()) == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "folder"])
def test_what_is_no_folder_is_no_lock_directory(tmp_path: Path, kind: str) -> None:
    KINDS[kind](tmp_path / "locks")
    assert (
        f"no lock directory can be used ({tmp_path / 'locks'}" in refusal(tmp_path / "locks") or kind == "dangling link"
    )


def test_reaping_without_a_lock_directory_still_ends_what_carries_the_tag(bench: Bench) -> None:
    child = subprocess.Popen(["sleep", "600"], env={"SGDIFF_RUN": "run-of-this-test"}, start_new_session=True)
    wait_for(lambda: b"SGDIFF_RUN" in Path(f"/proc/{child.pid}/environ").read_bytes())
    os.rename(bench.locks, f"{bench.locks}.gone")
    assert reap(bench.locks, "run-of-this-test", everything=True) == 1
    child.wait()
