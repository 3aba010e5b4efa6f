"""`sgdiff import` and `sgdiff export`: SGLang's own baseline files in and out."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff.cli.case_files import all_cases
from pytest_sgdiff.cli.protocol import BASELINES, FOUND, GOOD, Subparsers, as_json, folder_of_baselines, read
from pytest_sgdiff.printable import printable

if TYPE_CHECKING:
    from pytest_sgdiff.data import Baseline
    from pytest_sgdiff.files.json_text import Document
    from pytest_sgdiff.upstream.nightly_results import Nights
    from pytest_sgdiff.upstream.refusals import Refusal


POOL = "sglang-nightly"
"""The machines of nights where nothing says which: upstream's pool of runners."""


IMPORT_EPILOG = """\
examples:
  sgdiff import perf_baselines_h100.json --engine 0.5.17
  sgdiff import comparison-results.json --history nights.db
"""


def add_import(commands: Subparsers) -> None:
    """Add the command `import`."""
    parser = commands.add_parser(
        "import",
        help="make reference baselines of SGLang's perf_baselines files, and histories of its nightly results",
        description="Reads files of SGLang's perf_baselines (any version) and writes reference baselines. A baseline "
        "gets the name of the case with equal model, GPUs, sizes, steps and parallel flags, or else "
        "upstream.<scenario>, and upstream.<scenario>[POOL] for the runner_overrides of a pool of machines. Results of "
        "SGLang's nightly comparison (comparison-results.json, lists of these, tables of nights) are added to a "
        "history, for sgdiff trend. What is left out is named with file, line and key. A recorded baseline is never "
        "replaced. Exit 1 if nothing was imported of a file.",
        epilog=IMPORT_EPILOG,
    )
    parser.add_argument(
        "files", nargs="*", type=Path, metavar="FILE", help="SGLang's files (default: the numbers published so far)"
    )
    parser.add_argument(
        "--folder", type=Path, default=BASELINES, metavar="DIR", help=f"the folder of baselines (default: {BASELINES})"
    )
    parser.add_argument("--source", metavar="TEXT", help="say where the file comes from (default: its name)")
    parser.add_argument("--engine", metavar="VERSION", help="say which sglang version gave the numbers")
    parser.add_argument("--gpus", type=int, metavar="N", help="take N GPUs for scenarios that do not state a number")
    parser.add_argument("--history", type=Path, metavar="FILE", help="add nightly results to this history")
    parser.add_argument(
        "--machine", default=POOL, metavar="NAME", help=f"say what measured the nights (default: {POOL})"
    )
    parser.set_defaults(run=_import)


def add_export(commands: Subparsers) -> None:
    """Add the command `export`."""
    parser = commands.add_parser(
        "export",
        help="write baselines in the form of SGLang's perf_baselines files",
        description="Prints the baselines of all machines with one GPU product as a file of SGLang's perf_baselines: "
        "medians over the launches. SGLang's own loader accepts it (0.5.23): a baseline without e2e or load is left "
        "out, and named on the standard error. Exit 1 if there is no other.",
        epilog="examples:\n  sgdiff export 'NVIDIA H200' > perf_baselines.json\n",
    )
    parser.add_argument("product", metavar="PRODUCT", help="a GPU product such as 'NVIDIA H200', or a machine folder")
    parser.add_argument(
        "--folder", type=Path, default=BASELINES, metavar="DIR", help=f"the folder of baselines (default: {BASELINES})"
    )
    parser.set_defaults(run=_export)


def _import(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.upstream.published import published_references

    if not chosen.files:
        cases = list(all_cases("import", needed=False).values())
        found, remarks = published_references(cases)
        return _write(chosen, found, remarks, (), total=len(found))
    outcomes = [_import_file(chosen, file) for file in chosen.files]
    return GOOD if all(outcome == GOOD for outcome in outcomes) else FOUND


def _import_file(chosen: argparse.Namespace, file: Path) -> int:
    """What one file holds: results of the nightly comparison, or baselines."""
    from pytest_sgdiff.errors import OptionError, WireError
    from pytest_sgdiff.files import json_text
    from pytest_sgdiff.reports.refusal_text import summary
    from pytest_sgdiff.upstream import nightly_results
    from pytest_sgdiff.upstream.import_baselines import import_upstream

    # Spreadsheets put a mark before the first word.
    text = read(file).removeprefix("\ufeff")
    if nightly_results.is_table(text):
        try:
            nights = nightly_results.read_table(text)
        except csv.Error as error:
            raise OptionError(f"{file}: no table that can be read: {error}") from None
        return _append(chosen, file, nights, None)
    try:
        document = json_text.read(text)
    except json_text.JsonTextError as error:
        raise OptionError(f"{file}:{error.line}: {error}") from None
    if nightly_results.is_results(document.value):
        return _append(chosen, file, nightly_results.read_results(document.value), document)
    try:
        imported = import_upstream(
            document.value,
            list(all_cases("import", needed=False).values()),
            source=chosen.source or file.name,
            engine_version=chosen.engine,
            default_gpus=chosen.gpus,
        )
    except WireError as error:
        raise OptionError(f"{file}:{document.line(error.path)}: {error}") from None
    lines = [*_places(file, imported.refusals, document), *imported.remarks]
    return _write(chosen, imported.baselines, lines, summary(imported.refusals), total=imported.total)


def _places(file: Path, refusals: Sequence[Refusal], document: Document | None) -> Iterator[str]:
    """Each refusal with file and line."""
    from pytest_sgdiff.reports.refusal_text import message

    for refusal in refusals:
        line = document.line(refusal.path) if document is not None and refusal.line is None else refusal.line
        yield f"{file}:{line}: {message(refusal)}"


def _append(chosen: argparse.Namespace, file: Path, nights: Nights, document: Document | None) -> int:
    """Nights into the history."""
    from pytest_sgdiff.errors import OptionError
    from pytest_sgdiff.history.store import Figure, append_figures
    from pytest_sgdiff.reports.numbers import plural
    from pytest_sgdiff.reports.refusal_text import summary

    if chosen.history is None:
        raise OptionError(f"{file}: holds results of nights: name the history to add them to with --history FILE")
    figures = [
        Figure(
            run=point.run,
            at=point.at,
            case=point.case,
            machine=chosen.machine,
            workload=point.workload,
            metric=point.metric,
            value=point.value,
            commit=point.commit,
        )
        for point in nights.points
    ]
    if figures:
        append_figures(chosen.history, figures)
    runs, cases = len({one.run for one in figures}), len({one.case for one in figures})
    counts = f"{plural(len(figures), 'figure')} of {plural(cases, 'case')} in {plural(runs, 'night')}"
    told = [f"{counts} added to {chosen.history}"]
    lines = [*_places(file, nights.refusals, document), ", ".join([*told, *summary(nights.refusals)])]
    print("\n".join(map(printable, lines)))
    return GOOD if figures else FOUND


def _write(
    chosen: argparse.Namespace, found: Sequence[Baseline], lines: Iterable[str], missed: Sequence[str], *, total: int
) -> int:
    """References into the folder of baselines."""
    from pytest_sgdiff import baselines

    folder = folder_of_baselines(chosen.folder)
    lines, written = list(lines), 0
    for reference in found:
        measurement = reference.measurement
        old = baselines.find(folder, measurement.machine, measurement.case)
        if old is not None and old.kind == "recorded":
            lines.append(f"{old.path}: kept: recorded launches are better evidence than a reference")
            continue
        print(baselines.save(folder, reference))
        written += 1
    kept = [f"{len(found) - written} kept as recorded"] if len(found) > written else []
    lines.append(", ".join([f"{written} of {total} imported", *missed, *kept]))
    print("\n".join(map(printable, lines)))
    return GOOD if written else FOUND


def _export(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.baselines import every, load
    from pytest_sgdiff.errors import OptionError
    from pytest_sgdiff.reports.refusal_text import message
    from pytest_sgdiff.upstream.export_baselines import export_upstream

    folder = folder_of_baselines(chosen.folder)
    found = [load(path, below=folder) for path in every(folder)]
    machines = {baseline.measurement.machine for baseline in found}
    chosen_ones = [
        baseline
        for baseline in found
        if chosen.product in (baseline.measurement.machine.product, baseline.measurement.machine.slug)
    ]
    if not chosen_ones:
        known = ", ".join(sorted({machine.product for machine in machines})) or "none at all"
        raise OptionError(f"no baseline of '{chosen.product}' below {chosen.folder}; there are some of: {known}")
    exported = export_upstream(chosen_ones)
    for refusal in exported.refusals:
        print(printable(f"{chosen.folder}: {message(refusal)}"), file=sys.stderr)
    if not exported.document["scenarios"]:
        return FOUND
    print(as_json(exported.document, indent=4))
    return GOOD
