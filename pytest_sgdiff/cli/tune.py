"""`sgdiff tune`: the fastest flags of a case within the GPUs and the memory that there are."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pytest_sgdiff.cli.case_files import all_cases
from pytest_sgdiff.cli.protocol import GOOD, Subparsers, read
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files import data_files

if TYPE_CHECKING:
    from pytest_sgdiff.data import Axis, Case, EngineInfo, Space, Tuned, TuneStep
    from pytest_sgdiff.tuning.bench import Bench
    from pytest_sgdiff.tuning.report import TuneReport
    from pytest_sgdiff.tuning.tune import Search

NOT_DECIDED, NOTHING, INTERRUPTED = 1, 4, 130
POLL_S = 0.2
MODEL = "model.yaml"
"""The case file of a model without a case, in the folder of its search. Nothing of it counts but the name."""
REPORTS = (".html", ".md", ".json", ".txt")

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
        "case", nargs="?", metavar="CASE", help="the id of a case to make faster, or the name of a matrix to rank"
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
        "--launches", type=int, metavar="N", help="launch no variant more often than this (default: 10)"
    )
    parser.add_argument(
        "--budget", metavar="TIME", help="begin no launch that is not expected to end in this time, such as 2h"
    )
    parser.add_argument("--engine-cmd", metavar="CMD", help="as --sgdiff-engine-cmd (default: that of the project)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep the search here (default: .sgdiff/tune/CASE)")
    parser.add_argument("--restart", action="store_true", help="forget what an earlier such command has measured")
    parser.add_argument(
        "--dry-run", action="store_true", help="print the variants, and what is left out and why, and launch nothing"
    )
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the winner as a case to FILE")
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="write the result to PATH, whose suffix chooses the form: .html .md .json .txt (repeatable)",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="print also what was left out, and why")
    parser.add_argument(
        "--pytest", default="", metavar="WORDS", help="more arguments of pytest, such as '--sgdiff-isolation=alone'"
    )
    parser.set_defaults(run=_tune)


def _tune(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.errors import SgdiffError

    try:
        prepared = _prepared(chosen)
        return _show(prepared) if chosen.dry_run else _run(chosen, prepared)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SgdiffError(f"sgdiff tune: {error.filename or 'a file'}: {error.strerror or error}") from None
    except KeyboardInterrupt:
        print("sgdiff tune: interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What a command asks for, all of it settled and nothing launched: `case` is the case as it is written, or the
    first of a matrix; it was `named` so, and the `folder` keeps its search; `engine` was asked for its flags. `spec`
    means the `gpus` that variants may have at a time, on this `machine`, of `products`. Sizes are in MiB, times in s,
    `within` is a fraction."""

    case: Case
    named: str
    folder: Path
    spec: str
    gpus: int
    machine: str
    products: tuple[str, ...]
    engine: EngineInfo
    space: Space
    metric: str
    memory_mib: float | None
    within: float
    most_launches: int
    budget_s: float | None
    allow_lossy: bool
    arguments: tuple[str, ...]


def _prepared(chosen: argparse.Namespace) -> Prepared:
    """Raises SgdiffError for what cannot be meant."""
    from pytest_sgdiff.data import Location
    from pytest_sgdiff.engines.flags.lookup import flags_of
    from pytest_sgdiff.files.run_folders import PARENT
    from pytest_sgdiff.tuning.bench import ranked_by
    from pytest_sgdiff.tuning.presets import PRESETS
    from pytest_sgdiff.tuning.space import matrix_space, space

    for path in chosen.report:
        if path.suffix not in REPORTS:
            raise OptionError(f"--report {path}: the suffix chooses the form, use {', '.join(REPORTS)}")
    _check_written(chosen.write)
    axes = _axes(chosen.axes)
    if chosen.preset is not None and chosen.preset not in PRESETS:
        raise OptionError(f"--preset {chosen.preset}: there is none; use one of {', '.join(PRESETS)}")
    memory_mib, budget_s, within = _size(chosen.memory), _seconds(chosen.budget), _fraction(chosen.within)
    try:
        arguments = tuple(shlex.split(chosen.pytest))
    except ValueError as error:
        raise OptionError(f"--pytest {chosen.pytest}: {str(error).lower()}") from None
    cases = _cases(chosen)
    case, named = cases[0], cases[0].name if len(cases) > 1 else cases[0].id
    _check_id(chosen.write, named)
    folder = chosen.out or Path.cwd() / PARENT / "tune" / data_files.file_name(named)[:80]
    if chosen.model is not None:
        case = replace(case, location=Location(path=os.path.relpath(folder / MODEL), line=1, column=1))
    spec = chosen.gpus or str(max(one.gpus for one in cases) or "none")
    gpus, products, machine = _gpus(spec, shown=chosen.dry_run)
    engine = _engine(chosen, case)
    flags = flags_of(engine)
    lossy: Literal["no", "yes"] = "yes" if chosen.allow_lossy else "no"
    if len(cases) > 1:
        found = matrix_space(cases, gpus=gpus, engine=flags, products=products, allow_lossy=lossy)
    else:
        found = space(
            case,
            gpus=gpus,
            engine=flags,
            products=products,
            allow_lossy=lossy,
            axes=axes,
            transformers=tuple(chosen.transformer),
            preset=chosen.preset,
        )
    if not found.variants:
        from pytest_sgdiff.reports import tune_text

        raise OptionError(f"{named}: no variant can be launched:", *map(tune_text.pruned, found.pruned))
    if chosen.only is not None:
        found = _only(chosen.only, found)
    return Prepared(
        case=case,
        named=named,
        folder=folder,
        spec=spec,
        gpus=gpus,
        machine=machine,
        products=products,
        engine=engine,
        space=found,
        metric=ranked_by(case, chosen.metric),
        memory_mib=memory_mib,
        within=within,
        most_launches=_launches(chosen.launches),
        budget_s=budget_s,
        allow_lossy=chosen.allow_lossy or (chosen.preset is not None and PRESETS[chosen.preset].allow_lossy),
        arguments=arguments,
    )


def _axes(text: str | None) -> tuple[Axis, ...] | None:
    from pytest_sgdiff.tuning.settings import AXES

    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if wrong := [name for name in names if name not in AXES]:
        raise OptionError(f"--axes {text}: {wrong[0] or 'an empty name'} is none; use some of {', '.join(AXES)}")
    return tuple(axis for axis in AXES if axis in names)


def _cases(chosen: argparse.Namespace) -> tuple[Case, ...]:
    """The case that is meant; or, of the name of a matrix, all its cases, the first of which the others are compared
    with."""
    if (chosen.case is None) == (chosen.model is None):
        raise OptionError("sgdiff tune: name a case, or a model with --model, and not both")
    if chosen.model is not None:
        return (_bare(chosen),)
    for option in ("width", "height", "frames", "steps"):
        if getattr(chosen, option) is not None:
            raise OptionError(f"--{option}: is for a model (--model); a case says it itself")
    known = all_cases("sgdiff tune")
    if (case := known.get(chosen.case)) is not None:
        return (case,)
    matrix = tuple(case for case in known.values() if case.name == chosen.case)
    if not matrix:
        from difflib import get_close_matches

        near = get_close_matches(chosen.case, sorted({*known, *(case.name for case in known.values())}), n=1)
        raise OptionError(f"{chosen.case}: no such case" + (f", did you mean {near[0]}?" if near else ""))
    for option in ("axes", "preset", "transformer"):
        if getattr(chosen, option):
            example = matrix[0].id
            raise OptionError(f"--{option}: {chosen.case} is a matrix, which has its variants: name one, as {example}")
    return matrix


def _bare(chosen: argparse.Namespace) -> Case:
    """A case of a model and a size. It has no file, so its search writes one for pytest to find."""
    from pytest_sgdiff.tuning.bare import Bare, bare_case, shipped

    for option in ("width", "height", "frames", "steps"):
        if (value := getattr(chosen, option)) is not None and value < 1:
            raise OptionError(f"--{option} {value}: must be above 0")
    gpus, _, _ = _gpus(chosen.gpus or "1", shown=chosen.dry_run)
    said = Bare(
        model=chosen.model,
        gpus=gpus,
        width=chosen.width,
        height=chosen.height,
        frames=chosen.frames,
        steps=chosen.steps,
    )
    return bare_case(said, shipped())


def _gpus(spec: str, *, shown: bool) -> tuple[int, tuple[str, ...], str]:
    """How many GPUs variants may have at a time, their products, and the machine that has them. Where variants are only
    shown, there need be none."""
    from pytest_sgdiff.errors import LeaseError
    from pytest_sgdiff.gpus.selection import resolve
    from pytest_sgdiff.machine import machine_of

    try:
        eligible = resolve(spec)
    except (OptionError, LeaseError):
        if not shown or not re.fullmatch(r"[0-9]{1,4}", spec):
            raise
        return int(spec), (), ""
    machine = machine_of(eligible.gpus[: eligible.size])
    named = machine.product + (f" x {machine.count}" if machine.kind == "gpu" and machine.count > 1 else "")
    return eligible.size, tuple(dict.fromkeys(gpu.name for gpu in eligible.gpus)), named


def _engine(chosen: argparse.Namespace, case: Case) -> EngineInfo:
    """The engine, asked for its flags. Where variants are only shown, the newest that is known if none is there."""
    from tempfile import TemporaryDirectory

    from pytest_sgdiff.cli.configuration import configuration
    from pytest_sgdiff.data import EngineInfo
    from pytest_sgdiff.engines.flags.translate import NEWEST
    from pytest_sgdiff.errors import EngineNotFoundError
    from pytest_sgdiff.launch.engine_help import AskedEngines
    from pytest_sgdiff.machine import engine_info

    named = chosen.engine_cmd or os.environ.get("SGDIFF_ENGINE_CMD")
    if not named:
        _, values = configuration(Path.cwd(), fix="correct it, or name the engine with --engine-cmd")
        named = str(values.get("sgdiff_engine_cmd") or "sglang")
    try:
        words = tuple(shlex.split(named))
    except ValueError as error:
        raise OptionError(f"--engine-cmd {named}: {str(error).lower()}") from None
    try:
        info = engine_info(words, option="--engine-cmd")
    except EngineNotFoundError:
        if not chosen.dry_run:
            raise
        return EngineInfo(command=words, version=NEWEST)
    with TemporaryDirectory(prefix="sgdiff-tune-") as folder:
        asked = AskedEngines(Path(folder), lambda text: print(text, file=sys.stderr))
        asked.ask(info, [case])
        return asked.of(info)


def _only(text: str, found: Space) -> Space:
    """The case as it is written, and the variants with no other settings than those that are named. Raises OptionError
    for a setting that no variant has."""
    names = [name.strip() for name in text.split(",")]
    known = {setting.name for variant in found.variants for setting in variant.settings}
    for name in names:
        if name not in known:
            left_out = any(setting.name == name for one in found.pruned for setting in one.settings)
            raise OptionError(
                f"--only {text}: {name or 'an empty name'} is "
                + (
                    "left out (--dry-run says why)"
                    if left_out
                    else f"none; use some of {', '.join(sorted(known)) or 'none, as there are none'}"
                )
            )
    kept = [one for one in found.variants if all(setting.name in names for setting in one.settings)]
    return replace(found, variants=tuple(kept))


def _launches(number: int | None) -> int:
    from pytest_sgdiff.tuning.search import MOST_LAUNCHES

    if number is not None and number < 1:
        raise OptionError(f"--launches {number}: must be above 0")
    return number or MOST_LAUNCHES


def _size(text: str | None) -> float | None:
    """In MiB."""
    if text is None:
        return None
    units = {"mib": 1.0, "gib": 1024.0, "mb": 1e6 / 2**20, "gb": 1e9 / 2**20}
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?) ?([MG]i?B)", text.strip(), re.ASCII | re.IGNORECASE)
    if match is None or not float(match[1]) > 0:
        raise OptionError(f"--memory {text}: must be a size above 0, such as 40GiB or 40000MiB")
    return float(match[1]) * units[match[2].lower()]


def _seconds(text: str | None) -> float | None:
    if text is None:
        return None
    match = re.fullmatch(
        r"(?:(\d{1,6}(?:\.\d+)?) ?h)? ?(?:(\d{1,6}(?:\.\d+)?) ?m(?:in)?)? ?(?:(\d{1,9}(?:\.\d+)?) ?s?)?", text.strip()
    )
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0.0, 0.0, 0.0)
    if not (total := hours * 3600 + minutes * 60 + seconds) > 0:
        raise OptionError(f"--budget {text}: must be a time above 0, such as 2h, 90m or 1h30m")
    return total


def _fraction(text: str) -> float:
    match = re.fullmatch(r"(\d{1,2}(?:\.\d+)?) ?%", text.strip(), re.ASCII)
    if match is None or not float(match[1]) > 0:
        raise OptionError(f"--within {text}: must be a percentage above 0 % and below 100 %, such as 2%")
    return float(match[1]) / 100


def _show(prepared: Prepared) -> int:
    from pytest_sgdiff.reports import tune_text

    print("\n".join(tune_text.space(prepared.named, prepared.case, prepared.space)))
    return GOOD


def _run(chosen: argparse.Namespace, prepared: Prepared) -> int:
    from pytest_sgdiff.files.run_folders import IGNORE, PARENT
    from pytest_sgdiff.launch.signals import as_ctrl_c
    from pytest_sgdiff.redact import Redaction
    from pytest_sgdiff.reports import tune_text
    from pytest_sgdiff.tuning.bench import Bench, Plan
    from pytest_sgdiff.tuning.book import NAME, Book
    from pytest_sgdiff.tuning.pictures import pictures
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
        plan = Plan(
            case=prepared.case,
            metric=prepared.metric,
            engine_cmd=prepared.engine.command,
            gpus=prepared.spec,
            cwd=here,
            arguments=prepared.arguments,
        )
        bench = Bench(plan=plan, folder=folder, inherits=(lock,))
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
            say=_say,
            drew=None
            if prepared.allow_lossy
            else lambda one: pictures(bench, prepared.space.written, one, book.launches),
        )
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
    _write_reports(chosen.report, report, hide=Redaction({**os.environ, **prepared.case.env}).text)
    if trouble is not None:
        raise trouble
    return {"decided": GOOD, "equal": GOOD, "nothing": NOTHING}.get(tuned.code, NOT_DECIDED)


def _report(prepared: Prepared, bench: Bench, search: Search, tuned: Tuned) -> TuneReport:
    from pytest_sgdiff.tuning.claims import applying, held
    from pytest_sgdiff.tuning.outcome import best, described, quicker_request
    from pytest_sgdiff.tuning.report import TuneReport
    from pytest_sgdiff.tuning.search import front

    about = described(prepared.space, search.book.launches, bench, prepared.engine)
    recommended = best(tuned, about)
    lossy = {one.name for one in about if one.lossy}
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
        quicker_request=quicker_request(tuned, about, recommended),
        claims=held(applying(prepared.case), tuned.standings, prepared.space),
        budget_s=prepared.budget_s,
        took_s=search.used_s,
        folder=os.path.relpath(prepared.folder),
    )


def _check_written(path: Path | None) -> None:
    """Refuse a file that somebody wrote by hand. Raises OptionError."""
    from pytest_sgdiff.tuning.written import MARK

    if path is None:
        return
    if path.suffix not in (".yaml", ".yml"):
        raise OptionError(f"--write {path}: a case file ends in .yaml")
    if os.path.lexists(path) and MARK not in read(path):
        raise OptionError(f"--write {path}: is there already, and this command did not write it: name another file")


def _check_id(path: Path | None, named: str) -> None:
    """Refuse to write a case whose id another file has. Raises OptionError."""
    from pytest_sgdiff.tuning.written import tuned_name

    if path is None:
        return
    name, own = tuned_name(named), os.path.realpath(path)
    for case in all_cases("sgdiff tune", needed=False).values():
        if case.name == name and os.path.realpath(case.location.path) != own:
            raise OptionError(
                f"--write {path}: the case would be called {name}, as the one at {case.location.path}:"
                f"{case.location.line} is: write to {case.location.path}, or remove that case"
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
    """What a search is of: what was measured of another one says nothing of this one."""
    from pytest_sgdiff.files.wire import to_plain

    # Where a case stands and what it says of itself change no launch: a comment may be added above it.
    here = prepared.case.location
    work = [
        replace(one.case, location=here, locations={}, written=None, summary="", source="")
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
        "memory": "" if prepared.memory_mib is None else f"{prepared.memory_mib:g} MiB",
        "metric": prepared.metric,
        "within": f"{100 * prepared.within:g} %",
        "launches": str(prepared.most_launches),
        "arguments of pytest": shlex.join(prepared.arguments),
    }


def _say(step: TuneStep) -> None:
    from pytest_sgdiff.reports import tune_text

    print(tune_text.step(step), file=sys.stderr, flush=True)
