"""`sgdiff bisect`: the commit that made the engine slower."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff.cli.protocol import FOUND, GOOD, Subparsers, as_json

if TYPE_CHECKING:
    from pytest_sgdiff.bisect.repository import Repository
    from pytest_sgdiff.bisect.workshop import Plan
    from pytest_sgdiff.data import Bisected, BisectStep

INTERRUPTED = 130
POLL_S = 0.2
ENGINE = "{worktree}/.venv/bin/sglang"
FORMATS = ("text", "json")

EPILOG = """\
exit codes:
  0    the commit is found
  1    it is not: the bad commit is not slower, the pairs cannot tell, only commits are left that do not run, or the
       comparison with the parent does not confirm it
  2    the command is wrong, or pytest could not compare two engines
  130  interrupted; the same command goes on where it was

examples:
  sgdiff bisect --good v0.5.16 --bad main --case wan22_t2v --repo ../sglang --setup ./build-venv.sh
  sgdiff bisect --good HEAD~40 --bad HEAD --case tiny --setup make --engine-cmd '{worktree}/build/engine'
  sgdiff bisect --good a1b2c3 --bad d4e5f6 --case tiny --allow 1% -- --sgdiff-assets=assets
"""


def add(commands: Subparsers) -> None:
    """Add the command `bisect`."""
    parser = commands.add_parser(
        "bisect",
        help="find the commit that made the engine slower",
        description="Compares commits of the engine with the good one, pair by pair on the same GPUs, until the first "
        "slower one is known. Each is checked out and built in a worktree of its own, which is removed at the end. "
        "What does not build, does not run or cannot be told is skipped. First the bad commit must prove to be slower.",
        epilog=EPILOG,
    )
    parser.add_argument(
        "--good", required=True, metavar="REV", help="a commit that is fast, an ancestor of the bad one"
    )
    parser.add_argument("--bad", required=True, metavar="REV", help="a commit that is slow")
    parser.add_argument("--case", required=True, metavar="ID", help="the case to judge by, or its pytest node id")
    parser.add_argument(
        "--repo", type=Path, default=Path(), metavar="PATH", help="the engine's git checkout (default: here)"
    )
    parser.add_argument("--setup", default="", metavar="CMD", help="build the engine with this, run in the worktree")
    parser.add_argument(
        "--setup-timeout", type=float, default=7200.0, metavar="SECONDS", help="skip what builds for longer (7200)"
    )
    parser.add_argument(
        "--clean", action="store_true", help="remove also what git ignores before each setup: slower, and nothing stale"
    )
    parser.add_argument(
        "--engine-cmd",
        default=ENGINE,
        metavar="CMD",
        help="the engine to launch, {worktree} is where it was built (default: {worktree}/.venv/bin/sglang)",
    )
    parser.add_argument("--gpus", metavar="SPEC", help="as --sgdiff-gpus (default: as many as the case needs)")
    parser.add_argument(
        "--allow", metavar="PERCENT", help="the smallest slowdown that counts, such as 1%% (default: that of the case)"
    )
    parser.add_argument("--first-parent", action="store_true", help="of a merge judge only the merge itself")
    parser.add_argument("--restart", action="store_true", help="forget what an earlier such command has found out")
    parser.add_argument("--format", choices=FORMATS, default="text", help="print the result in this form")
    parser.add_argument("arguments", nargs="*", metavar="ARGUMENT", help="more arguments of pytest, after --")
    parser.set_defaults(run=_bisect)


def _bisect(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.bisect.repository import repository
    from pytest_sgdiff.errors import SgdiffError

    commits = repository("--repo", chosen.repo.resolve(), first_parent=chosen.first_parent)
    good, bad = commits.commit("--good", chosen.good), commits.commit("--bad", chosen.bad)
    commits.check_order(good, bad)
    plan = _plan(chosen)
    try:
        end = _run(chosen, commits, plan, good, bad)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SgdiffError(f"sgdiff bisect: {error.filename or 'a file'}: {error.strerror or error}") from None
    except KeyboardInterrupt:
        print("sgdiff bisect: interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return _show(chosen, end)


def _run(chosen: argparse.Namespace, commits: Repository, plan: Plan, good: str, bad: str) -> Bisected:
    from pytest_sgdiff.bisect.book import NAME, Book
    from pytest_sgdiff.bisect.search import Search
    from pytest_sgdiff.bisect.workshop import Workshop
    from pytest_sgdiff.files import data_files
    from pytest_sgdiff.files.run_folders import IGNORE, PARENT
    from pytest_sgdiff.launch.signals import as_ctrl_c
    from pytest_sgdiff.redact import Redaction

    options = _options(chosen, commits, good, bad)
    digest = hashlib.sha256(json.dumps(options, sort_keys=True).encode()).hexdigest()[:8]
    here = Path.cwd()
    parent = here / PARENT / "bisect"
    folder = parent / f"{data_files.file_name(chosen.case)[:80]}-{good[:8]}-{bad[:8]}-{digest}"
    data_files.make_folder(folder, below=here)
    data_files.write(parent / ".gitignore", IGNORE, below=here)
    lock = _lock(folder)
    try:
        if chosen.restart:
            data_files.remove(folder / NAME, below=folder)
        hide = Redaction(os.environ).text
        book = Book(folder, {name: hide(value) for name, value in options.items()})
        workshop = Workshop(commits, plan, folder, inherits=(lock,))
        search = Search(
            commits,
            workshop,
            book,
            case=chosen.case,
            good=good,
            bad=bad,
            say=_say,
            folder=os.path.relpath(folder, here),
        )
        with as_ctrl_c():
            try:
                workshop.close()
                return search.run()
            finally:
                workshop.close()
    finally:
        os.close(lock)


def _lock(folder: Path) -> int:
    """The descriptor that holds the folder. What a killed command started holds it, too, until it has ended its
    engines. Raises OptionError if somebody else is at work there."""
    from pytest_sgdiff.errors import OptionError
    from pytest_sgdiff.files.run_folders import hold
    from pytest_sgdiff.launch.child import GRACE_S

    limit = time.monotonic() + GRACE_S
    while (lock := hold(folder, shared=False)) is None:
        if time.monotonic() >= limit:
            raise OptionError(f"{folder}: another such command is at work there: wait until it ends")
        time.sleep(POLL_S)
    return lock


def _options(chosen: argparse.Namespace, commits: Repository, good: str, bad: str) -> dict[str, str]:
    """What a bisection is of: with other options it is another one, of which nothing is known yet."""
    words = ("case", "setup", "engine_cmd", "gpus", "allow", "clean", "first_parent", "arguments")
    told = {name: str(getattr(chosen, name)) for name in words}
    return {"repo": str(commits.top), "good": good, "bad": bad, **told}


def _plan(chosen: argparse.Namespace) -> Plan:
    """Raises SgdiffError for what cannot be meant."""
    from pytest_sgdiff.bisect.workshop import WORKTREE, Plan
    from pytest_sgdiff.cli.case_files import all_cases
    from pytest_sgdiff.errors import OptionError

    try:
        engine = tuple(shlex.split(chosen.engine_cmd))
    except ValueError as error:
        raise OptionError(f"--engine-cmd {chosen.engine_cmd}: {str(error).lower()}") from None
    if not any(WORKTREE in word for word in engine):
        raise OptionError(
            f"--engine-cmd {chosen.engine_cmd}: names no {WORKTREE}: every commit would be measured with one engine"
        )
    if not 0 < chosen.setup_timeout < float("inf"):
        raise OptionError(f"--setup-timeout {chosen.setup_timeout:g}: must be a number of seconds above 0")
    test, gpus = chosen.case, chosen.gpus
    if "::" not in test:
        cases = all_cases("sgdiff bisect")
        if (case := cases.get(test)) is None:
            from difflib import get_close_matches

            near = get_close_matches(test, sorted(cases), n=1)
            raise OptionError(f"--case {test}: no such case" + (f", did you mean {near[0]}?" if near else ""))
        test, gpus = case.node_id, gpus or str(case.gpus or "none")
    return Plan(
        setup=chosen.setup,
        setup_timeout_s=chosen.setup_timeout,
        engine_cmd=engine,
        test=test,
        gpus=gpus or "auto",
        cwd=Path.cwd(),
        allow=_fraction(chosen.allow),
        clean=chosen.clean,
        arguments=tuple(chosen.arguments),
    )


def _fraction(text: str | None) -> float | None:
    from pytest_sgdiff.errors import OptionError

    if text is None:
        return None
    try:
        value = float(text.removesuffix("%").strip()) / 100
    except ValueError:
        value = -1.0
    if not text.endswith("%") or not 0 < value < 1:
        raise OptionError(f"--allow {text}: must be a percentage above 0 % and below 100 %, such as 1%")
    return value


def _say(step: BisectStep) -> None:
    from pytest_sgdiff.reports import bisect_text

    # Whoever reads the JSON gets nothing else on standard output.
    print(bisect_text.step(step), file=sys.stderr, flush=True)


def _show(chosen: argparse.Namespace, end: Bisected) -> int:
    from pytest_sgdiff.files.wire import to_plain
    from pytest_sgdiff.reports import bisect_text

    print(as_json(to_plain(end)) if chosen.format == "json" else "\n".join(bisect_text.summary(end)))
    return GOOD if end.code == "found" else FOUND
