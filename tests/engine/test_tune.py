"""`sgdiff tune` on the real engine: eight variants of a tiny Wan on the CPU, which differ for real."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

from tests.engine.conftest import CASE, Checkpoint
from tests.realproject import Project

pytestmark = pytest.mark.engine


SETTINGS = ("cache-dit", "cache-dit-ultra", "teacache", "dit-fp16", "dit-fp32", "vae-bf16", "vae-fp16")


def test_eight_variants_are_ranked_beside_what_they_draw(
    engine: str, checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    # Steps of launches whose timers are synchronised show what held them up.
    case = CASE.replace("env: {{", 'env: {{SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1", ')
    Project(folder=tmp_path, engine=engine, gpus="none").write_case(case.format(model=checkpoint("baseline")))
    done = subprocess.run(
        [
            *(str(pathlib.Path(sys.executable).with_name("sgdiff")), "tune", "tiny_wan", "--gpus", "none"),
            *("--allow-lossy", "--axes", "precision,cache", "--only", ",".join(SETTINGS)),
            *("--within", "30%", "--launches", "2", "--engine-cmd", engine, "--report", "tuned.json"),
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
    assert set(found) == {"as-written", *SETTINGS}
    # Every variant ran natively, and none of them failed.
    assert [name for name, one in found.items() if one["dropped"] and one["dropped"]["code"] != "slower"] == []
    # A CPU has no units for fp16, and is half as fast in fp32; a cache leaves out more than half of the steps.
    assert found["dit-fp16"]["ms"] > 2 * found["as-written"]["ms"]
    assert found["cache-dit-ultra"]["ms"] < found["dit-fp32"]["ms"] < found["dit-fp16"]["ms"]
    assert told["best"] not in ("dit-fp16", "dit-fp32")
    # A lossy variant stands beside its figures: what another precision or a cache draws is not quite the same.
    for name in ("dit-fp16", "cache-dit-ultra", "teacache"):
        assert found[name]["quality"]["similarity"]["mse"] > 0
    assert all(one["quality"]["code"] == "lossy" for one in found.values() if one["lossy"])
    assert all(one["e2e_ms"] > one["ms"] for one in found.values())
    assert "--dit-precision fp16" in found["dit-fp16"]["command"]
    # Steps of a cache differ by design, and show nothing.
    kept = (tmp_path / ".sgdiff" / "tune" / "tiny_wan" / "state.jsonl").read_text().splitlines()
    tried = [came["tried"] for line in kept if (came := json.loads(line).get("came"))]
    known = {one["variant"]: one["lost"] is not None for one in tried}
    assert {name for name in found if not known[name]} == {"cache-dit", "cache-dit-ultra", "teacache"}
