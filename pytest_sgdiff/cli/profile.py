"""`sgdiff profile OLD NEW`: two traces of the engine's profiler side by side."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff.cli.protocol import GOOD, MISTAKES, Subparsers, as_json

if TYPE_CHECKING:
    from pytest_sgdiff.data import ProfileSummary

EPILOG = """\
exit codes:
  0  the two were compared, whatever changed: a profile is no verdict
  2  a trace cannot be read, or the two are not comparable (whole requests against steps, a GPU against a CPU)

examples:
  sgdiff profile before.trace.json.gz after.trace.json.gz
  sgdiff profile .sgdiff/RUN1/profile/CASE/traces/* .sgdiff/RUN2/profile/CASE/traces/*
"""


def add(commands: Subparsers) -> None:
    """Add the command `profile`."""
    parser = commands.add_parser(
        "profile",
        help="compare two traces of the engine's profiler",
        description="Lists the operators, kernels and Python functions whose own time changed most between two traces "
        "that the engine wrote with --profile, or pytest with --sgdiff-profile. Traces are read as a stream.",
        epilog=EPILOG,
    )
    parser.add_argument("old", type=Path, metavar="OLD", help="a Chrome trace, gzipped or not")
    parser.add_argument("new", type=Path, metavar="NEW", help="the same of what may be slower")
    parser.add_argument("--json", action="store_true", help="print JSON, as in the report of a run")
    parser.set_defaults(run=_profile)


def _profile(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.data import Profiled
    from pytest_sgdiff.files.wire import to_plain
    from pytest_sgdiff.printable import printable_lines, printable_values
    from pytest_sgdiff.profiling.row_changes import changes, comparable
    from pytest_sgdiff.reports.text import profile_lines

    old, new = _summary(chosen.old), _summary(chosen.new)
    if not comparable(old, new):
        told = ", ".join(f"{side.reach} on the {side.clock}" for side in (old, new))
        print(f"sgdiff profile: the two are not comparable: {told}", file=sys.stderr)
        return MISTAKES
    found = printable_values(Profiled(code="compared", change=changes(old, new)))
    if chosen.json:
        print(as_json(to_plain(found)))
    else:
        print(printable_lines("\n".join(line.strip() for line in profile_lines(found, base="old"))))
    return GOOD


def _summary(path: Path) -> ProfileSummary:
    """The trace in a file that was named. Raises SgdiffError with its name."""
    from pytest_sgdiff.errors import SgdiffError
    from pytest_sgdiff.profiling.trace_events import TraceError
    from pytest_sgdiff.profiling.trace_summary import summary_of

    try:
        if not path.is_file():
            raise SgdiffError(f"{path}: is no file; name a trace that the engine wrote (*.trace.json.gz)")
        with path.open("rb") as file:
            summary = summary_of(file)
    except TraceError as error:
        raise SgdiffError(f"{path}: cannot be read as a trace: {error}") from None
    except OSError as error:
        raise SgdiffError(f"{path}: cannot be read: {error.strerror or error}") from None
    if summary is None:
        raise SgdiffError(f"{path}: holds no operator of torch")
    return summary
