"""Python programs of the engine's environment without their imports: a process that has made them forks for each.

    forked.py serve SOCKET                        import the engine, listen, and end when stdin is closed
    forked.py ask SOCKET PROGRAM [argument ...]   run PROGRAM as `python PROGRAM` does, in a copy of the server

Nearly all of a small launch is imports. The second command, which `conftest.py` writes down as an `sglang`, asks the
server to fork. The copy becomes what the command would have been: it takes over its arguments, environment, folder,
CPUs and open files (the pipe of its output and the locks of its lease among them), and runs the program to its end:
`bin/sglang`, or the one that makes checkpoints. What differs:

* The engine forks its workers too, where it would spawn them. A forked one imports nothing.
* The engine leads a session of its own, since no process can join another's. The command stays: it passes signals on,
  dies of what the engine died of, or has its exit code. If it is killed, the server kills the engine's group.
* /proc shows the command's environment as the engine's own: that memory is overwritten.

Environment variables that the engine reads when it is imported must be those of the server (`AT_IMPORT`).
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import json
import multiprocessing
import os
import runpy
import select
import signal
import socket
import struct
import sys
import tempfile
import threading
import traceback
from typing import NoReturn

AT_IMPORT = ("HF_HUB_OFFLINE", "OMP_NUM_THREADS", "PYTHONPATH")
ROOM = "SGDIFF_TEST_ROOM"
"""A variable of the server that takes up the memory into which the environment of a launch is written."""
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
LENGTH = struct.Struct("!I")


def send(connection: socket.socket, message: object, descriptors: list[int]) -> None:
    text = json.dumps(message).encode()
    socket.send_fds(connection, [LENGTH.pack(len(text))], descriptors)
    connection.sendall(text)


def receive(connection: socket.socket) -> tuple[dict, list[int]]:
    head, descriptors, _, _ = socket.recv_fds(connection, LENGTH.size, 250)
    (left,) = LENGTH.unpack(head)
    parts = []
    while left and (part := connection.recv(left)):
        parts.append(part)
        left -= len(part)
    return json.loads(b"".join(parts)), descriptors


def ask(address: str, words: list[str]) -> int:
    """Have the server run a program with its arguments, and end as that ends."""
    given = {name: os.environ.get(name) for name in AT_IMPORT}
    mine = [int(name) for name in os.listdir("/proc/self/fd")]
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    files = [number for number in mine if number != connection.fileno() and _is_open(number)]
    connection.connect(address)
    message = {
        "argv": words,
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "cpus": sorted(os.sched_getaffinity(0)),
        "files": files,
        "at_import": given,
    }
    send(connection, message, files)
    answers = connection.makefile("r")
    started = json.loads(answers.readline() or "null")
    if not isinstance(started, dict) or "error" in started:
        print(started["error"] if isinstance(started, dict) else f"{address}: nothing was started", file=sys.stderr)
        return 3
    for number in FORWARDED:
        signal.signal(number, lambda number, _: os.killpg(started["pid"], number))
    status = json.loads(answers.readline() or "null")
    if status is None:
        print("the server of the engine ended", file=sys.stderr)
        return 3
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        signal.signal(number, signal.SIG_DFL) if number not in (signal.SIGKILL, signal.SIGSTOP) else None
        os.kill(os.getpid(), number)
    return os.waitstatus_to_exitcode(status)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


class Server:
    """Forks for each request; its own process runs none of the programs."""

    def __init__(self, address: str) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(address)
        self._listener.listen(8)
        # Process id of a launch -> (its pidfd, the connection to its command).
        self._running: dict[int, tuple[int, socket.socket]] = {}

    def serve(self) -> list[str] | None:
        """Serve until stdin is closed, then None; in a forked process, the arguments of its launch."""
        while True:
            watched = select.poll()
            for file in (sys.stdin, self._listener, *(pidfd for pidfd, _ in self._running.values())):
                watched.register(file, select.POLLIN)
            for _, connection in self._running.values():
                # Its request may still wait to be read by the forked process: only the command's end counts.
                watched.register(connection, select.POLLRDHUP)
            ready = {number for number, _ in watched.poll()}
            for pid, (pidfd, connection) in list(self._running.items()):
                if pidfd in ready:
                    self._ended(pid)
                elif connection.fileno() in ready:
                    self._kill(pid)
            if sys.stdin.fileno() in ready:
                for pid in list(self._running):
                    self._kill(pid)
                return None
            if self._listener.fileno() in ready:
                argv = self._start()
                if argv is not None:
                    return argv

    def _kill(self, pid: int) -> None:
        for kill in (os.killpg, os.kill):  # it may not lead a group yet
            with contextlib.suppress(ProcessLookupError):
                kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        self._forget(pid)

    def _ended(self, pid: int) -> None:
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            self._running[pid][1].sendall(f"{status}\n".encode())
        self._forget(pid)

    def _forget(self, pid: int) -> None:
        pidfd, connection = self._running.pop(pid)
        os.close(pidfd)
        connection.close()

    def _start(self) -> list[str] | None:
        connection, _ = self._listener.accept()
        pid = os.fork()
        if pid:
            self._running[pid] = (os.pidfd_open(pid), connection)
            return None
        os.setsid()
        self._listener.close()
        for pidfd, other in self._running.values():
            os.close(pidfd)
            other.close()
        request, descriptors = receive(connection)
        here = {name: os.environ.get(name) for name in AT_IMPORT}
        if request["at_import"] != here:
            error = f"this engine was imported with {here}, which a launch cannot change to {request['at_import']}"
            connection.sendall(json.dumps({"error": error}).encode() + b"\n")
            os._exit(0)
        argv = become(request, descriptors, keep=connection.fileno())
        connection.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")
        connection.close()
        return argv


def become(request: dict, descriptors: list[int], *, keep: int) -> list[str]:
    """Take over what the command has; returns its arguments."""
    highest = 1 + max(keep, *descriptors, *request["files"])
    for number, target in zip(
        [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, highest) for one in descriptors], request["files"], strict=True
    ):
        if target == keep:
            raise RuntimeError(f"file {target} of the command is in use here")
        os.dup2(number, target)
        os.close(number)
    for number in set(descriptors) - set(request["files"]):
        os.close(number)
    os.chdir(request["cwd"])
    os.sched_setaffinity(0, request["cpus"])
    # The engine's workers give themselves a title, for which setproctitle takes the environment's memory otherwise.
    environment = {**request["env"], "SPT_NOENV": "1"}
    os.environ.clear()
    os.environ.update(environment)
    show_environment(environment)
    # What was imported has asked where temporary files go, and TMPDIR of the launch is another folder.
    tempfile.tempdir = None
    for number in (*FORWARDED, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(write_through=bool(environment.get("PYTHONUNBUFFERED")))
    return list(request["argv"])


def show_environment(environment: dict[str, str]) -> None:
    """Have /proc/self/environ show it: that file is the memory that the variables lay in when the program began."""
    import ctypes

    with open("/proc/self/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    # env_start and env_end are fields 50 and 51 of all, counted from 1; two stand before the last bracket.
    start, end = int(fields[47]), int(fields[48])
    block = b"".join(f"{name}={value}".encode() + b"\0" for name, value in environment.items())
    if len(block) > end - start:
        raise RuntimeError(f"an environment of {len(block)} bytes does not fit into {end - start}: give {ROOM} more")
    ctypes.memmove(start, block.ljust(end - start, b"\0"), end - start)


def import_engine() -> None:
    """All that a launch and its worker import, whichever model it is of."""
    import sglang.cli.generate
    import sglang.cli.main
    import sglang.multimodal_gen.runtime.entrypoints.cli.generate
    import sglang.multimodal_gen.runtime.managers.gpu_worker
    import sglang.multimodal_gen.runtime.managers.scheduler  # noqa: F401
    from sglang.multimodal_gen import registry

    registry._discover_and_register_pipelines()
    # torch.compile, which some models use on the CPU: what it imports, and what it asks the compiler about the CPU.
    import torch._dynamo
    import torch._inductor.compile_fx  # noqa: F401
    from torch._inductor import cpu_vec_isa

    cpu_vec_isa.pick_vec_isa()


def run(program: str) -> NoReturn:
    """Run it and end as Python does, but for the last step: to free every module one by one takes a second."""
    code: object = 0
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as exit_:
        code = exit_.code
    except BaseException:
        traceback.print_exc()
        code = 1
    if not isinstance(code, int | None):
        print(code, file=sys.stderr)
        code = 1
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code or 0)


def main() -> int:
    what, address, *rest = sys.argv[1:]
    if what == "ask":
        return ask(address, rest)
    import_engine()
    # What was imported lives as long as the process: no copy of it looks through all of it for garbage.
    gc.freeze()
    server = Server(address)
    print("ready", flush=True)
    argv = server.serve()
    if argv is None:
        return 0
    multiprocessing.set_start_method("fork", force=True)
    sys.argv = argv
    run(argv[0])


if __name__ == "__main__":
    sys.exit(main())
