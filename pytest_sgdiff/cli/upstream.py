"""`sgdiff import` and `sgdiff export`: SGLang's own baseline files in and out."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_sgdiff.cli.case_files import all_cases
from pytest_sgdiff.cli.protocol import BASELINES, FOUND, GOOD, Subparsers, as_json, folder_of_baselines, read
from pytest_sgdiff.printable import printable


def add_import(commands: Subparsers) -> None:
    """Add the command `import`."""
    parser = commands.add_parser(
        "import",
        help="make reference baselines of SGLang's perf_baselines files and of published numbers",
        description="Reads a file of SGLang's perf_baselines (any version) and writes reference baselines. A baseline "
        "gets the name of the case with equal model, GPUs, sizes, steps and parallel flags, or else "
        "upstream.<scenario>. Zero or null values are dropped and named. Without FILE, imports the published numbers "
        "that this version knows. A recorded baseline is never replaced. Exit 1 if nothing was imported.",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE")
    parser.add_argument("--folder", type=Path, default=BASELINES, metavar="DIR", help="default: baselines")
    parser.add_argument("--source", metavar="TEXT", help="where the file comes from (default: its name)")
    parser.add_argument("--engine", metavar="VERSION", help="the sglang version that gave the numbers")
    parser.add_argument("--gpus", type=int, metavar="N", help="for scenarios that do not state their number of GPUs")
    parser.set_defaults(run=_import)


def add_export(commands: Subparsers) -> None:
    """Add the command `export`."""
    parser = commands.add_parser(
        "export",
        help="write baselines in the form of SGLang's perf_baselines files",
        description="Prints the baselines of all machines with one GPU product as a file of SGLang's perf_baselines: "
        "medians over the launches, without values that were not measured.",
    )
    parser.add_argument("product", metavar="PRODUCT", help="for example 'NVIDIA H200', or a machine folder's name")
    parser.add_argument("--folder", type=Path, default=BASELINES, metavar="DIR", help="default: baselines")
    parser.set_defaults(run=_export)


def _import(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff import baselines
    from pytest_sgdiff.errors import OptionError, WireError
    from pytest_sgdiff.files import json_text
    from pytest_sgdiff.upstream.import_baselines import import_upstream
    from pytest_sgdiff.upstream.published import published_references

    folder = folder_of_baselines(chosen.folder)
    cases = list(all_cases("import", needed=False).values())
    missed: tuple[str, ...] = ()
    if chosen.file is None:
        found, report = published_references(cases)
        total = len(found)
    else:
        try:
            document = json_text.read(read(chosen.file))
        except json_text.JsonTextError as error:
            raise OptionError(f"{chosen.file}:{error.line}: {error}") from None
        try:
            found, report, missed = import_upstream(
                document.value,
                cases,
                source=chosen.source or chosen.file.name,
                engine_version=chosen.engine,
                default_gpus=chosen.gpus,
            )
        except WireError as error:
            raise OptionError(f"{chosen.file}:{document.line(error.path)}: {error}") from None
        total = len(document.value["scenarios"])
    written = 0
    for reference in found:
        measurement = reference.measurement
        old = baselines.find(folder, measurement.machine, measurement.case)
        if old is not None and old.kind == "recorded":
            report += (f"{old.path}: kept: recorded launches are better evidence than a reference",)
            continue
        print(baselines.save(folder, reference))
        written += 1
    if kept := len(found) - written:
        missed += (f"{kept} kept as recorded",)
    print("\n".join([*map(printable, report), ", ".join([f"{written} of {total} imported", *missed])]))
    return GOOD if written else FOUND


def _export(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.baselines import every, load
    from pytest_sgdiff.errors import OptionError
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
    print(as_json(export_upstream(chosen_ones), indent=4))
    return GOOD
