"""A published number shows a difference; it fails a case only beyond a stated tolerance, and never passes one."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_sgdiff.data import Decision, Finding
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES
from tests.factories import figures

STATED = replace(CLASS_MARGINS["primary"], allow=0.25, allow_abs=0.0)
UNSTATED = replace(STATED, allow=math.inf)


def decide(candidate, margins=STATED, *, same_node=True) -> Decision:
    return RULES["reference"].decide([6781.14], candidate, margins, same_node=same_node)


@pytest.mark.parametrize("factor", [0.5, 0.99, 1.0, 1.24])
def test_within_the_tolerance_or_faster_is_inconclusive(factor):
    decision = decide([6781.14 * factor] * 5)
    assert decision.outcome == "inconclusive"
    assert decision.ratio == pytest.approx(factor)
    assert figures(decision.finding) == {"code": "reference-within", "allow": 0.25}


def test_launches_on_both_sides_of_the_tolerance_are_not_said_to_be_within_it():
    decision = decide([6781.14 * factor for factor in (1.2, 1.3, 1.3)])
    assert (decision.outcome, figures(decision.finding)) == (
        "inconclusive",
        {"code": "reference-overlaps", "allow": 0.25},
    )


def test_three_launches_beyond_the_stated_tolerance_regress():
    decision = decide([8600.0, 8700.0, 8650.0])
    assert (decision.outcome, figures(decision.finding)) == (
        "regressed",
        {"code": "reference-beyond", "count": 3, "allow": 0.25},
    )


def test_one_launch_beyond_it_is_suspect():
    decision = decide([8600.0])
    assert (decision.outcome, decision.suspect) == ("inconclusive", True)
    assert figures(decision.finding) == {"code": "unconfirmed", "count": 1, "needed": 3}


def test_without_a_stated_tolerance_nothing_fails():
    decision = decide([20000.0] * 5, UNSTATED)
    assert decision.outcome == "inconclusive"
    assert figures(decision.finding) == {"code": "reference-shows"}


@pytest.mark.parametrize("near", [True, False])
def test_the_stated_tolerance_is_the_tolerance_wherever_the_number_was_measured(near):
    assert decide([6781.14 * 1.26] * 3, same_node=near).outcome == "regressed"


def test_values_that_are_none_show_nothing():
    assert decide([None, 8600.0, 8600.0]).finding == Finding(code="bad-values", count=1, of=3)
