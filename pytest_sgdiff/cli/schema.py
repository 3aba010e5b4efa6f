"""`sgdiff schema`: the JSON Schema of case files, for editors."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

from pytest_sgdiff.cli.output import PrintableOutput
from pytest_sgdiff.cli.protocol import GOOD, Subparsers, read
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files import data_files

PLACE = Path("cases/case.schema.json")
"""Beside the case files, as `sgdiff init` writes it."""


def add(commands: Subparsers) -> None:
    """Add the command `schema`."""
    parser = commands.add_parser(
        "schema",
        help="print or write the JSON Schema of case files, for editors",
        description="Prints the JSON Schema of case files. It knows every key, the marks, the metrics, and every flag "
        "of the engine with its type and meaning. With --write it writes the schema to a file. Either way it prints "
        "the line that names the schema to editors: put it first in a case file. An editor with yaml-language-server, "
        "such as VS Code with the YAML extension, then completes keys and flags, and marks mistakes.",
        epilog="examples:\n  sgdiff schema --write\n  sgdiff schema > case.schema.json\n",
    )
    parser.add_argument(
        "--write",
        type=Path,
        nargs="?",
        const=PLACE,
        metavar="FILE",
        help=f"write it to FILE (without FILE: {PLACE}); a schema of an earlier version is replaced",
    )
    parser.set_defaults(run=_schema)


def _schema(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.cases import json_schema
    from pytest_sgdiff.cases.recipes import SCHEMA_LINE

    text = read(json_schema.FILE)
    file: Path = PLACE if chosen.write is None else chosen.write
    line = f"{SCHEMA_LINE}{os.path.relpath(file, PLACE.parent)}"
    if chosen.write is None:
        if isinstance(sys.stdout, PrintableOutput):
            sys.stdout.write_ours(text)
        # Whoever sends the schema into a file has none of this in it.
        print(f"first line of a case file in {PLACE.parent}/, for the schema in {PLACE}:\n{line}", file=sys.stderr)
        return GOOD
    _write(file, text)
    print(f"wrote {file}\nfirst line of a case file in {PLACE.parent}/:\n{line}")
    return GOOD


def _write(file: Path, text: str) -> None:
    """Write the schema, over another one of ours and over nothing else."""
    from pytest_sgdiff.cases.json_schema import TITLE

    if file.exists():
        try:
            old = json.loads(read(file))
        except (ValueError, RecursionError):
            old = None
        if not isinstance(old, dict) or old.get("title") != TITLE:
            raise OptionError(f"schema: {file} is there and is no schema of case files: name another file")
    try:
        data_files.overwrite(Path(os.path.realpath(file)), text)
    except OSError as error:
        raise OptionError(f"schema: {file} cannot be written: {error.strerror or error}") from None
