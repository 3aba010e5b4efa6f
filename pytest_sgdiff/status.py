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
from typing import Any, TextIO

import pytest

from pytest_sgdiff.settings import Settings
from pytest_sgdiff.sources import Progress

POLL_S = 0.5
"""How often the controller looks for news: what is shown lasts minutes."""


def status_folder(settings: Settings) -> Path:
    """Where this run's progress is written; shared by the controller and its workers."""
    return Path(tempfile.gettempdir()) / f"sgdiff-status-{settings.run_id}"


def status_writer(settings: Settings, *, worker: str) -> Callable[[Progress], None]:
    """A function that appends progress to this process's file."""
    path = status_folder(settings) / f"{worker}.jsonl"

    def write(progress: Progress) -> None:
        # Progress is for the eye: a full disk must not stop a measurement.
        with contextlib.suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(progress)) + "\n")

    return write


class StatusBoard:
    """On the controller: follows the progress files and shows what runs.

    On a terminal one line is rewritten in place; elsewhere each launch gives one line when it starts, so that a CI
    log tells what it waits for without a flood.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config, self.settings = config, settings
        self._folder = status_folder(settings)
        self._read: dict[Path, int] = {}
        self._shown: dict[str, tuple[int, str]] = {}
        self._since: dict[str, float] = {}
        self._out: TextIO | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="sgdiff-status", daemon=True)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Follow the progress while tests run."""
        terminal = self._terminal()
        if terminal is not None and terminal.verbosity >= 0:
            # While a test runs its output is captured, at the level of file descriptors too: a copy of the
            # terminal's own, taken while nothing is captured, still leads there.
            with contextlib.suppress(OSError, ValueError):
                self._out = os.fdopen(os.dup(terminal._tw._file.fileno()), "w", encoding="utf-8")
        if self._out is not None:
            self._thread.start()
        try:
            return (yield)
        finally:
            self._ended.set()
            if self._out is not None:
                self._thread.join()
                self._out.close()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _follow(self) -> None:
        while not self._ended.wait(POLL_S):
            for progress in self._news():
                self._show(progress)

    def _news(self) -> Generator[Progress, None, None]:
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                lines = file.read()
            whole = lines[: lines.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for line in whole.splitlines():
                fields: dict[str, Any] = json.loads(line)
                yield Progress(**{**fields, "gpus": tuple(fields["gpus"])})

    def _show(self, progress: Progress) -> None:
        key = (progress.launch, "" if progress.launch else progress.stage)
        if self._shown.get(progress.node_id) == key:
            return
        self._shown[progress.node_id] = key
        self._since.setdefault(progress.node_id, time.monotonic())
        self._write(f"  {describe(progress)}")

    def _write(self, line: str) -> None:
        terminal = self._terminal()
        if self._out is None or terminal is None:
            return
        if terminal.currentfspath:
            self._out.write("\n")
            terminal.currentfspath = None
        self._out.write(line + "\n")
        self._out.flush()

    def _terminal(self) -> Any:
        return self.config.pluginmanager.get_plugin("terminalreporter")


def describe(progress: Progress) -> str:
    """`cases/ltx2.yaml::ltx2_twostage_t2v: GPUs 0,1, launch 2 of up to 5`."""
    if not progress.launch:
        return f"{progress.node_id}: {progress.stage}"
    where = f"GPUs {','.join(map(str, progress.gpus))}, " if progress.gpus else ""
    return f"{progress.node_id}: {where}launch {progress.launch} of up to {progress.of}"
