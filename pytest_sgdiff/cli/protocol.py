"""What every command of `sgdiff` offers, and what they share: exit codes and reading a file."""

from __future__ import annotations

import argparse
import json
import textwrap
from pathlib import Path
from typing import Any, Protocol

from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.files.data_files import DOCUMENT_LIMIT, leads_out, read_named
from pytest_sgdiff.printable import printable_json

BASELINES = Path("baselines")
"""The folder of baselines, unless another is named."""
GOOD = 0
FOUND = 1
"""Something is wrong with what was looked at: a regression, a launch that does not count."""
MISTAKES = 2
"""The input is wrong, or things cannot be compared."""
CRASHED = 3
"""A fault of this program, which says nothing of what was looked at."""


class Subparsers(Protocol):
    """Where a command adds itself."""

    def add_parser(
        self,
        name: str,
        *,
        help: str,  # noqa: A002
        description: str,
        epilog: str = "",
    ) -> argparse.ArgumentParser: ...


class Makes(Protocol):
    """What argparse gives for commands, whose own type is private."""

    def add_parser(self, name: str, **options: Any) -> argparse.ArgumentParser: ...


class Listed:
    """Commands of one group, which the help of their parent lists under the group's title: argparse lists all in one.
    Each shows its epilog, which holds examples, as it is written."""

    def __init__(self, commands: Makes) -> None:
        self._commands = commands
        self.lines: list[tuple[str, str]] = []

    def add_parser(
        self,
        name: str,
        *,
        help: str,  # noqa: A002
        description: str,
        epilog: str = "",
    ) -> argparse.ArgumentParser:
        """Add a command. Without `help` argparse does not list it itself."""
        self.lines.append((name, help))
        return self._commands.add_parser(
            name,
            description=textwrap.fill(description, 100),
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def listing(self, width: int) -> str:
        """The commands, a line each."""
        return "\n".join(f"  {name:{width}}  {meaning}" for name, meaning in self.lines)


class Add(Protocol):
    """Adds one command to the command line: its options, and `run=` as its default."""

    def __call__(self, commands: Subparsers) -> None: ...


def as_json(value: object, *, indent: int = 2) -> str:
    """A JSON document as it is printed. Raises ValueError for a number that is not finite."""
    return printable_json(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False))


def read(path: Path, *, at_most: int = DOCUMENT_LIMIT) -> str:
    """The text of a file that the user named, of `at_most` bytes.

    Raises:
        SgdiffError: it cannot be read; the message names it.
    """
    return read_named(path, at_most=at_most).decode("utf-8", "replace")


def folder_of_baselines(folder: Path) -> Path:
    """The folder, which may be a link if the user named it.

    Raises:
        SgdiffError: it is the default one, and a link out of the project.
    """
    if folder == BASELINES and (end := leads_out(folder, of=Path())) is not None:
        raise SgdiffError(f"{folder}: is a link to {end}: name that folder with --folder if it is meant")
    return folder
