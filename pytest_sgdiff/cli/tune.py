"""`sgdiff tune`: the fastest flags of a case within the GPUs and the memory that there are."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff.cli.protocol import GOOD, Subparsers
from pytest_sgdiff.cli.tune_plan import MODEL, Prepared, prepared_for
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files import data_files

if TYPE_CHECKING:
    from pytest_sgdiff.data import Tuned, TuneNote, TuneStep, TuneTrouble
    from pytest_sgdiff.tuning.bench import Bench
    from pytest_sgdiff.tuning.report import TuneReport
    from pytest_sgdiff.tuning.tune import Search

NOT_DECIDED, NOTHING, INTERRUPTED = 1, 4, 130
POLL_S = 0.2

EPILOG = """\
exit codes:
  0    the best variant is found, or a group of equal ones
  1    the ranking is not decided: the time is used up, or every variant had as many launches as it may have
  2    the command is wrong, or pytest could not measure
  4    no variant can be used: none runs, or none fits into the memory
  130  interrupted; the same command goes on where it was

examples:
  sgdiff tune wan22_t2v --gpus 4 --memory 40GiB --dry-run
  sgdiff tune wan22_t2v --gpus 4 --memory 40GiB --budget 2h --report tune.html
  sgdiff tune wan22_t2v --gpus 1 --axes attention,compile --within 1% --write cases/wan22_fast.yaml
  sgdiff tune --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --width 832 --height 480 --frames 81 --gpus 2 --allow-lossy
"""


def add(commands: Subparsers) -> None:
    """Add the command `tune`."""
    parser = commands.add_parser(
        "tune",
        help="find the fastest flags of a case",
        description="Makes variants of a case: topology, compilation, offload, attention backend, cache, precision. "
        "Leaves out what cannot work, with the reason. Launches the others natively, as a run of pytest does, and "
        "spends launches where they decide: what cannot be among the best, or needs more memory than there may be, is "
        "launched no more. Prints the ranking with intervals, the front of time against memory, and the command line "
        "that is recommended.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "case",
        nargs="?",
        metavar="CASE",
        help="the id of a case to make faster, or the name of a matrix to rank; also as FILE::ID",
    )
    parser.add_argument("--model", metavar="MODEL", help="a model instead of a case: its name, or its folder")
    parser.add_argument("--width", type=int, metavar="PIXELS", help="of a model: the width of its output")
    parser.add_argument("--height", type=int, metavar="PIXELS", help="of a model: the height of its output")
    parser.add_argument("--frames", type=int, metavar="N", help="of a model: the frames of its output")
    parser.add_argument("--steps", type=int, metavar="N", help="of a model: its denoising steps")
    parser.add_argument("--gpus", metavar="SPEC", help="as --sgdiff-gpus (default: as many as the case has)")
    parser.add_argument(
        "--memory", metavar="SIZE", help="the most memory that a variant may use on a GPU, such as 40GiB"
    )
    lossy = parser.add_mutually_exclusive_group()
    lossy.add_argument(
        "--lossless", action="store_true", help="only variants that draw the same picture (this is the default)"
    )
    lossy.add_argument(
        "--allow-lossy", action="store_true", help="also variants that change the picture, beside how much they do"
    )
    parser.add_argument("--preset", metavar="NAME", help="begin with a recipe, such as low-vram")
    parser.add_argument("--axes", metavar="NAMES", help="vary only these, such as attention,compile (default: all)")
    parser.add_argument(
        "--only", metavar="NAMES", help="try only these settings and what they make together, such as fa,compile"
    )
    parser.add_argument(
        "--transformer",
        action="append",
        default=[],
        metavar="PATH",
        help="also the quantised transformer at PATH (repeatable)",
    )
    parser.add_argument(
        "--metric", metavar="NAME", help="rank by this time, such as e2e (default: what the case is judged by first)"
    )
    parser.add_argument(
        "--within", default="2%", metavar="PERCENT", help="end once the best is known to within this much (2%%)"
    )
    parser.add_argument(
        "--launches",
        type=int,
        metavar="N",
        help="launch no variant more often than this (default: 10), but the case as it is written",
    )
    parser.add_argument(
        "--budget", metavar="TIME", help="begin no launch that is not expected to end in this time, such as 2h"
    )
    parser.add_argument("--engine-cmd", metavar="CMD", help="as --sgdiff-engine-cmd (default: that of the project)")
    parser.add_argument("--out", type=_path, metavar="DIR", help="keep the search here (default: .sgdiff/tune/CASE)")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--restart", action="store_true", help="forget what an earlier such command has measured")
    again.add_argument(
        "--retry",
        metavar="VARIANTS",
        help="forget launches of these that did not count, and try them again, such as fa,compile; what counts stays",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print the variants, and what is left out and why, and launch nothing"
    )
    parser.add_argument("--write", type=_path, metavar="FILE", help="write the winner as a case to FILE")
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        type=_path,
        metavar="PATH",
        help="write the result to PATH, whose suffix chooses the form: .html .md .json .txt (repeatable)",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print also what was left out, and why")
    parser.add_argument(
        "--pytest", default="", metavar="WORDS", help="more arguments of pytest: --pytest='--sgdiff-isolation=alone'"
    )
    parser.set_defaults(run=_tune)


def _path(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the path is empty")
    return Path(text)


def _tune(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.errors import SgdiffError
    from pytest_sgdiff.tuning.bench import MeasuringError

    try:
        prepared = prepared_for(chosen)
        return _show(prepared) if chosen.dry_run else _run(chosen, prepared)
    except MeasuringError as error:
        if not error.troubles:
            raise
        raise SgdiffError(*_in_words(error.troubles, prepared)) from None
    except BrokenPipeError:
        raise
    except OSError as error:
        full = ": make room, and give the same command again" if error.errno in data_files.NO_ROOM else ""
        raise SgdiffError(f"sgdiff tune: {error.filename or 'a file'}: {error.strerror or error}{full}") from None
    except KeyboardInterrupt:
        print("sgdiff tune: interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


def _in_words(troubles: Sequence[TuneTrouble], prepared: Prepared) -> Sequence[str]:
    """Each line once: what helps against one trouble often helps against all."""
    from pytest_sgdiff.reports import tune_names, tune_step_text

    shown = tune_names.shown_in(prepared.space.variants)
    return tuple(dict.fromkeys(line for one in troubles for line in tune_step_text.trouble(one, shown)))


def _show(prepared: Prepared) -> int:
    from pytest_sgdiff.reports import tune_space_text

    print("\n".join(tune_space_text.space(prepared.named, prepared.case, prepared.space, prepared.other_requests)))
    return GOOD


def _run(chosen: argparse.Namespace, prepared: Prepared) -> int:
    from pytest_sgdiff.data import TuneNote
    from pytest_sgdiff.files.run_folders import IGNORE, PARENT
    from pytest_sgdiff.launch.signals import as_ctrl_c
    from pytest_sgdiff.redact import Redaction
    from pytest_sgdiff.reports import tune_names, tune_text
    from pytest_sgdiff.tuning.bench import Bench, Plan
    from pytest_sgdiff.tuning.book import NAME, Book
    from pytest_sgdiff.tuning.notes import not_retried, nothing_usable
    from pytest_sgdiff.tuning.pictures import is_settled, pictures
    from pytest_sgdiff.tuning.search import Race
    from pytest_sgdiff.tuning.tune import Search, launch_order

    here, folder = Path.cwd(), prepared.folder.absolute()
    own = chosen.out is None
    data_files.make_folder(folder, below=here if own else folder)
    if own:
        data_files.write(here / PARENT / "tune" / ".gitignore", IGNORE, below=here)
    if chosen.model is not None:
        told = json.dumps({"model": prepared.case.model, "gpus": prepared.case.gpus})
        data_files.write(folder / MODEL, f"cases:\n  {prepared.case.name}: {told}\n", below=folder)
    with _alone(folder) as lock, as_ctrl_c():
        if chosen.restart:
            data_files.remove(folder / NAME, below=folder)
        book = Book(folder, _of(prepared), variants={one.name for one in prepared.space.variants})
        if book.cut is not None:
            _note(TuneNote(code="cut", path=os.path.relpath(folder / NAME), line=book.cut), prepared)
        plan = Plan(
            case=prepared.case,
            metric=prepared.metric,
            engine_cmd=prepared.engine.command,
            gpus=prepared.spec,
            cwd=here,
            arguments=prepared.arguments,
        )
        bench, written = Bench(plan=plan, folder=folder, inherits=(lock,)), prepared.space.written
        search = Search(
            space=prepared.space,
            chooser=Race(
                launch_order(prepared.space),
                memory_mib=prepared.memory_mib,
                within=prepared.within,
                most_launches=prepared.most_launches,
            ),
            bench=bench,
            book=book,
            gpus=prepared.gpus,
            budget_s=prepared.budget_s,
            say=partial(_say, tune_names.shown_in(prepared.space.variants)),
            drew=None if prepared.allow_lossy else lambda one: pictures(bench, written, one, book.launches),
            settled=lambda: written is None or is_settled(bench, written, book.launches),
            retry=prepared.retry,
        )
        if prepared.other_requests:
            told = tune_names.other_requests(prepared.other_requests, prepared.space.variants)
            print(f"warning: {told}", file=sys.stderr, flush=True)
        tuned = search.run()
        report = _report(prepared, bench, search, tuned)
    trouble: OptionError | None = None
    if chosen.write is not None and report.best is not None:
        try:
            report = replace(report, file=_write_winner(chosen.write, prepared, report))
        except OptionError as error:
            trouble = error
    # What hours have found out is printed whatever becomes of files.
    print("\n".join(tune_text.summary(report, verbose=chosen.verbose)))
    notes = nothing_usable(tuned, write=None if chosen.write is None else str(chosen.write))
    for note in (*not_retried(prepared.retry, search.retried), *(notes if report.best is None else ())):
        _note(note, prepared)
    _write_reports(chosen.report, report, hide=Redaction({**os.environ, **prepared.case.env}).text)
    if trouble is not None:
        raise trouble
    return {"decided": GOOD, "equal": GOOD, "nothing": NOTHING}.get(tuned.code, NOT_DECIDED)


def _report(prepared: Prepared, bench: Bench, search: Search, tuned: Tuned) -> TuneReport:
    from pytest_sgdiff.tuning.claims import applying, held
    from pytest_sgdiff.tuning.outcome import best, best_lossless, described, quicker_request
    from pytest_sgdiff.tuning.pictures import odd_launches
    from pytest_sgdiff.tuning.report import TuneReport
    from pytest_sgdiff.tuning.search import front

    about = described(prepared.space, search.book.launches, bench, prepared.engine)
    recommended = best(tuned, about)
    lossy = {one.name for one in about if one.lossy or one.asks}
    return TuneReport(
        case=prepared.named,
        base=prepared.case,
        metric=prepared.metric,
        engine_version=prepared.engine.version,
        machine=prepared.machine,
        tuned=tuned,
        variants=about,
        written="" if prepared.space.written is None else prepared.space.written.name,
        pruned=prepared.space.pruned,
        front=front(tuned.standings),
        lossless_front=front([one for one in tuned.standings if one.variant not in lossy]),
        best=recommended,
        best_lossless=best_lossless(tuned, about),
        quicker_request=quicker_request(tuned, about, recommended),
        claims=held(applying(prepared.case), tuned.standings, prepared.space),
        other_requests=prepared.other_requests,
        odd_launches=odd_launches(bench, prepared.space.written, search.book.launches),
        budget_s=prepared.budget_s,
        took_s=search.used_s,
        folder=os.path.relpath(prepared.folder),
    )


def _write_winner(path: Path, prepared: Prepared, report: TuneReport) -> str:
    """Write the winner as a case. Raises OptionError."""
    from pytest_sgdiff.tuning.written import case_file

    text = case_file(
        prepared.space,
        report.tuned,
        report.best or "",
        named=prepared.named,
        lossy=[one.name for one in report.variants if one.lossy],
        schema=os.path.relpath(Path("cases") / "case.schema.json", path.parent),
        products=prepared.products,
        engine=prepared.engine.version,
    )
    try:
        data_files.overwrite(Path(os.path.realpath(path)), text)
    except OSError as error:
        raise OptionError(f"--write {path}: cannot be written: {error.strerror or error}") from None
    return str(path)


def _write_reports(paths: Sequence[Path], report: TuneReport, *, hide: Callable[[str], str]) -> None:
    """Raises SgdiffError: Jinja2 is not installed, or a file cannot be written."""
    from pytest_sgdiff.errors import MissingExtraError
    from pytest_sgdiff.printable import printable_values
    from pytest_sgdiff.reports import tune_json, tune_markdown, tune_text
    from pytest_sgdiff.reports.html import tune_page

    forms: Mapping[str, Callable[[TuneReport], str]] = {
        ".json": tune_json.render,
        ".md": tune_markdown.render,
        ".html": tune_page.render,
        ".txt": lambda told: "\n".join([*tune_text.summary(told, verbose=True), ""]),
    }
    for path in paths:
        try:
            text = forms[path.suffix](printable_values(report))
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"--report={path}: {error}") from None
        try:
            data_files.overwrite(Path(os.path.realpath(path)), hide(text))
        except OSError as error:
            raise OptionError(f"--report={path}: cannot be written: {error.strerror or error}") from None


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[int]:
    """The descriptor that holds the folder. What a killed command started holds it, too, until it has ended its
    engines. Raises OptionError if somebody else is at work there."""
    from pytest_sgdiff.files.run_folders import hold
    from pytest_sgdiff.launch.child import GRACE_S

    limit = time.monotonic() + GRACE_S
    while (lock := hold(folder, shared=False)) is None:
        if time.monotonic() >= limit:
            raise OptionError(f"{folder}: another such command is at work there: wait until it ends")
        time.sleep(POLL_S)
    try:
        yield lock
    finally:
        os.close(lock)


def _of(prepared: Prepared) -> Mapping[str, str]:
    """What a search is of: what was measured of another one says nothing of this one. What decides only which launches
    are made, and when they are enough, is no part of it: the memory, the tolerance, the most launches, the time."""
    from pytest_sgdiff.files.wire import to_plain

    # Where a case stands and what it says of itself change no launch: a comment may be added above it. Nor is one that
    # counts another launch where it may take longer.
    here = prepared.case.location
    work = [
        replace(one.case, location=here, locations={}, written=None, summary="", source="", timeout_s=0.0)
        for one in prepared.space.variants
    ]
    told = json.dumps([{**to_plain(case), "location": None} for case in work], sort_keys=True)
    engine = prepared.engine
    return {
        "case": prepared.named,
        "lossy variants": "allowed" if prepared.allow_lossy else "",
        "variants": hashlib.sha256(told.encode()).hexdigest(),
        "engine": " ".join(filter(None, (engine.version, engine.commit))),
        "engine command": shlex.join(engine.command),
        "GPUs": prepared.spec,
        "machine": prepared.machine,
        "metric": prepared.metric,
        "arguments of pytest": shlex.join(prepared.arguments),
    }


def _say(shown: Callable[[str], str], step: TuneStep) -> None:
    from pytest_sgdiff.reports import tune_step_text

    print(tune_step_text.step(step, shown), file=sys.stderr, flush=True)


def _note(note: TuneNote, prepared: Prepared) -> None:
    from pytest_sgdiff.reports import tune_names, tune_notes

    words = tune_notes.note(note, tune_names.shown_in(prepared.space.variants))
    print(f"sgdiff tune: {words}", file=sys.stderr, flush=True)
