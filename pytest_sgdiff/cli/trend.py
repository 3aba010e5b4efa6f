"""`sgdiff trend`: change points and creep in a history."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_sgdiff.cli.protocol import FOUND, GOOD, Subparsers, as_json
from pytest_sgdiff.printable import printable_values


def add(commands: Subparsers) -> None:
    """Add the command `trend`."""
    parser = commands.add_parser(
        "trend",
        help="change points and creep over the history of runs",
        description="Reads a history that runs appended to (--sgdiff-history). For each case and metric it prints the "
        "run from which it is slower or faster, and how far the latest runs are from the best. Exit 1 if the latest "
        "change point of a metric is a slowdown that matters. Exit 1 too if its creep is half of what a pass rules out "
        "(2.1 % for denoising, 1.5 % for memory, 10 % for another stage) and more than the chance in the best runs "
        "explains. Where the sum of the denoising steps is known, metrics that rare pauses lengthen (e2e, denoise) "
        "are shown only if --metric names them. A case whose settings changed starts a new series. The earlier series "
        "is shown, but does not affect the exit code.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the history")
    parser.add_argument("--case", metavar="ID", help="only this case")
    parser.add_argument("--metric", metavar="NAME", help="only this metric, such as denoise_steps or e2e")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_trend)


def _trend(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.errors import OptionError
    from pytest_sgdiff.history.store import tracks
    from pytest_sgdiff.history.trend import trend
    from pytest_sgdiff.metrics import steadier, unit

    rows, worse = [], False
    found = tracks(chosen.file, case=chosen.case, metric=chosen.metric)
    known = {(track.case, track.machine, track.workload, track.metric) for track in found}
    current: dict[tuple[str, str], tuple[str, str]] = {}
    for track in found:
        place = (track.case, track.machine)
        current[place] = max(current.get(place, ("", "")), (track.points[-1].at, track.workload))
    for track in found:
        place = (track.case, track.machine)
        if not chosen.metric and (*place, track.workload, steadier(track.metric)) in known:
            continue
        one, ended = trend(track.case, track.metric, track.points), track.workload != current[place][1]
        worse = worse or (one.worse and not ended)
        rows.append(
            {
                "case": track.case,
                "machine": track.machine,
                "workload": track.workload,
                "ended": ended,
                "metric": track.metric,
                "unit": unit(track.metric),
                "runs": one.runs,
                "latest": one.latest,
                "creep": one.creep,
                "changes": [{**asdict(change), "change": change.change} for change in one.changes],
            }
        )
    if not rows and (chosen.case or chosen.metric):
        # A name that is wrong must not look like a quiet history.
        raise OptionError(f"{chosen.file}: no runs of {chosen.metric or 'any metric'} of {chosen.case or 'any case'}")
    if chosen.json:
        print(as_json(rows))
    else:
        print("\n".join(_line(row) for row in printable_values(rows)) or "no runs in the history")
    return FOUND if worse else GOOD


def _line(row: dict[str, Any]) -> str:
    from pytest_sgdiff.reports.numbers import plural, quantity, signed

    drift, latest = row["creep"], quantity(row["latest"], row["unit"])
    text = f"{row['case']}  {row['machine']}  {row['metric']}: {plural(row['runs'], 'run')}, latest {latest}"
    if isinstance(drift, float):
        # Of medians of three runs, which the latest one need not resemble.
        text += f", the latest three {signed(drift)} against the best three"
    text += " (earlier series: the case has other settings now)" if row["ended"] else ""
    for change in row["changes"]:
        version = f", sglang {change['engine_version']}" if change["engine_version"] else ""
        text += f"\n  {signed(change['change'])} from {change['at']} on{version} (p {change['pvalue']:.1g})"
    return text
