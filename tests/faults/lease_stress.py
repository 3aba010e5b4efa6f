"""Many processes lease GPUs and are killed at random; prints what happened as JSON.

    python tests/faults/lease_stress.py FOLDER '{"workers": 8, "runs": 2, "each": 25, "kills": 40, "seed": 1}'

It ends when every worker has had `each` leases, there were `kills` kills, and HELD of the killed held GPUs; or, with
`limit_s`, after that time. Between two kills some leases are made, so that a slow machine takes longer and does nothing
else. `naive` in the place of leases: a lock file per GPU, all or nothing, tried again until it works.

A witness file holds one cell per GPU with the PID of its owner. Whoever gets a GPU whose cell names a process that
still lives has found a GPU with two owners.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import mmap
import os
import random
import signal
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any

from pytest_sgdiff.data import Gpu, GpuFacts, GpuProcess, GpuState
from pytest_sgdiff.gpus import lock_files
from pytest_sgdiff.gpus.pool import Pool
from pytest_sgdiff.gpus.selection import Eligible

GPUS = tuple(Gpu(index=index, uuid=f"GPU-{index}", name="NVIDIA H200") for index in range(8))

HELD = 5
BETWEEN = 4  # leases from one kill to the next
DEAD_S = 300.0  # without a single lease all wait for each other
lock_files.MUTEX_LIMIT_S = math.inf  # a machine that is slow is no error here


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
    """Whether the process still has files open, and locks with them. One that was killed gives them back some time
    before it is a zombie: until then its state is that of one that runs."""
    try:
        return bool(os.listdir(f"/proc/{pid}/fd"))
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


class Naive:
    """What conftest recipes do."""

    def __init__(self, folder: str, luck: random.Random) -> None:
        self._folder, self._luck = folder, luck

    @contextlib.contextmanager
    def lease(self, count: int, **_: object) -> Iterator[Any]:
        while True:
            held: dict[Gpu, int] = {}
            for gpu in GPUS:
                fd = os.open(os.path.join(self._folder, gpu.uuid), os.O_RDWR | os.O_CREAT)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    held[gpu] = fd
                except BlockingIOError:
                    os.close(fd)
                if len(held) == count:
                    break
            try:
                if len(held) == count:
                    self.gpus = tuple(held)
                    yield self
                    return
            finally:
                for fd in held.values():
                    os.close(fd)
            time.sleep(self._luck.uniform(0.002, 0.008))


def work(number: int, folder: str, cells: Cells, runs: int, seed: int, *, naive: bool) -> None:
    """Leases until it is killed. Worker n counts in cell 8 + n and reports violations in cell 40 + n."""
    luck = random.Random(seed)
    run = number % runs
    eligible = Eligible(gpus=GPUS, spec="all", budget=None if run == 0 else 4)
    pool: Any = Naive(folder, luck)
    if not naive:
        pool = Pool(eligible, run_id=f"run{run}", folder=folder, reader=SilentReader(), settle_s=0, poll_s=0.005)
    while True:
        count = luck.choices((1, 2, 4, 8), (60, 20, 15, 5 if eligible.budget is None else 0))[0]
        estimate_s = luck.choice((None, 0.01, 1.0))
        with pool.lease(count, timeout_s=math.inf, estimate_s=estimate_s, tag=f"w{number}") as lease:
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


def main(
    folder: str,
    *,
    workers: int,
    runs: int,
    seed: int,
    each: int = 0,
    kills: int = 0,
    limit_s: float = math.inf,
    naive: bool = False,
) -> None:
    witness = os.path.join(folder, "witness")
    with open(witness, "wb") as file:
        file.write(bytes(8 * 64))
    cells = Cells(witness)
    lock_dir = os.path.join(folder, "locks")
    os.makedirs(lock_dir, exist_ok=True)
    luck = random.Random(seed)
    children: dict[int, int] = {}
    killed = holding = 0

    def counts() -> list[int]:
        return [cells.get(8 + number) for number in range(workers)]

    def start(number: int) -> None:
        luck_of_it = luck.randrange(1 << 30) + number
        pid = os.fork()
        if pid == 0:
            try:
                work(number, lock_dir, cells, runs, luck_of_it, naive=naive)
            finally:
                os._exit(9)
        children[pid] = number

    for number in range(workers):
        start(number)
    began = time.monotonic()
    while True:
        done = min(counts()) >= each and killed >= kills and holding >= HELD and limit_s == math.inf
        if done or time.monotonic() - began >= limit_s:
            break
        some, waited = sum(counts()) + BETWEEN, time.monotonic()
        while sum(counts()) < some and time.monotonic() - began < limit_s:
            time.sleep(luck.random() * 0.01)
            assert time.monotonic() - waited < DEAD_S, f"no lease in {DEAD_S} s: {counts()}"
        victim = luck.choice(list(children))
        os.kill(victim, signal.SIGKILL)
        _, status = os.waitpid(victim, 0)
        assert os.WIFSIGNALED(status), f"worker {children[victim]} ended by itself: {status}"
        killed += 1
        holding += any(cells.get(gpu.index) == victim for gpu in GPUS)
        start(children.pop(victim))
    wall_s = time.monotonic() - began
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    for pid in children:
        os.waitpid(pid, 0)
    # Whoever comes now gets everything: nothing leaked.
    every: Any = Naive(lock_dir, luck)
    if not naive:
        eligible = Eligible(gpus=GPUS, spec="all")
        every = Pool(eligible, run_id="last", folder=lock_dir, reader=SilentReader(), settle_s=0)
    asked = time.monotonic()
    with every.lease(8, timeout_s=math.inf):
        recovered_s = time.monotonic() - asked
    told = {
        "leases": sum(counts()),
        "fewest": min(counts()),
        "kills": killed,
        "killed_holding": holding,
        "violations": sum(cells.get(40 + number) for number in range(workers)),
        "recovered_s": recovered_s,
        "left": {} if naive else {name: lock_files.names(lock_dir, name) for name in ("queue", "lease", "launch")},
        "wall_s": wall_s,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], **json.loads(sys.argv[2]))
