"""`sgdiff judge`: the decision rule on plain numbers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pytest_sgdiff.cli.protocol import FOUND, GOOD, MISTAKES, Subparsers, read
from pytest_sgdiff.errors import SgdiffError


def add(commands: Subparsers) -> None:
    """Add the command `judge`."""
    parser = commands.add_parser(
        "judge",
        help="apply the decision rule to plain numbers",
        description="Reads a JSON list of {id, metric_class: primary|stage|memory, unit, same_node, baseline: [...], "
        "candidate: [...]}, one value per launch, and prints a verdict for each. Exit 1 if anything regressed.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the JSON file, '-' for standard input")
    parser.add_argument("--json", action="store_true", help="print JSON: {id, verdict, why, ratio, low, high} each")
    parser.set_defaults(run=_judge)


def _judge(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.judge import apply_plain

    text = sys.stdin.read() if str(chosen.file) == "-" else read(chosen.file)
    try:
        rows = apply_plain(json.loads(text))
    except RecursionError:
        print(f"sgdiff judge: {chosen.file}: nested too deep to be a list of rows", file=sys.stderr)
        return MISTAKES
    except (ValueError, SgdiffError) as error:
        print(f"sgdiff judge: {chosen.file}: {error}", file=sys.stderr)
        return MISTAKES
    if chosen.json:
        print(json.dumps(rows, indent=2, allow_nan=False))
    else:
        width = max((len(str(row["id"])) for row in rows), default=0)
        for row in rows:
            print(f"{row['id']!s:{width}}  {row['verdict']:12}  {row['why']}")
    return FOUND if any(row["verdict"] == "regressed" for row in rows) else GOOD
