"""`sgdiff compare OLD NEW`: two perf dumps, two recordings, or either against a baseline."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff.cli.protocol import MISTAKES, Subparsers, read

if TYPE_CHECKING:
    from pytest_sgdiff.sides import Side

FORMATS = ("text", "markdown", "json")


def add(commands: Subparsers) -> None:
    """Add the command `compare`."""
    parser = commands.add_parser(
        "compare",
        help="compare two perf dumps, two recordings, or either against a baseline",
        description="Compares two perf dumps, two recordings (a folder that --sgdiff-out wrote, one of its cases or "
        "one launch), or either against a baseline file. With three launches of each side the rule of the gate "
        "decides, with fewer fixed tolerances do. Exit 0, 1 if anything is slower, 2 if the two are not comparable: "
        "another model, other GPUs, sizes, stage timers or backends. Other flags that differ are named.",
    )
    parser.add_argument("old", type=Path, metavar="OLD")
    parser.add_argument("new", type=Path, metavar="NEW")
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="markdown is that of upstream's compare_perf.py"
    )
    parser.add_argument("--anyway", action="store_true", help="compare what is not the same work, too")
    parser.set_defaults(run=_compare)


def _compare(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.compare import compare
    from pytest_sgdiff.comparetables import RENDERERS

    troubles: list[str] = []
    old, new = sides(chosen.old, troubles), sides(chosen.new, troubles)
    for trouble in troubles:
        print(f"sgdiff compare: {trouble}", file=sys.stderr)
    pairs = _pairs(old, new)
    if not pairs:
        told = [", ".join(side) or "none" for side in (old, new)]
        print(
            f"sgdiff compare: no case is in both: {told[0]} in {chosen.old}, {told[1]} in {chosen.new}", file=sys.stderr
        )
        return MISTAKES
    comparisons = {name: compare(*pair, anyway=chosen.anyway) for name, pair in pairs.items()}
    texts = {name: RENDERERS[chosen.format](comparison) for name, comparison in comparisons.items()}
    if chosen.format == "json" and len(texts) > 1:
        print(json.dumps({name: json.loads(text) for name, text in texts.items()}, indent=2, ensure_ascii=False))
    else:
        print("\n".join(texts.values()), end="")
    for path, missing in ((chosen.new, set(old) - set(new)), (chosen.old, set(new) - set(old))):
        if missing and len(pairs) > 1:
            print(f"sgdiff compare: not in {path}: {', '.join(sorted(missing))}", file=sys.stderr)
    return max([*(comparison.exit_code for comparison in comparisons.values()), *(MISTAKES for _ in troubles)])


def _pairs(old: Mapping[str, Side], new: Mapping[str, Side]) -> dict[str, tuple[Side, Side]]:
    """Cases of the same name; where each has only one, those two whatever they are called."""
    if len(old) == len(new) == 1:
        ((name, first),) = old.items()
        return {name: (first, next(iter(new.values())))}
    return {name: (old[name], new[name]) for name in old if name in new}


def sides(path: Path, troubles: list[str]) -> dict[str, Side]:
    """What lies at a path, by case id. Cases of a recording that gave no numbers are told in `troubles`.

    Raises SgdiffError if it is nothing that can be compared.
    """
    from pytest_sgdiff import baselines, recordings
    from pytest_sgdiff.sides import baseline_side, dump_side, recording_side

    if not path.is_dir():
        text = read(path)
        if _is_baseline(text):
            baseline = baselines.load(path)
            return {baseline.measurement.case: baseline_side(str(path), baseline)}
        return {"": dump_side(str(path), text)}
    if recordings.is_launch(path):
        return {"": recording_side(str(path), [recordings.read_launch(path, case=path.parent.name, number=0)])}
    if recordings.is_case(path):
        case = recordings.case_of(path)
        return {case: recording_side(str(path), recordings.read_launches(path.resolve().parent, case))}
    found = {}
    for case in recordings.case_ids(path):
        launches = recordings.read_launches(path, case)
        with _told(troubles):
            found[case] = recording_side(f"{path}/{case}", launches)
    return found


@contextmanager
def _told(troubles: list[str]) -> Iterator[None]:
    """A case without numbers does not keep the others from being compared."""
    from pytest_sgdiff.errors import RecordingError

    try:
        yield
    except RecordingError as error:
        troubles.append(str(error))


def _is_baseline(text: str) -> bool:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(document, dict) and "schema" in document
