"""`sgdiff compare OLD NEW`: two perf dumps, two recordings, or either against a baseline."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff.cli.protocol import GOOD, MISTAKES, Subparsers, as_json, read
from pytest_sgdiff.printable import printable, printable_values

if TYPE_CHECKING:
    from pytest_sgdiff.compare.sides import Side
    from pytest_sgdiff.data import Launch

FORMATS = ("text", "markdown", "json")
TOLERANCES = ("upstream",)


EPILOG = """\
exit codes:
  0  nothing is shown to be slower, also if the launches cannot show it
  1  anything is slower, or uses more memory
  2  the two are not comparable (another model, other GPUs, sizes, stage timers or backends), or a case of OLD is not
     in NEW

examples:
  sgdiff compare before.json after.json
  sgdiff compare .sgdiff/RUN1 .sgdiff/RUN2 --format markdown
  sgdiff compare baselines/MACHINE/CASE.json .sgdiff/RUN/CASE
"""


def add(commands: Subparsers) -> None:
    """Add the command `compare`."""
    parser = commands.add_parser(
        "compare",
        help="compare two perf dumps, two recordings, or either against a baseline",
        description="Compares OLD with NEW by the rule of the gate. Launches too few to show their own noise are "
        "judged by the usual noise. The minimum detectable slowdown of so many launches is printed below the table. "
        "One launch against one detects no slowdown, only larger memory. Cases that only NEW has, and other flags "
        "that differ, are named.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "old", type=Path, metavar="OLD", help="a perf dump, a recording, a case or launch of one, or a baseline file"
    )
    parser.add_argument("new", type=Path, metavar="NEW", help="the same of what may be slower")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="print in this form; markdown is that of upstream's compare_perf.py",
    )
    parser.add_argument(
        "--tolerances",
        choices=TOLERANCES,
        help="judge by upstream's fixed tolerances, which ignore noise: e2e 2 %%, a stage 10 %% and 120 ms, memory 2 "
        "%% and 128 MiB",
    )
    parser.add_argument("--anyway", action="store_true", help="compare what both have of different workloads too")
    parser.set_defaults(run=_compare)


def _compare(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.compare import compare as comparing
    from pytest_sgdiff.reports.comparison import RENDERERS

    troubles: dict[str, str] = {}
    old, new = sides(chosen.old, troubles), sides(chosen.new, troubles)
    for trouble in troubles.values():
        print(f"sgdiff compare: {printable(trouble)}", file=sys.stderr)
    pairs = _pairs(old, new, dropped=bool(troubles))
    if not pairs:
        told = [printable(", ".join(side)) or "none" for side in (old, new)]
        print(
            f"sgdiff compare: no case is in both: {told[0]} in {chosen.old}, {told[1]} in {chosen.new}", file=sys.stderr
        )
        return MISTAKES
    gone, more = (
        [
            f"{name} is only in {here}"
            for name in mine
            # A case without numbers is there, and its trouble told.
            if name not in others and len(pairs) < len(mine) and f"{there}/{name}" not in troubles
        ]
        for mine, here, others, there in ((old, chosen.old, new, chosen.new), (new, chosen.new, old, chosen.old))
    )
    left_out = printable_values((*gone, *more, *troubles.values()))
    comparisons = {
        name: replace(
            comparing.compare(*pair, anyway=chosen.anyway, tolerances=comparing.TOLERANCES.get(chosen.tolerances)),
            left_out=left_out,
        )
        for name, pair in pairs.items()
    }
    texts = {name: RENDERERS[chosen.format](comparison) for name, comparison in comparisons.items()}
    if chosen.format == "json" and len(texts) > 1:
        print(as_json({name: json.loads(text) for name, text in texts.items()}))
    else:
        print("\n".join(texts.values()), end="")
    if left_out and chosen.format != "json":
        print(
            "", *(f"{'- ' if chosen.format == 'markdown' else ''}not compared: {line}" for line in left_out), sep="\n"
        )
    # A case that went missing may be the one that got slower; a new one has nothing that it could be slower than.
    incomplete = bool(troubles) or (bool(gone) and not chosen.anyway)
    return max(*(comparison.exit_code for comparison in comparisons.values()), MISTAKES if incomplete else GOOD)


def _pairs(old: Mapping[str, Side], new: Mapping[str, Side], *, dropped: bool) -> dict[str, tuple[Side, Side]]:
    """Cases of the same name; where each has only one, those two whatever they are called, unless it is what is left
    of several."""
    if len(old) == len(new) == 1 and not dropped:
        ((name, first),) = old.items()
        return {name: (first, next(iter(new.values())))}
    return {name: (old[name], new[name]) for name in old if name in new}


def sides(path: Path, troubles: dict[str, str]) -> dict[str, Side]:
    """What lies at a path, by case id. Cases of a recording that gave no numbers are in `troubles`, by `PATH/CASE`.

    Raises SgdiffError if it is nothing that can be compared.
    """
    from pytest_sgdiff import baselines
    from pytest_sgdiff.compare.sides import baseline_side, dump_side
    from pytest_sgdiff.recordings import store as recordings

    if not path.is_dir():
        text = read(path)
        if _is_baseline(text):
            baseline = baselines.load(path)
            return {baseline.measurement.case: baseline_side(str(path), baseline)}
        return {"": dump_side(str(path), text)}
    if recordings.is_launch(path, below=path):
        return {"": _recorded(str(path), [recordings.read_launch(path, case=path.parent.name, number=0)])}
    if recordings.is_case(path):
        case = recordings.case_of(path)
        return {case: _recorded(str(path), recordings.read_launches(path.resolve().parent, case))}
    found = {}
    for case in recordings.case_ids(path):
        launches = recordings.read_launches(path, case)
        label = f"{path}/{case}"
        with _told(troubles, label):
            found[case] = _recorded(label, launches)
    return found


def _recorded(label: str, launches: Sequence[Launch]) -> Side:
    """The launches of one recorded case. Raises RecordingError if none of them gave numbers."""
    from pytest_sgdiff.compare.sides import recording_side
    from pytest_sgdiff.errors import RecordingError
    from pytest_sgdiff.reports.comparison import note

    side = recording_side(label, launches)
    if not side.launches:
        raise RecordingError(f"{label}: no launch gave numbers ({'; '.join(map(note, side.notes)) or 'it is empty'})")
    return side


@contextmanager
def _told(troubles: dict[str, str], label: str) -> Iterator[None]:
    """A case without numbers does not keep the others from being compared."""
    from pytest_sgdiff.errors import RecordingError

    try:
        yield
    except RecordingError as error:
        troubles[label] = str(error)


def _is_baseline(text: str) -> bool:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "schema" in document
