"""A/B pairs: what both sides of a pair share drops out."""

from __future__ import annotations

import math

import pytest

from pytest_sgdiff.data import Decision
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES
from pytest_sgdiff.judging.rules.paired import sign_p
from tests.factories import figures

PRIMARY = CLASS_MARGINS["primary"]
DRIFT = [1000.0, 1021.0, 1043.0, 1066.0, 1088.0]
"""A GPU that warms up: each pair of launches 2 % slower than the last."""
NOISE = [0.9985, 1.001, 1.0, 1.0015, 0.999]


def decide(slowdown: float, pairs: int = 5) -> Decision:
    candidate = [d * n * (1 + slowdown) for d, n in zip(DRIFT, NOISE, strict=True)]
    return RULES["paired"].decide(DRIFT[:pairs], candidate[:pairs], PRIMARY, same_node=True)


def test_drift_that_would_hide_a_slowdown_drops_out():
    assert decide(0.05).outcome == "regressed"
    candidate = [d * n * 1.05 for d, n in zip(DRIFT, NOISE, strict=True)]
    assert RULES["moderated"].decide(DRIFT, candidate, PRIMARY, same_node=True).outcome == "inconclusive"


def test_drift_alone_is_no_slowdown():
    assert decide(0.0).outcome == "pass"


def test_improvement_is_told_from_three_pairs_on():
    assert decide(-0.08, pairs=3).outcome == "improved"
    assert decide(-0.08, pairs=2).outcome == "inconclusive"


@pytest.mark.parametrize("pairs", [1, 2])
def test_fewer_than_three_pairs_decide_nothing(pairs):
    for slowdown in (0.0, 0.05, 0.5):
        decision = decide(slowdown, pairs)
        assert (decision.outcome, figures(decision.finding)) == (
            "inconclusive",
            {"code": "few-pairs", "count": pairs, "needed": 3, "pairs": True},
        )


def test_stages_below_the_floor_pass_from_three_pairs_on():
    tiny, twice = [1.0, 0.0, 2.0], [2.0, 1.0, 4.0]
    two, three = (RULES["paired"].decide(tiny[:n], twice[:n], CLASS_MARGINS["stage"], same_node=True) for n in (2, 3))
    assert (two.outcome, figures(two.finding)) == ("inconclusive", {"code": "below-floor-unconfirmed", "floor": 15})
    assert (three.outcome, figures(three.finding)) == ("pass", {"code": "below-floor", "floor": 15})


def test_gross_slowdowns_stop_at_three_pairs():
    assert decide(0.3, pairs=3).outcome == "regressed"
    assert decide(0.05, pairs=3).outcome == "inconclusive"


def test_a_pair_that_is_not_slower_leaves_a_slowdown_open_and_blames_no_baseline():
    now = [ms * 1.12 for ms in DRIFT[:4]] + [DRIFT[4] * 0.999]
    decision = RULES["paired"].decide(DRIFT, now, PRIMARY, same_node=True)
    assert decision.outcome == "inconclusive"
    assert figures(decision.finding) == {"code": "out-of-order", "size": 0.112, "pairs": True}


def test_a_launch_without_its_partner_is_left_out():
    rule = RULES["paired"]
    whole = rule.decide(DRIFT, DRIFT, PRIMARY, same_node=True)
    assert rule.decide([*DRIFT, 9999.0], DRIFT, PRIMARY, same_node=True) == whole


def test_node_does_not_matter_where_both_sides_ran_on_it():
    rule = RULES["paired"]
    slow = [d * 1.035 for d in DRIFT]
    assert rule.decide(DRIFT, slow, PRIMARY, same_node=False) == rule.decide(DRIFT, slow, PRIMARY, same_node=True)


def test_one_paused_launch_on_the_base_side_fakes_no_improvement():
    base = [*DRIFT[:4], DRIFT[4] * 1.45]
    assert RULES["paired"].decide(base, DRIFT, PRIMARY, same_node=True).outcome == "pass"


@pytest.mark.parametrize("bad", [None, math.nan, 0.0, -3.0])
def test_a_pair_without_a_value_stops_the_judgement(bad):
    decision = RULES["paired"].decide(DRIFT, [*DRIFT[:4], bad], PRIMARY, same_node=True)
    assert figures(decision.finding) == {"code": "bad-values", "count": 1, "of": 5}


def test_the_sign_test_counts_slower_pairs():
    assert sign_p([1.0] * 5) == pytest.approx(1 / 32)
    assert sign_p([1.0] * 9 + [-1.0]) == pytest.approx(11 / 1024)
