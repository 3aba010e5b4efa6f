"""What it costs a launch to share its host: one alone, one beside another on the second GPU, one beside a loading one.

    python benchmarks/contention.py --engine-cmd "PYTHON benchmarks/held_engine.py" [--pairs 10] [--at-once 5] CASE_FILE

PYTHON is the engine's; held_engine.py holds each measured request back until it is told to go. The launches of
`--at-once` pairs load together on both GPUs and wait. Then, pair by pair, one request runs alone; two run side by side
on different GPUs; and, after the last pair, one at a time runs beside a launch that is loading. Who is first, and which
GPU is judged, changes from pair to pair. Nothing is watched while a request runs, and no other launch of this plugin
may be on the host.

A figure is the median, over the pairs, of the request beside something over the request alone on the same GPU. `core`
is the steps at the pace of their 10 % quantile: what single late steps do not touch. The goal of 1 % is less than
`ignore` of the primary class. A pair of which a launch fails is left out, which is said.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import shlex
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_sgdiff import gpus, machine
from pytest_sgdiff.cases.load import read_cases
from pytest_sgdiff.data import Case, EngineInfo, Gpu, Launch, LaunchFiles, Reading
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.gpus import ports
from pytest_sgdiff.launch.run import Ended, run
from pytest_sgdiff.reports import problem_text

GOAL = 0.01
METRICS = ("denoise_steps", "core", "e2e")
BESIDE = {"beside": "beside another launch", "loading": "beside one that loads"}
READY_S, REQUEST_S = 300.0, 120.0
SETTLE_S = 2.0
# A loading launch imports for the first 10 s and more: requests beside it fall into that time.
INTO_LOADING_S = 3.0

Pair = dict[str, dict[str, Any]]
"""The figures of a pair's launches by their role."""


class LostError(Exception):
    """A launch that does not count, with the reason: its pair is left out."""


@dataclass
class Held:
    """A launch that waits to be told. `pair` and `role` say what for: alone, beside, neighbour, loading or loader."""

    case: Case
    info: EngineInfo
    gpu: Gpu
    pair: int
    role: str
    lock_folder: str
    pass_fds: tuple[int, ...]
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="sgdiff-held-")))
    ended: Ended | None = None
    error: BaseException | None = None
    pid: int | None = None

    def __post_init__(self) -> None:
        self.ports, self.port_fd = ports.take(self.lock_folder, ports.blocks())
        self.thread = threading.Thread(target=self._run, name=f"{self.role}-{self.pair}", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        files = LaunchFiles(
            workdir=str(self.folder / "work"),
            output_dir=str(self.folder / "outputs"),
            perf_dump=str(self.folder / "perf.json"),
            perf_log_dir=str(self.folder / "perf-log"),
            config=str(self.folder / "config.json"),
        )
        self.command = ENGINES[self.case.engine].command(self.case, info=self.info, files=files, ports=self.ports)
        chosen = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(self.gpu.index)}
        try:
            self.ended = run(
                self.command,
                files=files,
                log=self.folder / "engine.log",
                timeout_s=self.case.timeout_s,
                env={**os.environ, **chosen, "SGDIFF_HOLD": str(self.folder), "SGDIFF_HOLD_BY": str(os.getpid())},
                pass_fds=(*self.pass_fds, self.port_fd),
                on_start=self._started,
            )
        except BaseException as error:  # told to whoever waits for it
            self.error = error

    def _started(self, pid: int) -> None:
        self.pid = pid

    def end(self) -> None:
        """End a launch from which nothing is wanted, however far it has come."""
        if self.pid is not None and self.thread.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def tell(self, word: str) -> None:
        (self.folder / word).touch()

    def wait_for(self, word: str, limit_s: float) -> None:
        """Until the launch says so. Raises LostError if it ended before, or takes longer."""
        deadline = time.monotonic() + limit_s
        while not (self.folder / word).exists():
            if not self.thread.is_alive() or time.monotonic() > deadline:
                log = self.folder / "engine.log"
                last = log.read_text(errors="replace")[-3000:] if log.exists() else ""
                raise LostError(f"{last}\n{self.role} {self.pair} is not {word} ({self.error or log})")
            time.sleep(0.01)

    def request(self) -> None:
        """Let the measured request run, to its end."""
        self.tell("go")
        self.wait_for("done", REQUEST_S)

    def reading(self) -> Reading:
        """What the launch left, once it has ended. Raises LostError if it does not count."""
        ended = self.ended
        if ended is None:
            raise LostError(f"{self.role} {self.pair}: {self.error}")
        read = ENGINES[self.case.engine].read(
            Launch(
                case=self.case.id,
                number=self.pair,
                argv=self.command.argv,
                ending=ended.ending,
                returncode=ended.returncode,
                log=ended.log,
                dump=ended.dump,
                outputs=ended.outputs,
            ),
            self.case,
        )
        if read.problems:
            raise LostError(f"{self.role} {self.pair}: {problem_text.message(read.problems[0])}")
        return read

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.port_fd)
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> int:
    chosen = arguments()
    (case, *_) = read_cases(chosen.case_file, Path.cwd())
    info = machine.engine_info(shlex.split(chosen.engine_cmd))
    values = kept(chosen.values)
    lost: dict[int, str] = {}
    pool = gpus.Pool(gpus.resolve(chosen.gpus), run_id=f"contention-{os.getpid()}")
    with pool.lease(2, timeout_s=600.0, tag="benchmarks/contention.py") as lease, lease.alone():
        for numbers in batches(sorted(set(range(chosen.pairs)) - values.keys()), chosen.at_once):
            with batch(case, info, lease, numbers, lost) as launches:
                requests(case, info, lease, launches, lost)
            for launch in launches:
                if launch.role != "loader" and launch.pair not in lost:
                    try:
                        values.setdefault(launch.pair, {})[launch.role] = figures(launch.reading())
                    except LostError as error:
                        lost[launch.pair] = str(error)
            same_settings([launch for launch in launches if launch.pair not in lost and launch.role != "loader"])
            for number in numbers:
                said = lost.get(number) or {role: one["denoise_steps"] for role, one in values[number].items()}
                print(f"pair {number}, GPU {number % 2}: {said}", file=sys.stderr, flush=True)
                if number in lost:
                    values.pop(number, None)
            for launch in launches:
                launch.forget()
            if chosen.values:
                chosen.values.write_text(json.dumps(values, indent=1))
    if not values:
        raise SystemExit("no pair is whole")
    rows = [row(metric, role, list(values.values())) for role in BESIDE for metric in METRICS]
    if chosen.json:
        print(json.dumps(rows, indent=2))
    else:
        for line in rows:
            pairs = f"{line['ratio']:.4f} ({line['low']:.4f} to {line['high']:.4f} in {line['pairs']} pairs)"
            print(f"{line['name']:36} alone {line['peer']:.2f} ms, beside {line['ours']:.2f} ms: {pairs}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case_file", type=Path, help="its first case is launched; it must be one with one GPU")
    parser.add_argument("--engine-cmd", required=True, help="held_engine.py, run by the engine's Python")
    parser.add_argument("--gpus", default="all", help="the two GPUs, as in --sgdiff-gpus (default: the first two free)")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--at-once", type=int, default=5, help="pairs whose launches load together (default 5)")
    parser.add_argument(
        "--values",
        type=Path,
        metavar="FILE",
        help="keep the figures of each pair there, and go on with those that are there already",
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def kept(path: Path | None) -> dict[int, Pair]:
    """The figures of the pairs that an earlier run has written there."""
    if path is None or not path.exists():
        return {}
    return {int(number): pair for number, pair in json.loads(path.read_text()).items()}


def batches(numbers: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for first in range(0, len(numbers), size):
        yield numbers[first : first + size]


@contextlib.contextmanager
def batch(
    case: Case, info: EngineInfo, lease: gpus.Lease, numbers: Sequence[int], lost: dict[int, str]
) -> Iterator[list[Held]]:
    """The launches of some pairs, loaded and waiting; at the end of the block all of them end."""
    launches: list[Held] = []
    began = time.monotonic()
    try:
        for number in numbers:
            mine, other = lease.gpus[number % 2], lease.gpus[1 - number % 2]
            for role in ("alone", "beside", "loading", "neighbour"):
                gpu = other if role == "neighbour" else mine
                launches.append(held(case, info, lease, gpu, number, role))
        for launch in launches:
            with leaving_out(lost, launch.pair):
                launch.wait_for("ready", READY_S)
        print(f"{len(launches)} launches ready after {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        yield launches
    finally:
        for launch in launches:
            if launch.role == "loader" or launch.pair in lost:
                launch.end()
            for word in ("go", "leave"):
                launch.tell(word)
        for launch in launches:
            launch.thread.join(READY_S)


def held(case: Case, info: EngineInfo, lease: gpus.Lease, gpu: Gpu, pair: int, role: str) -> Held:
    return Held(
        case=case, info=info, gpu=gpu, pair=pair, role=role, lock_folder=gpus.lock_dir(), pass_fds=lease.pass_fds
    )


def requests(case: Case, info: EngineInfo, lease: gpus.Lease, launches: list[Held], lost: dict[int, str]) -> None:
    """The requests of a batch, each beside what it is meant to run beside."""
    by_role = {(launch.pair, launch.role): launch for launch in launches}
    whole = sorted({launch.pair for launch in launches} - lost.keys())
    time.sleep(SETTLE_S)
    for number in whole:
        # Half of the pairs on each GPU begin alone, so that a drift falls on both alike.
        order = ("alone", "beside") if number // 2 % 2 == 0 else ("beside", "alone")
        for role in order:
            together = ("beside", "neighbour") if role == "beside" else ("alone",)
            for one in together:
                by_role[number, one].tell("go")
            with leaving_out(lost, number):
                for one in together:
                    by_role[number, one].wait_for("done", REQUEST_S)
    for mine in (0, 1):
        judged = [by_role[number, "loading"] for number in whole if number % 2 == mine and number not in lost]
        if not judged:
            continue
        loader = held(case, info, lease, lease.gpus[1 - mine], -1, "loader")
        launches.append(loader)
        time.sleep(INTO_LOADING_S)
        for launch in judged:
            launch.tell("go")
            with leaving_out(lost, launch.pair):
                launch.wait_for("done", REQUEST_S)
            if (loader.folder / "ready").exists():
                lost[launch.pair] = "the launch that was to load beside it had loaded already"


@contextlib.contextmanager
def leaving_out(lost: dict[int, str], number: int) -> Iterator[None]:
    """Leave the pair out if one of its launches is lost in the block."""
    try:
        yield
    except LostError as error:
        lost[number] = str(error)


def figures(reading: Reading) -> dict[str, Any]:
    """The metrics (ms) of a launch, and its steps."""
    if reading.dump is None or not reading.dump.steps_ms:
        raise LostError("the dump holds no steps")
    steps = reading.dump.steps_ms
    core = len(steps) * statistics.quantiles(steps, n=10, method="inclusive")[0]
    return {"denoise_steps": math.fsum(steps), "core": core, "e2e": reading.metrics["e2e"], "steps_ms": steps}


def same_settings(launches: Sequence[Held]) -> None:
    """Say so if the engine chose other settings for some launches: it looks at the memory that is free at its start."""
    settings = {
        json.dumps({name: value for name, value in told.items() if "offload" in name}, sort_keys=True, default=str)
        for told in (launch.reading().server_args for launch in launches)
    }
    if len(settings) > 1:
        print(f"launches differ in what is offloaded: {' / '.join(sorted(settings))}", file=sys.stderr)


def row(metric: str, role: str, pairs: Sequence[Pair]) -> dict[str, object]:
    ratios = [pair[role][metric] / pair["alone"][metric] for pair in pairs]
    ratio = statistics.median(ratios)
    return {
        "name": f"{metric} {BESIDE[role]}",
        "ours": statistics.median(pair[role][metric] for pair in pairs),
        "peer": statistics.median(pair["alone"][metric] for pair in pairs),
        "ratio": ratio,
        "low": min(ratios),
        "high": max(ratios),
        "pairs": len(ratios),
        "goal": 1 + GOAL,
        "met": ratio <= 1 + GOAL,
    }


if __name__ == "__main__":
    sys.exit(main())
