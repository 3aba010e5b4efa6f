"""Compiling the transformer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pytest_sgdiff.data import ArgValue, Case
from pytest_sgdiff.data.tuning import Setting
from pytest_sgdiff.engines.flags.lookup import given
from pytest_sgdiff.tuning.axes.protocol import LOSSLESS, Choice, Ground


def settings(ground: Ground) -> Sequence[Choice]:
    """The settings of this axis."""
    row = f"{LOSSLESS}, torch.compile"
    faster = f"{row}: 1.2 to 1.5 times as fast in denoising"
    others: dict[str, ArgValue | None] = {"regional-compile": None, "enable-breakable-cuda-graph": None}
    args: dict[str, ArgValue | None] = {**others, "enable-torch-compile": True}
    if _two_experts(ground.case):
        # A warmup of one step compiles the first transformer alone.
        args["warmup-steps"] = max(4, _whole(given(ground.case, "warmup-steps")))
    compiled = Setting(axis="compile", name="compile", args=args, source=faster)
    eager = Setting(
        axis="compile", name="eager", args={**others, "enable-torch-compile": False}, source=f"{row}, left out"
    )
    found = [Choice(setting=compiled), Choice(setting=eager)]
    if ground.native:
        regional = Setting(
            axis="compile",
            name="compile-regional",
            args={**args, "regional-compile": True},
            source="engine flag regional-compile: compiles repeated blocks instead of the whole transformer",
        )
        graphs = Setting(
            axis="compile",
            name="cuda-graphs",
            args={**others, "enable-torch-compile": False, "enable-breakable-cuda-graph": True},
            source="engine flag enable-breakable-cuda-graph: fewer kernel launches, for servers and some models",
        )
        found += [Choice(setting=regional, role="side"), Choice(setting=graphs, role="rare")]
    return found


def _two_experts(case: Case) -> bool:
    return re.search(r"Wan2\.2-(?:T2V|I2V)-A14B", case.model, re.IGNORECASE) is not None and case.warmup == "request"


def _whole(value: ArgValue | None) -> int:
    return value if isinstance(value, int) else 0
