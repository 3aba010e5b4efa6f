"""What the engine does while a launch pauses: full garbage collections of Python, noted and switched off in turn.

    python benchmarks/pauses.py [--pairs 3] ENGINE generate --model-path ... --warmup-mode request

ENGINE is an engine's own command, without options for dumps, outputs and ports, which are added. Each pair is one
launch whose collections are noted, and one without any. For each launch the program prints the time of the denoising
stages beside their steps (the pause), and the longest full collection (of generation 2) that began in code of the
denoising stage, with the function that it began in. Launches that note collections are not to be judged.

The note is a `sitecustomize` that PYTHONPATH leads to, so a command that sets PYTHONPATH itself cannot be watched.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

NOTE = """
import gc, json, os, time, traceback

out = open(os.path.join(os.environ["SGDIFF_GC_DIR"], f"gc-{os.getpid()}.jsonl"), "a", buffering=1)
began = {}


def note(phase, info):
    if info["generation"] < 2:
        return
    if phase == "start":
        began["in"] = [f"{frame.name} ({os.path.basename(frame.filename)}:{frame.lineno})"
                       for frame in traceback.extract_stack(limit=9)[:-1]]
        began["at"] = time.perf_counter()
    elif began:
        ms = (time.perf_counter() - began["at"]) * 1000
        out.write(json.dumps({"ms": ms, "in": began["in"]}) + chr(10))


gc.callbacks.append(note)
if os.environ["SGDIFF_GC"] == "off":
    gc.disable()
"""
STAGE = "denoising"
"""The module of the denoising stage, and part of its functions' names, in 0.5.17."""


def launched(argv: list[str], folder: pathlib.Path, *, collections: str) -> dict[str, Any]:
    """One launch, and its dump. Raises CalledProcessError with the log in `output`."""
    (folder / "sitecustomize.py").write_text(NOTE)
    dump = folder / "perf.json"
    added = ("--perf-dump-path", str(dump), "--output-path", str(folder / "outputs"))
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))}
    env |= {"SGDIFF_GC": collections, "SGDIFF_GC_DIR": str(folder), "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING": "1"}
    subprocess.run([*argv, *added], env=env, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    found: dict[str, Any] = json.loads(dump.read_text())
    return found


def pause_ms(dump: dict[str, Any]) -> tuple[float, float]:
    """The sum of the steps, and what the denoising stages took beside them, in ms."""
    steps = sum(step["duration_ms"] for step in dump["denoise_steps_ms"])
    stages = sum(stage["duration_ms"] for stage in dump["steps"] if "denoising" in stage["name"].lower())
    return steps, stages - steps


def collection(folder: pathlib.Path) -> str:
    """The longest full collection that began in the denoising stage; empty if none did."""
    rows = [json.loads(line) for file in folder.glob("gc-*.jsonl") for line in file.read_text().splitlines()]
    inside = [row for row in rows if any(STAGE in place for place in row["in"])]
    longest = max(inside, key=lambda row: float(row["ms"]), default=None)
    return "" if longest is None else f"{longest['ms']:6.0f} ms, in {longest['in'][-1]}"


def main() -> int:
    """Launch and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="What the engine does while a launch pauses.")
    parser.add_argument("--pairs", type=int, default=3, help="of launches (default 3)")
    parser.add_argument("argv", nargs=argparse.REMAINDER, metavar="ENGINE ...", help="the engine's command")
    chosen = parser.parse_args()
    print("collections   steps    pause   longest full collection in the denoising stage")
    for number in range(2 * chosen.pairs):
        mode = ("noted", "off")[number % 2]
        with tempfile.TemporaryDirectory(prefix="sgdiff-pauses-") as name:
            try:
                dump = launched(chosen.argv, pathlib.Path(name), collections=mode)
            except subprocess.CalledProcessError as error:
                print(error.output[-2000:], file=sys.stderr)
                return 1
            steps, pause = pause_ms(dump)
            print(f"{mode:11} {steps:5.0f} ms {pause:5.0f} ms   {collection(pathlib.Path(name))}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
