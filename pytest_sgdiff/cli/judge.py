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
EPILOG = """\
a row:
  {"id": "wan", "metric_class": "primary", "baseline": [81750, 81802, 81690], "candidate": [86080, 86102, 86051]}

  metric_class  primary, stage or memory
  unit          ns, us, ms (default), s or min; of memory b to GiB (default: MiB)
  same_node     false where the two sides ran on different machines (default: true)
  allow         slowdown that is accepted, a fraction such as 0.05 (default: that of the class)
  detect        slowdown that a pass rules out, more than allow (default: that of the class)

examples:
  sgdiff judge numbers.json --allow 5% --detect 10%
  other-tool | sgdiff judge - --json
"""


def add(commands: Subparsers) -> None:
    """Add the command `judge`."""
    parser = commands.add_parser(
        "judge",
        help="apply the decision rule to plain numbers",
        description="Judges rows of numbers, one value per launch, by the rule of the gate. For each row it prints a "
        "verdict, the ratio of candidate to baseline with its 95 % interval, and why. Exit 1 if anything regressed.",
        epilog=EPILOG,
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a JSON list of rows; '-' reads standard input")
    parser.add_argument(
        "--allow",
        type=_share,
        metavar="SHARE",
        help="accept slowdowns up to SHARE in rows that do not say, such as 5%%",
    )
    parser.add_argument(
        "--detect", type=_share, metavar="SHARE", help="rule slowdowns of SHARE out for a pass in rows that do not say"
    )
    parser.add_argument(
        "--json", action="store_true", help="print JSON: {id, verdict, code, why, ratio, low, high} each"
    )
    parser.set_defaults(run=_judge)


def _share(text: str) -> float:
    """`5%`, or `0.05`."""
    number, percent = text.strip().removesuffix("%").strip(), text.strip().endswith("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share such as 5% or 0.05")
    return share


def _judge(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.files import json_text
    from pytest_sgdiff.judging.judge import apply_plain

    text = sys.stdin.read() if str(chosen.file) == "-" else read(chosen.file)
    stated = {"allow": chosen.allow, "detect": chosen.detect}
    limits = {key: share for key, share in stated.items() if share is not None}
    try:
        rows = [_worded(row) for row in apply_plain(_with_limits(json_text.read(text).value, limits))]
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


def _with_limits(rows: Any, limits: Mapping[str, float]) -> Any:
    """Rows with the limits of the command line where they state none of their own; whatever is no row stays as it is,
    for the rule to refuse."""
    if not limits or not isinstance(rows, list):
        return rows
    return [
        {**row, **{key: share for key, share in limits.items() if row.get(key) is None}}
        if isinstance(row, Mapping)
        else row
        for row in rows
    ]


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
