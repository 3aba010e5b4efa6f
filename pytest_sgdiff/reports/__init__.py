"""Reports: a run in, text out. One file per format; a new format is one new file and one entry of `REPORTS`.

`text` is also what the terminal shows; `github` and `junit` say the same to a pull request and to a CI server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_sgdiff.reports.asv import AsvReport
from pytest_sgdiff.reports.csv import CsvReport
from pytest_sgdiff.reports.github_benchmark import GithubBenchmarkReport
from pytest_sgdiff.reports.html import HtmlReport, library
from pytest_sgdiff.reports.influx import InfluxReport
from pytest_sgdiff.reports.json import JsonReport
from pytest_sgdiff.reports.markdown import MarkdownReport
from pytest_sgdiff.reports.openmetrics import OpenMetricsReport
from pytest_sgdiff.reports.protocol import Report
from pytest_sgdiff.reports.text import TextReport

_ALL: tuple[Report, ...] = (
    *(HtmlReport(), JsonReport(), MarkdownReport(), CsvReport(), TextReport()),
    *(OpenMetricsReport(), InfluxReport(), AsvReport(), GithubBenchmarkReport()),
)

REPORTS: Mapping[str, Report] = {report.suffix: report for report in _ALL}

READY: Mapping[str, Callable[[], object]] = {".html": library}
"""Suffix -> what raises ModuleNotFoundError where the package is missing that the format needs."""
