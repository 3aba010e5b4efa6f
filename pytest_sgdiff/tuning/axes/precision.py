"""The precision of the transformer and the VAE."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.tuning.axes.protocol import LOSSY, Choice, Ground, Role

_PRECISION = f"{LOSSY}, component precision"


def settings(ground: Ground) -> Sequence[Choice]:
    """The settings of this axis."""
    found = [
        Choice(
            setting=_precise("dit-fp16", f"{_PRECISION}: can be faster on some GPUs", "dit-precision", "fp16"),
            role="side",
        ),
        Choice(setting=_precise("vae-bf16", f"{_PRECISION}: less memory", "vae-precision", "bf16"), role="side"),
        Choice(setting=_precise("vae-fp16", f"{_PRECISION}: less memory", "vae-precision", "fp16"), role="rare"),
    ]
    # Processors without units for half precision compute it by single precision.
    role: Role = "side" if ground.gpus == 0 else "rare"
    found.append(
        Choice(setting=_precise("dit-fp32", f"{_PRECISION}, the other way", "dit-precision", "fp32"), role=role)
    )
    if ground.native:
        high = _precise("quality-high", "engine flag quality: faster, more than rounding changes", "quality", "high")
        found.append(Choice(setting=high, role="rare"))
    return found


def _precise(name: str, source: str, flag: str, value: str) -> Setting:
    return Setting(axis="precision", name=name, args={flag: value}, lossy=True, source=source)
