"""Bisections of drawn repositories with noise, merges, and commits that do not run. `benchmarks/bisecting.py` has the
rates of many; here a few show that the parts fit together."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("seed", [6])
def test_the_slow_commit_of_a_noisy_repository_is_found(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    bisecting = importlib.import_module("bisecting")
    end, stand, _ = bisecting.bisected(seed, commits=14, size=0.08)
    assert bisecting.outcome(end, stand) in ("right", "right among others")
    assert end.whole.verdict == "bad"
    assert 0 < end.error < 0.3
