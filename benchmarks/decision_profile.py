"""The warnings of the step profile: false ones, and what they find. Table 7."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from decision_rules import Array
from decision_tables import percent, random

from pytest_sgdiff.data import LaunchRecord
from pytest_sgdiff.judging.step_profile import step_findings

HOST = Path(__file__).parents[1] / "tests" / "data" / "h200_host_launches.json"
STEPS = 30


def profiles(n: int) -> Iterator[str]:
    """The shipped warnings on simulated profiles and on real ones drawn anew."""
    yield f"7. Step profile: share of {n} cases with a warning; baseline of 5, {STEPS} steps of 100 ms, launch CV 1 %,"
    yield "   step noise 1.2 %, sporadic spikes of +30 to +100 % on 2 % of all steps"
    yield f"     {'what changed':<44}" + "".join(f" {f'{nc} launches':>12}" for nc in (1, 3, 5))
    changes: Mapping[str, Callable[[Array], None]] = {
        "nothing": lambda _: None,
        "every step 10 % slower": lambda steps: _slow(steps, slice(None), 1.10),
        "step 17 takes 50 % longer": lambda steps: _slow(steps, slice(17, 18), 1.5),
        "step 17 takes 30 % longer": lambda steps: _slow(steps, slice(17, 18), 1.3),
        "the first two steps take 40 % longer": lambda steps: _slow(steps, slice(0, 2), 1.4),
        "the last third takes 30 % longer": lambda steps: _slow(steps, slice(20, None), 1.3),
    }
    for row, (name, change) in enumerate(changes.items()):
        cells = []
        for nc in (1, 3, 5):
            rng = random(8, row, nc)
            cells.append(sum(_warned(*_profiles(rng, nc, change)) for _ in range(n)) / n)
        yield f"     {name:<44}" + "".join(f" {percent(cell):>12}" for cell in cells)
    real = json.loads(HOST.read_text(encoding="utf-8"))
    pool = np.array([entry["steps_ms"] for side in ("baseline", "gate", "before") for entry in real[side]])
    cells = []
    for nc in (1, 3, 5):
        rng = random(8, 99, nc)
        cells.append(sum(_warned(*np.split(pool[rng.permutation(len(pool))][: 5 + nc], [5])) for _ in range(n)) / n)
    yield f"     {'nothing, real launches (second host)':<44}" + "".join(f" {percent(cell):>12}" for cell in cells)
    cells = []
    for nc in (1, 3, 5):
        rng = random(8, 98, nc)
        cells.append(sum(_warned(_unsynchronised(rng, 5), _unsynchronised(rng, nc)) for _ in range(n)) / n)
    yield f"     {'nothing, unsynchronised first steps':<44}" + "".join(f" {percent(cell):>12}" for cell in cells)


def _profiles(rng: np.random.Generator, nc: int, change: Callable[[Array], None]) -> tuple[Array, Array]:
    def side(launches: int) -> Array:
        shape = (launches, STEPS)
        spike = np.where(rng.random(shape) < 0.02, 1 + rng.uniform(0.3, 1.0, shape), 1.0)
        launch = np.exp(0.01 * rng.standard_normal((launches, 1)))
        return 100 * launch * np.exp(0.012 * rng.standard_normal(shape)) * spike

    then, now = side(5), side(nc)
    change(now)
    return then, now


def _unsynchronised(rng: np.random.Generator, launches: int) -> Array:
    """Twenty steps of 50 ms of which the first three end before the GPU has done them, at 60 to 75 %, but in one launch
    of eight at 95 %; the others take up the time, so that the sum (CV 0.3 %) does not tell. As recorded."""
    steps = 50 * np.exp(0.02 * rng.standard_normal((launches, 20)))
    early = np.where(rng.random((launches, 1)) < 1 / 8, 0.95, rng.uniform(0.6, 0.75, (launches, 1)))
    steps[:, :3] *= early
    return steps * (949 * np.exp(0.003 * rng.standard_normal((launches, 1))) / steps.sum(axis=1, keepdims=True))


def _slow(steps: Array, which: slice, factor: float) -> None:
    steps[:, which] *= factor


def _warned(then: Array, now: Array) -> bool:
    sides = (
        [LaunchRecord(number=i, steps_ms=tuple(map(float, steps))) for i, steps in enumerate(side)]
        for side in (then, now)
    )
    return bool(step_findings(*sides))
