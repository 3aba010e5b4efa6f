"""On a node of a cluster: a process that holds one lease and makes the launches that pytest asks it for.

It reads lines of JSON from its standard input and answers in lines of JSON. The end of its input means that nobody
waits any more: whatever runs is ended, as at Ctrl-C, and the lease given back. It knows nothing of Ray.

    asked                                        answers
    look      what the node has                  look
    flags     which flags its engine has         flags
    lease     GPUs and ports                     wait..., leased
    launch    one launch of the case             command (the files and ports that it is to be written for, to which
                                                 pytest answers with the command), progress..., launched
    any                                          error
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from pytest_sgdiff import gpus, machine
from pytest_sgdiff.cases.assets import has_token
from pytest_sgdiff.cluster.packing import packed, unpacked
from pytest_sgdiff.data import Case, Command, EngineInfo, Launch, LaunchFiles, Ports, Reading, Workload
from pytest_sgdiff.errors import EngineNotFoundError, SgdiffError
from pytest_sgdiff.files import temp_dirs
from pytest_sgdiff.files.data_files import file_name
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.gpus import Lease
from pytest_sgdiff.launch.engine_help import ask
from pytest_sgdiff.launch.run import ENDING_LOG
from pytest_sgdiff.launch.scratch import PREFIX
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.runner.live import LiveSource
from pytest_sgdiff.runner.progress import Progress

LOG_LIMIT = 1 << 26
"""Bytes of a log that are sent whole. Of a longer one goes what is judged of it (`launch.log_text`)."""

Message = dict[str, Any]


class Line:
    """The two ends of the pipe to pytest."""

    def __init__(self, source: BinaryIO, target: BinaryIO) -> None:
        self._source, self._target = source, target
        self._heard: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self.gone = threading.Event()
        threading.Thread(target=self._listen, name="sgdiff-line", daemon=True).start()

    def _listen(self) -> None:
        for line in self._source:
            self._heard.put(json.loads(line))
        self.gone.set()
        self._heard.put(None)
        # A launch, or the wait for one, is in the main thread.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def hear(self) -> Message | None:
        """The next message; None once nobody is there."""
        return None if self.gone.is_set() else self._heard.get()

    def say(self, kind: str, **fields: object) -> None:
        """Send a message; it is lost if nobody is there."""
        data = json.dumps({"kind": kind, **fields}).encode() + b"\n"
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._target.write(data)
            self._target.flush()


class Asked:
    """The adapter of the case's engine, which is where pytest is: it is asked for the command."""

    def __init__(self, case: Case, line: Line, node: str) -> None:
        self.name, self._line, self._node = case.engine, line, node
        self._changed: Command | None = None

    def command(self, case: Case, *, info: EngineInfo, files: LaunchFiles, ports: Ports | None) -> Command:
        """The command as the adapter writes it for these files and ports. Raises KeyboardInterrupt if nobody answers,
        and MissingError for files that pytest's machine has and this one lacks."""
        self._line.say("command", files=to_plain(files), ports=to_plain(ports))
        answer = self._line.hear()
        if answer is None:
            raise KeyboardInterrupt
        if missing := [path for path in answer["here"] if not os.path.exists(path)]:
            raise MissingError(missing)
        self._changed = from_plain(Command, answer["changed"])
        return from_plain(Command, answer["command"])

    def changed(self, command: Command) -> Command:
        """The command as hooks want it."""
        return self._changed or command

    def read(self, launch: Launch, case: Case) -> Reading:
        """Nothing is judged here."""
        raise AssertionError("launches are read where pytest is")


class MissingError(Exception):
    """Files that the command names and that are not on this node: `paths`."""

    def __init__(self, paths: list[str]) -> None:
        super().__init__(*paths)
        self.paths = paths


class Launcher:
    """What answers."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._lease: Lease | None = None
        self._folder, self._lock = "", -1
        self._answers = {
            "look": self._look,
            "flags": self._flags,
            "lease": self._lease_of,
            "launch": self._launch,
        }

    def serve(self) -> None:
        """Answer until nobody is there."""
        try:
            while (message := self._line.hear()) is not None:
                self._answer(message)
        finally:
            if self._lease is not None:
                self._lease.release()
            if self._folder:
                shutil.rmtree(self._folder, ignore_errors=True)
                os.close(self._lock)

    def _answer(self, message: Message) -> None:
        try:
            self._answers[message["kind"]](message)
        except MissingError as error:
            self._line.say("missing", paths=error.paths)
        except SgdiffError as error:
            self._line.say("error", of=type(error).__name__, message=str(error))

    def _look(self, message: Message) -> None:
        eligible = gpus.resolve("all")
        engines = {
            name: _engine(message[name], option) if message[name] else {}
            for name, option in (("engine", "--sgdiff-engine-cmd"), ("base", "--sgdiff-against"))
        }
        self._line.say(
            "look",
            gpus=to_plain(eligible.gpus),
            note=eligible.note,
            driver=eligible.driver,
            cpu=to_plain(machine.machine_of(())),
            host=machine.host_hash(),
            token=has_token(os.environ),
            **engines,
        )

    def _flags(self, message: Message) -> None:
        with tempfile.TemporaryDirectory(prefix="sgdiff-flags-") as folder:
            answer = ask(from_plain(EngineInfo, message["info"]), run_folder=Path(folder))
        self._line.say("flags", answer=to_plain(answer))

    def _lease_of(self, message: Message) -> None:
        count = message["count"]
        pool = gpus.Pool(gpus.resolve("all" if count else "none"), run_id=message["run"])
        self._lease = pool.lease(
            count,
            estimate_s=message["estimate_s"],
            timeout_s=message["timeout_s"],
            on_wait=lambda wait: self._line.say("wait", text=str(wait)),
            tag=message["tag"],
            products=message["products"],
        )
        self._folder, self._lock = temp_dirs.make(PREFIX)
        of = self._lease.gpus
        self._line.say("leased", gpus=to_plain(of), machine=to_plain(machine.machine_of(of)))

    def _launch(self, message: Message) -> None:
        if self._lease is None:
            raise AssertionError("a launch needs a lease")
        case, number = from_plain(Case, message["case"]), message["number"]
        out = Path(self._folder) / "out"
        out.mkdir(exist_ok=True)
        engine = Asked(case, self._line, message["node"])
        source = LiveSource(
            case=case,
            engine=engine,
            info=from_plain(EngineInfo, message["info"]),
            lease=self._lease,
            out=out,
            session=message["session"],
            isolation=message["isolation"],
            workload=from_plain(Workload, message["workload"]),
            notify=lambda progress: self._line.say("progress", progress=_sent(progress)),
            assets=_written(message["assets"], Path(self._folder) / "assets"),
            change_command=engine.changed,
            change_environment=lambda environment: environment,
            abandoned=self._line.gone.is_set,
            number=number,
            of=message["of"],
            exact=message["exact"],
            expected_s=message["expected_s"],
            side=message["side"],
            host_timeout_s=message["host_timeout_s"],
            guarded=(self._folder,),
        )
        try:
            launch = source.launch(alone=message["alone"])
            if launch is None:
                raise AssertionError("a launch of now is always one more")
            files = _logs(recordings.launch_folder(out, case.id, number), launch)
        finally:
            shutil.rmtree(out / file_name(case.id), ignore_errors=True)
        self._line.say("launched", launch=to_plain(launch), files=files)


def _engine(command: list[str], option: str) -> Message:
    try:
        return {"info": to_plain(machine.engine_info(command, option=option))}
    except EngineNotFoundError as error:
        return {"error": str(error)}


def _sent(progress: Progress) -> Message:
    return {name: getattr(progress, name) for name in ("launch", "stage", "waits_for", "gpus")}


def _written(assets: Mapping[str, Mapping[str, str]], folder: Path) -> dict[str, Path]:
    """Input files of the case as pytest sent them, each in a folder of its own: flag -> file, by its own name."""
    found = {}
    for number, (flag, file) in enumerate(assets.items()):
        path = folder / str(number) / Path(file["name"]).name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(unpacked(file["content"]))
        found[flag] = path
    return found


def _logs(folder: Path, launch: Launch) -> dict[str, str]:
    """The logs of a launch, by their names."""
    found = {}
    for name in (recordings.LOG, ENDING_LOG):
        path = folder / name
        if path.is_file():
            whole = path.stat().st_size <= LOG_LIMIT
            found[name] = packed(path.read_bytes() if whole else launch.log.encode("utf-8", "replace"))
    return found


def main() -> None:
    """Serve on standard input and output; what else is written to that goes nowhere."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    target = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    line = Line(sys.stdin.buffer, target)
    try:
        Launcher(line).serve()
    except KeyboardInterrupt:
        # Nobody is there. What ran is ended: the launcher sees to that.
        pass
    except BaseException:
        line.say("error", of="", message=traceback.format_exc())
        raise
