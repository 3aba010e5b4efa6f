"""All settings that are known, by axis, each with who recommends it and what they claim of it.

Sources: SGLang's performance guide (its tables of lossless and lossy options, recipes and model table), and the
engine's own arguments and checks (server_args, auto_tune, attention backends, Cache-DiT, TeaCache; 0.5.8 to 0.5.23).
What a version of the engine lacks is offered all the same: `pytest_sgdiff.tuning.space` asks the table of flags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pytest_sgdiff.data.tuning import Axis
from pytest_sgdiff.tuning.axes import (
    attention,
    cache,
    compilation,
    device_mode,
    offload,
    precision,
    quantised,
    topology,
)
from pytest_sgdiff.tuning.axes.protocol import Choice, Ground, Role

__all__ = ["AXES", "Choice", "Ground", "Role", "choices"]

_BY_AXIS: Mapping[Axis, Callable[[Ground], Sequence[Choice]]] = {
    "topology": topology.settings,
    "compile": compilation.settings,
    "offload": offload.settings,
    "attention": attention.settings,
    "cache": cache.settings,
    "precision": precision.settings,
    "quantised": quantised.settings,
    "device-mode": device_mode.settings,
}
AXES: tuple[Axis, ...] = tuple(_BY_AXIS)
"""All axes that are searched, in the order in which names of variants have them."""


def choices(axis: Axis, ground: Ground) -> tuple[Choice, ...]:
    """The settings of an axis for a case, the likeliest first; empty where the axis has none for it."""
    return tuple(_BY_AXIS[axis](ground))
