"""Noise between launches for benchmarks/tune.py: residuals of recorded launches, as logarithms of ratios.

Every group is launches of one engine on one H200, one after the other: those of tests/data/h200_launches.json,
h200_host_launches.json, h200_fifth_host_launches.json and h200_family_launches.json, and of the baselines in
examples/baselines. A residual is what a launch takes beside the mean of the quick ones of its group, those within 2 %
of the quickest; those are stretched by what a mean of so few hides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from decision_history import read, steady_cvs
from decision_noise import Family, clean, heavy, modes, outliers, skewed
from numpy.typing import NDArray

Array = NDArray[np.float64]
ROOT = Path(__file__).parents[1]
DATA, BASELINES = ROOT / "tests" / "data", ROOT / "examples" / "baselines" / "nvidia-h200-x1"
QUICK = 0.02
DRAWS = 4000
FEWEST = 3
"""Launches of a group below which its residuals say nothing."""
STEADY_BASELINES = ("firered_edit", "ltx2_twostage", "tiny_wan_unchanged", "wan22_t2v")
"""Of the baselines, one of each engine whose GPU is the bottleneck on a host that keeps up."""


def residuals(values: Sequence[float]) -> Array:
    """The logarithms of launches beside the mean of the quick ones."""
    logs = np.log(values)
    quick = logs <= logs.min() + QUICK
    found: Array = logs - logs[quick].mean()
    count = int(quick.sum())
    found[quick] *= math.sqrt(count / (count - 1)) if count > 1 else 1.0
    return found


def _read(stem: str) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads((DATA / f"{stem}.json").read_text(encoding="utf-8"))
    del found["about"]
    return found


def steady_steps() -> list[Array]:
    """The steps, which variants are ranked by, where the host keeps up with the GPU."""
    groups = [_steps(group) for group in _read("h200_launches").values()]
    groups.append(_steps([launch["metrics"] for launch in _read("h200_family_launches")["wan22"]["base"]]))
    for name in STEADY_BASELINES:
        kept = json.loads((BASELINES / f"{name}.json").read_text(encoding="utf-8"))
        groups.append([math.fsum(launch["steps_ms"]) for launch in kept["launches"]])
    return [residuals(group) for group in groups if len(group) >= FEWEST]


def held_up_steps() -> list[Array]:
    """The steps on two hosts that hold up a third of the launches by 2 to 14 %."""
    both = [_read(stem).values() for stem in ("h200_host_launches", "h200_fifth_host_launches")]
    groups = [_steps([launch["metrics"] for launch in group]) for groups in both for group in groups]
    return [_joined([group for group in groups if len(group) >= FEWEST])]


def _steps(group: Sequence[Mapping[str, float]]) -> list[float]:
    return [launch["denoise_steps"] for launch in group]


def whole_requests() -> list[Array]:
    """End-to-end times, of which 5 in 16 pause for half a second of a second."""
    groups = [[launch["e2e"] for launch in group] for group in _read("h200_launches").values() if len(group) >= FEWEST]
    return [_joined(groups)]


def public_nights() -> list[Array]:
    """Normal noise of the CVs that SGLang's public nights show, one for each of its steady cases."""
    rng = np.random.default_rng(1)
    return [np.asarray(cv * rng.standard_normal(400), np.float64) for cv in steady_cvs(read()).values()]


def _joined(groups: Iterable[Sequence[float]]) -> Array:
    return np.concatenate([residuals(group) for group in groups])


def _drawn(draw: Family, cv: float) -> Array:
    return np.asarray(np.log(draw(np.random.default_rng(2), 1, DRAWS, cv)[0]))


INVENTED: Mapping[str, Sequence[Array]] = {
    "normal, CV 0.5 %": [_drawn(clean, 0.005)],
    "normal, CV 0.1 to 2 %, by variant": [_drawn(clean, cv) for cv in np.geomspace(0.001, 0.02, 8)],
    "Student's t3, CV 1 %": [_drawn(heavy, 0.01)],
    "right-skewed, CV 1 %": [_drawn(skewed, 0.01)],
    "5 % of launches 5 to 50 % slower": [_drawn(outliers(0.05), 0.005)],
    "slow mode +6 % in 10 % of launches": [_drawn(modes(0.1, 0.06), 0.005)],
    "normal, CV 4 %": [_drawn(clean, 0.04)],
}
"""Families of noise that nobody recorded, to see what the guarantee holds against."""
