"""How many leases a host gives, and how soon all is free again, while workers are killed at random.

    python benchmarks/lease_stress.py [--seconds S] [--json]

Eight workers of two runs on eight faked GPUs ask for one, two, four or eight of them. The peer is naive locking, as
conftest recipes do it: a lock file per GPU, all or nothing, tried again until it works. It has no queue: what it gives
to narrow requests it takes from wide ones, so that the worker with the fewest leases is shown too. That no GPU has two
owners is a test (tests/faults/test_leases_stress.py) and checked here as well.

Exits 1 if a goal is missed. The goals are those of a machine with two idle cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).parents[1] / "tests" / "faults" / "lease_stress.py"


def stressed(seconds: float, *, naive: bool) -> dict[str, Any]:
    work = {"workers": 8, "runs": 2, "seed": 20261124, "limit_s": seconds, "naive": naive}
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, str(PROGRAM), folder, json.dumps(work)]
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    if told["violations"]:
        raise SystemExit(f"{told['violations']} times a GPU had two owners")
    return told


def measure(seconds: float) -> list[dict[str, Any]]:
    ours, peer = stressed(seconds, naive=False), stressed(seconds, naive=True)

    def row(name: str, mine: float, theirs: float, goal: float, *, met: bool) -> dict[str, Any]:
        return {"name": name, "ours": round(mine, 3), "peer": round(theirs, 3), "goal": goal, "met": met}

    rate, other = ours["leases"] / ours["wall_s"], peer["leases"] / peer["wall_s"]
    fewest, others = ours["fewest"] / ours["wall_s"], peer["fewest"] / peer["wall_s"]
    freed, others_freed = ours["recovered_s"], peer["recovered_s"]
    return [
        row("leases under random kills, per s", rate, other, 33.3, met=rate >= 33.3),
        row("leases of the worker with the fewest, per s", fewest, others, 0.83, met=fewest >= 0.83),
        row("until all eight GPUs are had after a kill, s", freed, others_freed, 5.0, met=freed <= 5.0),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each of the two is stressed (default 30)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args(arguments)
    rows = measure(options.seconds)
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        print(f"{'':48}   ours    peer    goal")
        for entry in rows:
            verdict = "met" if entry["met"] else "MISSED"
            print(f"{entry['name']:48}{entry['ours']:7.3f} {entry['peer']:7.3f} {entry['goal']:7.3f}  {verdict}")
    return 0 if all(entry["met"] for entry in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
