"""The minimum detectable slowdown, held against draws of the shipped rule: what is printed is what happens."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.special import chdtri

from pytest_sgdiff.judging.rules import CLASS_MARGINS, ModeratedRule
from pytest_sgdiff.judging.rules.ranks import ordered_wins, rank_p

PRIMARY = CLASS_MARGINS["primary"]
LOOKS = (1, 3, 5)
BASELINES, GATES = 40, 300


@pytest.fixture(scope="module")
def found_in():
    """The share of gates over LOOKS that end in `regressed`, by the vectorised form of the rule."""
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import decision_metric
        import decision_rules

        yield lambda b, c, m: float((decision_metric.looks_codes(b, c, m)[0] == decision_rules.REGRESSED).mean())
    finally:
        sys.path.remove(folder)


def baselines(rng, nb, cv):
    """Logarithms of normal samples around zero, whose spreads are the quantiles of all that such samples have."""
    raw = rng.standard_normal((BASELINES, nb))
    raw -= raw.mean(axis=1, keepdims=True)
    # From the largest to the smallest, which is of no matter.
    squares = chdtri(nb - 1, (np.arange(BASELINES) + 0.5) / BASELINES)
    return cv * raw * np.sqrt(squares / (raw**2).sum(axis=1))[:, None]


@pytest.mark.parametrize("nb", [3, 5, 10])
@pytest.mark.parametrize("allow", [0.015, 0.05, 0.10, 0.20])
def test_a_slowdown_of_the_printed_size_is_regressed_in_95_of_100_gates(found_in, nb, allow):
    margins = replace(PRIMARY, allow=allow, detect=allow + PRIMARY.detect - PRIMARY.allow)
    rng = np.random.default_rng((20261129, nb, round(1000 * allow)))
    for cv in (0.005, 0.01, 0.02):
        logs = baselines(rng, nb, cv)
        sizes = [ModeratedRule().detectable(list(b), margins, looks=LOOKS) for b in 1e4 * np.exp(logs)]
        b, size = np.repeat(logs, GATES, axis=0), np.repeat(sizes, GATES)
        # The centre of a sample is independent of its spread.
        away = cv * rng.standard_normal((len(b), 1)) / np.sqrt(nb)
        c = np.log1p(size)[:, None] - away + cv * rng.standard_normal((len(b), LOOKS[-1]))
        assert 0.93 < found_in(1e4 * np.exp(b), 1e4 * np.exp(c), margins) < 0.97, (cv, np.median(sizes))


@pytest.mark.parametrize(("nb", "nc"), [(3, 5), (5, 5), (10, 5), (12, 7)])
def test_the_order_that_is_asked_for_is_the_one_that_the_rule_asks_for(nb, nc):
    """As many pairs in order as `ordered_wins` says confirm a slowdown, and one fewer does not."""
    from math import comb

    wins = ordered_wins(nb, nc)

    def p(in_order):
        # The slower launches first, each slower than as many of the baseline as are left to count.
        full, rest = divmod(in_order, nb)
        b = [float(i) for i in range(1, nb + 1)]
        c = [nb + 1.0 + i for i in range(full)] + ([rest + 0.5] if full < nc else []) + [0.1 * i for i in range(nc)]
        return rank_p(b, c[:nc])

    level = max(0.01, 1 / comb(nb + nc, nc))
    assert p(wins) <= level * (1 + 1e-9) < p(wins - 1)
