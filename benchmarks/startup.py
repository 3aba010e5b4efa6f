"""What an installed but unused plugin adds to a pytest run, beside pytest-xdist, -benchmark and -codspeed.

    python benchmarks/startup.py [--rounds N] [--json]

One pytest run of one empty test is timed with all four plugins blocked, and with all but one of them blocked. The
five kinds of run take turns, each round in another order, and each plugin's figure is the median over the rounds of
its run minus the blocked run of the same round: a machine that slows down for a while slows both. Wall time is what
people wait for; CPU time (user and system) is what is left when other work shares the machine.

Every run imports byte code that an earlier one has compiled, as an installed plugin's is. It lies in a private folder
(PYTHONPYCACHEPREFIX), also where PYTHONDONTWRITEBYTECODE is set, which would measure the compiler.

Exits 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PLUGINS: Mapping[str, tuple[str, ...]] = {
    # Distribution -> the entry points that load it, as `-p no:` takes them.
    "pytest-sgdiff": ("sgdiff",),
    "pytest-xdist": ("xdist", "xdist.looponfail"),
    "pytest-benchmark": ("benchmark",),
    "pytest-codspeed": ("codspeed",),
}
OURS = "pytest-sgdiff"
CACHE = ".bytecode"
"""The folder of the byte code; pytest collects nothing in one whose name begins with a dot."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one pytest process took."""

    wall_ms: float
    cpu_ms: float


def settings(variables: Mapping[str, str], cache: pathlib.Path) -> dict[str, str]:
    """The environment of a run: without settings of pytest, and with byte code kept in `cache`."""
    kept = {name: value for name, value in variables.items() if not name.startswith("PYTEST_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, "PYTHONPYCACHEPREFIX": str(cache)}


def timed(loaded: str | None, folder: pathlib.Path, others: Sequence[str]) -> Cost:
    """Run pytest once with at most one of the plugins, in a folder that holds one empty test and the byte code."""
    blocked = [name for plugin, names in PLUGINS.items() if plugin != loaded for name in names]
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    argv += [word for name in (*blocked, *others) for word in ("-p", f"no:{name}")]
    environment = settings(os.environ, folder / CACHE)
    began = time.perf_counter()
    process = subprocess.Popen(argv, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    # Not Popen.wait(): only wait4 tells what this one child used.
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"pytest exited {process.returncode} with {loaded or 'no plugin'}: {' '.join(argv)}")
    return Cost(wall_ms=1000 * wall, cpu_ms=1000 * (used.ru_utime + used.ru_stime))


def measure(rounds: int) -> dict[str, Cost]:
    """Median cost that each plugin adds, over interleaved rounds; `""` is the run without any of them."""
    installed = {entry.name for entry in importlib.metadata.entry_points(group="pytest11")}
    compared = {name for names in PLUGINS.values() for name in names}
    if missing := compared - installed:
        raise SystemExit(f"not installed here: {', '.join(sorted(missing))}; `make test` makes the environment")
    # Whatever else this environment has is blocked in every run, since it only adds noise.
    others = sorted(installed - compared)
    kinds: list[str | None] = [None, *PLUGINS]
    costs: dict[str | None, list[Cost]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        (folder / "test_one.py").write_text("def test_nothing():\n    pass\n")
        (folder / "pytest.ini").write_text("[pytest]\n")
        for kind in kinds:  # Byte code is compiled and files are cached once, outside the figures.
            timed(kind, folder, others)
        if not any((folder / CACHE).rglob("pytest_sgdiff/plugin/__init__.*.pyc")):
            raise SystemExit(f"no byte code was kept in {folder / CACHE}: the figures would be of the compiler")
        for turn in range(rounds):
            shift = turn % len(kinds)
            for kind in kinds[shift:] + kinds[:shift]:
                costs[kind].append(timed(kind, folder, others))

    def added(kind: str, what: str) -> float:
        pairs = zip(costs[kind], costs[None], strict=True)
        return float(statistics.median(getattr(run, what) - getattr(bare, what) for run, bare in pairs))

    bare = Cost(
        wall_ms=statistics.median(cost.wall_ms for cost in costs[None]),
        cpu_ms=statistics.median(cost.cpu_ms for cost in costs[None]),
    )
    return {"": bare} | {kind: Cost(wall_ms=added(kind, "wall_ms"), cpu_ms=added(kind, "cpu_ms")) for kind in PLUGINS}


def rows(found: Mapping[str, Cost]) -> list[dict[str, object]]:
    """The claims: no more than pytest-xdist adds, in wall and in CPU time; the other two for comparison."""
    claims: list[dict[str, object]] = []
    for what, words in (("wall_ms", "wall time"), ("cpu_ms", "CPU time")):
        ours = getattr(found[OURS], what)
        for peer in ("pytest-xdist", "pytest-benchmark", "pytest-codspeed"):
            theirs = getattr(found[peer], what)
            claims.append(
                {
                    "name": f"start-up, {words} added to a one-test run (ms), against {peer}",
                    "ours": round(ours, 2),
                    "peer": round(theirs, 2),
                    "goal": f"no more than {peer}",
                    "met": ours <= theirs,
                }
            )
    return claims


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and say by the exit code whether every goal was met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=31, help="interleaved rounds of five pytest runs (default 31)")
    parser.add_argument("--json", action="store_true", help="print rows {name, ours, peer, goal, met} instead")
    options = parser.parse_args(arguments)
    found = measure(options.rounds)
    claims = rows(found)
    if options.json:
        print(json.dumps(claims, indent=1))
    else:
        print(
            f"one-test pytest run without any of them: {found[''].wall_ms:.0f} ms wall, {found[''].cpu_ms:.0f} ms CPU"
        )
        print("imports are of byte code that was compiled before, as of an installed plugin")
        print(f"{'added by':18} {'wall ms':>8} {'CPU ms':>8}   (medians of {options.rounds} interleaved rounds)")
        for plugin in PLUGINS:
            print(f"{plugin:18} {found[plugin].wall_ms:8.1f} {found[plugin].cpu_ms:8.1f}")
        for claim in claims:
            print(f"{'met   ' if claim['met'] else 'MISSED'} {claim['name']}: {claim['ours']} / {claim['peer']}")
    return 0 if all(claim["met"] for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
