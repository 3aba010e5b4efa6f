"""Noise between launches for benchmarks/tune.py: residuals of recorded launches, as logarithms of ratios, and what each
launch visibly lost (`pytest_sgdiff.tuning.lost`).

Every group is launches of one engine on one H200, one after the other: those of tests/data/h200_launches.json,
h200_host_launches.json, h200_fifth_host_launches.json and h200_family_launches.json, and of the baselines in
examples/baselines. A residual is what a launch takes beside the mean of the quick ones of its group, those within 2 %
of the quickest; those are stretched by what a mean of so few hides.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from decision_history import read, steady_cvs
from decision_noise import Family, clean, heavy, modes, outliers, skewed
from numpy.typing import NDArray

from pytest_sgdiff.tuning.lost import USUAL_PAUSE, uneven_ms

Array = NDArray[np.float64]
ROOT = Path(__file__).parents[1]
DATA, BASELINES = ROOT / "tests" / "data", ROOT / "examples" / "baselines" / "nvidia-h200-x1"
QUICK = 0.02
DRAWS = 4000
FEWEST = 3
"""Launches of a group below which its residuals say nothing."""
STEADY_BASELINES = ("firered_edit", "ltx2_twostage", "tiny_wan_unchanged", "wan22_t2v")
"""Of the baselines, one of each engine whose GPU is the bottleneck on a host that keeps up."""
TWO_STAGES = (20,)
"""The step with which the second stage begins in that of LTX-2."""
THIRD_HOST = "tiny_wan_wider"
"""Of the baselines, the one of a third host that holds launches up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """A recorded time in ms, and the share of it that the launch visibly lost, None where that was not recorded."""

    ms: float
    lost: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """What launches are drawn from: residuals, and what each of them lost."""

    residuals: Array
    lost: tuple[float | None, ...]


def residuals(values: Sequence[float]) -> Array:
    """The logarithms of launches beside the mean of the quick ones."""
    logs = np.log(values)
    quick = logs <= logs.min() + QUICK
    found: Array = logs - logs[quick].mean()
    count = int(quick.sum())
    found[quick] *= math.sqrt(count / (count - 1)) if count > 1 else 1.0
    return found


def pooled(groups: Iterable[Sequence[Launch]]) -> Pool:
    """One pool of the launches of all groups that are large enough, each beside its own group."""
    large = [group for group in groups if len(group) >= FEWEST]
    return Pool(
        residuals=np.concatenate([residuals([one.ms for one in group]) for group in large]),
        lost=tuple(one.lost for one in chain.from_iterable(large)),
    )


def _read(stem: str) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads((DATA / f"{stem}.json").read_text(encoding="utf-8"))
    del found["about"]
    return found


def steady_steps() -> list[Pool]:
    """The steps, which variants are ranked by, where the host keeps up with the GPU."""
    # The oldest recordings have no single steps.
    groups = [[Launch(ms=one["denoise_steps"]) for one in group] for group in _read("h200_launches").values()]
    groups.append([_of_steps(one["steps_ms"]) for one in _read("h200_family_launches")["wan22"]["base"]])
    for name in STEADY_BASELINES:
        kept = json.loads((BASELINES / f"{name}.json").read_text(encoding="utf-8"))
        stages = TWO_STAGES if name == "ltx2_twostage" else ()
        groups.append([_of_steps(one["steps_ms"], stages) for one in kept["launches"]])
    return [pooled([group]) for group in groups if len(group) >= FEWEST]


def held_up_steps() -> list[Pool]:
    """The steps on two hosts that hold up a third of the launches by 2 to 14 %."""
    both = [_read(stem).values() for stem in ("h200_host_launches", "h200_fifth_host_launches")]
    return [pooled([_of_steps(one["steps_ms"]) for one in group] for groups in both for group in groups)]


def third_host_steps() -> list[Pool]:
    """The steps on a third host, which held up half of ten launches by 2 to 19 %."""
    kept = json.loads((BASELINES / f"{THIRD_HOST}.json").read_text(encoding="utf-8"))
    return [pooled([[_of_steps(one["steps_ms"]) for one in kept["launches"]]])]


def _of_steps(steps_ms: Sequence[float], inner: Sequence[int] = ()) -> Launch:
    whole, uneven = math.fsum(steps_ms), uneven_ms(tuple(steps_ms), inner)
    return Launch(ms=whole, lost=None if uneven is None else uneven / whole)


def whole_requests() -> list[Pool]:
    """End-to-end times, of which 5 in 16 pause for half a second of a second."""
    return [pooled([_of_request(one) for one in group] for group in _read("h200_launches").values())]


def _of_request(metrics: Mapping[str, float]) -> Launch:
    """What a request lost to pauses alone: these recordings have no single steps."""
    whole = metrics["e2e"]
    stages = math.fsum(value for name, value in metrics.items() if name.startswith("stage:"))
    pause = metrics["denoise_gap"] + max(0.0, whole - stages)
    return Launch(ms=whole, lost=pause / whole if pause > USUAL_PAUSE * whole else 0.0)


def public_nights() -> list[Pool]:
    """Normal noise of the CVs that SGLang's public nights show, one for each of its steady cases."""
    rng = np.random.default_rng(1)
    drawn = [np.asarray(cv * rng.standard_normal(400), np.float64) for cv in steady_cvs(read()).values()]
    return [_unknown(one) for one in drawn]


def _unknown(values: Array) -> Pool:
    return Pool(residuals=values, lost=(None,) * len(values))


def _drawn(draw: Family, cv: float) -> Pool:
    return _unknown(np.asarray(np.log(draw(np.random.default_rng(2), 1, DRAWS, cv)[0])))


INVENTED: Mapping[str, Sequence[Pool]] = {
    "normal, CV 0.5 %": [_drawn(clean, 0.005)],
    "normal, CV 0.1 to 2 %, by variant": [_drawn(clean, cv) for cv in np.geomspace(0.001, 0.02, 8)],
    "Student's t3, CV 1 %": [_drawn(heavy, 0.01)],
    "right-skewed, CV 1 %": [_drawn(skewed, 0.01)],
    "5 % of launches 5 to 50 % slower": [_drawn(outliers(0.05), 0.005)],
    "slow mode +6 % in 10 % of launches": [_drawn(modes(0.1, 0.06), 0.005)],
    "normal, CV 4 %": [_drawn(clean, 0.04)],
}
"""Families of noise that nobody recorded, to see what the guarantee holds against."""
