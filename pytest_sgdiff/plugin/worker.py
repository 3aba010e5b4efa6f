"""What a process that runs cases puts on its test reports for the controller."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from pytest_sgdiff.plugin.collect import CASE, CaseFile
from pytest_sgdiff.plugin.session import RESULT
from pytest_sgdiff.plugin.skips import HAS_BASELINE, LACK
from pytest_sgdiff.printable import printable, printable_lines
from pytest_sgdiff.redact import Redaction

DROPPED = "sgdiff_dropped"
"""The key under which a worker reports to the controller at its end which cases were dropped."""


class Dropped:
    """Registered in every process that collects: finds the cases that something took out of the run without reporting
    them as deselected, as a conftest.py that assigns to `items` does, or a plugin that splits a run."""

    def __init__(self) -> None:
        self.cases: frozenset[str] = frozenset()
        self._deselected: set[str] = set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Compare what is there before and after all others."""
        before = {item.nodeid for item in items if CASE in item.stash}
        yield
        self.cases = frozenset(before - {item.nodeid for item in items} - self._deselected)
        if hasattr(config, "workeroutput"):
            config.workeroutput[DROPPED] = sorted(self.cases)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        """What is deselected is the user's own choice."""
        self._deselected.update(item.nodeid for item in items)


class Sender:
    """Registered in every process that runs cases: puts a case's result on its report, which crosses to the
    controller under xdist."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}
        self._redaction = Redaction({})

    def _by_environment(self) -> Redaction:
        """By the variables as they are now. What is to be looked for is found anew only where one has changed."""
        now = dict(os.environ)
        if now != self._told:
            self._told, self._redaction = now, Redaction(now)
        return self._redaction

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Mark the report of a case file with mistakes."""
        report = yield
        if isinstance(collector, CaseFile) and report.failed:
            report.sgdiff_mistakes = True  # type: ignore[attr-defined]
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Attach the result to the report of the call."""
        report = yield
        if HAS_BASELINE in item.stash:
            report.sgdiff_has_baseline = True  # type: ignore[attr-defined]
        if LACK in item.stash:
            report.sgdiff_lack = item.stash[LACK]  # type: ignore[attr-defined]
        if CASE in item.stash or "sgdiff" in getattr(item, "fixturenames", ()):
            redact_report(report, self._by_environment())
        if CASE in item.stash or RESULT in item.stash:
            _make_printable(report)
        if call.when != "teardown" and RESULT in item.stash:
            report.sgdiff = item.stash[RESULT]  # type: ignore[attr-defined]
            del item.stash[RESULT]
        return report


def _make_printable(report: pytest.TestReport) -> None:
    """Why a case failed or was skipped, as pytest shows it: it quotes logs, recordings and baselines."""
    why = report.longrepr
    if isinstance(why, str):
        report.longrepr = printable_lines(why)
    elif isinstance(why, tuple):
        path, line, reason = why
        report.longrepr = path, line, printable(reason)


def redact_report(report: pytest.TestReport, redaction: Redaction) -> None:
    """Take secrets out of what is told of a test: messages, tracebacks, and what was captured beside them."""
    told: Any = report.longrepr
    if isinstance(told, str):
        report.longrepr = redaction.text(told)
    elif isinstance(told, tuple):  # a skip: file, line, reason
        report.longrepr = (told[0], told[1], redaction.text(told[2]))
    else:
        # An exception with those that it came of; what else pytest tells, such as a missing fixture, is its own.
        for traceback, crash, _ in getattr(told, "chain", ()):
            if crash is not None:
                crash.message = redaction.text(crash.message)
            for entry in traceback.reprentries:
                if lines := getattr(entry, "lines", None):
                    entry.lines = [redaction.text(line) for line in lines]
    report.sections = [(name, redaction.text(content)) for name, content in report.sections]
