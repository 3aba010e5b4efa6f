"""What watching costs: the same launches with and without the watch, in turn, on a real GPU.

    python benchmarks/watch.py --engine-cmd sglang --pairs 5 [--interval 0.05] CASE_FILE

prints the median of each metric without and with the watch and their ratio. The goal is a ratio of the denoising
steps within 1 % of 1, which is less than `ignore` of the primary class.

Launches vary by more than the watch can cost. Twenty looks a second instead of one cost twenty times as much, so
that the same launches bound the cost of one look a second twenty times as closely.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

from pytest_sgdiff import gpus, machine
from pytest_sgdiff.cases.load import read_cases
from pytest_sgdiff.data import Case, EngineInfo, Launch, LaunchFiles
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.launch.run import run
from pytest_sgdiff.reports import problem_text
from pytest_sgdiff.watch import Watcher

GOAL = 0.01
METRICS = ("denoise_steps", "denoise", "e2e")


def main() -> int:
    chosen = arguments()
    (case, *_) = read_cases(chosen.case_file, Path.cwd())
    info = machine.engine_info(shlex.split(chosen.engine_cmd))
    values: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    pool = gpus.Pool(gpus.resolve(str(case.gpus)), run_id=f"watch-{os.getpid()}")
    with pool.lease(case.gpus, timeout_s=600.0, tag="benchmarks/watch.py") as lease:
        for pair in range(chosen.pairs):
            # ABBA, so that a drift of the machine falls on both alike.
            for watched in (False, True) if pair % 2 == 0 else (True, False):
                values[watched].append(launch(case, info, lease, interval_s=chosen.interval if watched else None))
                print(f"pair {pair + 1} {'with' if watched else 'without'}: {values[watched][-1]}", file=sys.stderr)
    rows = [row(metric, values) for metric in METRICS]
    if chosen.json:
        print(json.dumps(rows, indent=2))
    else:
        for line in rows:
            print(f"{line['name']:32} without {line['peer']:.2f} ms, with {line['ours']:.2f} ms: {line['ratio']:.4f}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case_file", type=Path)
    parser.add_argument("--engine-cmd", default="sglang")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--interval", type=float, default=1.0, help="seconds between looks; gate runs look once a second"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def launch(case: Case, info: EngineInfo, lease: gpus.Lease, *, interval_s: float | None) -> dict[str, float]:
    """The metrics (ms) of one launch, watched every so many seconds or not at all; SystemExit if it does not count."""
    folder = Path(tempfile.mkdtemp(prefix="sgdiff-watch-"))
    files = LaunchFiles(
        workdir=str(folder),
        output_dir=str(folder / "outputs"),
        perf_dump=str(folder / "perf.json"),
        perf_log_dir=str(folder / "perf-log"),
        config=str(folder / "config.json"),
    )
    engine = ENGINES[case.engine]
    command = engine.command(case, info=info, files=files, ports=lease.ports)
    watch = (
        contextlib.nullcontext()
        if interval_s is None
        else Watcher(lease.gpus, reader=lease.reader, owns=lease.owns, interval_s=interval_s)
    )
    with lease.alone(), watch:
        ended = run(
            command,
            files=files,
            log=folder / "engine.log",
            timeout_s=case.timeout_s,
            env={**os.environ, **lease.env()},
            pass_fds=lease.pass_fds,
            cpus=lease.cpus,
            on_start=lease.launched,
        )
    lease.wait_until_free(timeout_s=60.0)
    reading = engine.read(
        Launch(
            case=case.id,
            number=0,
            argv=command.argv,
            ending=ended.ending,
            returncode=ended.returncode,
            log=ended.log,
            dump=ended.dump,
            outputs=ended.outputs,
        ),
        case,
    )
    shutil.rmtree(folder, ignore_errors=True)
    if reading.problems:
        raise SystemExit(problem_text.message(reading.problems[0]))
    return {name: reading.metrics[name] for name in METRICS if name in reading.metrics}


def row(metric: str, values: dict[bool, list[dict[str, float]]]) -> dict[str, object]:
    with_, without = (statistics.median(one[metric] for one in values[watched]) for watched in (True, False))
    ratio = with_ / without
    return {
        "name": f"{metric} with the watch",
        "ours": with_,
        "peer": without,
        "ratio": ratio,
        "goal": 1 + GOAL,
        "met": abs(ratio - 1) <= GOAL,
    }


if __name__ == "__main__":
    sys.exit(main())
