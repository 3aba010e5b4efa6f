"""`sgdiff cases`: list the cases of case files, or check the files."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pytest_sgdiff.cli.protocol import GOOD, MISTAKES, Subparsers


def add(commands: Subparsers) -> None:
    """Add the command `cases`."""
    parser = commands.add_parser(
        "cases",
        help="list the cases of case files, or check the files",
        description="Lists cases. With --check, prints every mistake of the files as file:line:column: message and "
        "exits with 2 if there is one.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="case files (default: cases/*.yaml)")
    parser.add_argument("--check", action="store_true", help="check the files only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_cases)


def _cases(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.casefile import check_files, read_cases
    from pytest_sgdiff.wire import to_plain

    here = Path.cwd()
    files = chosen.files or sorted([*here.glob("cases/*.yaml"), *here.glob("cases/*.yml")])
    if not files:
        print("sgdiff cases: no case files below cases/; name some", file=sys.stderr)
        return MISTAKES
    mistakes = check_files(files, here)
    if mistakes:
        print("\n".join(mistakes))
        return MISTAKES
    cases = [case for file in files for case in read_cases(file, here)]
    if chosen.check:
        print(f"{len(cases)} cases in {len(files)} files, no mistakes")
    elif chosen.json:
        print(json.dumps([to_plain(case) for case in cases], indent=2))
    else:
        width = max((len(case.node_id) for case in cases), default=0)
        for case in cases:
            gpus = f"{case.gpus} GPU{'s' if case.gpus != 1 else ''}"
            print(f"{case.node_id:{width}}  {gpus:7}  {','.join(case.marks) or '-':20}  {case.summary}")
    return GOOD
