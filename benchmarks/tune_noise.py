"""Noise between launches for benchmarks/tune.py: residuals of recorded launches, as logarithms of ratios.

Every group is launches of one engine on one H200, one after the other: those of tests/data/h200_launches.json,
h200_host_launches.json, h200_fifth_host_launches.json and h200_family_launches.json, and of the baselines in
examples/baselines. A residual is what a launch takes beside the mean of the quick ones of its group, those within 2 %
of the quickest; those are stretched by what a mean of so few hides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from decision_history import read, steady_cvs
from decision_noise import Family, clean, heavy, modes, outliers, skewed
from numpy.typing import NDArray

from pytest_sgdiff.step_core import cores

Array = NDArray[np.float64]
ROOT = Path(__file__).parents[1]
DATA, BASELINES = ROOT / "tests" / "data", ROOT / "examples" / "baselines" / "nvidia-h200-x1"
QUICK = 0.02
DRAWS = 4000
FEWEST = 3
"""Launches of a group below which its residuals say nothing."""
STEADY_FAMILIES = ("wan22",)
"""Of the small families, the one whose GPU is the bottleneck; the host decides on the others."""
HOST_DECIDES = ("hunyuan3d_shape", "firered_slower")
"""Baselines of which the same holds."""


def residuals(values: Sequence[float]) -> Array:
    """The logarithms of launches beside the mean of the quick ones."""
    logs = np.log(values)
    quick = logs <= logs.min() + QUICK
    found: Array = logs - logs[quick].mean()
    count = int(quick.sum())
    found[quick] *= math.sqrt(count / (count - 1)) if count > 1 else 1.0
    return found


def _launches() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The groups that keep their steps, by name."""
    for stem in ("h200_host_launches", "h200_fifth_host_launches"):
        for name, group in _read(stem).items():
            yield f"{stem}/{name}", group
    for family, sides in _read("h200_family_launches").items():
        if family in STEADY_FAMILIES:
            for name, group in sides.items():
                yield f"{family}/{name}", group


def _read(stem: str) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads((DATA / f"{stem}.json").read_text(encoding="utf-8"))
    del found["about"]
    return found


def core_of_steps() -> list[Array]:
    """What the plugin ranks by where launches keep their steps: their core."""
    groups = {name: [launch["steps_ms"] for launch in group] for name, group in _launches()}
    for file in sorted(BASELINES.glob("*.json")):
        kept = json.loads(file.read_text(encoding="utf-8"))
        if file.stem not in HOST_DECIDES:
            groups[file.stem] = [launch["steps_ms"] for launch in kept["launches"] if "steps_ms" in launch]
    found, seen = [], set[float]()
    for group in groups.values():
        # Some launches stand in two files.
        if len(group) < FEWEST or round(group[0][0], 2) in seen:
            continue
        seen.add(round(group[0][0], 2))
        steps = [tuple(launch) for launch in group]
        both = cores(steps, steps, ())
        if both is not None:
            found.append(residuals([one.core for one in both.then]))
    return found


def sum_of_steps() -> list[Array]:
    """The steps as they come: hosts hold up a third to a half of the launches by 2 to 14 %."""
    return [
        _joined(
            [[one["metrics"]["denoise_steps"] for one in group] for _, group in _launches() if len(group) >= FEWEST]
        )
    ]


def whole_requests() -> list[Array]:
    """End-to-end times where a third of the launches pause for half a second of a second."""
    groups = [[launch["e2e"] for launch in group] for group in _read("h200_launches").values() if len(group) >= FEWEST]
    return [_joined(groups)]


def public_nights() -> list[Array]:
    """Normal noise of the CVs that SGLang's public nights show, one for each of its steady cases."""
    rng = np.random.default_rng(1)
    return [cv * rng.standard_normal(400) for cv in steady_cvs(read()).values()]


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
