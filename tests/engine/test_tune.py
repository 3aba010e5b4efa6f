"""`sgdiff tune` on the real engine: caches and precisions of a tiny Wan on the CPU, which differ for real."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from tests.engine.conftest import CASE, Checkpoint
from tests.realproject import Project

pytestmark = pytest.mark.engine


def test_tune(engine: str, checkpoint: Checkpoint, tmp_path: pathlib.Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    case = CASE.format(model=checkpoint("baseline")).replace(
        "num-inference-steps: 8", "num-inference-steps: 8\n      dit-layerwise-offload: false\n      dit-cpu-offload: false"
    )
    Project(folder=tmp_path, engine=engine, gpus="none").write_case(case)
    done = subprocess.run(
        [
            str(pathlib.Path(sys.executable).with_name("sgdiff")),
            *("tune", "tiny_wan", "--gpus", "none", "--allow-lossy", "--axes", "precision", "--within", "30%", "--launches", "2"),
            *("--engine-cmd", engine, "--report", "tuned.json", "-v"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)
    told = json.loads((tmp_path / "tuned.json").read_text())
    assert told
    assert 0
