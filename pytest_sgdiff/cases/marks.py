"""The marks that case files may carry without anybody registering them."""

from __future__ import annotations

CASE_MARKS = {
    "nightly": "an SGLang Diffusion case that runs every night",
    "upstream_nightly": "an SGLang Diffusion case that SGLang's own nightly comparison serves",
    "pr": "an SGLang Diffusion case that gates pull requests",
    "stress": "an SGLang Diffusion case at the limit of what fits",
    "topology": "an SGLang Diffusion case that compares parallel layouts",
    "lossy": "an SGLang Diffusion case with an optimisation that changes the output",
    "low_vram": "an SGLang Diffusion case for GPUs with little memory",
    "diffusers": "an SGLang Diffusion case that declares the diffusers backend",
}
