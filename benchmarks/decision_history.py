"""Noise between nights on real machines: SGLang's own nightly comparison, which publishes one figure for each night.

`nightly_history.csv` holds its nights of March to June 2026 that measured something: UTC time, commit, case (as
scripts/ci/utils/diffusion/comparison_configs.json of sgl-project/sglang names it), and the seconds of one request to a
warm server. It is a copy of what that project's nightly workflow publishes.

Between two nights code, configuration and machine may change. Those jumps are no noise: the spread of a case is taken
from the differences between consecutive nights, by their median, which a few jumps do not move.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from pytest_sgdiff.judging.estimator import spread

FILE = Path(__file__).with_name("nightly_history.csv")
FEWEST = 30
"""Nights of a case below which its spread is not taken."""
STEADY = 0.01
"""Cases that vary by more are no matter of noise between nights alone: their own launches vary, or they change."""


def read(file: Path = FILE) -> dict[str, list[float]]:
    """Seconds of each case, night by night."""
    found: dict[str, list[tuple[str, float]]] = {}
    with file.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            found.setdefault(row["case"], []).append((row["at"], float(row["latency_s"])))
    return {case: [seconds for _, seconds in sorted(nights)] for case, nights in found.items()}


def night_cv(seconds: Sequence[float]) -> float:
    """The CV of a case from night to night, of which launch and session both have a part."""
    logs = [math.log(s) for s in seconds]
    return spread_of([after - before for before, after in pairwise(logs)]) / math.sqrt(2)


def spread_of(differences: Sequence[float]) -> float:
    """Their spread around zero: an unchanged case drifts nowhere."""
    return spread([*differences, *(-d for d in differences)])


def steady_cvs(nights: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The CV of each case that has nights enough and is steady, the steadiest first."""
    found = {case: night_cv(seconds) for case, seconds in nights.items() if len(seconds) >= FEWEST}
    return {case: cv for case, cv in sorted(found.items(), key=lambda one: one[1]) if cv <= STEADY}


if __name__ == "__main__":
    every = {case: night_cv(seconds) for case, seconds in read().items() if len(seconds) >= FEWEST}
    for name, cv in sorted(every.items(), key=lambda one: one[1]):
        print(f"{name:<32} {len(read()[name]):>3} nights  CV {100 * cv:.2f} %")
    print(f"median {100 * statistics.median(every.values()):.2f} %")
