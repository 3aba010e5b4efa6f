"""Where weights are kept: on the GPU, on the CPU by layer or by component, or split over GPUs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pytest_sgdiff.data import ArgValue
from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.tuning.axes.protocol import GUIDE, LOSSLESS, TABLE, Choice, Ground, Role

_SIZE = "dit-offload-prefetch-size"
_DECIDES_OFFLOAD = (
    *("dit-layerwise-offload", "dit-cpu-offload", "use-fsdp-inference", _SIZE),
    *("layerwise-offload-components", "layerwise-offload-modules", "component-residency", "cpu-offload-components"),
    *("dit-layerwise-resident-layers", "dit-layerwise-residency-policy", "dit-layerwise-residency-lifetime"),
)
_ENCODERS = ("text-encoder-cpu-offload", "image-encoder-cpu-offload", "vae-cpu-offload")


def _kept(
    name: str, source: str, dit: Mapping[str, ArgValue] = MappingProxyType({}), *, encoders: bool | None = None
) -> Setting:
    """A setting that decides everything about the transformer, and where `encoders` says so, about the encoders and the
    VAE: True has them offloaded, None leaves them as they are."""
    args: dict[str, ArgValue | None] = dict.fromkeys(_DECIDES_OFFLOAD)
    args |= {"dit-layerwise-offload": False, "dit-cpu-offload": False, **dit}
    if encoders is not None:
        args |= dict.fromkeys(_ENCODERS, encoders)
    return Setting(axis="offload", name=name, args=args, source=source)


_LAYERWISE = f"{LOSSLESS}, layerwise offload"
_PREFETCH = f"{LOSSLESS}, offload prefetch size"
_COMPONENTS = f"{LOSSLESS}, CPU offload of components: less memory, and transfers when one is needed"
_START = f"{_PREFETCH}: 0.05 to 0.1 is where to start"
_BY_LAYER: Mapping[str, ArgValue] = {"dit-layerwise-offload": True}

_OFFLOAD: tuple[tuple[Role, Setting], ...] = (
    (
        "main",
        _kept(
            "resident",
            f'{GUIDE}, recipe "Maximum speed, image model": the transformer stays on the GPU where memory allows',
        ),
    ),
    (
        "main",
        _kept(
            "fsdp",
            f"{LOSSLESS}, FSDP: less memory on each GPU, more overhead than sequence parallelism",
            {"use-fsdp-inference": True},
        ),
    ),
    ("main", _kept("layerwise", f"{_LAYERWISE}: near no cost for some video models", _BY_LAYER)),
    ("side", _kept("all-resident", f"{_COMPONENTS}; left out for all", encoders=False)),
    ("side", _kept("components-cpu", f"{_COMPONENTS}; the transformer stays", encoders=True)),
    ("side", _kept("layerwise-p0.1", _START, {**_BY_LAYER, _SIZE: 0.1})),
    ("side", _kept("layerwise-p0.05", _START, {**_BY_LAYER, _SIZE: 0.05})),
    (
        "side",
        _kept(
            "layerwise-p2",
            "engine, its own choice for Wan2.2 A14B (auto_tune): two layers ahead were fastest in its sweep",
            {**_BY_LAYER, _SIZE: 2},
        ),
    ),
    (
        "side",
        _kept(
            "layerwise-half",
            "engine flag dit-layerwise-resident-layers: half of the layers stay on the GPU",
            {**_BY_LAYER, "dit-layerwise-resident-layers": 0.5},
        ),
    ),
    (
        "side",
        _kept(
            "low-vram",
            f'{GUIDE}, recipe "Low VRAM, decent speed (single GPU)"',
            {**_BY_LAYER, _SIZE: 0.1},
            encoders=True,
        ),
    ),
    ("side", _kept("cpu-offload", _COMPONENTS, {"dit-cpu-offload": True}, encoders=True)),
    (
        "rare",
        _kept(
            "layerwise-p0.5",
            f"{_PREFETCH}: from 0.5 on as much memory as without offload, and slower",
            {**_BY_LAYER, _SIZE: 0.5},
        ),
    ),
    ("rare", _kept("dit-cpu", _COMPONENTS, {"dit-cpu-offload": True})),
)
_TEXT_ENCODER = Setting(
    axis="offload",
    name="text-encoder-cpu",
    args={"text-encoder-cpu-offload": True, "pin-cpu-memory": True},
    source=f"{TABLE}, rows Wan2.2 A14B and HunyuanVideo",
)


def settings(ground: Ground) -> Sequence[Choice]:
    """The settings of this axis."""
    if ground.gpus == 0:
        return ()
    found = [Choice(setting=setting, role=role) for role, setting in _OFFLOAD]
    if not ground.native:
        # Of these flags the diffusers backend reads those of whole components.
        return [one for one in found if one.setting.name in ("all-resident", "cpu-offload")]
    return [*found, Choice(setting=_TEXT_ENCODER, role="side")]
