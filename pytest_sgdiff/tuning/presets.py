"""Recipes of SGLang's performance guide as starting points: presets by purpose, and what it begins with for a family of
models."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_sgdiff.data.tuning import Axis

_GUIDE = "performance guide"


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A purpose. `settings` are the guide's recipe for it, by axis, which is tried as one variant. `offered` limits
    what is tried on an axis."""

    summary: str
    source: str
    settings: Mapping[Axis, str]
    offered: Mapping[Axis, tuple[str, ...]] = field(default_factory=dict)
    allow_lossy: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """What the guide begins with for the models whose name matches `models`."""

    models: str
    settings: Mapping[Axis, str]
    source: str


PRESETS: Mapping[str, Preset] = {
    "low-vram": Preset(
        summary="offload modes that need little memory, compiled or not",
        source=f'{_GUIDE}, recipe "Low VRAM, decent speed (single GPU)"',
        settings={"compile": "compile", "offload": "low-vram"},
        offered={
            "offload": (
                *("low-vram", "layerwise", "layerwise-p0.05", "layerwise-p0.1", "layerwise-half"),
                *("fsdp", "cpu-offload"),
            ),
        },
    ),
    "max-speed": Preset(
        summary="everything on the GPU, compiled or not",
        source=f'{_GUIDE}, recipes "Maximum speed" for image and for video models',
        settings={"compile": "compile", "offload": "resident"},
        offered={"offload": ("resident", "all-resident")},
    ),
    "lossy": Preset(
        summary="approximate attention and caches between steps, with everything on the GPU and compiled",
        source=f'{_GUIDE}, recipe "Maximum speed, lossy native path (SageAttention + Cache-DiT)"',
        settings={"compile": "compile", "offload": "resident", "attention": "sage", "cache": "cache-dit"},
        offered={"offload": ("resident", "all-resident")},
        allow_lossy=True,
    ),
}
"""By the name that a user gives."""

_TABLE = f"{_GUIDE}, model table"
_RESIDENT: Mapping[Axis, str] = {"compile": "compile", "offload": "resident"}
_COMPILED: Mapping[Axis, str] = {"compile": "compile"}
_OFFLOADED: Mapping[Axis, str] = {"compile": "compile", "offload": "text-encoder-cpu"}

RECIPES: tuple[Recipe, ...] = (
    Recipe(models=r"FLUX\.[12]", settings=_RESIDENT, source=f'{_TABLE}, rows "FLUX.1 / FLUX.2 image" and "Klein"'),
    Recipe(models=r"FireRed", settings=_RESIDENT, source=f'{_TABLE}, row "FireRed-Image-Edit 1.0 / 1.1"'),
    Recipe(models=r"JoyAI-Image", settings=_RESIDENT, source=f'{_TABLE}, row "JoyAI-Image-Edit"'),
    Recipe(models=r"Hunyuan3D", settings=_RESIDENT, source=f'{_TABLE}, row "Hunyuan3D-2 shape"'),
    Recipe(models=r"Qwen-Image", settings=_COMPILED, source=f'{_TABLE}, row "Qwen-Image / Qwen-Image-Edit"'),
    Recipe(models=r"Z-Image", settings=_COMPILED, source=f'{_TABLE}, row "Z-Image / Z-Image-Turbo"'),
    Recipe(
        models=r"Wan2\.2-(?:T2V|I2V)-A14B",
        settings={"offload": "text-encoder-cpu"},
        source=f'{_TABLE}, row "Wan2.2 A14B T2V/I2V"; recipe "Maximum speed, video model"',
    ),
    Recipe(
        models=r"Wan2", settings=_COMPILED, source=f'{_TABLE}, rows "Wan2.2 TI2V 5B" and "Wan2.1 / FastWan / TurboWan"'
    ),
    Recipe(models=r"Cosmos3", settings=_COMPILED, source=f'{_TABLE}, row "Cosmos3 Nano / Super"'),
    Recipe(models=r"ideogram", settings=_COMPILED, source=f'{_TABLE}, row "Ideogram 4 FP8/NVFP4"'),
    Recipe(
        models=r"ERNIE-Image|GLM-Image|SANA|stable-diffusion-3",
        settings=_COMPILED,
        source=f'{_TABLE}, row "ERNIE-Image / GLM-Image / SANA / SD3"',
    ),
    Recipe(
        models=r"LTX-2",
        settings={"compile": "compile", "device-mode": "stages-resident"},
        source=f'{_TABLE}, row "LTX-2 / LTX-2.3"',
    ),
    Recipe(models=r"HunyuanVideo", settings=_OFFLOADED, source=f'{_TABLE}, row "HunyuanVideo"'),
    Recipe(models=r"MOVA|Helios|lingbot", settings=_COMPILED, source=f'{_TABLE}, row "MOVA / Helios / LingBot World"'),
)
"""The first that matches counts."""


def recipe_of(model: str) -> Recipe | None:
    """The guide's recipe for a model, None where it has none."""
    return next((one for one in RECIPES if re.search(one.models, model, re.IGNORECASE)), None)
