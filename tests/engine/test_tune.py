"""`sgdiff tune` on the real engine: precisions of a tiny Wan on the CPU, which differ for real."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from tests.engine.conftest import CASE, Checkpoint
from tests.realproject import Project

pytestmark = pytest.mark.engine


def test_precisions_are_ranked_beside_what_they_draw(
    engine: str, checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    Project(folder=tmp_path, engine=engine, gpus="none").write_case(CASE.format(model=checkpoint("baseline")))
    done = subprocess.run(
        [
            *(str(pathlib.Path(sys.executable).with_name("sgdiff")), "tune", "tiny_wan", "--gpus", "none"),
            *("--allow-lossy", "--axes", "precision", "--within", "30%", "--launches", "2", "--engine-cmd", engine),
            *("--report", "tuned.json"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)
    # On a CPU that does other things two launches may not decide.
    assert done.returncode in (0, 1)
    told = json.loads((tmp_path / "tuned.json").read_text())
    found = {one["variant"]: one for one in told["variants"]}
    assert {"as-written", "dit-fp16", "dit-fp32", "vae-bf16", "vae-fp16"} <= set(found)
    # Every variant ran natively, and none of them failed.
    assert [name for name, one in found.items() if one["dropped"] and one["dropped"]["code"] != "slower"] == []
    # A CPU has no units for fp16.
    assert found["dit-fp16"]["ms"] > 2 * found["as-written"]["ms"]
    assert told["best"] != "dit-fp16"
    # A lossy variant stands beside its figures: what another precision draws is not quite the same.
    assert found["dit-fp16"]["quality"]["similarity"]["mse"] > 0
    assert all(one["quality"]["code"] == "lossy" for one in found.values() if one["lossy"])
    assert all(one["e2e_ms"] > one["ms"] for one in found.values())
    assert "--dit-precision fp16" in found["dit-fp16"]["command"]
