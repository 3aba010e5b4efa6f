"""What a process that runs cases puts on its test reports for the controller."""

from __future__ import annotations

from collections.abc import Generator, Sequence

import pytest

from pytest_sgdiff.items import CASE, CaseFile
from pytest_sgdiff.needs import LACK
from pytest_sgdiff.printable import printable, printable_lines
from pytest_sgdiff.session import HAS_BASELINE, RESULT

DROPPED = "sgdiff_dropped"
"""The key under which a worker tells the controller at its end which cases were dropped."""


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
        if CASE in item.stash or RESULT in item.stash:
            _make_printable(report)
        if HAS_BASELINE in item.stash:
            report.sgdiff_has_baseline = True  # type: ignore[attr-defined]
        if LACK in item.stash:
            report.sgdiff_lack = item.stash[LACK]  # type: ignore[attr-defined]
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
