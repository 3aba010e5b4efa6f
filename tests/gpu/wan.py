"""The case that the GPU tests measure."""

from __future__ import annotations

import os
import pathlib

CASE = """
cases:
  wan_gpu:
    summary: a Wan 2.1 model of ten layers on one GPU
    model: {model}
    gpus: 1
    env: {{HF_HUB_OFFLINE: "1", SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1", FLASHINFER_DISABLE_VERSION_CHECK: "1"}}
    args:
      prompt: A curious raccoon walks through a field of sunflowers at sunset
      seed: 42
      width: {width}
      height: {height}
      num-frames: {frames}
      num-inference-steps: 20
      attention-backend: torch_sdpa
    expect: {{pipeline: WanPipeline, stages: [DenoisingStage, DecodingStage]}}
    metrics: {{primary: denoise, gate: [denoise, peak_memory], allow: {{denoise: 1.5%}}}}
    launches: {{baseline: {launches}, checkpoints: [1, 3, 5]}}
    timeout: 15m
"""


def case_text(model: pathlib.Path, *, width: int = 832, height: int = 480, frames: int = 17) -> str:
    """The case file for a model, at the usual or another size."""
    launches = os.environ.get("SGDIFF_GPU_LAUNCHES", "10")
    return CASE.format(model=model, width=width, height=height, frames=frames, launches=launches)
