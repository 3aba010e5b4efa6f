"""Many processes lease GPUs and are killed at random; prints what happened as JSON. Run by test_leases_stress.py.

A witness file holds one cell per GPU with the PID of its owner. Whoever gets a GPU whose cell names a process that
still lives has found a GPU with two owners.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path

from pytest_sgdiff.data import Gpu, GpuFacts, GpuProcess, GpuState
from pytest_sgdiff.gpus.pool import Pool
from pytest_sgdiff.gpus.spec import Eligible

GPUS = tuple(Gpu(index=index, uuid=f"GPU-{index}", name="NVIDIA H200") for index in range(8))

KILLS = 80  # no fewer, however fast the machine is


class SilentReader:
    """A driver that tells nothing, so that only the locks protect."""

    def driver(self) -> str | None:
        return None

    cuda = driver

    def facts(self) -> tuple[GpuFacts, ...]:
        return ()

    def state(self, uuid: str) -> GpuState:
        return GpuState()

    def processes(self, uuid: str) -> tuple[GpuProcess, ...] | None:
        return None

    def thermal_ns(self, uuid: str) -> int | None:
        return None

    def linked(self, one: str, other: str) -> bool | None:
        return None

    def xids(self) -> tuple[str, ...]:
        return ()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Cells:
    """Integers in a file that all processes share: one per GPU, then one counter per worker, then violations."""

    def __init__(self, path: str) -> None:
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)

    def get(self, place: int) -> int:
        return struct.unpack_from("q", self._map, place * 8)[0]

    def set(self, place: int, value: int) -> None:
        struct.pack_into("q", self._map, place * 8, value)


def work(number: int, folder: str, cells: Cells, runs: int, seed: int) -> None:
    """Leases until told to stop. Worker n counts in cell 8 + n and reports violations in cell 40 + n."""
    luck = random.Random(seed)
    run = number % runs
    eligible = Eligible(gpus=GPUS, spec="all", budget=None if run == 0 else 4)
    pool = Pool(eligible, run_id=f"run{run}", folder=folder, reader=SilentReader(), settle_s=0, poll_s=0.005)
    while True:
        count = luck.choices((1, 2, 4, 8), (60, 20, 15, 5 if eligible.budget is None else 0))[0]
        with pool.lease(count, timeout_s=60, estimate_s=luck.choice((None, 0.01, 1.0)), tag=f"w{number}") as lease:
            for gpu in lease.gpus:
                owner = cells.get(gpu.index)
                if owner and owner != os.getpid() and is_alive(owner):
                    cells.set(40 + number, cells.get(40 + number) + 1)
                cells.set(gpu.index, os.getpid())
            time.sleep(luck.random() * 0.003)
            for gpu in lease.gpus:
                if cells.get(gpu.index) != os.getpid():
                    cells.set(40 + number, cells.get(40 + number) + 1)
                cells.set(gpu.index, 0)
            cells.set(8 + number, cells.get(8 + number) + 1)


def main(folder: str, workers: int, runs: int, wanted: int, limit_s: float, seed: int) -> None:
    witness = os.path.join(folder, "witness")
    with open(witness, "wb") as file:
        file.write(bytes(8 * 64))
    cells = Cells(witness)
    luck = random.Random(seed)
    children: dict[int, int] = {}
    kills = taken_over = 0

    def start(number: int) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                work(number, os.path.join(folder, "locks"), cells, runs, luck.randrange(1 << 30) + number)
            finally:
                os._exit(9)
        children[pid] = number

    for number in range(workers):
        start(number)
    began = time.monotonic()
    while time.monotonic() - began < limit_s:
        if kills >= KILLS and sum(cells.get(8 + number) for number in range(workers)) >= wanted:
            break
        time.sleep(0.03 + luck.random() * 0.05)
        victim = luck.choice(list(children))
        os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(victim, 0)
        assert os.WIFSIGNALED(status), f"worker {children[victim]} ended by itself: {status}"
        kills += 1
        taken_over += any(cells.get(gpu.index) == victim for gpu in GPUS)
        start(children.pop(victim))
    counts = [cells.get(8 + number) for number in range(workers)]
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
    # Whoever comes now must get everything at once: nothing leaked.
    pool = Pool(
        Eligible(gpus=GPUS, spec="all"),
        run_id="last",
        folder=os.path.join(folder, "locks"),
        reader=SilentReader(),
        settle_s=0,
    )
    asked = time.monotonic()
    with pool.lease(8, timeout_s=10):
        recovered_s = time.monotonic() - asked
    print(
        json.dumps(
            {
                "leases": sum(counts),
                "fewest": min(counts),
                "kills": kills,
                "killed_holding": taken_over,
                "violations": sum(cells.get(40 + number) for number in range(workers)),
                "recovered_s": recovered_s,
                "left": {
                    name: os.listdir(os.path.join(folder, "locks", name)) for name in ("queue", "lease", "launch")
                },
                "wall_s": time.monotonic() - began,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
