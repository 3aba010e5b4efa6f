"""What a lease costs, how long a wide case waits among narrow ones, and what the watch costs the launch.

    python benchmarks/lease.py [--json]

The peer of the first two figures is naive locking, as conftest recipes do it: a lock file per GPU, all or nothing,
tried again until it works. The peer of the third is the same child without a watch. Faked GPUs: what is measured is
this package's own work, not the driver's.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_sgdiff.gpus import Eligible, Pool, resolve
from pytest_sgdiff.gpus.nvml_file import FileReader
from pytest_sgdiff.watch import Watcher

GPUS = 4
Take = Callable[[int], Any]


def machine(folder: Path) -> FileReader:
    """Four GPUs whose driver tells nothing of their state, so that only locks count."""
    path = folder / "nvml.json"
    facts = [{"facts": {"uuid": f"GPU-{n}", "nvml_index": n, "name": "NVIDIA H200"}} for n in range(GPUS)]
    path.write_text(json.dumps({"gpus": facts}))
    return FileReader(str(path))


def leases(folder: Path) -> Take:
    """Leases of this package, each caller with a pool of its own, as each process has."""
    reader = machine(folder)
    eligible: Eligible = resolve("all", visible="0,1,2,3", reader=reader)
    mine = threading.local()

    def take(count: int) -> Any:
        if not hasattr(mine, "pool"):
            mine.pool = Pool(eligible, run_id="run", folder=str(folder / "locks"), reader=reader, settle_s=0)
        return mine.pool.lease(count, timeout_s=600, estimate_s=0.1)

    return take


def naive(folder: Path) -> Take:
    @contextmanager
    def take(count: int) -> Iterator[None]:
        while True:
            held = []
            for number in range(GPUS):
                fd = os.open(folder / f"gpu{number}", os.O_RDWR | os.O_CREAT)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    os.close(fd)
                    continue
                held.append(fd)
                if len(held) == count:
                    break
            try:
                if len(held) == count:
                    yield
                    return
            finally:
                for fd in held:
                    os.close(fd)
            time.sleep(random.uniform(0.02, 0.08))

    return take


def overhead_ms(take: Take) -> float:
    """Median time of one lease of two GPUs, taken and given back, with nobody else there."""
    times = []
    for _ in range(300):
        began = time.perf_counter()
        with take(2):
            pass
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)


def wide_wait_s(take: Take) -> float:
    """How long one 4-GPU case waits when forty 1-GPU cases of 0.05 to 0.15 s are worked off by six workers."""
    luck = random.Random(5)
    left = [luck.uniform(0.05, 0.15) for _ in range(40)]
    waited: list[float] = []

    def narrow() -> None:
        while left:
            seconds = left.pop()
            with take(1):
                time.sleep(seconds)

    def wide() -> None:
        time.sleep(0.1)
        began = time.monotonic()
        with take(4):
            waited.append(time.monotonic() - began)

    threads = [threading.Thread(target=target) for target in (*[narrow] * 6, wide)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waited[0]


def child_s() -> float:
    """CPU time that a child needs for a fixed amount of work; wall time tells more of the machine's other users."""
    work = "import time\nx = 0\nfor n in range(4_000_000): x += n\nprint(time.process_time())"
    return float(subprocess.run([sys.executable, "-c", work], capture_output=True, text=True, check=True).stdout)


def perturbation(folder: Path) -> tuple[float, float, float]:
    """(with the watch, without it, ms that a look takes): the least of several alternating runs of the child."""
    reader = machine(folder)
    gpus = resolve("all", visible="0,1,2,3", reader=reader).gpus
    with_watch, without, costs = [], [], []
    for _ in range(25):
        without.append(child_s())
        watcher = Watcher(gpus, reader=reader, owns=lambda pid: True)
        with watcher:
            with_watch.append(child_s())
        costs.append((watcher.watch.cost_ms or 0.0) / len(watcher.watch.gpus[0].at_s))
    return min(with_watch), min(without), statistics.median(costs)


def row(name: str, mine: float, theirs: float, goal: float) -> dict[str, Any]:
    return {"name": name, "ours": round(mine, 3), "peer": round(theirs, 3), "goal": goal, "met": mine <= goal}


def measure(folder: Path) -> list[dict[str, Any]]:
    ours, peer = leases(folder), naive(folder)
    with_watch, without, look_ms = perturbation(folder)
    return [
        row("one lease of 2 GPUs, taken and given back, ms", overhead_ms(ours), overhead_ms(peer), 2.0),
        # Three GPUs' worth of cases of at most 0.15 s end before the wide one can start; twice that is fair.
        row("wait of a 4-GPU case among forty 1-GPU ones, s", wide_wait_s(ours), wide_wait_s(peer), 0.3),
        row("CPU-bound child beside the watch, CPU s", with_watch, without, round(without * 1.01, 3)),
        row("one look of the watch at 4 GPUs, ms", look_ms, 0.0, 10.0),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = measure(Path(name))
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
