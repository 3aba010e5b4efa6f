"""How well a suite packs onto its GPUs: this plugin's schedule against plain `--dist load` with naive locking.

    python benchmarks/schedule.py [--suites 200] [--real] [--json]

Both sides drive the real scheduler classes (pytest-xdist's LoadScheduling, and GpuScheduling of this package) with
simulated workers, on the same random suites in the same run. A figure is the makespan over a lower bound that no
schedule can beat, so 1.00 is perfect. Naive locking is what conftest recipes do: a worker takes its GPUs all at once
as soon as enough are free, whoever comes first. `--real` adds one suite of sleeping cases run by real pytest-xdist.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from schedule_real import makespan

from pytest_sgdiff.plugin.xdist import CaseNeed, GpuScheduling
from pytest_sgdiff.plugin.xdist.worker_side import PARK

CASES = 30
# Image and video cases: a minute to load, then a median of two minutes with a long tail.
LOAD_S, MEDIAN_S, SIGMA = 60.0, 120.0, 0.7
# How wrong estimates are in the hard scenario: a factor of 1.8 up or down at one sigma.
NOISE_SIGMA = 0.6
MIXED = {4: ((1, 2, 4), (60, 25, 15)), 8: ((1, 2, 4, 8), (55, 22, 15, 8))}
NARROW = {4: ((1, 2, 4), (85, 10, 5)), 8: ((1, 2, 4, 8), (85, 8, 4, 3))}


@dataclass(frozen=True)
class SuiteCase:
    gpus: int
    seconds: float
    estimate_s: float


def random_suite(luck: random.Random, mix: tuple[Sequence[int], Sequence[int]], noise: float) -> list[SuiteCase]:
    suite = []
    for _ in range(CASES):
        seconds = LOAD_S + MEDIAN_S * luck.lognormvariate(0, SIGMA)
        suite.append(SuiteCase(luck.choices(*mix)[0], seconds, seconds * luck.lognormvariate(0, noise)))
    return suite


def lower_bound(suite: Sequence[SuiteCase], gpus: int) -> float:
    """No schedule ends sooner: all GPUs busy all the time, the longest case, cases of which no two fit together."""
    area = sum(case.gpus * case.seconds for case in suite) / gpus
    exclusive = sum(case.seconds for case in suite if 2 * case.gpus > gpus)
    halves = sum(case.seconds for case in suite if 2 * case.gpus == gpus) / 2
    return max(area, max(case.seconds for case in suite), exclusive + halves)


@dataclass(eq=False)
class Worker:
    """xdist's WorkerController and the worker behind it: starts an item only once it knows the next, or the end."""

    number: int
    queue: list[int] = field(default_factory=list)
    shutting_down: bool = False
    busy: bool = False

    @property
    def gateway(self) -> Any:
        return SimpleNamespace(id=f"gw{self.number}")

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.queue += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    @property
    def ready(self) -> bool:
        return not self.busy and (len(self.queue) > 1 or bool(self.queue and self.shutting_down))


def simulate(scheduling: Any, ids: list[str], suite: Sequence[SuiteCase], gpus: int, luck: random.Random) -> float:
    """The makespan. Workers that wait for GPUs are served in random order, as polling would."""
    workers = [Worker(number) for number in range(gpus)]
    for worker in workers:
        scheduling.add_node(worker)
    for worker in workers:
        scheduling.add_node_collection(worker, ids)
    scheduling.schedule()
    free, now = gpus, 0.0
    ends: list[tuple[float, int, int]] = []
    blocked: list[Worker] = []
    while True:
        moved = True
        while moved:
            moved = False
            for worker in workers:
                if worker.ready:
                    moved = worker.busy = True
                    blocked.append(worker)
            luck.shuffle(blocked)
            for worker in list(blocked):
                index = worker.queue[0]
                if ids[index].endswith(PARK):
                    blocked.remove(worker)
                    done(scheduling, worker)
                    moved = True
                elif suite[index].gpus <= free:
                    blocked.remove(worker)
                    free -= suite[index].gpus
                    heapq.heappush(ends, (now + suite[index].seconds, worker.number, suite[index].gpus))
            if scheduling.tests_finished:
                for worker in workers:
                    worker.shutdown()
        if not ends:
            return now
        now, number, back = heapq.heappop(ends)
        free += back
        done(scheduling, workers[number])


def done(scheduling: Any, worker: Worker) -> None:
    worker.busy = False
    scheduling.mark_test_complete(worker, worker.queue.pop(0), 100.0)


def config_for(workers: int) -> Any:
    """What both scheduler classes ask of pytest's config."""
    values = {"tx": ["popen"] * workers, "maxschedchunk": None}
    return SimpleNamespace(
        option=SimpleNamespace(**values), getvalue=values.__getitem__, getoption=values.__getitem__, hook=None
    )


def ours(suite: Sequence[SuiteCase], gpus: int, luck: random.Random) -> float:
    ids = [f"cases/x.yaml::case{number}" for number in range(len(suite))]
    needs = {
        name: CaseNeed(node_id=name, gpus=case.gpus, estimate_s=case.estimate_s)
        for name, case in zip(ids, suite, strict=True)
    }
    scheduling = GpuScheduling(config_for(gpus), workers=gpus, size=gpus, needs=lambda: needs)
    return simulate(scheduling, [*ids, f"::{PARK}"], suite, gpus, luck)


def plain(suite: Sequence[SuiteCase], gpus: int, luck: random.Random) -> float:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScheduling

    ids = [f"cases/x.yaml::case{number}" for number in range(len(suite))]
    return simulate(LoadScheduling(config_for(gpus), Producer("", enabled=False)), ids, suite, gpus, luck)


def simulated_rows(suites: int) -> list[dict[str, Any]]:
    rows = []
    for gpus in (4, 8):
        for mix_name, mixes in (("mixed", MIXED), ("mostly 1-GPU", NARROW)):
            for noise, noise_name, goal in ((0.0, "exact estimates", 1.05), (NOISE_SIGMA, "wrong estimates", 1.10)):
                luck = random.Random(20261124)
                pairs = []
                for _ in range(suites):
                    suite = random_suite(luck, mixes[gpus], noise)
                    bound = lower_bound(suite, gpus)
                    pairs.append((ours(suite, gpus, luck) / bound, plain(suite, gpus, luck) / bound))
                mine, theirs = (statistics.fmean(side) for side in zip(*pairs, strict=True))
                rows.append(row(f"makespan / lower bound, {gpus} GPUs, {mix_name}, {noise_name}", mine, theirs, goal))
    return rows


def real_rows() -> list[dict[str, Any]]:
    """Thirty sleeping cases on four faked GPUs by real pytest-xdist, one hundredth of the time."""
    luck = random.Random(7)
    suite = [SuiteCase(c.gpus, c.seconds / 100, c.estimate_s / 100) for c in random_suite(luck, MIXED[4], 0.0)]
    bound = lower_bound(suite, 4)
    cases = [(case.gpus, case.seconds) for case in suite]
    mine, theirs = makespan(cases, ours=True) / bound, makespan(cases, ours=False) / bound
    return [row("makespan / lower bound, 4 GPUs, mixed, real pytest-xdist", mine, theirs, 1.05)]


def row(name: str, mine: float, theirs: float, goal: float) -> dict[str, Any]:
    return {"name": name, "ours": round(mine, 3), "peer": round(theirs, 3), "goal": goal, "met": mine <= goal}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suites", type=int, default=200, help="random suites per scenario")
    parser.add_argument("--real", action="store_true", help="also run one suite by real pytest-xdist (a minute)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    rows = simulated_rows(options.suites) + (real_rows() if options.real else [])
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        width = max(len(entry["name"]) for entry in rows)
        print(f"{'':{width}}   ours   load + naive locks   goal")
        for entry in rows:
            verdict = "met" if entry["met"] else "MISSED"
            figures = f"{entry['ours']:.3f}  {entry['peer']:19.3f}  {entry['goal']:.2f}"
            print(f"{entry['name']:{width}}  {figures}  {verdict}")
    return 0 if all(entry["met"] for entry in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
