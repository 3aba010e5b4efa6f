"""What a process that runs cases puts on its test reports for the controller."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_sgdiff.items import CaseFile
from pytest_sgdiff.needs import LACK
from pytest_sgdiff.session import HAS_BASELINE, RESULT


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
        if HAS_BASELINE in item.stash:
            report.sgdiff_has_baseline = True  # type: ignore[attr-defined]
        if LACK in item.stash:
            report.sgdiff_lack = item.stash[LACK]  # type: ignore[attr-defined]
        if call.when != "teardown" and RESULT in item.stash:
            report.sgdiff = item.stash[RESULT]  # type: ignore[attr-defined]
            del item.stash[RESULT]
        return report
