"""The explicit baseline on the diffusers backend, with a Cache-DiT configuration: generated and served by the real
engine."""

from __future__ import annotations

import json
import pathlib

import pytest

from tests.engine.conftest import Checkpoint
from tests.realproject import Project

pytestmark = pytest.mark.engine

# Of the kind of upstream's test/server/configs/cache_dit_scm_config.yaml, for eight steps.
CONFIG = """
cache_config:
  max_warmup_steps: 2
  max_cached_steps: -1
  Fn_compute_blocks: 1
  Bn_compute_blocks: 0
  residual_diff_threshold: 0.12
"""
CASES = """
defaults:
  model: {model}
  gpus: 0
  backend: diffusers
  warmup: off
  env: {{HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: "1"}}
  args:
    prompt: A curious raccoon on a very old and narrow bridge
    seed: 42
    width: 128
    height: 128
    num-frames: 5
    num-inference-steps: 8
    dit-layerwise-offload: false
  expect: {{pipeline: DiffusersPipeline, stages: [DiffusersExecutionStage]}}
  metrics: {{primary: e2e, gate: [e2e]}}
  launches: {{checkpoints: [1]}}
  timeout: 15m
cases:
  cached:
    assets: {{cache-dit-config: cache.yaml}}
    matrix: {{engine: [sglang-generate, sglang-serve]}}
  broken:
    assets: {{cache-dit-config: broken.yaml}}
"""


def test_a_cache_dit_configuration_is_applied_in_both_engines_or_the_launch_does_not_count(
    engine: str, checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "cache.yaml").write_text(CONFIG)
    (assets / "broken.yaml").write_text("cache_config: {no_such_setting: 1}\n")
    project = Project(folder=tmp_path, engine=engine, gpus="none")
    project.write_case(CASES.format(model=checkpoint("baseline")))
    ran = project.pytest(f"--sgdiff-assets={assets}", "--sgdiff-out=kept")
    found = {case["case"]: case for case in json.loads((tmp_path / "report.json").read_text())["cases"]}
    outcomes = {case: one["outcome"] for case, one in found.items()}
    assert outcomes == {
        "cached[sglang-generate]": "no-baseline",
        "cached[sglang-serve]": "no-baseline",
        "broken": "invalid",
    }, ran.output
    for name in ("cached[sglang-generate]", "cached[sglang-serve]"):
        (launch,) = found[name]["launches"]
        assert launch["pipeline"] == "DiffusersPipeline"
        assert launch["metrics"]["e2e"] > 0
        # The file is part of the work, and the engine says that it uses it.
        assert "cache-dit-config" in json.dumps(found[name]["workload"])
    logs = [log.read_text() for log in (tmp_path / "kept").glob("cached*/00/engine.log")]
    assert ["Enabled cache-dit for diffusers pipeline" in log for log in logs] == [True, True]
