"""The text of a project's first case file."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sgdiff.cases.written import id_of_model, scalar

PROMPT = "A curious raccoon walks through a field of sunflowers at sunset"
MODEL = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
"""A small public model without a token, which every supported release runs natively."""
SIZE = (832, 480)
FRAMES = 17
"""Of a model of videos that is not named: a fifth of what the engine makes by itself, so that a launch stays short."""
STEPS = 20

_ON_GPUS = """\
      # Left out, the engine decides by the memory that is free. Where the model does not fit, write true.
      dit-layerwise-offload: false
      dit-cpu-offload: false
"""
_ON_CPU = """\
    # A CPU does other things too: only gross slowdowns show, and more launches would show no smaller ones.
    metrics: {gate: [denoise], allow: 30%, detect: 60%}
    launches: {baseline: 5}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstCase:
    """What a first case is to measure. `frames` is None for an image, or for as many as the engine makes by itself."""

    model: str
    gpus: int
    width: int
    height: int
    frames: int | None
    steps: int = STEPS
    prompt: str = PROMPT

    @property
    def id(self) -> str:
        """The case's id, after the model."""
        return id_of_model(self.model)

    def text(self, schema: str) -> str:
        """The case file; `schema` is where editors find its schema."""
        size = f"{self.width}x{self.height}" + ("" if self.frames is None else f", {self.frames} frames")
        where = "the CPU" if self.gpus == 0 else f"{self.gpus} GPU" if self.gpus == 1 else f"{self.gpus} GPUs"
        env = 'SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"'
        # On a CPU two threads wait for each other as soon as something else runs.
        env += "" if self.gpus else ', OMP_NUM_THREADS: "1"'
        # Left out, the engine chooses, and another version may choose differently.
        degree = f"      ulysses-degree: {self.gpus}  # how the GPUs share a request\n" if self.gpus > 1 else ""
        frames = "" if self.frames is None else f"      num-frames: {self.frames}\n"
        return (
            f"# yaml-language-server: $schema={schema}\n"
            "#\n"
            "# A case is one request to measure. `sgdiff cases --check` finds mistakes in this file, and\n"
            "# `pytest --sgdiff-dry-run` prints the command line that it stands for.\n"
            "defaults:\n"
            "  warmup: request  # one request warms up, the next one is measured\n"
            f"  env: {{{env}}}\n"
            "\n"
            "cases:\n"
            f"  {self.id}:\n"
            f"    summary: {scalar(f'{_short(self.model)} at {size} on {where}')}\n"
            f"    model: {scalar(self.model)}\n"
            f"    gpus: {self.gpus}\n"
            "    args:  # flags of the engine, without dashes\n"
            f"      prompt: {scalar(self.prompt)}\n"
            f"      width: {self.width}\n"
            f"      height: {self.height}\n"
            f"{frames}"
            f"      num-inference-steps: {self.steps}\n"
            f"{degree}"
            "      seed: 42\n"
            f"{_ON_GPUS if self.gpus else _ON_CPU}"
        )


def _short(model: str) -> str:
    return model.rstrip("/").rpartition("/")[2] or model
