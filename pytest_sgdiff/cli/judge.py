"""`sgdiff judge`: the decision rule on plain numbers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sgdiff.cli.protocol import FOUND, GOOD, MISTAKES, Subparsers, as_json, read
from pytest_sgdiff.errors import OptionError, SgdiffError
from pytest_sgdiff.printable import printable

if TYPE_CHECKING:
    from pytest_sgdiff.judging.plain_numbers import LimitOf, LimitsError

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
    from pytest_sgdiff.judging.plain_numbers import LimitsError, apply_plain

    name = "standard input" if str(chosen.file) == "-" else str(chosen.file)
    if chosen.allow is not None and chosen.detect is not None and chosen.detect <= chosen.allow:
        allowed, ruled_out = _percent(chosen.allow), _percent(chosen.detect)
        raise OptionError(f"judge: --detect={ruled_out} must be more than --allow={allowed}")
    text = sys.stdin.read() if str(chosen.file) == "-" else read(chosen.file)
    try:
        judged = apply_plain(json_text.read(text).value, allow=chosen.allow, detect=chosen.detect)
        rows = [_worded(row) for row in judged]
    except LimitsError as error:
        print(f"sgdiff judge: {_contradiction(error, name)}", file=sys.stderr)
        return MISTAKES
    except json_text.JsonTextError as error:
        print(f"sgdiff judge: {name}:{error.line}: {error}", file=sys.stderr)
        return MISTAKES
    except (ValueError, SgdiffError) as error:
        print(f"sgdiff judge: {name}: {error}", file=sys.stderr)
        return MISTAKES
    if chosen.json:
        print(as_json(rows))
    else:
        for line in _table(rows):
            print(line)
    return FOUND if any(row["verdict"] == "regressed" for row in rows) else GOOD


def _contradiction(error: LimitsError, file: str) -> str:
    """Which two limits contradict each other, by the places that state them: a row of the file, an option, or the
    class."""

    def named(key: str, limit: tuple[float, LimitOf]) -> str:
        size, of = limit
        if of == "class":
            return f"what {error.kind} metrics allow, {_percent(size)}"
        return f"--{key}={_percent(size)}" if of == "caller" else f"{file}: [{error.index}].{key}, {_percent(size)},"

    allow, detect = named("allow", error.allow), named("detect", error.detect)
    fix = ": give --allow too" if error.allow[1] == "class" and error.detect[1] == "caller" else ""
    row = "" if "row" in (error.allow[1], error.detect[1]) else f" ({file}: [{error.index}])"
    return f"{detect} must be more than {allow.removesuffix(',')}{row}{fix}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:g}%"


def _worded(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as it is printed: its finding as a `code` and, in `why`, as words."""
    from pytest_sgdiff.reports.finding_text import words

    finding, kind = row["finding"], row["metric_class"]
    ratios = {key: row[key] for key in RATIOS}
    return {"id": row["id"], "verdict": row["verdict"], "code": finding.code, "why": words(finding, kind), **ratios}


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line per row below a header; candidate over baseline as a ratio with its 95 % interval, `-` where unknown."""
    from pytest_sgdiff.reports.aligned import table
    from pytest_sgdiff.reports.numbers import clean

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
