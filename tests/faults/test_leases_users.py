"""Two users of one host, one of whom plants files in the lock directory that both write to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_sgdiff.files import procfs
from pytest_sgdiff.gpus import orphans
from pytest_sgdiff.gpus.wait_reasons import Wait, WaitReason
from pytest_sgdiff.launch import process_group
from tests.waiting import alive, wait_for

VICTIM, ATTACKER = 61001, 61002
FILE = Path(__file__).parents[1] / "data" / "nvml" / "h200-x4.json"
FIRST = "GPU-00000000-0000-4000-8000-00000000000a"

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(os.getuid() != 0, reason="only root can start processes of two other users"),
]


BECOME = """
    import encodings.ascii, encodings.idna, hashlib, json, os, secrets, signal, socket, sys
    from pytest_sgdiff.gpus import Pool, describe, nvml_file, queue_state, reap, resolve
    from pytest_sgdiff.gpus import lock_files as locks, orphans as reaper
    from pytest_sgdiff.files import procfs as procs
    os.setgroups([]), os.setgid(int(sys.argv[1])), os.setuid(int(sys.argv[1]))
    del sys.argv[1]
    from pytest_sgdiff.gpus.nvml_file import FileReader
"""


def start(uid: int, script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that becomes that user once it has imported everything: the other cannot read this interpreter's files
    where they are root's own."""
    argv = [sys.executable, "-c", textwrap.dedent(BECOME) + textwrap.dedent(script), str(uid), *map(str, arguments)]
    return subprocess.Popen(
        argv, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder in which both users may make files; pytest's own are closed to all others."""
    folder = Path(tempfile.mkdtemp(prefix="sgdiff-two-users-", dir="/tmp"))
    folder.chmod(0o1777)
    shutil.copy(FILE, folder / "nvml.json")
    yield folder
    shutil.rmtree(folder)


RUN = """
    reaper.ORPHAN_GRACE_S, reaper.ORPHAN_TERM_S = -1.0, 0.0
    reader = FileReader(sys.argv[1])
    eligible = resolve("all", visible="0,1,2,3", reader=reader)
    pool = Pool(eligible, run_id="victim", folder=sys.argv[2], reader=reader, settle_s=0)
    with pool.lease(4, timeout_s=600, tag="ltx2", on_wait=lambda wait: print(repr(str(wait)), flush=True)) as lease:
        with lease.alone():
            print("leased", lease.indices, lease.co_runners(), flush=True)
    print(reap(sys.argv[2], "victim"), flush=True)
    print(repr(describe(queue_state(sys.argv[2]))), flush=True)
"""
PLANT = """
    folder, service, uid = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    evil = "x\\n::error::planted\\x1b[31m"
    lease = {"run": "victim", "pid": 1, "tag": evil, "estimate_s": None, "since": 0, "uuids": [FIRST], "uid": uid,
             "where": procs.where(), "child": service, "child_started": procs.process(service).started}
    ticket = {"run": "victim", "pid": 1, "tag": evil, "estimate_s": None, "since": 0, "count": 1, "budget": None,
              "eligible": ["../../escaped", "GPU-of-mine"]}
    def write(name, content):
        path = os.path.join(folder, name)
        with open(path, "w") as file:
            json.dump(content, file)
        os.chmod(path, 0o666)
        return path
    write("lease/aaaaaaaaaaaa", lease)
    held = [locks.locked_file(write("queue/999999999-bbbbbbbbbbbb", ticket))]
    held.append(locks.locked_file(os.path.join(folder, "gpu", FIRST)))
    write("busy/" + FIRST, {"until": 1e308, "reason": evil})
    for name in ("lease", "queue", "launch", "busy"):
        os.mkfifo(os.path.join(folder, name, "cccccccccccc"))
        os.symlink("/etc/passwd", os.path.join(folder, name, "dddddddddddd"))
        os.mkdir(os.path.join(folder, name, "eeeeeeeeeeee"))
    os.mkfifo(os.path.join(folder, "queue", "000000001-cccccccccccc"))
    print("planted", flush=True)
    input()
""".replace("FIRST", repr(FIRST))


def test_what_one_user_plants_neither_ends_nor_holds_up_nor_misleads_another(shared: Path) -> None:
    folder = shared / "locks"
    service = subprocess.Popen(
        ["sleep", "600"], user=VICTIM, group=VICTIM, extra_groups=(), env={}, cwd="/", start_new_session=True
    )
    wait_for(lambda: Path(f"/proc/{service.pid}/comm").read_text() == "sleep\n")
    attacker = None
    try:
        first = start(VICTIM, RUN, shared / "nvml.json", folder)
        assert line(first) == "leased (0, 1, 2, 3) ()"
        first.communicate()
        attacker = start(ATTACKER, PLANT, folder, service.pid, VICTIM)
        assert line(attacker) == "planted"
        second = start(VICTIM, RUN, shared / "nvml.json", folder)
        waiting = line(second)
        assert waiting.startswith("'waiting for 4 GPUs: GPU 0: process ")
        assert f"only user {ATTACKER} or its container can end it" in waiting
        attacker.communicate("\n")
        told = second.communicate()[0].split("\n")
        assert "leased (0, 1, 2, 3) ()" in told
        assert told[-3] == "0", "nothing was ended"
        assert alive(service.pid)
        assert not any("\x1b" in text or text.lstrip().startswith("::") for text in [waiting, *told])
        assert [path.name for path in sorted(shared.iterdir())] == ["locks", "nvml.json"]
    finally:
        service.kill()
        service.wait()
        if attacker is not None:
            attacker.kill()
            attacker.wait()


def test_what_a_process_of_another_user_carries_is_not_read() -> None:
    """Root may read it; its user can have the reading wait for as long as he likes."""
    env = {"SGDIFF_LEASE": "a", "SGDIFF_RUN": "r", process_group.TAG: "tag"}
    process = subprocess.Popen(["sleep", "600"], user=ATTACKER, group=ATTACKER, extra_groups=(), env=env, cwd="/")
    own = subprocess.Popen(["sleep", "600"], env=env)
    try:
        for pid in (process.pid, own.pid):
            wait_for(lambda pid=pid: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")
        row, other = procfs.process(own.pid, environ=True), procfs.process(process.pid, environ=True)
        assert row is not None
        assert other is not None
        assert (b"SGDIFF_LEASE=a" in (row.environ or b""), other.environ) == (True, None)
        assert set(orphans.family("SGDIFF_LEASE=a")) == {own.pid}
        assert process_group.members(1 << 22, "tag") == {own.pid}
    finally:
        for one in (process, own):
            one.kill()
            one.wait()


def test_two_users_share_the_gpus_of_a_host(shared: Path) -> None:
    """The second waits for the first, whose files it can only read and lock."""
    hold = """
        reader = FileReader(sys.argv[1])
        eligible = resolve("all", visible="0,1,2,3", reader=reader)
        pool = Pool(eligible, run_id="theirs", folder=sys.argv[2], reader=reader, settle_s=0)
        with pool.lease(3, timeout_s=600, tag="wan22"):
            print("held", flush=True)
            input()
    """
    folder = shared / "locks"
    holder = start(ATTACKER, hold, shared / "nvml.json", folder)
    assert line(holder) == "held"
    other = start(VICTIM, RUN, shared / "nvml.json", folder)
    held = WaitReason(code="held", gpus=(0, 1, 2), tag="wan22", pid=holder.pid)
    assert line(other) == repr(str(Wait(aim="gpus", count=4, reasons=(held,))))
    holder.communicate("\n")
    assert "leased (0, 1, 2, 3) ()" in other.communicate()[0].split("\n")
