"""What a two-stage pipeline of LTX-2 keeps on the GPU between its stages."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.lint.models import two_stage_flag
from pytest_sgdiff.tuning.axes.protocol import TABLE, Choice, Ground


def settings(ground: Ground) -> Sequence[Choice]:
    """The settings of this axis."""
    if two_stage_flag(ground.view) is None:
        return ()
    row = f'{TABLE}, row "LTX-2 / LTX-2.3"'
    said: Sequence[tuple[str, str]] = (
        ("original", f"{row}: one stage's transformer on the GPU at a time"),
        ("snapshot", f"{row}: the default of older engines"),
        ("resident", f"{row}: fastest, with more memory"),
    )
    return [
        Choice(
            setting=Setting(
                axis="device-mode",
                name=f"stages-{mode}",
                args={"ltx2-two-stage-device-mode": mode},
                env={"SGLANG_LTX2_TWO_STAGE_DEVICE_MODE": None},
                source=source,
            ),
            role="side" if mode == "snapshot" else "main",
        )
        for mode, source in said
    ]
