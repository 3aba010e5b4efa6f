"""`sgdiff tune` on one real GPU: attention backend, offload and precision; and compiling.

pytest tests/gpu/test_tune.py -m gpu -s
"""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from tests.gpu.conftest import Checkpoint
from tests.gpu.wan import case_text
from tests.realproject import Project

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize(
    ("settings", "budget_s", "least"),
    [
        pytest.param("fa,cudnn-sdpa,layerwise,cpu-offload,dit-fp16", 480, 3, id="flags"),
        # Without a cache compiling took eight minutes on an H200.
        pytest.param("compile", 1200, 2, id="compile"),
    ],
)
def test_variants_are_ranked_within_the_budget(
    engine: str, checkpoint: Checkpoint, tmp_path: pathlib.Path, settings: str, budget_s: int, least: int
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    text = case_text(checkpoint("baseline"))
    # Pinned, so that the engine offloads nothing by itself.
    pinned = "attention-backend: torch_sdpa\n      dit-layerwise-offload: false\n      dit-cpu-offload: false"
    Project(folder=tmp_path, engine=engine, gpus="1").write_case(text.replace("attention-backend: torch_sdpa", pinned))
    done = subprocess.run(
        [
            *(str(pathlib.Path(sys.executable).with_name("sgdiff")), "tune", "wan_gpu", "--gpus", "1"),
            *("--allow-lossy", "--only", settings, "--budget", f"{budget_s}s"),
            *("--engine-cmd", engine, "--report", "tuned.json", "--report", "tuned.html", "-v"),
        ],
        cwd=tmp_path,
        text=True,
        stdout=subprocess.PIPE,
        check=False,
    )
    print(done.stdout)
    assert done.returncode in (0, 1)
    told = json.loads((tmp_path / "tuned.json").read_text())
    print(
        json.dumps([{k: v for k, v in one.items() if k not in ("args", "env", "settings")} for one in told["variants"]])
    )
    found = {one["variant"]: one for one in told["variants"]}
    measured = {name: one for name, one in found.items() if one["ms"] is not None}
    assert len(measured) >= least
    assert told["took_s"] < budget_s + 30
    assert all(one["memory_mib"] > 1000 for one in measured.values())
    if "layerwise" in measured and "as-written" in measured:
        # Weights that wait on the host take no room on the GPU.
        assert measured["layerwise"]["memory_mib"] < measured["as-written"]["memory_mib"]
