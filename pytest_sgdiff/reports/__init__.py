"""Reports: a run in, text out. One file per format; a new format is one new file and one entry of `REPORTS`.

`text` is also what the terminal shows; `github` writes the workflow commands that annotate a pull request.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sgdiff.reports.protocol import Report
from pytest_sgdiff.reports.text import TextReport

REPORTS: Mapping[str, Report] = {report.suffix: report for report in (TextReport(),)}
