"""Run one command and own every process that comes of it: deadline, group kill, log, perf dump.

`run` is the only way in which this package starts an engine. It promises that nothing of the launch is alive when it
returns or raises, that the log is on disk up to the last line whatever happens, that no secret is in it, and that a
perf dump which is handed on was written by this launch.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Literal, Protocol

from pytest_sgdiff.data import Command, Ending, LaunchFiles, OutputFile
from pytest_sgdiff.errors import EngineNotFoundError, SgdiffError
from pytest_sgdiff.launch import files as launch_files
from pytest_sgdiff.launch import process_group
from pytest_sgdiff.launch.guard import Guard
from pytest_sgdiff.launch.log import LogCopy, clean_lines
from pytest_sgdiff.launch.process_group import TAG
from pytest_sgdiff.launch.signals import as_ctrl_c
from pytest_sgdiff.redact import redact

__all__ = ["ENDING_LOG", "TAG", "Attendant", "Ended", "clean_lines", "run"]

ENDING_LOG = "ending.log"
"""What a server says while it is ended, beside its log: workers that are gone are no failure then."""

POLL_S = 0.2
"""How often a silent launch is looked at: often enough for a deadline, too rarely to disturb what is measured."""

HURRIED_S = 4.0
"""How long the processes of a launch that is given up may take to end after SIGTERM. A worker of pytest-xdist has 5 s
for that: it is interrupted 5 s after it was told to end (execnet's `WorkerGateway._terminate_execution`), and killed
after 10 s (xdist's `NodeManager.EXIT_TIMEOUT`)."""


GRACE_S = 20.0
"""How long the processes of a launch may take to end after SIGTERM."""

SERVER_GRACE_S = 30.0
"""How long those of a server may: it takes up to 17 s by itself once HTTP is closed (0.5.17 to 0.5.23,
launch_server.py), and upstream's nightly comparison gives it as long."""


class Attendant(Protocol):
    """Who has to do with a server while it lives."""

    def start(self, began: float, listener: Callable[[int], Literal["own", "other", "unknown"]]) -> None:
        """The process was started at `began` (`time.monotonic`); `listener` says whose process listens on a port."""
        ...

    def finished(self) -> bool:
        """Whether all is done, so that the server is to be ended."""
        ...

    def leave(self) -> None:
        """Close every connection: the server is about to be ended, whatever was done. Called once or more."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A command that has ended, with everything that it left behind; secrets redacted.

    `started_at` is ISO 8601 UTC, `started_ns` the same moment by CLOCK_MONOTONIC, `wall_s` the life of the leading
    process. `ending` is `timeout` if the deadline stopped it, `stopped` if it is a server with which all was done, and
    `interrupted` if somebody else's SIGINT, SIGTERM or SIGHUP ended it. `returncode` is None if something
    else in this process reaped the child first, so that nobody can tell. `dump` is the text of a perf dump
    that is newer than the start, else None; `stale_dump` says that one is there which is not. `log` is the text of
    the log file, of a very long one what `log_text` hands on.
    """

    started_at: str
    started_ns: int
    wall_s: float
    ending: Ending
    returncode: int | None
    dump: str | None
    stale_dump: bool
    outputs: tuple[OutputFile, ...]
    log: str


@contextlib.contextmanager
def _exit_codes() -> Iterator[None]:
    """Where SIGCHLD is ignored, which a process may inherit, the kernel drops the exit codes of its children."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGCHLD) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)


@as_ctrl_c()
@_exit_codes()
def run(
    command: Command,
    *,
    files: LaunchFiles,
    log: pathlib.Path,
    timeout_s: float,
    env: Mapping[str, str],
    pass_fds: Sequence[int] = (),
    grace_s: float | None = None,
    hurried_s: float = HURRIED_S,
    abandoned: Callable[[], bool] = lambda: False,
    cpus: Sequence[int] | None = None,
    on_line: Callable[[str], None] | None = None,
    on_start: Callable[[int], None] | None = None,
    attendant: Attendant | None = None,
    guarded: Sequence[str] | None = None,
) -> Ended:
    """Run the command to its end, at most `timeout_s` seconds, and return what it left behind.

    `env` is the whole environment to start from; `command.unset` is taken from it and `command.env` added. The child
    leads a session of its own, writes stdout and stderr into `log`, keeps `pass_fds` open, and runs on `cpus` (those
    of them that this thread may use). `on_start` gets its process id, `on_line` each line it prints, colours and
    progress bars resolved. `attendant` has to do with the process, a server: when that is finished, the process is
    ended, and what it says from then on goes into `ending.log` beside its log. It is ended, too, if this process dies;
    so is every launch of which `guarded` names the folders that are then removed with it (it may be empty).
    At the deadline all its processes get SIGTERM and, `grace_s` seconds later, SIGKILL. On any
    exception in this thread the latter comes after `hurried_s` seconds, and the exception is raised again afterwards;
    KeyboardInterrupt is one, for which SIGTERM and SIGHUP are taken, and which is raised once `abandoned`, asked at
    every look, says that nobody waits for the launch any more.

    Raises EngineNotFoundError if the command cannot be started, and SgdiffError if a file of the launch cannot be
    written or a process cannot be killed.
    """
    tag = uuid.uuid4().hex
    child_env = {name: value for name, value in env.items() if name not in command.unset} | dict(command.env)
    child_env[TAG] = tag
    fresh_from_ns = launch_files.prepare(command, files)
    earlier = launch_files.outputs(files.output_dir)
    copy = LogCopy(log, redact=lambda text: redact(text, child_env), on_line=on_line)
    process: subprocess.Popen[bytes] | None = None
    guard = None if attendant is None and guarded is None else Guard(tag, guarded or ())
    gone = False
    if grace_s is None:
        grace_s = GRACE_S if attendant is None else SERVER_GRACE_S
    try:
        started_at, started_ns = datetime.now(timezone.utc), time.monotonic_ns()
        began = started_ns / 1e9
        process = _start(command, cwd=files.workdir, env=child_env, output=copy.write_end, pass_fds=pass_fds, cpus=cpus)
        copy.child_started()
        if guard is not None:
            guard.watch(process.pid)
        if on_start is not None:
            on_start(process.pid)
        if attendant is not None:
            attendant.start(began, partial(process_group.listener, process.pid, tag))
        finished = (lambda: False) if attendant is None else attendant.finished
        how = _until(began + timeout_s, process.pid, copy, abandoned, finished)
        wall_s = time.monotonic() - began
        if attendant is not None:
            attendant.leave()
            if how != "exited":
                copy.drain()
                copy.divert(log.with_name(ENDING_LOG))
        linger_s = process_group.LINGER_S if how == "exited" else 0.0
        left = process_group.end(process.pid, tag, grace_s=grace_s, linger_s=linger_s, between=copy.pump)
        copy.drain()
        gone = True
    except BaseException:
        try:
            if attendant is not None:
                attendant.leave()
        finally:
            # Whatever comes in between, such as a second signal.
            if process is None:
                process_group.end_unknown(tag)
            else:
                process_group.end(process.pid, tag, grace_s=hurried_s, linger_s=0.0, between=copy.pump)
        gone = True
        with contextlib.suppress(SgdiffError):
            copy.drain()
        raise
    finally:
        try:
            if guard is not None:
                guard.close(gone=gone)
        finally:
            returncode = None if process is None else _reap(process)
            copy.close()
    if left:
        raise SgdiffError(
            f"{command.argv[0]}: process {', '.join(map(str, sorted(left)))} of the launch could not be killed within "
            f"{process_group.KILLED_S:.0f} s; it may hang in the GPU driver (state D in `ps`), and it "
            "still holds its GPUs"
        )
    dump, stale_dump = launch_files.read_dump(files.perf_dump, fresh_from_ns)
    ending: Ending = how
    if how == "exited" and returncode in {-signal.SIGINT, -signal.SIGTERM, -signal.SIGHUP}:
        ending = "interrupted"
    return Ended(
        started_at=started_at.isoformat(timespec="milliseconds"),
        started_ns=started_ns,
        wall_s=wall_s,
        ending=ending,
        returncode=returncode,
        dump=None if dump is None else redact(dump, child_env),
        stale_dump=stale_dump,
        outputs=launch_files.written(files.output_dir, earlier),
        log=copy.text(),
    )


def _start(
    command: Command,
    *,
    cwd: str,
    env: Mapping[str, str],
    output: int,
    pass_fds: Sequence[int],
    cpus: Sequence[int] | None,
) -> subprocess.Popen[bytes]:
    try:
        with _affinity(cpus):
            return subprocess.Popen(
                command.argv,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                start_new_session=True,
            )
    except ValueError as error:
        raise SgdiffError(
            f"{command.argv[0]}: the command line or environment of the launch cannot be passed on: {error}"
        ) from error
    except OSError as error:
        if error.errno == errno.E2BIG:
            raise SgdiffError(
                f"{command.argv[0]}: the command line of the launch is too long for this system"
            ) from error
        raise EngineNotFoundError(
            f"the engine's command {command.argv[0]!r} cannot be started: {error.strerror}; install SGLang in this "
            "environment, or name its command with --sgdiff-engine-cmd"
        ) from error


@contextlib.contextmanager
def _affinity(cpus: Sequence[int] | None) -> Iterator[None]:
    """Run the calling thread on `cpus` for a moment, so that a child started in it is born there.

    Code between fork and exec (`preexec_fn`) could deadlock, since other threads may hold locks; setting it from
    outside would miss the child's first threads.
    """
    mine = os.sched_getaffinity(0)
    wanted = mine & set(cpus or ())
    if not wanted:
        yield
        return
    os.sched_setaffinity(0, wanted)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def _until(
    deadline: float, pid: int, copy: LogCopy, abandoned: Callable[[], bool], finished: Callable[[], bool]
) -> Literal["exited", "stopped", "timeout"]:
    """Copy output until the leader has exited, all is done with it, or the deadline has come. Leaves it to be reaped:
    its number, which is also its group's, must stay taken as long as signals may be sent to it."""
    while True:
        # What was done was done while it lived: asked first, since a server may end at the very moment.
        done = finished()
        try:
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return "exited"
        except ChildProcessError:
            return "exited"
        if done:
            return "stopped"
        left = deadline - time.monotonic()
        if left <= 0:
            return "timeout"
        if abandoned():
            raise KeyboardInterrupt
        copy.pump(min(POLL_S, left))


def _reap(process: subprocess.Popen[bytes]) -> int | None:
    """Its exit code, None if it cannot be known. Not Popen.wait(), which calls a child reaped by others a success."""
    try:
        done, status = os.waitpid(process.pid, os.WNOHANG)
    except ChildProcessError:
        done = 0
    process.returncode = os.waitstatus_to_exitcode(status) if done else -signal.SIGKILL
    return process.returncode if done else None
