"""In the controller: makes the scheduler and keeps it awake, and ends launches whose worker died."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from pytest_sgdiff.gpus import Eligible, held_by_others, reap
from pytest_sgdiff.plugin.role import NEEDS, give
from pytest_sgdiff.plugin.xdist.interrupts import Interrupts
from pytest_sgdiff.plugin.xdist.needs import read_needs
from pytest_sgdiff.plugin.xdist.scheduler import GpuScheduling

_POKE_S = 1.0


class GpuSchedule:
    """Controller plugin. `needs_path` lies in the run's own directory, `folder` is the lock directory, None where the
    GPUs are those of a cluster, which shares them out itself."""

    def __init__(self, eligible: Eligible, *, run_id: str, needs_path: str, folder: str | None) -> None:
        self._eligible = eligible
        self._run_id = run_id
        self._needs_path = needs_path
        self._folder = folder
        self._session: pytest.Session | None = None
        self._workers = 0
        self._done = threading.Event()
        self._interrupts = Interrupts()

    @pytest.hookimpl
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self._session = session
        # Else its workers would hear nothing of the signal that ends it, and nobody would reap what they leave.
        interrupts = contextlib.ExitStack()
        interrupts.enter_context(self._interrupts.of_run())
        session.config.add_cleanup(interrupts.close)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        dsession = session.config.pluginmanager.getplugin("dsession")
        with contextlib.nullcontext() if dsession is None else self._interrupts.in_loop(dsession):
            return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self, specs: Sequence[object]) -> None:
        self._workers = len(specs)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        if node.config.getvalue("dist") == "load":
            give(node, NEEDS, self._needs_path)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> GpuScheduling | None:
        if config.getvalue("dist") != "load":
            return None
        scheduling = GpuScheduling(
            config,
            workers=self._workers,
            size=self._eligible.total,
            needs=lambda: read_needs(self._needs_path),
            held_by_others=self._held_by_others,
            on_collected=self._count_without_park,
        )
        dsession = config.pluginmanager.getplugin("dsession")
        if dsession is not None:
            threading.Thread(
                target=self._poke, args=(scheduling, dsession.queue), name="sgdiff-schedule", daemon=True
            ).start()
        return scheduling

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        if error and self._folder is not None:
            reap(self._folder, self._run_id)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        self._done.set()
        if self._folder is not None:
            reap(self._folder, self._run_id, everything=True)

    def _held_by_others(self) -> int:
        return 0 if self._folder is None else held_by_others(self._folder, self._run_id, self._eligible)

    def _count_without_park(self, tests: int) -> None:
        """xdist counts the park item as a test; percentages of progress then never reach 100."""
        if self._session is not None:
            self._session.testscollected = tests

    def _poke(self, scheduling: GpuScheduling, queue: Any) -> None:
        """xdist sleeps until a worker speaks. An empty event of a kind that it hands to the scheduler wakes it."""
        while not self._done.wait(_POKE_S):
            if scheduling.waits:
                queue.put(("unscheduled", {"node": None, "indices": ()}))


def workers_for(eligible: Eligible) -> int:
    """What `-n auto` means: as many workers as can hold leases at a time; at least one, for cases without GPUs."""
    return max(1, eligible.total)
