"""The cases of `cases/`, made small: their family, flags and `expect`, with sizes that a CPU can do."""

from __future__ import annotations

import functools
import json
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_sgdiff.cases import load
from pytest_sgdiff.data import Case
from tests.realproject import ROOT

NEEDS_GPUS = (
    *("enable-torch-compile", "enable-cfg-parallel", "cfg-parallel-size", "ulysses-degree", "ring-degree"),
    *("text-encoder-cpu-offload", "pin-cpu-memory", "dit-cpu-offload", "dit-layerwise-offload"),
)
"""Flags that a CPU cannot follow, or that choose what is kept on a GPU."""


@dataclass(frozen=True, kw_only=True)
class Family:
    """One shipped case and what it becomes here.

    `kind` and `folder` are the checkpoint's kind (make_checkpoint.py) and the name by which the engine knows the model.
    `args` and `config` are added, with other sizes among them; `size` is that of the output which the case then
    expects, where it does expect one. `gate` is the metric that decides. `image` says whether it gets one. `plain` is
    gated by the engine's own command, imports and all; the others by one whose imports are done (forked.py). `launches`
    are those of the baseline: five where a slowdown is to be found, for with fewer steps that are slow in every launch
    are not told from a host that holds them up.
    """

    case: str
    kind: str
    folder: str
    args: Mapping[str, Any]
    config: Mapping[str, Any] = field(default_factory=dict)
    size: Mapping[str, int] = field(default_factory=dict)
    gate: str = "denoise"
    image: bool = False
    plain: bool = False
    launches: int = 3

    @property
    def shipped(self) -> Case:
        return shipped()[self.case]


@functools.cache
def shipped() -> dict[str, Case]:
    files = sorted((ROOT / "cases").glob("*.yaml"))
    return {case.id: case for file in files for case in load.read_cases(file, ROOT)}


def small(family: Family, model: pathlib.Path, *, gate: str | None = None, **changes: Any) -> str:
    """The case file (JSON is YAML): the shipped case on `model`, without GPUs; `changes` replace keys of the case, and
    None drops one."""
    case, gate = family.shipped, gate or family.gate
    args = {name: list(value) if isinstance(value, tuple) else value for name, value in case.args.items()}
    expect: dict[str, Any] = {"stages": list(case.expect.stages)}
    if case.expect.pipeline:
        expect["pipeline"] = case.expect.pipeline
    if family.size:
        expect["output"] = dict(family.size)
    written = {
        "summary": case.summary,
        "model": str(model),
        "gpus": 0,
        **({"backend": case.backend} if case.backend else {}),
        "warmup": case.warmup,
        # One thread: two of them wait for each other as soon as something else runs on the machine.
        "env": {**case.env, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        "args": {name: value for name, value in {**args, **family.args}.items() if name not in NEEDS_GPUS},
        "config": {**case.config, **family.config},
        "assets": {"image-path": "input.png"} if family.image else {},
        "expect": expect,
        # A CPU that does other things is no measuring instrument: only gross slowdowns are to be told.
        "metrics": {"primary": gate, "gate": [gate], "allow": {gate: "40%"}, "detect": {gate: "90%"}},
        "launches": {"baseline": family.launches, "checkpoints": [1, 3, 5]},
        "timeout": "10m",
        "source": case.source,
    }
    kept = {key: value for key, value in {**written, **changes}.items() if value is not None}
    return json.dumps({"cases": {"tiny": kept}}, indent=1)


IMAGE_MODEL = {"width": 256, "height": 256, "num-inference-steps": 6, "vae-precision": "fp32"}
SQUARE = {"width": 256, "height": 256}
LTX = {"width": 128, "height": 128, "num-frames": 9, "num-inference-steps": 6}
LTX_SIZE = {"width": 128, "height": 128, "frames": 9}
WAN = {"width": 128, "height": 128, "num-frames": 5, "num-inference-steps": 8}
WAN_SIZE = {"width": 128, "height": 128, "frames": 5}

FAMILIES = {
    "wan22-t2v": Family(
        case="wan22_t2v_a14b_720p",
        plain=True,
        launches=5,
        kind="wan22-t2v",
        folder="Wan2.2-T2V-A14B-Diffusers",
        args=WAN,
        size=WAN_SIZE,
    ),
    "wan22-ti2v": Family(
        case="wan22_ti2v_5b_720p",
        kind="wan22-ti2v",
        folder="Wan2.2-TI2V-5B-Diffusers",
        args=WAN,
        size=WAN_SIZE,
    ),
    "wan22-ti2v-image": Family(
        case="wan22_ti2v_5b_720p",
        kind="wan22-ti2v",
        folder="Wan2.2-TI2V-5B-Diffusers",
        args={**WAN, "num-frames": 1, "num-inference-steps": 2},
        size={"frames": 1},
        image=True,
    ),
    "firered": Family(
        case="firered_1_0[cfg]",
        plain=True,
        launches=5,
        kind="firered",
        folder="FireRed-Image-Edit-1.0",
        args={"width": 128, "height": 128, "num-inference-steps": 3, "vae-precision": "fp32"},
        size={"width": 128, "height": 128},
        image=True,
    ),
    "ltx2-two-stage": Family(
        case="ltx2_twostage_t2v", kind="ltx-2", folder="LTX-2", args=LTX, size=LTX_SIZE, plain=True, launches=5
    ),
    "ltx23-one-stage": Family(
        case="ltx2.3_onestage_t2v",
        kind="ltx-2.3",
        folder="LTX-2.3-tiny",
        args={**LTX, "generator-device": "cpu"},
        size=LTX_SIZE,
    ),
    "ltx23-two-stage-image": Family(
        case="ltx2.3_twostage_ti2v_2gpus",
        kind="ltx-2.3",
        folder="LTX-2.3-tiny",
        args={**LTX, "generator-device": "cpu"},
        size=LTX_SIZE,
        image=True,
    ),
    "hunyuan3d": Family(
        case="hunyuan3d_shape",
        plain=True,
        kind="hunyuan3d",
        folder="Hunyuan3D-2",
        args={"num-inference-steps": 6},
        config={"shape_octree_resolution": 16},
        gate="stage:Hunyuan3DShapeDenoisingStage",
        image=True,
    ),
    "flux": Family(case="flux1_dev_t2i_1024", kind="flux", folder="FLUX.1-dev", args=IMAGE_MODEL, size=SQUARE),
    "qwen-image": Family(
        case="qwen_image_t2i", launches=5, kind="qwen-image", folder="Qwen-Image", args=IMAGE_MODEL, size=SQUARE
    ),
    "z-image": Family(
        case="zimage_turbo_t2i_1024", kind="z-image", folder="Z-Image-Turbo", args=IMAGE_MODEL, size=SQUARE
    ),
    "sd3": Family(
        case="sd35_medium_t2i_1024",
        launches=5,
        kind="sd3",
        folder="stable-diffusion-3-medium-diffusers",
        args=IMAGE_MODEL,
        size=SQUARE,
    ),
}
