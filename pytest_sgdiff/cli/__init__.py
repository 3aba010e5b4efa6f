"""The `sgdiff` command: look into dumps, check case files, apply the rule to plain numbers."""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import sys
import traceback
from collections.abc import Mapping, Sequence

from pytest_sgdiff import __version__
from pytest_sgdiff.cli import (
    baselines,
    bisect,
    cases,
    compare,
    gpus,
    init,
    inspect,
    judge,
    merge,
    profile,
    schema,
    trend,
    tune,
    upstream,
)
from pytest_sgdiff.cli.output import PrintableOutput
from pytest_sgdiff.cli.protocol import CRASHED, MISTAKES, Add, Listed
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.redact import Redaction

COMMANDS: Mapping[str, tuple[Add, ...]] = {
    "set up and check": (init.add, schema.add, cases.add),
    "look at launches and verdicts": (
        inspect.add,
        compare.add,
        profile.add,
        judge.add,
        trend.add,
        merge.add,
        bisect.add,
        tune.add,
    ),
    "keep baselines": (baselines.add, upstream.add_import, upstream.add_export),
    "share the machine": (gpus.add,),
}
"""By the title under which the help lists them, and in its order."""

EXAMPLES = """\
examples:
  sgdiff init --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers --gpus 1   a first case, settings, a workflow
  sgdiff cases --check                                            every mistake in the case files, with its place
  sgdiff inspect .sgdiff/RUN/CASE                                 what really ran in each launch
  sgdiff inspect --dump perf.json --log run.log                   the same of a dump and a log that lie anywhere
  sgdiff COMMAND --help                                           each command has examples of its own

pytest measures (`pytest --help` has the options):
  pytest --sgdiff-gpus=4 -m nightly        launch, prove the native backend, judge against the baselines
  pytest --sgdiff-gpus=4 --sgdiff-update   record fresh launches as baselines
  pytest --sgdiff-replay=DIR               judge launches recorded elsewhere, without a GPU
  pytest --sgdiff-dry-run -m nightly       print the command lines
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 good, 1 a problem found, 2 wrong input, 3 a fault of this
    program."""
    for stream in (sys.stdout, sys.stderr):
        # Names and summaries are people's: where a terminal has no such letters, escapes are better than a traceback.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # Recordings and baselines of others may hold what theirs did not take out.
    hide = Redaction(os.environ).text
    try:
        with (
            contextlib.closing(PrintableOutput(sys.stdout, hide)) as out,
            contextlib.closing(PrintableOutput(sys.stderr, hide)) as err,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            return _run(arguments)
    except BrokenPipeError:
        # The reader of a pipe (head, less) went away: nobody is left to tell.
        sys.stderr.close()
        return 0


def _run(arguments: Sequence[str] | None) -> int:
    parser = build_parser()
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help()
        return MISTAKES
    try:
        return int(chosen.run(chosen))
    except SgdiffError as error:
        print(f"sgdiff: {error}", file=sys.stderr)
        return MISTAKES
    except BrokenPipeError:
        raise
    except Exception:
        # Python would exit with 1, which says that a problem was found in what was read.
        traceback.print_exc()
        return CRASHED


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; its help is what documents it."""
    parser = argparse.ArgumentParser(
        prog="sgdiff",
        description="Reports whether SGLang Diffusion got slower.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pytest-sgdiff {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", help="one of those below", prog="sgdiff")
    groups = {title: Listed(commands) for title in COMMANDS}
    for title, adds in COMMANDS.items():
        for add in adds:
            add(groups[title])
    width = max(len(name) for group in groups.values() for name, _ in group.lines)
    listed = "\n\n".join(f"{title}:\n{group.listing(width)}" for title, group in groups.items())
    parser.epilog = f"{listed}\n\n{EXAMPLES}"
    return parser
