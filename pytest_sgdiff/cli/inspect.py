"""`sgdiff inspect`: what really ran in a launch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_sgdiff.cli.protocol import FOUND, GOOD, MISTAKES, Subparsers, as_json, read
from pytest_sgdiff.printable import printable, printable_values

if TYPE_CHECKING:
    from pytest_sgdiff.data import Disturbance, LaunchRecord, RequestReading
    from pytest_sgdiff.engines.inspection import Inspection

HINTED = 5
"""Runs that are named where a folder of runs was given: the newest."""
_OF_A_REQUEST = ("client_e2e", "e2e", "denoise", "queue")
_REQUESTS = 40
"""Requests that are printed, at most."""
_NAME_CHARS, _WIDTH = 40, 30
LOG_LIMIT = 1 << 26
"""Bytes of a log that is looked into whole."""


EPILOG = """\
examples:
  sgdiff inspect .sgdiff/RUN/CASE                  every launch of a case
  sgdiff inspect .sgdiff/RUN/CASE/00 --json        one launch
  sgdiff inspect --dump perf.json --log run.log    a launch of anybody
"""


def add(commands: Subparsers) -> None:
    """Add the command `inspect`."""
    parser = commands.add_parser(
        "inspect",
        help="what really ran in a launch: backend, pipeline, warmup, metrics, problems",
        description="Reads a perf dump and the engine's log and prints what really ran: backend, pipeline, warmup, "
        "metrics, and the minimum detectable slowdown of so many launches. Exit 1 if a launch does not count: a silent "
        "fallback to diffusers, a failed request, an incomplete dump, a log that does not prove the backend, a process "
        "that did not end well, a disturbance.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "paths",
        type=Path,
        nargs="*",
        metavar="PATH",
        help="a launch, the launches of a case or a whole recording, as a run leaves them; or a perf dump or a log",
    )
    parser.add_argument("--dump", type=Path, metavar="FILE", help="read this perf dump (the engine's --perf-dump-path)")
    parser.add_argument(
        "--log", type=Path, metavar="FILE", action="append", default=[], help="read this log (repeatable)"
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print JSON: an object, or a list for a case, a recording or several folders",
    )
    parser.set_defaults(run=_inspect)


def _inspect(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.engines.inspect import inspect
    from pytest_sgdiff.errors import OptionError

    folders = [path for path in chosen.paths if not _is_file(path)]
    files = [path for path in chosen.paths if _is_file(path)]
    logs = [*chosen.log, *(path for path in files if path.suffix == ".log")]
    dumps = [*([chosen.dump] if chosen.dump else []), *(path for path in files if path.suffix != ".log")]
    if folders and (logs or dumps):
        raise OptionError("inspect: give folders or files, not both: a folder has its own dump and log")
    if folders:
        return _recorded(folders, machine_read=chosen.json)
    if not dumps and not logs:
        print("sgdiff inspect: give a folder with launches, --dump FILE, --log FILE, or both", file=sys.stderr)
        return MISTAKES
    if len(dumps) > 1:
        raise OptionError(f"inspect: give one perf dump, not {len(dumps)}: {', '.join(map(str, dumps))}")
    dump = read(dumps[0]) if dumps else None
    found = _shown(inspect(dump, "\n".join(read(path, at_most=LOG_LIMIT) for path in logs) if logs else None))
    if chosen.json:
        print(as_json(found))
    else:
        print(_inspection(printable_values(found), alone=True))
    return FOUND if found["problems"] else GOOD


def _is_file(path: Path) -> bool:
    """What is not there is told as a folder that is not."""
    return path.exists() and not path.is_dir()


def _recorded(folders: Sequence[Path], *, machine_read: bool) -> int:
    """Every launch below the folders; a launch that cannot be read hides none of the others."""
    from pytest_sgdiff.errors import RecordingError

    shown: list[dict[str, Any]] = []
    broken = False
    places = ((place, path) for path in folders for place in _launches(path))
    for (folder, case, number), below in places:
        head = {"folder": str(folder), "case": case, "launch": number}
        try:
            shown.append({**head, **_launch(folder, case, number, below=below)})
        except RecordingError as error:
            broken = True
            print(f"sgdiff: inspect: {error}", file=sys.stderr)
    if machine_read:
        one_launch = len(folders) == len(shown) == 1 and shown[0]["folder"] == str(folders[0])
        print(as_json(shown[0] if one_launch else shown))
    else:
        # By folder: in an A/B run both engines have launches of a case.
        by_case: dict[Path, list[dict[str, Any]]] = {}
        for one in shown:
            by_case.setdefault(Path(one["folder"]).parent, []).append(one)
        texts = []
        for one in shown:
            alone = len(by_case[Path(one["folder"]).parent]) == 1
            texts.append(f"== {printable(one['folder'])}\n{_inspection(printable_values(one), alone=alone)}")
        print("\n\n".join(texts))
        for folder, launches in by_case.items():
            lines = _power([_record(one) for one in launches if one["metrics"] and not one["problems"]])
            if len(launches) > 1 and lines:
                print("", f"{printable(str(folder))}:", *(f"  {line}" for line in lines), sep="\n")
        if len(shown) > 1:
            wrong = sum(bool(one["problems"]) for one in shown)
            print(f"\n{len(shown)} launches, {wrong or 'none'} with problems")
    if broken:
        return MISTAKES
    return FOUND if any(one["problems"] for one in shown) else GOOD


def _launch(folder: Path, case: str, number: int, *, below: Path) -> dict[str, Any]:
    from pytest_sgdiff.engines.inspect import inspect_launch
    from pytest_sgdiff.recordings import store as recordings
    from pytest_sgdiff.watch import disturbances

    launch = recordings.read_launch(folder, case=case, number=number, below=below)
    return _shown(inspect_launch(launch), disturbances(launch.watch) if launch.watch else ())


def _launches(path: Path) -> list[tuple[Path, str, int]]:
    """Folder, case and number of every launch below a path: it is one itself, holds those of one case, or is a
    recording, with the base engine's launches of an A/B run behind the others.

    Raises RecordingError where there is none.
    """
    from pytest_sgdiff.errors import RecordingError
    from pytest_sgdiff.recordings import store as recordings
    from pytest_sgdiff.recordings.store import AGAINST

    if not path.is_dir():
        raise RecordingError(f"{path}: no such folder or file")
    if recordings.is_launch(path, below=path):
        here = path.resolve()
        return [(path, recordings.case_of(here.parent), int(here.name) if here.name.isdecimal() else 0)]
    if recordings.is_case(path):
        return [(inner, recordings.case_of(path), number) for number, inner in recordings.numbered(path, below=path)]
    found = [
        (inner, case, number)
        for root in (path, path / AGAINST)
        if root.is_dir()
        for case in recordings.case_ids(root)
        for number, inner in recordings.numbered(recordings.launch_folder(root, case, 0).parent, below=root)
    ]
    if not found:
        runs = sorted(inner.name for inner in path.iterdir() if inner.is_dir() and recordings.case_ids(inner))
        hint = f": it holds runs, name one of them: {', '.join(runs[-HINTED:])}" if runs else ""
        raise RecordingError(f"{path}: holds no launch{hint}")
    return found


def _record(found: Mapping[str, Any]) -> LaunchRecord:
    from pytest_sgdiff.data import LaunchRecord

    return LaunchRecord(number=0, metrics=found["metrics"], generation=found["generation"])


def _shown(found: Inspection, disturbed: Sequence[Disturbance] = ()) -> dict[str, Any]:
    """What was found as plain builtins, the problems in words, with the pause of the launch and, of a launch that
    counts, what it shows against one other."""
    from pytest_sgdiff.compare.compare import alike, stands_out
    from pytest_sgdiff.data import LaunchRecord
    from pytest_sgdiff.reports import inspect_text
    from pytest_sgdiff.reports.comparison import plain_power

    record = LaunchRecord(number=0, metrics=found.metrics, generation=found.generation)
    problems = [*map(inspect_text.words, found.problems), *map(inspect_text.disturbed, disturbed)]
    return {
        "backend": found.backend,
        "pipeline": found.pipeline,
        "warmup": found.warmup,
        "generation": found.generation,
        "tag": found.tag,
        "metrics": found.metrics,
        "pause_ms": stands_out(record),
        "shows": plain_power(alike([record])) if found.metrics and not problems else [],
        "problems": problems,
        **({"requests": [_request(one) for one in found.requests]} if found.requests else {}),
    }


def _request(one: RequestReading) -> dict[str, Any]:
    fields = {"number": one.number, "warmup": one.warmup, "metrics": dict(one.metrics)}
    return {**fields, "load": one.load, "failure": one.failure, "status": one.status}


def _power(launches: Sequence[LaunchRecord]) -> list[str]:
    from pytest_sgdiff.compare.compare import alike
    from pytest_sgdiff.reports.comparison import power

    return list(power(alike(launches))) if launches else []


def _requests(requests: Sequence[Mapping[str, Any]], width: int) -> list[str]:
    """The requests of a server. Its metrics are the medians of those that are neither of warmup nor of a load."""
    from pytest_sgdiff.printable import printable
    from pytest_sgdiff.reports.figures import fixed
    from pytest_sgdiff.reports.server_text import how_it_failed

    lines = ["", "requests, in ms:"] if requests else []
    for one in requests[:_REQUESTS]:
        shown = [f"{name} {fixed(one['metrics'][name], 1)}" for name in _OF_A_REQUEST if name in one["metrics"]]
        kind = " (warmup)" if one["warmup"] else f" ({printable(one['load'])[:_NAME_CHARS]})" if one["load"] else ""
        name = f"{one['number']}{kind}"
        end = f"failed: {how_it_failed(one['failure'], status=one['status'])}" if one["failure"] else ""
        lines.append(f"  {name:{width}}  {end or ', '.join(shown) or 'no numbers'}")
    if len(requests) > _REQUESTS:
        lines.append(f"  and {len(requests) - _REQUESTS} more, which --json lists")
    return lines


def _inspection(found: Mapping[str, Any], *, alone: bool) -> str:
    """`alone`: it is the only launch of its case, and what it shows stands here."""
    from pytest_sgdiff.reports.figures import fixed

    lines = [f"{name:12}{found[name] or 'unknown'}" for name in ("backend", "pipeline", "warmup", "generation", "tag")]
    metrics, width = found["metrics"], _WIDTH
    if isinstance(metrics, dict) and metrics:
        from pytest_sgdiff.metrics import unit

        width = max(map(len, metrics))
        lines += ["", *(f"  {name:{width}}  {fixed(value, 3):>12} {unit(name)}" for name, value in metrics.items())]
    lines += _requests(found.get("requests") or (), width)
    if isinstance(metrics, dict) and metrics:
        pause = found["pause_ms"]
        if pause is not None:
            rule = "one launch cannot show whether it is typical"
            lines += ["", f"a pause of {fixed(pause, 0)} ms outside steps and stages: {rule}"]
        if alone and not found["problems"]:
            lines += ["", *_power([_record(found)])]
    problems = found["problems"]
    if isinstance(problems, (list, tuple)) and problems:
        lines += ["", "problems:", *(f"  {problem}" for problem in problems)]
    return "\n".join(lines)
