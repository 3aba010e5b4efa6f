"""`sgdiff judge`: the decision rule on plain numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_sgdiff.cli.protocol import FOUND, GOOD, MISTAKES, Subparsers, as_json, read
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.printable import printable

RATIOS = ("ratio", "low", "high")


def add(commands: Subparsers) -> None:
    """Add the command `judge`."""
    parser = commands.add_parser(
        "judge",
        help="apply the decision rule to plain numbers",
        description="Reads a JSON list of {id, metric_class: primary|stage|memory, unit, same_node, baseline: [...], "
        "candidate: [...]}, one value per launch, and prints for each a verdict, the ratio of candidate to baseline "
        "with its 95 % interval, and why. Exit 1 if anything regressed.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the JSON file, '-' for standard input")
    parser.add_argument(
        "--json", action="store_true", help="print JSON: {id, verdict, code, why, ratio, low, high} each"
    )
    parser.set_defaults(run=_judge)


def _judge(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.files import json_text
    from pytest_sgdiff.judging.judge import apply_plain

    text = sys.stdin.read() if str(chosen.file) == "-" else read(chosen.file)
    try:
        rows = [_worded(row) for row in apply_plain(json_text.read(text).value)]
    except json_text.JsonTextError as error:
        print(f"sgdiff judge: {chosen.file}:{error.line}: {error}", file=sys.stderr)
        return MISTAKES
    except (ValueError, SgdiffError) as error:
        print(f"sgdiff judge: {chosen.file}: {error}", file=sys.stderr)
        return MISTAKES
    if chosen.json:
        print(as_json(rows))
    else:
        for line in _table(rows):
            print(line)
    return FOUND if any(row["verdict"] == "regressed" for row in rows) else GOOD


def _worded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it is printed: its finding as a `code` and, in `why`, as words."""
    from pytest_sgdiff.reports.finding_text import words

    finding, kind = row["finding"], row["metric_class"]
    ratios = {key: row[key] for key in RATIOS}
    return {"id": row["id"], "verdict": row["verdict"], "code": finding.code, "why": words(finding, kind), **ratios}


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line per row below a header; candidate over baseline as a ratio with its 95 % interval, `-` where unknown."""
    from pytest_sgdiff.reports.numbers import clean
    from pytest_sgdiff.reports.text import table

    cells = [
        (
            printable(" ".join(clean(str(row["id"])).split())),
            row["verdict"],
            *(_ratio(row[key]) for key in RATIOS),
            row["why"],
        )
        for row in rows
    ]
    return table([("id", "verdict", *RATIOS, "why"), *cells], aligns="<<>>><") if cells else []


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if value < 1e4 else f"{value:.3g}"
