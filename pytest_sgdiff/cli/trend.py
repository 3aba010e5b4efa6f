"""`sgdiff trend`: change points and creep in a history."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

from pytest_sgdiff.cli.protocol import FOUND, GOOD, Subparsers

CREEP = 0.5
"""Slower than the best by this part of the class's limit is worth saying: 2 % of a primary metric, 10 % of a stage."""

PAUSES = ("denoise", "e2e", "denoise_gap", "stage:DenoisingStage")
"""What rare pauses lengthen: left out where the sum of the steps is known, as the gate does (docs/decision.md)."""


def add(commands: Subparsers) -> None:
    """Add the command `trend`."""
    parser = commands.add_parser(
        "trend",
        help="change points and creep over the history of runs",
        description="Reads a history that runs appended to (--sgdiff-history) and says, per case and metric, from "
        "which run on it is slower or faster, and how far the latest runs are from the best. Exit 1 if the latest "
        "change point of one is a slowdown that matters or its creep is half of the limit or more: 2 % for denoising, "
        "1.5 % for memory, 10 % for another stage. Where the sum of the denoising steps is known, what rare pauses "
        "lengthen (e2e, denoise) is shown only if it is named.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the history")
    parser.add_argument("--case", metavar="ID", help="only this case")
    parser.add_argument("--metric", metavar="NAME", help="only this metric, such as denoise_steps or e2e")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_trend)


def _trend(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.errors import OptionError
    from pytest_sgdiff.history import tracks
    from pytest_sgdiff.trend import change_points, creep

    rows = []
    found = tracks(chosen.file, case=chosen.case, metric=chosen.metric)
    stepped = {(track.case, track.machine) for track in found if track.metric == "denoise_steps"}
    for track in found:
        if not chosen.metric and track.metric in PAUSES and (track.case, track.machine) in stepped:
            continue
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
    if not rows and (chosen.case or chosen.metric):
        # A name that is wrong must not look like a quiet history.
        raise OptionError(f"{chosen.file}: no runs of {chosen.metric or 'any metric'} of {chosen.case or 'any case'}")
    if chosen.json:
        print(json.dumps(rows, indent=2, allow_nan=False))
    else:
        print("\n".join(_line(row) for row in rows) or "no runs in the history")
    return FOUND if any(_worse(row) for row in rows) else GOOD


def _worse(row: dict[str, object]) -> bool:
    from pytest_sgdiff.metrics import metric_class
    from pytest_sgdiff.rules import CLASS_MARGINS

    changes, drift, latest = row["changes"], row["creep"], row["latest"]
    margins = CLASS_MARGINS[metric_class(str(row["metric"]))]
    step = changes[-1]["change"] if isinstance(changes, list) and changes else 0.0
    drift = drift if isinstance(drift, float) else 0.0
    # A tenth of a millisecond more is no slowdown, whatever part of the stage it is.
    size = latest if isinstance(latest, float) else 0.0
    return (step > 0 and step * size >= margins.ignore_abs) or (
        drift >= CREEP * margins.limit and drift * size >= margins.ignore_abs
    )


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
