"""What is happening right now, shown while cases run: also under xdist, where workers cannot write to the terminal.

Every process that runs cases appends its progress to a file of its own in the run's folder; the controller follows
these files and shows them. Events are lines of JSON, so a torn last line is simply read on the next look.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files import temp_dirs
from pytest_sgdiff.plugin.screen import Screen
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.runner.progress import Narrator, Progress, Running, block, followed

POLL_S = 0.5
"""How often the controller looks for news: what is shown lasts minutes, and seconds tick."""

PREFIX = "sgdiff-status-"

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
            f"{folder}, where this run's processes tell each other how far they are: {error.strerror or error}; "
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


class StatusBoard:
    """On the controller: follows the progress files and shows what runs.

    On a terminal a block of lines, one per running case, is rewritten in place and gone before pytest writes; elsewhere
    each launch gives one line when it starts, so that a log tells what it waits for without a flood. Lines too in CI,
    where escapes are not wanted (`--color=no`, TERM=dumb) and where tests write to the terminal themselves (`-s`).
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
        self._screen: Screen | None = None
        self._in_place = False
        # Held while news are taken in and shown, by the thread and by the hooks.
        self._lock = threading.RLock()
        self._paused = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="sgdiff-status", daemon=True)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Follow the progress while tests run."""
        terminal: Any = self.config.pluginmanager.get_plugin("terminalreporter")
        writer: Any = getattr(terminal, "_tw", None)
        if writer is not None and self._narrator.verbosity >= 0 and not self.config.option.collectonly:
            file = writer._file
            self._screen = writer._file = Screen(file)
            self._in_place = self._may_rewrite(file)
            self._thread.start()
        try:
            return (yield)
        finally:
            if self._screen is not None:
                self._ended.set()
                # It only ever waits for the terminal; an end is not delayed by one that does not answer.
                self._thread.join(timeout=1.0)
                self._screen.close()
                writer._file = file
            self._remove_folder()

    def pytest_unconfigure(self) -> None:
        """A run that ends before its first test leaves no folder either."""
        self._remove_folder()

    def _remove_folder(self) -> None:
        """What a killed run leaves, the next one removes: its lock is free."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._folder_lock is not None:
            os.close(self._folder_lock)
            self._folder_lock = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A test that is over is shown no longer, and what it told until then is old news."""
        if report.when != "setup" or not report.passed:
            with self._lock:
                self._take_news()
                self._running.pop(_worker(report), None)

    def pytest_enter_pdb(self) -> None:
        """Leave the terminal to the debugger."""
        with self._lock:
            self._paused = True
            if self._screen is not None:
                self._screen.show(())

    def pytest_leave_pdb(self) -> None:
        """Go on showing."""
        self._paused = False

    def _may_rewrite(self, file: Any) -> bool:
        escapes = self.config.getoption("color") != "no" and os.environ.get("TERM") != "dumb"
        captured = self.config.getoption("capture", "no") in ("fd", "sys")
        # Some CI systems give a terminal and keep every byte of it.
        return bool(file.isatty() and escapes and captured and not self._ci)

    def _follow(self) -> None:
        while not self._ended.wait(POLL_S):
            with self._lock:
                if not self._paused:
                    self._take_news()
                    self._look()

    def _take_news(self) -> None:
        for worker, progress in self._news():
            running = self._running[worker] = followed(self._running.get(worker), progress)
            self._say(self._narrator.news(worker, running, time.monotonic()))

    def _look(self) -> None:
        now = time.monotonic()
        if self._screen is not None and self._in_place:
            columns, rows = self._screen.size()
            roomy = columns >= NARROWEST and rows >= LOWEST
            self._screen.show(block(self._running.values(), now, columns=columns, rows=rows) if roomy else ())
            return
        for worker, running in self._running.items():
            self._say(self._narrator.tick(worker, running, now))

    def _say(self, line: str | None) -> None:
        if line is not None and self._screen is not None and not self._in_place:
            self._screen.line(line)

    def _news(self) -> Generator[tuple[str, Progress], None, None]:
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
