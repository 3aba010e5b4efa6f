"""A project that measures the real engine, run as a user runs it."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ROOT = pathlib.Path(__file__).parent.parent.parent

CASE = """
# yaml-language-server: $schema={schema}
cases:
  tiny_wan:
    summary: a Wan 2.1 model of six layers, on the CPU
    model: {model}
    gpus: 0
    # One thread: two of them wait for each other as soon as something else runs on the machine.
    env: {{HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: "1"}}
    args:
      prompt: A curious raccoon
      seed: 42
      width: 128
      height: 128
      num-frames: 5
      num-inference-steps: 8
    expect: {expect}
    # A CPU that does other things is no measuring instrument: only gross slowdowns are to be told.
    metrics: {{primary: denoise, gate: [denoise], limits: {{denoise: 60%}}}}
    launches: {{baseline: 3, looks: [1, 3]}}
    timeout: 15m
"""

NATIVE = (
    "{pipeline: WanPipeline, stages: [DenoisingStage, DecodingStage], output: {width: 128, height: 128, frames: 5}}"
)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A pytest run that has ended: its exit code, its output, and the one case of its JSON report, if there is any."""

    returncode: int
    output: str = field(repr=False)
    case: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project with one case file, as a user has it."""

    folder: pathlib.Path
    engine: str

    def write_case(self, model: pathlib.Path, *, expect: str = NATIVE) -> None:
        """Write `cases/tiny.yaml`."""
        schema = ROOT / "pytest_sgdiff" / "case.schema.json"
        (self.folder / "cases").mkdir(exist_ok=True)
        (self.folder / "cases" / "tiny.yaml").write_text(CASE.format(model=model, expect=expect, schema=schema))

    def pytest(self, *arguments: str) -> Ran:
        """Run pytest in the project, by its command line."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        argv = [sys.executable, "-m", "pytest", "--sgdiff-gpus=none", f"--sgdiff-engine-cmd={self.engine}"]
        argv += [f"--sgdiff-report={report}", "-p", "no:randomly", *arguments]
        # In CI, baselines would go to a folder of candidates.
        environment = {name: value for name, value in os.environ.items() if name != "CI"}
        process = subprocess.Popen(
            argv, cwd=self.folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            output, _ = process.communicate(timeout=1800)
        except BaseException:
            # Not killed, so that it ends its engine.
            process.send_signal(signal.SIGINT)
            process.communicate()
            raise
        print(output)
        cases = json.loads(report.read_text())["cases"] if report.exists() else [None]
        return Ran(returncode=process.returncode, output=output, case=cases[0] if cases else None)
