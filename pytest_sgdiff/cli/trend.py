"""`sgdiff trend`: levels, change points and creep in a history."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sgdiff.cli.protocol import FOUND, GOOD, Subparsers, as_json
from pytest_sgdiff.printable import printable_values

_DATABASE = b"SQLite format 3\0"

EPILOG = """\
examples:
  sgdiff trend history.sqlite
  sgdiff trend history.sqlite --case wan22_t2v --metric e2e
  sgdiff trend history.sqlite --html trend.html
"""

if TYPE_CHECKING:
    from pytest_sgdiff.reports.html.trend_page import Series


def add(commands: Subparsers) -> None:
    """Add the command `trend`."""
    parser = commands.add_parser(
        "trend",
        help="change points and creep over the history of runs",
        description="Reads a history that runs appended to (--sgdiff-history). For each case and metric it prints the "
        "runs from which it is slower or faster, the level since, and how far that is from the level before and from "
        "the best one. Exit 1 if the latest change point of a metric is a slowdown that matters. Exit 1 too if its "
        "creep is half of what a pass rules out (2.1 % for denoising, 1.5 % for memory, 10 % for another stage) and "
        "more than the chance in the best runs explains. Where the sum of the denoising steps is known, metrics that "
        "rare pauses lengthen (e2e, denoise) are shown only if --metric names them. A case whose settings changed "
        "starts a new series. The earlier series is shown, but does not affect the exit code.",
        epilog=EPILOG,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the history")
    parser.add_argument("--case", metavar="ID", help="only this case")
    parser.add_argument("--metric", metavar="NAME", help="only this metric, such as denoise_steps or e2e")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--html", type=Path, metavar="PAGE", help="also write a page that draws each series, as one file"
    )
    parser.set_defaults(run=_trend)


def _trend(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.errors import OptionError

    shown = _series(chosen)
    if not shown and (chosen.case or chosen.metric):
        # A name that is wrong must not look like a quiet history.
        raise OptionError(f"{chosen.file}: no runs of {chosen.metric or 'any metric'} of {chosen.case or 'any case'}")
    if chosen.html is not None:
        _write(chosen.html, shown, source=chosen.file)
    if chosen.json:
        print(as_json([_row(one) for one in shown]))
    else:
        # The lines show no single run, and a long history has a million.
        lines = _lines(printable_values([replace(one, points=()) for one in shown]))
        print("\n".join(lines) or "no runs in the history")
    return FOUND if any(one.trend.worse and not one.ended for one in shown) else GOOD


def _series(chosen: argparse.Namespace) -> list[Series]:
    """The series that were asked for. Of a case the one with the latest run is current, and all others have ended."""
    from pytest_sgdiff.history.store import tracks
    from pytest_sgdiff.history.trend import trend
    from pytest_sgdiff.metrics import steadier
    from pytest_sgdiff.reports.html.trend_page import Series

    found = tracks(chosen.file, case=chosen.case, metric=chosen.metric)
    known = {(track.case, track.machine, track.workload, track.metric) for track in found}
    current: dict[tuple[str, str], tuple[str, str]] = {}
    for track in found:
        place = (track.case, track.machine)
        current[place] = max(current.get(place, ("", "")), (track.points[-1].at, track.workload))
    return [
        Series(
            case=track.case,
            machine=track.machine,
            workload=track.workload,
            points=track.points,
            trend=trend(track.case, track.metric, track.points),
            ended=track.workload != current[track.case, track.machine][1],
        )
        for track in found
        if chosen.metric or (track.case, track.machine, track.workload, steadier(track.metric)) not in known
    ]


def _row(one: Series) -> dict[str, Any]:
    from pytest_sgdiff.metrics import unit

    shown = asdict(one.trend)
    del shown["changes"]
    return {
        **shown,
        "machine": one.machine,
        "workload": one.workload,
        "ended": one.ended,
        "unit": unit(one.trend.metric),
        "changes": [{**asdict(change), "change": change.change} for change in one.trend.changes],
    }


def _lines(shown: Sequence[Series]) -> list[str]:
    from pytest_sgdiff.history.trend import FEWEST_POINTS
    from pytest_sgdiff.reports import trend_text

    lines = []
    for one in shown:
        # An exit code that nobody can explain helps nobody.
        slower = "slower: " if one.trend.worse and not one.ended else ""
        ended = " (earlier series: the case has other settings now)" if one.ended else ""
        lines.append(f"{one.case}  {one.machine}  {one.trend.metric}: {slower}{trend_text.state(one.trend)}{ended}")
        lines += [f"  {trend_text.change(change)}" for change in one.trend.changes]
    latest = [(one.case, one.trend.changes[-1]) for one in shown if one.trend.changes and not one.ended]
    lines += trend_text.together((case, change) for case, change in latest if not change.settings)
    short = sum(one.trend.runs < FEWEST_POINTS for one in shown)
    lines += [f"{short} series with fewer than {FEWEST_POINTS} runs, which change points need"] if short else []
    return lines


def _write(page: Path, shown: Sequence[Series], *, source: Path) -> None:
    """Raises SgdiffError: Jinja2 is not installed, or the page cannot be written."""
    import os

    from pytest_sgdiff.errors import MissingExtraError, OptionError
    from pytest_sgdiff.files.data_files import overwrite
    from pytest_sgdiff.redact import Redaction
    from pytest_sgdiff.reports.html.trend_page import render

    if _is_database(page):
        raise OptionError(f"--html={page}: is a database, as a history is: name another file")
    try:
        text = render(shown, source=source.name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"--html={page}: {error}") from None
    try:
        overwrite(Path(os.path.realpath(page)), Redaction(os.environ).text(text))
    except OSError as error:
        raise OptionError(f"--html={page}: cannot be written: {error.strerror or error}") from None


def _is_database(page: Path) -> bool:
    """Whether a page would be written over the history, or another one."""
    try:
        # Asked first: to open a pipe waits for its other end.
        if not page.is_file():
            return False
        with page.open("rb") as file:
            return file.read(len(_DATABASE)) == _DATABASE
    except OSError:
        return False
