"""Attention backends: exact ones, approximate ones, and sparse ones with the models that have them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_sgdiff.data import ArgValue
from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.engines.flags.lookup import given
from pytest_sgdiff.tuning.axes.protocol import LOSSLESS, LOSSY, Choice, Ground, Role

_BY_COMPONENT = "component-attention-backends"
_LOSSLESS = f"{LOSSLESS}, attention backend"
_LOSSY = f"{LOSSY}, approximate attention"
_SPARSE = f"{_LOSSY}: 1.5 to 2 times as fast in attention, a pattern for video models"
_VIDEO = r"Wan|HunyuanVideo|LTX|MOVA|Cosmos|Helios|LingBot|video"
# Name, backend, lossy, role, models, source. The models are those whose transformers the engine gives the backend to.
_ATTENTION: tuple[tuple[str, str, bool, Role, str, str], ...] = (
    ("fa", "fa", False, "side", "", f"{_LOSSLESS}: FlashAttention is usually faster on long sequences"),
    ("sdpa", "torch_sdpa", False, "side", "", _LOSSLESS),
    ("cudnn-sdpa", "torch_cudnn_sdpa", False, "side", "", "engine, attention backends: PyTorch's by cuDNN, exact"),
    ("sage", "sage_attn", True, "main", "", f"{_LOSSY}: 1.5 to 2 times as fast in attention; the most general one"),
    ("sage3", "sage_attn_3", True, "side", "", f"{_LOSSY}: 1.5 to 2 times as fast in attention; for Blackwell"),
    ("video-sparse", "video_sparse_attn", True, "side", r"FastWan|Wan2", _SPARSE),
    ("sage-sla", "sage_sla_attn", True, "side", r"TurboWan", _SPARSE),
    ("sla", "sla_attn", True, "side", r"TurboWan", _SPARSE),
    ("sparse-gen2", "sparse_video_gen_2_attn", True, "rare", _VIDEO, _SPARSE),
    ("moba", "vmoba_attn", True, "rare", _VIDEO, _SPARSE),
    ("sliding-tile", "sliding_tile_attn", True, "rare", _VIDEO, f"{_SPARSE}; reads a mask from a file"),
)
_OF_DIFFUSERS: tuple[tuple[str, str, bool], ...] = (
    ("native", "native", False),
    ("cudnn", "_native_cudnn", False),
    ("flash", "flash", False),
    ("sage", "sage", True),
)


def settings(ground: Ground) -> Sequence[Choice]:
    """The settings of this axis."""
    # On the CPU the engine has one.
    if ground.gpus == 0:
        return ()
    if not ground.native:
        source = "diffusers, attention backends that the engine passes on"
        return [
            Choice(setting=_attends(ground, name, backend, source, lossy=lossy), role="side")
            for name, backend, lossy in _OF_DIFFUSERS
        ]
    return [
        Choice(setting=_attends(ground, name, backend, source, lossy=lossy), role=role)
        for name, backend, lossy, role, models, source in _ATTENTION
        if re.search(models, ground.case.model, re.IGNORECASE)
    ]


def _attends(ground: Ground, name: str, backend: str, source: str, *, lossy: bool) -> Setting:
    """The backend for the whole model: a choice of the case for its transformers would go before it."""
    case = ground.case
    before = [flag for flag in ("attention-backend-override", "diffusers-attention-backend") if given(case, flag)]
    before += [flag for flag in case.args if flag.startswith(f"{_BY_COMPONENT}.transformer")]
    before += [_BY_COMPONENT] if "transformer" in str(given(case, _BY_COMPONENT)) else []
    if given(case, "attention-backend") != backend:
        # What configures another backend is nothing to this one.
        before += ["attention-backend-config", "mask-strategy-file-path"]
    args: dict[str, ArgValue | None] = {**dict.fromkeys(before), "attention-backend": backend}
    return Setting(axis="attention", name=name, args=args, lossy=lossy, source=source)
