"""`sgdiff trend`: change points and creep in a history."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from pytest_sgdiff.cli.protocol import FOUND, GOOD, Subparsers

CREEP = 0.02
"""Slower than the best by this fraction is worth saying: half of the primary limit."""


def add(commands: Subparsers) -> None:
    """Add the command `trend`."""
    parser = commands.add_parser(
        "trend",
        help="change points and creep over the history of runs",
        description="Reads a history that runs appended to (--sgdiff-history) and says, per case and metric, from "
        "which run on it is slower or faster, and how far the latest runs are from the best. Exit 1 if the latest "
        "change point is a slowdown or the creep is 2 % or more.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the history")
    parser.add_argument("--case", metavar="ID", help="only this case")
    parser.add_argument("--metric", default="denoise", metavar="NAME", help="the metric (default: denoise)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_trend)


def _trend(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.history import tracks
    from pytest_sgdiff.trend import change_points, creep

    rows = []
    for track in tracks(chosen.file, case=chosen.case, metric=chosen.metric):
        changes = change_points(track.points)
        rows.append(
            {
                "case": track.case,
                "machine": track.machine,
                "metric": track.metric,
                "runs": len(track.points),
                "latest": track.points[-1].value,
                "creep": creep(track.points),
                "changes": [{**asdict(change), "change": change.change} for change in changes],
            }
        )
    if chosen.json:
        print(json.dumps(rows, indent=2, allow_nan=False))
    else:
        print("\n".join(_line(row) for row in rows) or "no runs of that case and metric in the history")
    return FOUND if any(_worse(row) for row in rows) else GOOD


def _worse(row: dict[str, object]) -> bool:
    changes, drift = row["changes"], row["creep"]
    latest = changes[-1]["change"] if isinstance(changes, list) and changes else 0.0
    return latest > 0 or (isinstance(drift, float) and drift >= CREEP)


def _line(row: dict[str, object]) -> str:
    drift = row["creep"]
    text = f"{row['case']}  {row['machine']}  {row['metric']}: {row['runs']} runs, latest {row['latest']:.1f}"
    if isinstance(drift, float):
        text += f", {100 * drift:+.1f} % against the best"
    changes = row["changes"]
    for change in changes if isinstance(changes, list) else []:
        version = f", sglang {change['engine_version']}" if change["engine_version"] else ""
        text += f"\n  {100 * change['change']:+.1f} % from {change['at']} on{version} (p {change['pvalue']:.1g})"
    return text
