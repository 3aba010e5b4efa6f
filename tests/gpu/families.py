"""The product's four families on one GPU: their shipped cases with small checkpoints, in sizes that keep it busy."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.engine.shipped import shipped

SPLIT = ("enable-cfg-parallel", "cfg-parallel-size", "ulysses-degree", "ring-degree")
"""Flags that split a request over several GPUs."""
LEFT_OUT = (*SPLIT, "enable-torch-compile", "warmup-steps")


@dataclass(frozen=True, kw_only=True)
class Large:
    """One shipped case and the checkpoint (make_checkpoint.py) that it runs here. `sizes` are the checkpoint's,
    `slower` makes one that is really slower of it; `args` are added to the case's."""

    case: str
    kind: str
    folder: str
    sizes: tuple[str, ...]
    slower: tuple[str, ...]
    args: Mapping[str, Any]
    image: bool = False

    @property
    def image_assets(self) -> dict[str, str]:
        return {"image-path": "input.png"} if self.image else {}


def case_file(large: Large, model: pathlib.Path) -> str:
    """The case file (JSON is YAML): on one GPU, in the sizes of `large`, with the shipped flags, `expect` and gates."""
    case = shipped()[large.case]
    args = {name: value for name, value in {**case.args, **large.args}.items() if name not in LEFT_OUT}
    args |= {name: value for name, value in large.args.items() if name == "warmup-steps"}
    sizes = ("width", "height", "num-frames")
    output = {key.removeprefix("num-"): large.args[key] for key in sizes if key in large.args}
    expect: dict[str, Any] = {"stages": list(case.expect.stages)}
    if case.expect.pipeline:
        expect["pipeline"] = case.expect.pipeline
    if output and large.kind != "hunyuan3d":
        expect["output"] = output
    launches = int(os.environ.get("SGDIFF_GPU_LAUNCHES", "5"))
    written = {
        "summary": case.summary,
        "model": str(model),
        "gpus": 1,
        **({"backend": case.backend} if case.backend else {}),
        "warmup": case.warmup,
        "env": {**case.env, "HF_HUB_OFFLINE": "1"},
        "args": {**args, "attention-backend": "torch_sdpa"},
        "config": {**case.config, **({"shape_octree_resolution": 64} if large.kind == "hunyuan3d" else {})},
        "assets": large.image_assets,
        "expect": expect,
        **(
            {"metrics": {"primary": case.metrics.primary, "gate": list(case.metrics.gate)}} if case.metrics.gate else {}
        ),
        "launches": {"baseline": launches, "checkpoints": [1, 3, 5]},
        "timeout": "10m",
        "source": case.source,
    }
    return json.dumps({"cases": {large.kind: written}}, indent=1)


# Wan's steps keep an H200 busy in these sizes (CV of five launches 0.3 %). With the smaller checkpoints and pictures of
# a first try the other three waited for the host's CPUs (3 to 22 %): these are larger.
FAMILIES = {
    "wan22-t2v": Large(
        case="wan22_t2v_a14b_720p",
        kind="wan22-t2v",
        folder="Wan2.2-T2V-A14B-Diffusers",
        sizes=(
            *("--heads", "12", "--layers", "10", "--ffn", "8960"),
            *("--text-dim", "1024", "--text-layers", "4", "--vae-dim", "32"),
        ),
        # The low-noise expert alone: 7 of 20 steps.
        slower=("--layers-2", "13"),
        # Left to itself the engine offloads both experts layer by layer, on 139 GiB too: what the copies wait for made
        # the steps of five launches vary by 9 %.
        args={
            "width": 832,
            "height": 480,
            "num-frames": 17,
            "num-inference-steps": 20,
            "warmup-steps": 4,
            "dit-layerwise-offload": False,
            "dit-cpu-offload": False,
        },
    ),
    "firered": Large(
        case="firered_1_0[cfg]",
        kind="firered",
        folder="FireRed-Image-Edit-1.0",
        sizes=(
            *("--heads", "12", "--head-dim", "128", "--layers", "10"),
            *("--text-dim", "256", "--text-layers", "4", "--vae-dim", "32"),
        ),
        slower=("--layers", "11"),
        args={"width": 1536, "height": 1536, "num-inference-steps": 20},
        image=True,
    ),
    "ltx-2": Large(
        case="ltx2_twostage_t2v",
        kind="ltx-2",
        folder="LTX-2",
        sizes=(
            *("--heads", "32", "--head-dim", "128", "--layers", "8"),
            *("--text-dim", "256", "--text-layers", "4", "--vae-dim", "32"),
        ),
        # The LoRA of the second stage is not merged into the transformer: its rank is work of those steps alone.
        slower=("--lora-rank", "1024"),
        args={"width": 1280, "height": 768, "num-frames": 121, "num-inference-steps": 20},
    ),
    "hunyuan3d": Large(
        case="hunyuan3d_shape",
        kind="hunyuan3d",
        folder="Hunyuan3D-2",
        # Seven gigabytes: its 1024 latents are few, so that only width keeps the GPU busy.
        sizes=("--heads", "64", "--head-dim", "64", "--layers", "3", "--single-layers", "6"),
        slower=("--single-layers", "7"),
        args={"num-inference-steps": 20},
        image=True,
    ),
}
