"""`sgdiff inspect`: what really ran in a launch."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pytest_sgdiff.cli.protocol import FOUND, GOOD, MISTAKES, Subparsers, read


def add(commands: Subparsers) -> None:
    """Add the command `inspect`."""
    parser = commands.add_parser(
        "inspect",
        help="what really ran in a launch: backend, pipeline, warmup, metrics, problems",
        description="Reads a perf dump and the engine's log and says what really ran. Exit 1 if anything is wrong "
        "with the launch: a silent fallback to diffusers, a failed request, a torn dump, a log that does "
        "not prove the backend.",
    )
    parser.add_argument("--dump", type=Path, metavar="FILE", help="the perf dump (--perf-dump-path of the engine)")
    parser.add_argument("--log", type=Path, metavar="FILE", action="append", default=[], help="a log; repeatable")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_inspect)


def _inspect(chosen: argparse.Namespace) -> int:
    from pytest_sgdiff.engines.inspection import inspect

    if chosen.dump is None and not chosen.log:
        print("sgdiff inspect: give --dump FILE, --log FILE, or both", file=sys.stderr)
        return MISTAKES
    dump = None if chosen.dump is None else read(chosen.dump)
    found = inspect(dump, "\n".join(read(path) for path in chosen.log) if chosen.log else None)
    if chosen.json:
        print(json.dumps(found, indent=2, allow_nan=False))
    else:
        print(_inspection(found))
    return FOUND if found["problems"] else GOOD


def _inspection(found: dict[str, object]) -> str:
    lines = [f"{name:12}{found[name] or 'unknown'}" for name in ("backend", "pipeline", "warmup", "generation", "tag")]
    metrics = found["metrics"]
    if isinstance(metrics, dict) and metrics:
        from pytest_sgdiff.figures import fixed
        from pytest_sgdiff.metrics import unit

        width = max(map(len, metrics))
        lines += ["", *(f"  {name:{width}}  {fixed(value, 3):>12} {unit(name)}" for name, value in metrics.items())]
    problems = found["problems"]
    if isinstance(problems, (list, tuple)) and problems:
        lines += ["", "problems:", *(f"  {problem}" for problem in problems)]
    return "\n".join(lines)
