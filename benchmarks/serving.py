"""What it takes to judge one unchanged case with `sglang generate` and with `sglang serve`: time, and time of GPUs.

Both engines measure the same request with the same checkpoint in one run: a baseline each, then gates, in turn. A
launch of `generate` is one process and one request. One of `serve` is one life of a server, with a request of warmup
and three that are measured; its value is their median. The lease of a case is what it takes from others: on a GPU
machine that is the time of its GPUs. Here the CPU stands for one.

    SGDIFF_ENGINE_ENV=.engine python benchmarks/serving.py          (make test-engine builds that environment)

Several requests in one life do not replace launches: what differs between processes is the same for all of them. So
this compares launch by launch, and prints by how much the values of launches vary. The case allows 50 %, so that a gate
takes as few launches as an unchanged case does. Some ten launches of a minute each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ENGINES = ("sglang-generate", "sglang-serve")

CASE = """
cases:
  same:
    summary: the same request by both engines
    model: {model}
    gpus: 0
    matrix: {{engine: [sglang-generate, sglang-serve]}}
    env: {{HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: "1", SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"}}
    args:
      prompt: A curious raccoon
      seed: 42
      width: 128
      height: 128
      num-frames: 5
      fps: 16
      num-inference-steps: 8
    # CPUs that others use too vary by more than an engine changes.
    metrics: {{gate: [denoise], allow: 50%}}
    launches: {{baseline: {baseline}, requests: 3}}
    timeout: 15m
"""


def main(argv: Sequence[str]) -> int:
    """Record, judge, and print a line for each engine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gates", type=int, default=2, help="gates of each engine (default 2)")
    parser.add_argument("--baseline", type=int, default=3, help="launches of each baseline (default 3)")
    options = parser.parse_args(argv)
    engine = ROOT / os.environ.get("SGDIFF_ENGINE_ENV", ".engine")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        model = folder / "checkpoints" / "Wan2.1-T2V-1.3B-Diffusers"
        program = ROOT / "tests" / "engine" / "make_checkpoint.py"
        subprocess.run([engine / "bin" / "python", program, "wan", model], check=True, stdout=subprocess.DEVNULL)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "cases").mkdir()
        (folder / "cases" / "same.yaml").write_text(CASE.format(model=model, baseline=options.baseline))
        for name in ENGINES:
            judged(folder, engine, name, "--sgdiff-update")
        gates: dict[str, list[dict[str, Any]]] = {name: [] for name in ENGINES}
        for number in range(options.gates):
            for name in ENGINES if number % 2 == 0 else ENGINES[::-1]:
                gates[name].append(judged(folder, engine, name))
        report(folder, gates)
    return 0


def judged(folder: Path, engine: Path, name: str, *more: str) -> dict[str, Any]:
    """The case of one engine in a pytest run of its own, with the seconds that the run took (`wall_s`)."""
    out = folder / "report.json"
    argv = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        f"cases/same.yaml::same[{name}]",
        f"--sgdiff-report={out}",
        "--sgdiff-gpus=none",
        *more,
    ]
    began = time.perf_counter()
    done = subprocess.run(
        [*argv, f"--sgdiff-engine-cmd={engine / 'bin' / 'sglang'}"],
        cwd=folder,
        env={key: value for key, value in os.environ.items() if key != "CI"},
        capture_output=True,
        text=True,
        check=False,
    )
    wall_s = time.perf_counter() - began
    if not out.exists():
        sys.exit(done.stdout + done.stderr)
    (case,) = json.loads(out.read_text())["cases"]
    if not case["measured"]:
        sys.exit(done.stdout + done.stderr)
    return {**case, "wall_s": wall_s}


def report(folder: Path, gates: dict[str, list[dict[str, Any]]]) -> None:
    head = f"{'engine':<16} {'gates':>5} {'launches':>8} {'wall s':>8} {'lease s':>8} {'requests':>8}"
    print(f"{head} {'denoise CV %':>13} {'outcomes'}")
    for name, cases in gates.items():
        launches = [launch for case in cases for launch in case["launches"]]
        values = [launch["metrics"]["denoise"] for launch in launches]
        (path,) = folder.glob(f"baselines/*/same*{name}*.json")
        values += json.loads(path.read_text())["metrics"]["denoise"]
        measured = sum(max(1, sum(not one["warmup"] for one in launch["requests"])) for launch in launches)
        wall, lease = (statistics.fmean(case[key] for case in cases) for key in ("wall_s", "elapsed_s"))
        cv = 100 * statistics.stdev(values) / statistics.fmean(values)
        outcomes = ", ".join(case["outcome"] for case in cases)
        row = f"{name:<16} {len(cases):>5} {len(launches):>8} {wall:>8.1f} {lease:>8.1f} {measured:>8}"
        print(f"{row} {cv:>13.1f} {outcomes}")
    shares = [
        sum(case["elapsed_s"] for case in cases) / sum(len(case["launches"]) for case in cases)
        for cases in gates.values()
    ]
    print(f"a launch of serve takes {shares[1] / shares[0]:.2f} times the lease of one of generate")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
