"""What is happening right now, shown while cases run: also under xdist, where workers cannot write to the terminal.

Every process that runs cases appends its progress to a file of its own in the run's folder; the controller follows
these files and shows them. Events are lines of JSON, so a torn last line is simply read on the next look.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import pytest

from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files import temp_dirs
from pytest_sgdiff.plugin.collect import CASE
from pytest_sgdiff.plugin.new_line import new_line
from pytest_sgdiff.plugin.role import role
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.printable import printable
from pytest_sgdiff.reports.progress_text import Narrator, block
from pytest_sgdiff.runner.progress import Progress, Running, followed

POLL_S = 0.25
"""How often the controller looks for news: what is shown lasts minutes, and seconds tick."""

PREFIX = "sgdiff-status-"

SIZE = (80, 24)
"""Columns and rows of a terminal that does not know its size."""

NARROWEST, LOWEST = 20, 4
"""Columns and rows below which a terminal has no room for a block."""


def status_folder(settings: Settings) -> Path:
    """Where this run's progress is written; shared by the controller, which makes it, and its workers."""
    return Path(tempfile.gettempdir()) / f"{PREFIX}{settings.run_id}"


def own_status_folder(settings: Settings) -> Path:
    """The same, there and this user's: its name can be guessed, and the system's folder is open to all.

    Raises:
        OptionError: something else is there, or it cannot be made.
    """
    folder = status_folder(settings)
    try:
        temp_dirs.ours(folder)
    except OSError as error:
        raise OptionError(
            f"{folder}, where the processes of this run exchange their progress: {error.strerror or error}; "
            "remove it, or name another folder for temporary files with TMPDIR"
        ) from None
    return folder


def status_writer(settings: Settings, *, worker: str) -> Callable[[Progress], None]:
    """A function that appends progress to this process's file."""
    path = status_folder(settings) / f"{worker}.jsonl"

    def write(progress: Progress) -> None:
        # Progress is for the eye: a full disk must not stop a measurement.
        with contextlib.suppress(OSError):
            temp_dirs.ours(path.parent)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(progress)) + "\n")

    return write


class Out:
    """What a thread writes to pytest's terminal while tests run; a terminal that is gone is no error.

    It writes past pytest's capture, which redirects file descriptors: to a copy of the terminal's own, made while
    nothing is captured. A stream without a descriptor (a test's own pytest run) is written itself.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shown: tuple[str, ...] = ()
        self._file: TextIO | None = stream
        with contextlib.suppress(OSError, ValueError):
            copy = os.dup(stream.fileno())
            self._file = os.fdopen(copy, "w", encoding=stream.encoding, errors="backslashreplace")

    def put(self, text: str) -> None:
        """Write it now."""
        try:
            if self._file is not None:
                self._file.write(text)
                self._file.flush()
        except (OSError, ValueError):
            self.close()

    def show(self, lines: Sequence[str]) -> None:
        """Let these lines stand below the one on which pytest writes; none: nothing.

        The cursor stays where pytest has left it: pytest goes on as if nothing was below, an echo of `^C` does no harm,
        and erasing from there on takes everything away, also in a terminal that was resized.
        """
        if tuple(lines) == self._shown:
            return
        self._shown = tuple(lines)
        # Down in the same column, which scrolls where no row is left, and up again: so there is room below.
        room = "\x1bD" * len(lines) + f"\x1b[{len(lines)}A"
        below = "".join(f"\r\n{line}" for line in lines)
        self.put("\x1b[J" + (f"{room}\x1b7{below}\x1b8" if lines else ""))

    def size(self) -> tuple[int, int]:
        """Columns and rows now; some terminals say that they have none."""
        columns, rows = 0, 0
        if self._file is not None:
            with contextlib.suppress(OSError, ValueError):
                columns, rows = os.get_terminal_size(self._file.fileno())
        return columns or SIZE[0], rows or SIZE[1]

    def outlive_reader(self) -> bool:
        """Let pytest write into nothing where nobody reads its pipe any more (`| head`), and say whether that is so."""
        with contextlib.suppress(OSError, ValueError):
            poll = select.poll()
            poll.register(self._stream, 0)
            if any(event & select.POLLERR for _, event in poll.poll(0)):
                with open(os.devnull, "wb") as nothing:
                    os.dup2(nothing.fileno(), self._stream.fileno())
                return True
        return False

    def close(self) -> None:
        """Write nothing more."""
        file, self._file = self._file, None
        if file is not None and file is not self._stream:
            with contextlib.suppress(OSError):
                file.close()


class StatusBoard:
    """On the controller: follows the progress files and shows what runs.

    On a terminal a block of lines, one per running case, stands below what pytest has written, and is gone while
    pytest writes. Elsewhere each launch gives one line when it starts, so that a log shows what it waits for without a
    flood. Lines too in CI, where escapes are not wanted (NO_COLOR, `--color=no`, TERM=dumb), and where others write to
    the terminal while a test runs (`-s`, `--setup-show`, pytest's live logs).

    A thread writes, and only while pytest does not: `_aside` is around each hook in which pytest or xdist writes.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config, self._ci = config, settings.ci
        self._folder = status_folder(settings)
        self._folder_lock: int | None = None
        with contextlib.suppress(OSError):  # as for the progress itself
            _, self._folder_lock = temp_dirs.make(PREFIX, settings.run_id)
        self._read: dict[Path, int] = {}
        self._running: dict[str, Running] = {}
        self._narrator = Narrator(verbosity=config.getoption("verbose", 0))
        self._terminal: pytest.TerminalReporter | None = None
        self._out: Out | None = None
        self._in_place = self._on_workers = False
        # Held while news are taken in and shown, by the thread and by the hooks. Signal handlers run hooks in the
        # thread that they interrupt.
        self._lock = threading.RLock()
        self._writing, self._paused, self._silent = 0, False, False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="sgdiff-status", daemon=True)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Follow the progress while tests run."""
        terminal = self.config.pluginmanager.get_plugin("terminalreporter")
        asked = self._narrator.verbosity >= 0 and not self.config.option.collectonly
        if asked and isinstance(terminal, pytest.TerminalReporter):
            self._terminal, self._out = terminal, Out(sys.stdout)
            self._in_place = self._may_draw(terminal)
            self._on_workers = role(self.config).kind == "controller"
            self._thread.start()
        try:
            return (yield)
        finally:
            if self._out is not None:
                self._ended.set()
                # It only ever waits for the terminal; an end is not delayed by one that does not answer.
                self._thread.join(timeout=1.0)
                self._clear()
                self._out.close()
            self._remove_folder()

    def pytest_unconfigure(self) -> None:
        """A run that ends before its first test leaves no folder either."""
        self._remove_folder()

    def _remove_folder(self) -> None:
        """What a killed run leaves, the next one removes: its lock is free."""
        shutil.rmtree(self._folder, ignore_errors=True)
        lock, self._folder_lock = self._folder_lock, None
        if lock is not None:
            os.close(lock)

    # ------------------------------------------------------------------------------------------- when pytest writes

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_runtest_logstart(self) -> Generator[None, object, object]:
        """Step aside for whoever writes in this hook."""
        with self._aside():
            return (yield)

    pytest_runtest_logfinish = pytest_collectreport = pytest_internalerror = pytest_runtest_logstart
    pytest_xdist_node_collection_finished = pytest_testnodeready = pytest_testnodedown = pytest_runtest_logstart

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        """Likewise; a test that is over is shown no longer, and what it said until then is old news."""
        with self._aside():
            if report.when != "setup" or not report.passed:
                self._take_news(time.monotonic())
                self._running.pop(_worker(report), None)
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Where lines stay, those of a case begin on a line of their own. (Under xdist workers have this hook.)"""
        if CASE in item.stash or "sgdiff" in getattr(item, "fixturenames", ()):
            with self._lock:
                self._end_line()
        return (yield)

    def pytest_enter_pdb(self) -> None:
        """Leave the terminal to the debugger."""
        with self._lock:
            self._paused = True
            self._clear()

    def pytest_leave_pdb(self) -> None:
        """Go on showing."""
        self._paused = False

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        with self._lock:
            self._writing += 1
            self._clear()
        try:
            # A reader that has seen enough must not end a measurement; it may leave in the middle of a hook.
            self._reader_is_gone()
            yield
        except BrokenPipeError:
            if not self._reader_is_gone():
                raise
        finally:
            # xdist writes some lines just after a hook: the thread waits until it has looked once in silence.
            self._silent = False
            self._writing -= 1

    def _reader_is_gone(self) -> bool:
        return self._out is not None and self._out.outlive_reader()

    def _clear(self) -> None:
        if self._out is not None:
            self._out.show(())

    def _end_line(self) -> None:
        """Where lines stay: end the line that pytest is writing, and what it wrote is out."""
        if self._terminal is not None and not self._in_place:
            with contextlib.suppress(OSError):  # what cannot be written is pytest's to report
                new_line(self.config)
                self._terminal.flush()

    # --------------------------------------------------------------------------------------- while pytest is silent

    def _may_draw(self, terminal: pytest.TerminalReporter) -> bool:
        option = self.config.getoption
        live_logs = option("log_cli_level", None) is not None or (
            self.config.pluginmanager.hasplugin("logging") and self.config.getini("log_cli")
        )
        alone = option("capture", "no") in ("fd", "sys") and not option("setupshow", default=False) and not live_logs
        # `hasmarkup` knows of --color and NO_COLOR. Some CI systems give a terminal and keep every byte of it.
        escapes = terminal.hasmarkup and os.environ.get("TERM") != "dumb" and not self._ci
        return bool(terminal.isatty) and escapes and alone

    def _follow(self) -> None:
        while not self._ended.wait(POLL_S):
            self.look(time.monotonic())

    def look(self, now: float) -> None:
        """Take in what is new, and show what runs if pytest has been silent since the last look."""
        with self._lock:
            if self._writing or self._paused:
                return
            self._take_news(now)
            silent, self._silent = self._silent, True
            if not self._in_place:
                for worker, running in self._running.items():
                    self._say(self._narrator.tick(worker, running, now))
            elif silent and self._out is not None:
                columns, rows = self._out.size()
                # Of a line that reaches the edge terminals do not agree where the cursor is.
                width = self.config.get_terminal_writer().width_of_current_line
                roomy = columns >= NARROWEST and rows >= LOWEST and (width == 0 or width % columns)
                self._out.show(block(self._running.values(), now, columns=columns, rows=rows) if roomy else ())

    def _take_news(self, now: float) -> None:
        for worker, progress in self._news():
            running = self._running[worker] = followed(self._running.get(worker), progress)
            self._say(self._narrator.news(worker, running, now))

    def _say(self, line: str | None) -> None:
        if line is not None and self._out is not None and not self._in_place:
            if self._on_workers:
                self._end_line()
            self._out.put(f"{printable(line)}\n")

    def _news(self) -> Iterator[tuple[str, Progress]]:
        for path in sorted(self._folder.glob("*.jsonl")):
            try:
                with path.open("rb") as file:
                    file.seek(self._read.get(path, 0))
                    lines = file.read()
            except OSError:
                continue
            whole = lines[: lines.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for line in whole.splitlines():
                # A full disk leaves half a line.
                with contextlib.suppress(ValueError, TypeError, KeyError):
                    fields: dict[str, Any] = json.loads(line)
                    yield path.stem, Progress(**{**fields, "gpus": tuple(fields["gpus"])})


def _worker(report: pytest.TestReport) -> str:
    """Who ran the test: xdist's controller notes it on the report."""
    node = getattr(report, "node", None)
    return "main" if node is None else str(node.gateway.id)
