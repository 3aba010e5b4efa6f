"""The `sgdiff` command: look into dumps, check case files, apply the rule to plain numbers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_sgdiff import __version__
from pytest_sgdiff.errors import SgdiffError

MISTAKES = 2
"""Exit code for input that is wrong, and for things that cannot be compared."""

EXAMPLES = """\
examples:
  sgdiff cases                                  every case below cases/, with its GPUs and marks
  sgdiff cases --check cases/wan22.yaml         every mistake in a case file, as file:line:column
  sgdiff inspect --dump perf.json --log run.log what really ran: backend, warmup, stages
  sgdiff judge numbers.json --json              the decision rule on plain numbers

measuring is pytest's work:
  pytest --sgdiff-gpus=4 -m nightly             launch, prove the native backend, judge against the baselines
  pytest --sgdiff-gpus=4 --sgdiff-update        record fresh launches as baselines
  pytest --sgdiff-replay=DIR                    judge launches recorded elsewhere; needs no GPU
  pytest --sgdiff-dry-run -m nightly            print the command lines
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 good, 1 a problem found, 2 wrong input."""
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
        # The reader of a pipe (head, less) went away: nobody is left to tell.
        sys.stderr.close()
        return 0


def build_parser() -> argparse.ArgumentParser:
    """The whole command line; its help is what documents it."""
    parser = argparse.ArgumentParser(
        prog="sgdiff",
        description="Tells whether SGLang Diffusion got slower.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"pytest-sgdiff {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_inspect(commands)
    _add_cases(commands)
    _add_judge(commands)
    return parser


def _add_inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "inspect",
        help="what really ran in a launch: backend, pipeline, warmup, metrics, problems",
        description="Reads a perf dump and the engine's log and says what really ran. Exit 1 if anything is wrong "
        "with the launch: a silent fallback to diffusers, a failed request, a torn dump.",
    )
    parser.add_argument("--dump", type=Path, metavar="FILE", help="the perf dump (--perf-dump-path of the engine)")
    parser.add_argument("--log", type=Path, metavar="FILE", action="append", default=[], help="a log; repeatable")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_inspect)


def _inspect(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.engines.sglang_generate import inspect

    if chosen.dump is None and not chosen.log:
        print("sgdiff inspect: give --dump FILE, --log FILE, or both", file=sys.stderr)
        return MISTAKES
    dump = None if chosen.dump is None else _read(chosen.dump)
    found = inspect(dump, "\n".join(_read(path) for path in chosen.log))
    if chosen.json:
        print(json.dumps(found, indent=2, allow_nan=False))
    else:
        print(_inspection(found))
    return 1 if found["problems"] else 0


def _inspection(found: dict[str, object]) -> str:
    lines = [f"{name:12}{found[name] or 'unknown'}" for name in ("backend", "pipeline", "warmup", "generation", "tag")]
    metrics = found["metrics"]
    if isinstance(metrics, dict) and metrics:
        from pytest_sgdiff.metrics import unit

        width = max(map(len, metrics))
        lines += ["", *(f"  {name:{width}}  {value:12.3f} {unit(name)}" for name, value in metrics.items())]
    problems = found["problems"]
    if isinstance(problems, (list, tuple)) and problems:
        lines += ["", "problems:", *(f"  {problem}" for problem in problems)]
    return "\n".join(lines)


def _add_cases(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "cases",
        help="list the cases of case files, or check the files",
        description="Lists cases. With --check, prints every mistake of the files as file:line:column: message and "
        "exits with 2 if there is one.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="case files (default: cases/*.yaml)")
    parser.add_argument("--check", action="store_true", help="check the files only")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_cases)


def _cases(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.casefile import check_files, read_cases
    from pytest_sgdiff.wire import to_plain

    here = Path.cwd()
    files = chosen.files or sorted([*here.glob("cases/*.yaml"), *here.glob("cases/*.yml")])
    if not files:
        print("sgdiff cases: no case files below cases/; name some", file=sys.stderr)
        return MISTAKES
    mistakes = check_files(files, here)
    if mistakes:
        print("\n".join(mistakes))
        return MISTAKES
    cases = [case for file in files for case in read_cases(file, here)]
    if chosen.check:
        print(f"{len(cases)} cases in {len(files)} files, no mistakes")
    elif chosen.json:
        print(json.dumps([to_plain(case) for case in cases], indent=2))
    else:
        width = max((len(case.node_id) for case in cases), default=0)
        for case in cases:
            gpus = f"{case.gpus} GPU{'s' if case.gpus != 1 else ''}"
            print(f"{case.node_id:{width}}  {gpus:7}  {','.join(case.marks) or '-':20}  {case.summary}")
    return 0


def _add_judge(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "judge",
        help="apply the decision rule to plain numbers",
        description="Reads a JSON list of {id, metric_class: primary|stage|memory, unit, same_node, baseline: [...], "
        "candidate: [...]}, one value per launch, and prints a verdict for each. Exit 1 if anything regressed.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="the JSON file, '-' for standard input")
    parser.add_argument("--json", action="store_true", help="print JSON: {id, verdict, why, ratio, low, high} each")
    parser.set_defaults(run=_judge)


def _judge(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.judge import apply_plain

    text = sys.stdin.read() if str(chosen.file) == "-" else _read(chosen.file)
    try:
        rows = apply_plain(json.loads(text))
    except ValueError as error:
        print(f"sgdiff judge: {chosen.file}: {error}", file=sys.stderr)
        return MISTAKES
    if chosen.json:
        print(json.dumps(rows, indent=2, allow_nan=False))
    else:
        width = max((len(str(row["id"])) for row in rows), default=0)
        for row in rows:
            print(f"{row['id']!s:{width}}  {row['verdict']:12}  {row['why']}")
    return 1 if any(row["verdict"] == "regressed" for row in rows) else 0


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise SgdiffError(f"{path}: {error.strerror}") from None
