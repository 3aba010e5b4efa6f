"""`sgdiff baselines`: read, check and put in place what `--sgdiff-update` recorded."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff.cli.case_files import all_cases, case_called
from pytest_sgdiff.cli.protocol import (
    BASELINES,
    FOUND,
    GOOD,
    MISTAKES,
    Listed,
    Subparsers,
    as_json,
    folder_of_baselines,
)
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.printable import printable, printable_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from pytest_sgdiff.data import Baseline, Case, Machine, MetricClass
    from pytest_sgdiff.judging.rules import Prior
    from pytest_sgdiff.judging.series import Series

    T = TypeVar("T")

CASES = Path("cases")
"""The folder of case files, unless another is named."""
UNDATED = "date unknown"
"""Published numbers do not always say of when they are."""


def add(commands: Subparsers) -> None:
    """Add the command `baselines` and its actions."""
    parser = commands.add_parser(
        "baselines",
        help="list, show, compare, check or apply baselines",
        description="Reads, checks and puts in place what `pytest --sgdiff-update` recorded. Each action has a help of "
        "its own: sgdiff baselines check --help.",
    )
    made = parser.add_subparsers(metavar="ACTION", help="one of those below", required=True)
    actions = Listed(made)
    _action(
        actions,
        "list",
        _list,
        help="one line per baseline",
        description="Prints one line per baseline: case, machine, launches, date and engine.",
    ).add_argument("--json", action="store_true", help="print JSON")
    show = _action(
        actions,
        "show",
        _show,
        what=("CASE", "a case id"),
        help="every metric of a baseline, with its spread",
        description="Prints every metric of a case's baselines with its spread, and of what the case gates the minimum "
        "detectable slowdown, as a run on the same GPUs prints it. Names the problems of the launches.",
    )
    show.add_argument(
        "--history",
        type=Path,
        metavar="FILE",
        help="count in the drift between nights, as a run with this history does",
    )
    diff = _action(
        actions,
        "diff",
        _diff,
        what=_CANDIDATES,
        help="candidates of a CI run against the tree",
        description="Compares candidates with the baselines in the tree: old and new figures, interval, verdict, "
        "changes of workload, machine and engine, and the minimum detectable slowdowns of the candidates.",
    )
    check = _action(
        actions,
        "check",
        _check,
        help="find baselines that no case can use",
        description="Finds what is wrong with baselines: a value that is zero, missing or not finite, another schema, "
        "too few launches, no provenance, no case of the name, or a case that asks for a different workload now. "
        "Prints the minimum detectable slowdown of each, and warns if it is far beyond what a pass rules out. Exit 1 "
        "if anything is wrong.",
    )
    _action(
        actions,
        "apply",
        _apply,
        what=_CANDIDATES,
        help="put reviewed candidates of a CI run in place",
        description="Copies candidates into the tree, after a review with diff. Refuses one that would lose launches.",
    )
    for one in (show, diff, check):
        one.add_argument(
            "--cases",
            type=Path,
            metavar="DIR",
            help="read case files in DIR too, beside *.sgdiff.yaml below this folder (default: cases)",
        )
    check.add_argument("--assets", type=Path, metavar="DIR", help="compare the input files in DIR too")
    check.add_argument("--strict", action="store_true", help="exit 1 on warnings too")
    every = "".join(f"  sgdiff baselines {name} {line}".rstrip() + "\n" for name, (line, *_) in EXAMPLES.items())
    parser.epilog = f"actions:\n{actions.listing(5)}\n\nexamples:\n{every}"


EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "list": ("", "--folder examples/baselines --json"),
    "show": ("wan22_t2v", "wan22_t2v --cases my/cases --history history.sqlite"),
    "diff": (".sgdiff/RUN", "downloaded/candidates --cases my/cases"),
    "check": ("", "--assets assets --strict"),
    "apply": (".sgdiff/RUN",),
}
"""What is typed after each action."""

_CANDIDATES = ("DIR", "the --sgdiff-out folder of a CI run, or the folder baselines/ in it")


def _action(
    actions: Listed,
    name: str,
    run: Callable[[argparse.Namespace], int],
    *,
    help: str,  # noqa: A002
    description: str,
    what: tuple[str, str] | None = None,
) -> argparse.ArgumentParser:
    """Add an action, which may be about one thing: how it is called, and what it is."""
    examples = "".join(f"  sgdiff baselines {name} {line}".rstrip() + "\n" for line in EXAMPLES[name])
    parser = actions.add_parser(name, help=help, description=description, epilog=f"examples:\n{examples}")
    if what is not None:
        parser.add_argument("what", nargs="?", metavar=what[0], help=what[1])
    parser.add_argument(
        "--folder", type=Path, default=BASELINES, metavar="DIR", help=f"the folder of baselines (default: {BASELINES})"
    )

    def checked(chosen: argparse.Namespace) -> int:
        if what is not None and chosen.what is None:
            raise _usage(f"baselines {name}: give {'a case id' if what[0] == 'CASE' else 'a folder of candidates'}")
        chosen.folder = folder_of_baselines(chosen.folder)
        return run(chosen)

    parser.set_defaults(run=checked)
    return parser


def _usage(message: str) -> Exception:
    from pytest_sgdiff.errors import OptionError

    return OptionError(message)


def _list(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.baselines import every, load
    from pytest_sgdiff.reports.numbers import plural

    read = [_told(partial(load, below=chosen.folder), path) for path in every(chosen.folder)]
    found = [baseline for baseline in read if baseline is not None]
    rows = [_row(baseline) for baseline in found]
    end = GOOD if None not in read else MISTAKES
    if chosen.json:
        print(as_json(rows))
        return end
    rows = printable_values(rows)
    width = max((len(str(row["case"])) for row in rows), default=0)
    for baseline, row in zip(found, rows, strict=True):
        launches = plural(len(baseline.measurement.launches), "launch")
        print(
            f"{row['case']:{width}}  {row['machine']}  {launches}  {row['kind']}  "
            f"{row['recorded'] or UNDATED}  sglang {row['engine'] or 'unknown'}"
        )
    if not read:
        print(f"no baselines below {chosen.folder}: pytest --sgdiff-gpus=N --sgdiff-update records some")
    return end


def _told(look: Callable[[Path], T], path: Path) -> T | None:
    """What `look` gives of a file; None for one that is wrong, which is named and keeps none of the others back."""
    try:
        return look(path)
    except BaselineError as error:
        print(f"sgdiff: {error}", file=sys.stderr)
        return None


def _row(baseline: Baseline) -> dict[str, object]:
    return {
        "case": baseline.measurement.case,
        "machine": baseline.measurement.machine.slug,
        "launches": len(baseline.measurement.launches),
        "kind": baseline.kind,
        "recorded": baseline.recorded.at,
        "engine": baseline.engine_version,
    }


def _when(baseline: Baseline) -> str:
    return baseline.recorded.at or UNDATED


def _show(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.baselines import Once, every, suite
    from pytest_sgdiff.data import LaunchPlan, MetricChoice
    from pytest_sgdiff.files.data_files import file_name
    from pytest_sgdiff.judging.power import doubts
    from pytest_sgdiff.judging.series import own_series
    from pytest_sgdiff.judging.suite_prior import suite_priors, used, with_nights
    from pytest_sgdiff.metrics import everything
    from pytest_sgdiff.reports import doubt_text, noise_text

    # Other cases' files may be as wrong as they like.
    mine = [path for path in every(chosen.folder) if path.stem == file_name(chosen.what)]
    read = Once()
    loaded = (read(path, below=chosen.folder) for path in mine)
    found = [baseline for baseline in loaded if baseline.measurement.case == chosen.what]
    case = case_called(chosen.what, chosen.cases or CASES) if found else None
    # Of a case that nobody knows all is shown, by what is usual.
    choice = MetricChoice(gate=everything()) if case is None else case.metrics
    looks = (LaunchPlan() if case is None else case.launches).looks
    for baseline in printable_values(found):
        print(f"{baseline.path}: {baseline.kind}, {_when(baseline)}, sglang {baseline.engine_version or 'unknown'}")
        if baseline.source:
            print(f"  source: {baseline.source}")
        priors: Mapping[MetricClass, Prior] = suite_priors(
            suite(chosen.folder, baseline.measurement.machine, read=read)
        )
        if chosen.history is not None:
            priors = with_nights(priors, _nights(chosen.history, baseline), baseline)
        own = own_series(baseline, choice)
        for line in _metrics(baseline, own, priors, looks):
            print(f"  {line}")
        for line in _estimators(baseline):
            print(f"  {printable(line)}")
        print(f"  noise between launches: {printable(noise_text.words(used(priors)))}")
        for doubt in doubts(own):
            print(f"  {printable(doubt_text.advice(doubt))}")
    if not found:
        raise _usage(f"baselines show: no baseline of '{chosen.what}' below {chosen.folder}")
    if case is None:
        print(
            printable(
                f"sgdiff: baselines show: no case file here has '{chosen.what}': what the baseline detects is that of "
                "a case which states no metrics and no checkpoints (name the folder of case files with --cases)"
            ),
            file=sys.stderr,
        )
    return GOOD


def _nights(history: Path, baseline: Baseline) -> Mapping[str, Sequence[tuple[float, int]]]:
    """The earlier runs of the baseline's work on its machine."""
    from pytest_sgdiff.history.store import nights

    measured = baseline.measurement
    return nights(history, case=measured.case, machine=measured.machine.slug, workload=measured.workload.digest)


def _estimators(baseline: Baseline) -> list[str]:
    """Which estimator the figures are of; a single launch has no need of one."""
    from pytest_sgdiff.judging.estimator import centres
    from pytest_sgdiff.metrics import metric_class, title
    from pytest_sgdiff.reports.case_text import estimators

    if len(baseline.measurement.launches) < 2:
        return []
    rows = [(title(name), centres(metric_class(name), side)[1]) for name, side in baseline.measurement.values.items()]
    return estimators("the figures", rows)


def _metrics(
    baseline: Baseline, own: Sequence[Series], priors: Mapping[MetricClass, Prior], looks: Sequence[int]
) -> list[str]:
    """A line per metric; what of it is judged says what it detects, net of pauses where the gate takes them out."""
    from pytest_sgdiff.judging.estimator import centre
    from pytest_sgdiff.judging.power import detectable
    from pytest_sgdiff.judging.rules.sample import variation
    from pytest_sgdiff.metrics import metric_class, unit
    from pytest_sgdiff.reports.figures import fixed, precision
    from pytest_sgdiff.reports.numbers import plural

    judged = {s.metric: s for s in own}
    lines = []
    derived = {s.metric: s.baseline for s in own if s.metric_class == "primary" and s.baseline}
    for name, values in (derived | baseline.measurement.values).items():
        middle, spread = centre(values, metric_class(name)), variation(values)
        if middle is None:
            continue
        found = detectable(judged[name], looks, priors) if name in judged else None
        line = f"{name:32}{fixed(middle, 2):>12} {unit(name)}"
        line += "" if spread is None else f"  CV {fixed(100 * spread, 2)} %" if spread <= 1 else "  CV > 100 %"
        if found is not None:
            size = precision(found)
            size += f" ({fixed(found * middle, 1)} ms)" if judged[name].metric_class == "stage" and found < 1 else ""
            net = ", net of pauses" if judged[name].net else ""
            line += f"  detects {size} in {plural(looks[-1], 'launch')}{net}"
        lines.append(line)
    return lines


def _diff(chosen: argparse.Namespace) -> int:
    from dataclasses import replace

    from pytest_sgdiff.baselines import Once, every, find, load, suite
    from pytest_sgdiff.baselines.review import review
    from pytest_sgdiff.data import LaunchPlan, Location, MetricChoice
    from pytest_sgdiff.judging.suite_prior import suite_priors
    from pytest_sgdiff.reports.text import renewal

    candidates = _candidates(chosen.what)
    paths = tuple(every(candidates))
    if not paths:
        raise _usage(f"baselines diff: no candidates below {chosen.what}")
    cases = all_cases("baselines diff", chosen.cases, needed=chosen.cases is not None)

    read = Once()
    priors: dict[Machine, Mapping[MetricClass, Prior]] = {}

    def compared(path: Path) -> str:
        new = load(path, below=candidates)
        machine, name = new.measurement.machine, new.measurement.case
        old = find(chosen.folder, machine, name, read=read)
        head = printable(f"{name}  {machine.slug}")
        if old is not None and replace(old, path=new.path) == new:
            return f"{head}  (the same)"
        if machine not in priors:
            priors[machine] = suite_priors(suite(chosen.folder, machine, read=read))
        case = cases.get(name)
        # A case that is gone, or lies elsewhere, gates what a case gates that says nothing of its metrics.
        result = review(
            new,
            old,
            MetricChoice() if case is None else case.metrics,
            looks=(LaunchPlan() if case is None else case.launches).looks,
            location=Location(path=str(path), line=1, column=1) if case is None else case.location,
            priors=priors[machine],
        )
        return f"{head}{'  (new)' if old is None else ''}\n{renewal(result)}\n"

    shown = [_told(compared, path) for path in paths]
    for text in shown:
        if text is not None:
            print(text)
    return GOOD if None not in shown else MISTAKES


def _check(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.baselines import check, every
    from pytest_sgdiff.reports import flaw_text
    from pytest_sgdiff.reports.numbers import plural

    if not chosen.folder.is_dir():
        raise _usage(f"baselines check: there is no folder {chosen.folder}: name that of the baselines with --folder")
    found = check(chosen.folder, all_cases("baselines check", chosen.cases), assets=_hashes(chosen.assets))
    for flaw in found:
        print(printable(flaw_text.line(flaw)))
    errors, warnings = (sum(flaw.level == level for flaw in found) for level in ("error", "warning"))
    if not errors:
        warned = f", {plural(warnings, 'warning')}" if warnings else ""
        print(f"{plural(len(list(every(chosen.folder))), 'baseline')}, nothing wrong{warned}")
    return FOUND if errors or (warnings and chosen.strict) else GOOD


def _hashes(folder: Path | None) -> Callable[[Case], Mapping[str, str]]:
    """The hashes of a case's input files, as far as they are in the folder."""
    from pytest_sgdiff.cases.assets import asset_hashes

    def of(case: Case) -> Mapping[str, str]:
        there = {flag: folder / name for flag, name in case.assets.items()} if folder is not None else {}
        return asset_hashes({flag: path for flag, path in there.items() if path.is_file()})

    return of


def _apply(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.baselines import apply, every, load, profiles

    # All are read before any is written: a corrupt candidate leaves the tree as it was.
    folder = _candidates(chosen.what)
    read = [_told(partial(load, below=folder), path) for path in every(folder)]
    if not read:
        raise _usage(f"baselines apply: no candidates below {chosen.what}")
    candidates = [candidate for candidate in read if candidate is not None]
    if len(candidates) < len(read):
        print("sgdiff: baselines apply: nothing was changed", file=sys.stderr)
        return MISTAKES
    for path, candidate in zip(apply(chosen.folder, candidates), candidates, strict=True):
        print(path)
        profiles.follow(chosen.folder, candidate, folder=folder)
    return GOOD


def _candidates(folder: str) -> Path:
    """The folder itself, or `baselines/` in the `--sgdiff-out` folder of a run."""
    from pytest_sgdiff.files.data_files import names

    inner = Path(folder) / "baselines"
    # Names are read to have a link refused.
    return inner if inner.is_dir() and names(inner, below=Path(folder)) else Path(folder)
