"""The launcher against real processes that misbehave: nothing survives, nothing leaks, nothing is lost."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from pytest_sgdiff.data import Command, LaunchFiles, OutputFile
from pytest_sgdiff.engines.perf_dump import MAX_CHARS
from pytest_sgdiff.errors import EngineNotFoundError, SgdiffError
from pytest_sgdiff.files import procfs
from pytest_sgdiff.launch import process_group
from pytest_sgdiff.launch.run import Ended, run

pytestmark = pytest.mark.faults

SECRET = "correct-horse-battery-staple"


def files_in(folder: pathlib.Path) -> LaunchFiles:
    return LaunchFiles(
        workdir=str(folder / "work"),
        output_dir=str(folder / "out"),
        perf_dump=str(folder / "perf" / "perf.json"),
        perf_log_dir=str(folder / "perflog"),
        config=str(folder / "config.json"),
    )


def python(source: str) -> tuple[str, ...]:
    return (sys.executable, "-S", "-c", textwrap.dedent(source))


def launch(folder: pathlib.Path, argv: tuple[str, ...], **options: Any) -> Ended:
    command = Command(
        argv=argv,
        env={"PYTHONUNBUFFERED": "1", "FOLDER": str(folder), **options.pop("set_env", {})},
        unset=options.pop("unset", ()),
        files=options.pop("write", {}),
    )
    settings = {"timeout_s": 20.0, "env": dict(os.environ), "grace_s": 0.4, **options}
    return run(command, files=files_in(folder), log=folder / "engine.log", **settings)


def alive(pid: int) -> bool:
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in {b"Z", b"X"}


def gone(*pids: int) -> bool:
    limit = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < limit:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


def read_pid(path: pathlib.Path) -> int:
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        with contextlib.suppress(OSError, ValueError):
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError(f"{path} was not written")


def children() -> set[tuple[int, int]]:
    """The children of this process, zombies among them: number, and when each was started."""
    return {(one.pid, one.started) for one in procfs.processes() if one.parent == os.getpid()}


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    """Neither a running child nor a zombie of ours is left by any test here. Tests of other files may have left some:
    xdist's controller runs in this process there."""
    before = children()
    yield
    assert children() - before == set()


class TestEnding:
    def test_a_good_launch_gives_back_everything_it_left(self, tmp_path: pathlib.Path) -> None:
        ended = launch(
            tmp_path,
            python("""
                import os, sys
                print("to stdout"); print("to stderr", file=sys.stderr)
                open(os.environ["FOLDER"] + "/perf/perf.json", "w").write('{"a": 1}')
                open(os.environ["FOLDER"] + "/out/b.mp4", "w").write("12345")
                os.mkdir(os.environ["FOLDER"] + "/out/sub")
                open(os.environ["FOLDER"] + "/out/sub/a.png", "w").close()
                print(os.getcwd(), open(os.environ["FOLDER"] + "/config.json").read(), sys.stdin.read())
            """),
            write={str(tmp_path / "config.json"): '{"paint_enable": false}'},
        )
        assert (ended.ending, ended.returncode, ended.dump, ended.stale_dump) == ("exited", 0, '{"a": 1}', False)
        assert [bare(file) for file in ended.outputs] == [
            OutputFile(name="b.mp4", size_bytes=5),
            OutputFile(name="sub/a.png", size_bytes=0),
        ]
        written = [datetime.fromisoformat(file.modified_at or "") for file in ended.outputs]
        assert all(datetime.fromisoformat(ended.started_at) <= when for when in written)
        assert ended.log == f'to stdout\nto stderr\n{tmp_path}/work {{"paint_enable": false}} \n'
        assert (tmp_path / "engine.log").read_text() == ended.log
        assert 0 < ended.wall_s < 10
        assert ended.started_at.endswith("+00:00")

    def test_the_exit_code_is_the_childs(self, tmp_path: pathlib.Path) -> None:
        assert launch(tmp_path, ("sh", "-c", "exit 7")).returncode == 7
        assert launch(tmp_path, ("sh", "-c", "kill -KILL $$")).returncode == -signal.SIGKILL

    def test_somebody_elses_sigterm_is_an_interruption(self, tmp_path: pathlib.Path) -> None:
        ended = launch(tmp_path, ("sh", "-c", "kill -TERM $$"))
        assert (ended.ending, ended.returncode) == ("interrupted", -signal.SIGTERM)

    def test_the_deadline_ends_a_launch_and_keeps_what_it_printed(self, tmp_path: pathlib.Path) -> None:
        ended = launch(tmp_path, ("sh", "-c", "echo step 1; echo half a; printf line; exec sleep 60"), timeout_s=0.5)
        assert (ended.ending, ended.returncode) == ("timeout", -signal.SIGTERM)
        assert 0.5 <= ended.wall_s < 3
        assert ended.log == "step 1\nhalf a\nline"

    def test_a_launch_that_ignores_sigterm_is_killed_after_the_grace(self, tmp_path: pathlib.Path) -> None:
        ended = launch(
            tmp_path,
            python("""
                import signal, time
                signal.signal(signal.SIGTERM, lambda *_: print("not yet"))
                print("ready")
                while True:
                    time.sleep(1)
            """),
            timeout_s=1.0,
            grace_s=0.5,
        )
        assert (ended.ending, ended.returncode) == ("timeout", -signal.SIGKILL)
        assert ended.log == "ready\nnot yet\n"

    def test_what_a_launch_prints_while_it_ends_does_not_block_it(self, tmp_path: pathlib.Path) -> None:
        ended = launch(
            tmp_path,
            python("""
                import signal, sys, time
                def finish(*_):
                    for _ in range(4000):
                        print("x" * 99)
                    print("flushed")
                    sys.exit(3)
                signal.signal(signal.SIGTERM, finish)
                print("ready")
                while True:
                    time.sleep(1)
            """),
            timeout_s=1.0,
            grace_s=10.0,
        )
        assert (ended.ending, ended.returncode) == ("timeout", 3)
        assert ended.log.endswith("flushed\n")
        assert len(ended.log) == len("ready\n") + 4000 * 100 + len("flushed\n")

    def test_a_launch_that_closed_its_output_still_runs_to_its_end(self, tmp_path: pathlib.Path) -> None:
        ended = launch(tmp_path, ("sh", "-c", "exec >/dev/null 2>&1; sleep 0.5; exit 4"))
        assert (ended.ending, ended.returncode, ended.log) == ("exited", 4, "")
        assert ended.wall_s >= 0.5


ORPHANS = {
    "in the group": "subprocess.Popen(child)",
    "in a group of its own": "subprocess.Popen(child, process_group=0)"
    if sys.version_info >= (3, 11)
    else "subprocess.Popen(child, preexec_fn=os.setpgrp)",
    "in a session of its own": "subprocess.Popen(child, start_new_session=True)",
    "a daemon": """(
        os.fork() or (os.setsid(), os.fork() or os.execv(child[0], child), os._exit(0)), time.sleep(0.3)
    )""",
}


class TestDescendants:
    @pytest.mark.parametrize("how", list(ORPHANS))
    @pytest.mark.parametrize("parent", ["exits", "hangs"])
    def test_no_descendant_survives(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, how: str, parent: str
    ) -> None:
        monkeypatch.setattr(process_group, "LINGER_S", 0.2)
        child = (
            "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
            "open(os.environ['FOLDER'] + '/pid', 'w').write(str(os.getpid())); time.sleep(60)"
        )
        source = f"""
import os, subprocess, sys, time
child = [sys.executable, "-S", "-c", {child!r}]
_ = {ORPHANS[how].strip()}
while not os.path.exists(os.environ["FOLDER"] + "/pid") or not open(os.environ["FOLDER"] + "/pid").read():
    time.sleep(0.02)
print("started")
if {parent == "hangs"}:
    time.sleep(60)
os._exit(0)
"""
        ended = launch(tmp_path, (sys.executable, "-S", "-c", source), timeout_s=1.0, grace_s=0.2)
        assert ended.ending == ("timeout" if parent == "hangs" else "exited")
        assert ended.log == "started\n"
        assert not alive(read_pid(tmp_path / "pid"))

    def test_a_worker_that_is_just_shutting_down_is_not_hurried(self, tmp_path: pathlib.Path) -> None:
        source = 'trap "echo hurried" TERM; echo parent; (sleep 0.7; echo worker done) & exit 0'
        assert launch(tmp_path, ("sh", "-c", source)).log == "parent\nworker done\n"

    def test_a_grandchild_that_renamed_itself_is_found_without_its_environment(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process_group, "LINGER_S", 0.2)
        # What setproctitle does: the memory that /proc shows as the environment is written over.
        source = """
            import os, time
            if not os.fork():
                os.setpgid(0, 0)
                os.execve("/bin/sleep", ["renamed", "61"], {})
            time.sleep(0.3)
            os._exit(0)
        """
        ended = launch(tmp_path, python(source))
        assert ended.returncode == 0
        assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and _cmdline(int(pid)) == b"renamed\x0061\x00"]


def bare(file: OutputFile) -> OutputFile:
    """Without the time of its writing."""
    return replace(file, modified_at=None)


def group_is_empty(pgid: int) -> bool:
    """Whether no process of the group lives. A zombie holds nothing: it is its parent's to reap."""
    return not any(not one.zombie and one.group == pgid for one in procfs.processes())


def _cmdline(pid: int) -> bytes:
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class TestInterrupts:
    def test_ctrl_c_ends_the_launch_and_goes_on(self, tmp_path: pathlib.Path) -> None:
        pids: list[int] = []

        def interrupt(line: str) -> None:
            if line == "ready":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            launch(
                tmp_path,
                ("sh", "-c", "sleep 60 & trap 'echo bye; exit 1' TERM; echo ready; wait"),
                on_line=interrupt,
                on_start=pids.append,
            )
        assert gone(*pids)
        assert group_is_empty(pids[0])
        assert (tmp_path / "engine.log").read_text() == "ready\nbye\n"

    def test_a_second_ctrl_c_shortens_the_grace(self, tmp_path: pathlib.Path) -> None:
        # A pytest of its own, as Ctrl-C arrives: two signals to the process that runs the launch.
        caller = _caller(
            tmp_path,
            "sh",
            "-c",
            "trap '' TERM; echo $$ > pid; echo ready; sleep 60; sleep 60",
            options="hurried_s=60.0",
        )
        leader = read_pid(tmp_path / "work" / "pid")
        # Output is copied once the start has returned: a Ctrl-C before that is another test's.
        limit = time.monotonic() + 10
        while "ready" not in (tmp_path / "engine.log").read_text() and time.monotonic() < limit:
            time.sleep(0.02)
        caller.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert alive(leader)
        caller.send_signal(signal.SIGINT)
        assert caller.wait(10) == 130
        assert gone(leader)
        assert group_is_empty(leader)

    def test_a_ctrl_c_while_the_client_of_a_server_leaves_saves_no_server(self, tmp_path: pathlib.Path) -> None:
        pids: list[int] = []

        class Impatient:
            def start(self, began: float, listener: object) -> None:
                """Begin."""

            def finished(self) -> bool:
                raise KeyboardInterrupt

            def leave(self) -> None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            launch(tmp_path, ("sleep", "60"), on_start=pids.append, attendant=Impatient())
        assert gone(*pids)

    def test_a_ctrl_c_while_a_launch_is_killed_saves_no_process(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pids: list[int] = []
        real, asked = process_group.members, 0

        def members(leader: int, tag: str) -> frozenset[int]:
            nonlocal asked
            asked += 1
            if asked in (1, 2, 3):
                raise KeyboardInterrupt
            return real(leader, tag)

        with pytest.raises(KeyboardInterrupt):
            launch(
                tmp_path,
                ("sleep", "60"),
                on_start=lambda pid: (pids.append(pid), monkeypatch.setattr(process_group, "members", members)),
                abandoned=lambda: bool(pids),
            )
        assert asked > 3
        assert gone(*pids)

    def test_a_server_that_could_not_be_ended_here_is_ended_by_its_guard(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pids: list[int] = []

        class Idle:
            def start(self, began: float, listener: object) -> None:
                """Begin."""

            def finished(self) -> bool:
                return True

            def leave(self) -> None:
                """Leave."""

        def broken(*_: object, **__: object) -> frozenset[int]:
            raise MemoryError

        # Not in the guard, which is a process of its own.
        monkeypatch.setattr(process_group, "end", broken)
        with pytest.raises(MemoryError):
            launch(tmp_path, ("sleep", "60"), on_start=pids.append, attendant=Idle())
        assert not alive(pids[0])

    def test_a_launch_that_is_given_up_has_less_time_to_end_than_one_that_is_late(self, tmp_path: pathlib.Path) -> None:
        def interrupt(line: str) -> None:
            if line == "ready":
                raise KeyboardInterrupt

        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            launch(
                tmp_path,
                ("sh", "-c", "trap '' TERM; echo $$ > pid; echo ready; sleep 60; sleep 60"),
                on_line=interrupt,
                grace_s=60.0,
                hurried_s=0.2,
            )
        assert time.monotonic() - began < 30
        assert gone(read_pid(tmp_path / "work" / "pid"))

    def test_a_launch_that_nobody_waits_for_any_more_is_ended(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            launch(
                tmp_path,
                ("sh", "-c", "echo $$ > pid; exec sleep 60"),
                abandoned=(tmp_path / "work" / "pid").exists,
            )
        assert gone(read_pid(tmp_path / "work" / "pid"))

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_sigterm_as_ci_sends_it_ends_the_launch(self, tmp_path: pathlib.Path, number: signal.Signals) -> None:
        caller = _caller(tmp_path, "sh", "-c", "echo $$ > pid; exec sleep 60")
        leader = read_pid(tmp_path / "work" / "pid")
        caller.send_signal(number)
        assert caller.wait(10) == 130
        assert gone(leader)

    def test_a_ctrl_c_between_fork_and_the_return_of_popen_leaves_nobody(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Popen waits in the parent until the child has come to its exec: a Ctrl-C there loses the process id.
        start = subprocess.Popen.__init__

        def interrupted(self: subprocess.Popen[bytes], *args: object, **options: object) -> None:
            start(self, *args, **options)  # type: ignore[call-overload]
            read_pid(tmp_path / "work" / "pid")
            self.returncode = 0
            raise KeyboardInterrupt

        monkeypatch.setattr(subprocess.Popen, "__init__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            launch(tmp_path, ("sh", "-c", "echo $$ > pid; sleep 60; sleep 60"))
        assert gone(read_pid(tmp_path / "work" / "pid"))

    def test_an_error_in_on_start_ends_the_launch(self, tmp_path: pathlib.Path) -> None:
        pids: list[int] = []

        def fail(pid: int) -> None:
            pids.append(pid)
            raise RuntimeError("the watch did not start")

        with pytest.raises(RuntimeError, match="the watch did not start"):
            launch(tmp_path, ("sleep", "60"), on_start=fail)
        assert gone(*pids)

    def test_a_killed_caller_leaves_the_lease_with_its_child(self, tmp_path: pathlib.Path) -> None:
        lock = tmp_path / "lock"
        lock.write_text("")
        caller = _caller(
            tmp_path, "sh", "-c", "echo $$ > pid; exec sleep 60", options="pass_fds=[lock.fileno()]", lock=lock
        )
        leader = read_pid(tmp_path / "work" / "pid")
        try:
            caller.kill()
            caller.wait()
            with open(lock) as again:
                with pytest.raises(BlockingIOError):
                    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.kill(leader, signal.SIGKILL)
                assert gone(leader)
                fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(leader, signal.SIGKILL)

    def test_the_log_of_a_killed_caller_is_on_disk_and_holds_no_secret(self, tmp_path: pathlib.Path) -> None:
        caller = _caller(
            tmp_path,
            "sh",
            "-c",
            'echo loading; echo "token is $HF_TOKEN"; printf "$HF_TOKEN"; echo $$ > pid; exec sleep 60',
            env={"HF_TOKEN": SECRET},
        )
        leader = read_pid(tmp_path / "work" / "pid")
        try:
            limit = time.monotonic() + 5
            while "token" not in (tmp_path / "engine.log").read_text() and time.monotonic() < limit:
                time.sleep(0.02)
            caller.kill()
            caller.wait()
            assert (tmp_path / "engine.log").read_text() == "loading\ntoken is <redacted>\n"
        finally:
            os.kill(leader, signal.SIGKILL)


def _caller(
    folder: pathlib.Path,
    *argv: str,
    options: str = "",
    lock: pathlib.Path | None = None,
    env: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Another process that runs a launch, to be killed from here."""
    source = f"""
import fcntl, os, pathlib, signal, sys
# A shell starts background jobs with SIGINT ignored, and nohup with SIGHUP, which children inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from pytest_sgdiff.data import Command
from pytest_sgdiff.launch.run import run
sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})
from test_launch_run import files_in
folder = pathlib.Path({str(folder)!r})
lock = open({str(lock or os.devnull)!r})
if {lock is not None}:
    fcntl.flock(lock, fcntl.LOCK_EX)
try:
    run(Command(argv={argv!r}, env={env or {}!r}, unset=(), files={{}}), files=files_in(folder),
        log=folder / "engine.log", timeout_s=60, env=dict(os.environ), {options})
except KeyboardInterrupt:
    sys.exit(130)
"""
    return subprocess.Popen([sys.executable, "-c", source])


class TestDumps:
    WRITE = 'printf %s \'{"a": 1}\' > "$FOLDER/perf/perf.json"'

    def test_dumps_of_earlier_launches_are_removed_before_the_start(self, tmp_path: pathlib.Path) -> None:
        perf = tmp_path / "perf"
        perf.mkdir()
        for name in ("perf.json", "perf.json.123.tmp", "other.json"):
            (perf / name).write_text("{}")
        ended = launch(tmp_path, ("sh", "-c", 'ls "$FOLDER/perf"'))
        assert ended.log == "other.json\n"
        assert (ended.dump, ended.stale_dump) == (None, False)

    def test_a_dump_with_an_old_date_is_stale(self, tmp_path: pathlib.Path) -> None:
        ended = launch(tmp_path, ("sh", "-c", self.WRITE + ' && touch -d "10 minutes ago" "$FOLDER/perf/perf.json"'))
        assert (ended.dump, ended.stale_dump) == (None, True)

    def test_a_dump_written_at_once_is_fresh(self, tmp_path: pathlib.Path) -> None:
        for _ in range(5):
            ended = launch(tmp_path, ("sh", "-c", self.WRITE))
            assert (ended.dump, ended.stale_dump) == ('{"a": 1}', False)

    def test_a_torn_dump_is_handed_on_as_it_is(self, tmp_path: pathlib.Path) -> None:
        ended = launch(tmp_path, ("sh", "-c", 'printf \'{"a": \\377\' > "$FOLDER/perf/perf.json"; kill -KILL $$'))
        assert ended.dump == '{"a": \ufffd'
        assert ended.returncode == -signal.SIGKILL

    @pytest.mark.parametrize("how", ["mkfifo", "mkdir"])
    def test_something_that_is_no_file_is_no_dump(self, tmp_path: pathlib.Path, how: str) -> None:
        ended = launch(tmp_path, ("sh", "-c", f'{how} "$FOLDER/perf/perf.json"'))
        assert (ended.dump, ended.stale_dump) == (None, False)

    def test_files_of_an_earlier_launch_are_no_outputs_of_this_one(self, tmp_path: pathlib.Path) -> None:
        out = tmp_path / "out"
        out.mkdir()
        for name in ("old.png", "again.png"):
            (out / name).write_text("12345")
        ended = launch(tmp_path, ("sh", "-c", 'printf 54321 > "$FOLDER/out/again.png"; : > "$FOLDER/out/new.png"'))
        assert [bare(file) for file in ended.outputs] == [
            OutputFile(name="again.png", size_bytes=5),
            OutputFile(name="new.png", size_bytes=0),
        ]


class TestOutput:
    def test_much_output_does_not_block_the_child(self, tmp_path: pathlib.Path) -> None:
        ended = launch(
            tmp_path,
            python("""
                import sys
                line = "y" * 1023
                for _ in range(8192):
                    print(line, file=sys.stderr)
                sys.stdout.write("z" * 3_000_000)
            """),
        )
        assert (ended.ending, ended.returncode) == ("exited", 0)
        assert (tmp_path / "engine.log").stat().st_size == 8192 * 1024 + 3_000_000

    @pytest.mark.parametrize("printed", ["KEY", "TOKEN_", "\\0", "token=\\n", "-----BEGIN PRIVATE KEY-----\\n", "\\r"])
    def test_the_deadline_holds_whatever_is_printed(self, tmp_path: pathlib.Path, printed: str) -> None:
        ended = launch(
            tmp_path,
            python(f"""
                import sys
                while True:
                    sys.stdout.write("{printed}" * 30_000)
            """),
            timeout_s=1.0,
        )
        assert ended.ending == "timeout"

    def test_a_dump_beyond_any_real_one_is_read_to_its_limit(self, tmp_path: pathlib.Path) -> None:
        ended = launch(
            tmp_path,
            python("""
                import os
                with open(os.environ["FOLDER"] + "/perf/perf.json", "w") as file:
                    file.truncate(1 << 40)
            """),
        )
        assert ended.dump is not None
        assert len(ended.dump) == MAX_CHARS + 1

    def test_a_secret_that_arrives_in_pieces_reaches_no_file(self, tmp_path: pathlib.Path) -> None:
        lines: list[str] = []
        ended = launch(
            tmp_path,
            python("""
                import os, sys, time
                secret = os.environ["HF_TOKEN"]
                sys.stdout.write("loading " + secret[:9]); sys.stdout.flush(); time.sleep(0.3)
                sys.stdout.write(secret[9:] + "\\r50%|#\\r"); sys.stdout.flush(); time.sleep(0.3)
                print("hf_" + "a" * 17, end="", flush=True); time.sleep(0.3); print("b" * 17)
                open(os.environ["FOLDER"] + "/perf/perf.json", "w").write('{"meta": "' + secret + '"}')
            """),
            set_env={"HF_TOKEN": SECRET},
            on_line=lines.append,
        )
        assert lines == ["loading <redacted>", "50%|#", "<redacted>"]
        assert ended.log == "loading <redacted>\r50%|#\r<redacted>\n"
        assert ended.dump == '{"meta": "<redacted>"}'
        assert (tmp_path / "engine.log").read_text(
            encoding="utf-8"
        ) == "loading <redacted>\r50%|#\r<redacted>\n".replace("\r", "\n")

    def test_a_full_disk_stops_the_launch_and_says_so(
        self, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written = os.write

        def full(descriptor: int, data: bytes) -> int:
            if os.readlink(f"/proc/self/fd/{descriptor}").endswith("/engine.log"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return written(descriptor, data)

        monkeypatch.setattr(os, "write", full)
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "kept.png").write_text("kept")
        pids: list[int] = []
        with pytest.raises(SgdiffError) as caught:
            launch(
                tmp_path,
                ("sh", "-c", "while :; do echo much; done"),
                on_start=pids.append,
            )
        assert str(caught.value) == (
            f"{tmp_path / 'engine.log'}: the launch's log cannot be written: No space left on device; the launch was "
            "stopped, because a launch without its log proves nothing"
        )
        assert gone(*pids)
        assert (tmp_path / "out" / "kept.png").read_text() == "kept"

    def test_two_launches_at_once_do_not_mix(self, tmp_path: pathlib.Path) -> None:
        ended: dict[str, Ended] = {}

        def one(name: str, timeout_s: float) -> Callable[[], None]:
            script = f"for i in 1 2 3 4 5; do echo {name} $i; sleep 0.1; done; sleep {0 if name == 'a' else 60}"

            def work() -> None:
                ended[name] = launch(tmp_path / name, ("sh", "-c", script), timeout_s=timeout_s)

            return work

        threads = [threading.Thread(target=one("a", 20.0)), threading.Thread(target=one("b", 1.5))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (ended["a"].ending, ended["b"].ending) == ("exited", "timeout")
        for name in ("a", "b"):
            assert ended[name].log == "".join(f"{name} {i}\n" for i in range(1, 6))


class TestStart:
    def test_the_environment_is_the_one_given_with_changes(self, tmp_path: pathlib.Path) -> None:
        ended = launch(
            tmp_path,
            ("env",),
            env={"PATH": os.environ["PATH"], "KEPT": "1", "RANK": "3", "CHANGED": "old"},
            set_env={"CHANGED": "new"},
            unset=("RANK", "NOT_THERE"),
        )
        seen = dict(line.split("=", 1) for line in ended.log.splitlines())
        assert len(seen.pop("SGDIFF_LAUNCH")) == 32
        seen.pop("PWD", None)
        assert seen == {
            "PATH": os.environ["PATH"],
            "KEPT": "1",
            "CHANGED": "new",
            "PYTHONUNBUFFERED": "1",
            "FOLDER": str(tmp_path),
        }

    @pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
    def test_the_child_is_born_on_its_cpus_and_the_caller_stays_on_its_own(self, tmp_path: pathlib.Path) -> None:
        mine = os.sched_getaffinity(0)
        source = "import os; print(sorted(os.sched_getaffinity(0)))"
        one = max(mine)
        assert launch(tmp_path, python(source), cpus=[one, 100_000]).log == f"[{one}]\n"
        assert launch(tmp_path, python(source), cpus=[100_000]).log == f"{sorted(mine)}\n"
        assert os.sched_getaffinity(0) == mine

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("no-such-engine", "No such file or directory"), ("/etc/passwd", "Permission denied")],
    )
    def test_a_missing_command_names_the_option_that_helps(
        self, tmp_path: pathlib.Path, name: str, reason: str
    ) -> None:
        with pytest.raises(EngineNotFoundError) as caught:
            launch(tmp_path, (name, "generate"))
        assert str(caught.value) == (
            f"the engine's command {name!r} cannot be started: {reason}; install SGLang in this environment, or name "
            "its command with --sgdiff-engine-cmd"
        )

    def test_an_argument_that_no_process_can_get_is_an_error(self, tmp_path: pathlib.Path) -> None:
        with pytest.raises(SgdiffError) as caught:
            launch(tmp_path, ("sh", "-c", "echo \0"))
        assert (
            str(caught.value)
            == "sh: the command line or environment of the launch cannot be passed on: embedded null byte"
        )

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path: pathlib.Path) -> None:
        (tmp_path / "work").write_text("in the way")
        with pytest.raises(SgdiffError) as caught:
            launch(tmp_path, ("true",))
        assert str(caught.value) == f"{tmp_path / 'work'}: cannot be written for the launch: File exists"

    def test_the_exit_code_is_known_where_the_process_inherited_an_ignored_sigchld(
        self, tmp_path: pathlib.Path
    ) -> None:
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            assert launch(tmp_path, ("sh", "-c", "exit 3")).returncode == 3
            assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
        finally:
            signal.signal(signal.SIGCHLD, before)

    def test_a_child_that_others_reap_has_no_exit_code(self, tmp_path: pathlib.Path) -> None:
        # In a thread, which may set no handler.
        codes: list[int | None] = []
        thread = threading.Thread(target=lambda: codes.append(launch(tmp_path, ("sh", "-c", "exit 3")).returncode))
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        try:
            thread.start()
            thread.join()
        finally:
            signal.signal(signal.SIGCHLD, before)
        assert codes == [None]
