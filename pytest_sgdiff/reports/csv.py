"""The CSV report, for spreadsheets: one row per case and metric; a case without verdicts has one row.

Numbers are bare, in the unit of the column `unit`; ratios and margins are fractions. Values per launch are separated
by spaces, in launch order. Of a server `request_values` has those of the measured requests, whose median is the
launch's; the launches are separated by semicolons.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from pytest_sgdiff.data import CaseResult, Run, Verdict
from pytest_sgdiff.reports import case_text, evidence, reason_text
from pytest_sgdiff.reports.shown import shown_run

COLUMNS = (
    *("case", "file", "line", "machine", "outcome", "reason"),
    *("metric", "class", "primary", "decides", "verdict", "unit", "baseline", "now", "ratio", "low", "high"),
    *("spread", "allow", "detect", "excluded", "detectable", "values", "baseline_values", "engine", "baseline_engine"),
    *("request_values", "accepted"),
)


_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""With what a formula begins; the wide ones in spreadsheets for Chinese and Japanese."""


class CsvReport:
    """Every verdict of a run as a row, worst case first."""

    suffix = ".csv"

    def render(self, run: Run) -> str:
        """The header line and the rows, each ended by a newline."""
        run = shown_run(run)
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(row for result in case_text.worst_first(run.results) for row in _rows(result))
        return out.getvalue()


def _rows(result: CaseResult) -> Iterable[Sequence[object]]:
    machine = result.machine.slug if result.machine else ""
    place = (_text(result.case), _text(result.location.path), result.location.line, _text(machine))
    head = (*place, result.outcome, _text(reason_text.reason(result)))
    if not result.verdicts:
        yield (*head, *[""] * (len(COLUMNS) - len(head)))
    for verdict in case_text.by_importance(result.verdicts):
        yield (*head, *_cells(result, verdict))


def _cells(result: CaseResult, v: Verdict) -> Iterable[object]:
    yield from (_text(v.metric), v.metric_class, int(v.primary), int(v.deciding), v.outcome, _text(v.unit))
    yield from map(_number, (v.baseline, v.now, v.ratio, v.low, v.high, v.spread, v.allow, v.detect))
    yield from map(_number, (v.excluded, v.detectable))
    before, after = evidence.judged(result, v)
    yield _values(after)
    yield _values(before)
    yield next((_text(e) for launch in result.launches if (e := launch.environment.engine_version)), "")
    yield _text(result.baseline_engine or "")
    yield _of_requests(after, v.metric)
    yield _number(v.accepted)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"


def _values(launches: Iterable[evidence.Judged]) -> str:
    return " ".join(_number(value) or "-" for launch, value in launches if launch.counts)


def _of_requests(launches: Iterable[evidence.Judged], metric: str) -> str:
    lives = [
        [one.metrics.get(metric) for one in launch.requests if not one.warmup and not one.load]
        for launch, _ in launches
        if launch.counts
    ]
    values = [" ".join(_number(value) for value in life if value is not None) for life in lives]
    return "; ".join(values) if any(values) else ""


def _text(value: str) -> str:
    """Text that a spreadsheet would run as a formula gets a leading apostrophe (OWASP: CSV injection)."""
    return f"'{value}" if value.startswith(_FORMULAS) else value
