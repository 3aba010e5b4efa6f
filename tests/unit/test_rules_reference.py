"""A published number shows a difference; it fails a case only beyond a stated tolerance, and never passes one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_sgdiff.data import Decision
from pytest_sgdiff.rules import CLASS_MARGINS, RULES

STATED = replace(CLASS_MARGINS["primary"], limit=0.25, limit_abs=0.0)
UNSTATED = replace(STATED, limit=math.inf)


def decide(candidate, margins=STATED, *, same_node=True) -> Decision:
    return RULES["reference"].decide([6781.14], candidate, margins, same_node=same_node)


@pytest.mark.parametrize("factor", [0.5, 0.99, 1.0, 1.24])
def test_within_the_tolerance_or_faster_is_inconclusive(factor):
    decision = decide([6781.14 * factor] * 5)
    assert decision.outcome == "inconclusive"
    assert decision.ratio == pytest.approx(factor)
    assert decision.why.endswith(", within the tolerance of 25 %; one published number cannot pass a case")


def test_three_launches_beyond_the_stated_tolerance_regress():
    decision = decide([8600.0, 8700.0, 8650.0])
    assert (decision.outcome, decision.why) == (
        "regressed",
        "all 3 launches beyond the tolerance of 25 % that the case states",
    )


def test_one_launch_beyond_it_is_suspect():
    decision = decide([8600.0])
    assert (decision.outcome, decision.suspect) == ("inconclusive", True)
    assert decision.why == "26.8 % slower than the reference, to be confirmed by 3 launches"


def test_without_a_stated_tolerance_nothing_fails():
    decision = decide([20000.0] * 5, UNSTATED)
    assert decision.outcome == "inconclusive"
    assert decision.why == (
        "195 % slower than the reference; a reference without a stated tolerance only shows the difference"
    )


def test_another_node_has_slack():
    assert decide([6781.14 * 1.26] * 3).outcome == "regressed"
    assert decide([6781.14 * 1.26] * 3, same_node=False).outcome == "inconclusive"


def test_values_that_are_none_show_nothing():
    assert decide([None, 8600.0, 8600.0]).why == "missing or invalid in 1 of the candidate's 3 launches"
