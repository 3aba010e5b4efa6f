"""`sgdiff merge DIR... --out DIR`: the recordings of shards joined to one, which one judge then judges."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_sgdiff.cli.protocol import FOUND, GOOD, MISTAKES, Subparsers

EPILOG = """\
A recording has each launch once. Recordings that contradict each other are not joined: both places are named, and
nothing is written. A folder that is missing or empty is that of a shard which never reported.

exit codes:
  0  every shard reported, and all is joined
  1  what there is is joined, and something is missing: a shard, a case of a shard, a launch that can be read
  2  nothing is joined: recordings contradict each other, hold what must not be read, or cannot be written

examples:
  sgdiff merge recordings/* --out merged
  sgdiff merge shard-1 shard-2 shard-3 shard-4 --out merged && pytest --sgdiff-replay=merged -m nightly
"""


def add(commands: Subparsers) -> None:
    """Add the command `merge`."""
    parser = commands.add_parser(
        "merge",
        help="join the recordings of shards",
        description="Joins the recordings that the runs of --sgdiff-shard=1/N to N/N left (--sgdiff-out) to one. "
        "`pytest --sgdiff-replay` of it, with the case selection of the shards, judges all of them at once, and fails "
        "for the cases of a shard that never reported.",
        epilog=EPILOG,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="the recording of a shard")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="DIR", help="where the recording is to be: a new or empty folder"
    )
    parser.set_defaults(run=_merge)


def _merge(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.errors import MergeConflictError
    from pytest_sgdiff.launch.signals import as_ctrl_c
    from pytest_sgdiff.recordings.merge import merge
    from pytest_sgdiff.reports import merge_text

    try:
        with as_ctrl_c():  # else SIGTERM would leave half a recording
            merged = merge(chosen.folders, chosen.out)
    except MergeConflictError as error:
        for one in error.conflicts[: merge_text.SHOWN]:
            print(f"sgdiff merge: {merge_text.conflict(one)}", file=sys.stderr)
        if (more := len(error.conflicts) - merge_text.SHOWN) > 0:
            print(f"sgdiff merge: and {more} more conflicts", file=sys.stderr)
        print("sgdiff merge: nothing was written", file=sys.stderr)
        return MISTAKES
    except KeyboardInterrupt:
        print("sgdiff merge: interrupted; nothing was written", file=sys.stderr)
        return MISTAKES
    for line in merge_text.lines(merged, str(chosen.out)):
        print(line)
    lacks = (merged.unreported, merged.unfinished, merged.gaps, merged.absent, merged.damaged, merged.strays)
    return FOUND if any(lacks) or (merged.of is not None and merged.plain) else GOOD
