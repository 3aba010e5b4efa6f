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
    assert decision.why == "within the tolerance of 25 %; one published number cannot pass a case"


def test_launches_on_both_sides_of_the_tolerance_are_not_said_to_be_within_it():
    decision = decide([6781.14 * factor for factor in (1.2, 1.3, 1.3)])
    assert (decision.outcome, decision.why) == (
        "inconclusive",
        "not in every launch beyond the tolerance of 25 %; one published number cannot pass a case",
    )


def test_three_launches_beyond_the_stated_tolerance_regress():
    decision = decide([8600.0, 8700.0, 8650.0])
    assert (decision.outcome, decision.why) == (
        "regressed",
        "all 3 launches beyond the tolerance of 25 % that the case states",
    )


def test_one_launch_beyond_it_is_suspect():
    decision = decide([8600.0])
    assert (decision.outcome, decision.suspect) == ("inconclusive", True)
    assert decision.why == "to be confirmed by 3 launches"


def test_without_a_stated_tolerance_nothing_fails():
    decision = decide([20000.0] * 5, UNSTATED)
    assert decision.outcome == "inconclusive"
    assert decision.why == "a reference without a stated tolerance only shows the difference"


@pytest.mark.parametrize("near", [True, False])
def test_the_stated_tolerance_is_the_tolerance_wherever_the_number_was_measured(near):
    assert decide([6781.14 * 1.26] * 3, same_node=near).outcome == "regressed"


def test_values_that_are_none_show_nothing():
    assert decide([None, 8600.0, 8600.0]).why == "missing or invalid in 1 of the candidate's 3 launches"
