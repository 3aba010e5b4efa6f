"""The pause rule on the pauses of real launches: 440 to 590 ms in some, 10 to 14 ms of overhead in the others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sgdiff.data import Decision, Finding
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES
from pytest_sgdiff.judging.rules.pause import tolerated
from tests.factories import figures

MARGINS = replace(CLASS_MARGINS["pause"], allow_abs=45.0)
CLEAN = [9.2, 13.5, 9.8, 9.6, 8.9]


def decide(baseline, candidate) -> Decision:
    return RULES["pause"].decide(baseline, candidate, MARGINS, same_node=True)


def test_no_pause_passes_at_the_first_launch():
    assert decide(CLEAN, [10.1]) == Decision(outcome="pass", finding=Finding(code="no-pause"))


def test_a_pause_where_the_baseline_has_one_costs_no_launch():
    decision = decide([*CLEAN[:4], 447.0], [472.0])
    assert (decision.outcome, figures(decision.finding)) == (
        "pass",
        {"code": "rare-pauses", "count": 1, "of": 1, "longest": 472.0},
    )


def test_a_first_pause_looks_on_until_one_launch_does_without():
    first = decide(CLEAN, [472.0])
    assert first.outcome == "inconclusive"
    assert figures(first.finding) == {
        "code": "pauses-unconfirmed",
        "count": 1,
        "shortest": 472.0,
        "paused": 0,
        "of": 5,
        "needed": 7,
    }
    decision = decide(CLEAN, [472.0, 10.0, 590.0])
    assert (decision.outcome, figures(decision.finding)) == (
        "pass",
        {"code": "rare-pauses", "count": 2, "of": 3, "longest": 590.0},
    )


def test_a_pause_in_every_launch_is_a_regression():
    decision = decide(CLEAN, [472.0, 481.0, 470.0, 505.0, 499.0, 471.0, 502.0])
    assert (decision.outcome, figures(decision.finding)) == (
        "regressed",
        {"code": "pauses", "count": 7, "shortest": 470.0, "paused": 0, "of": 5},
    )


@pytest.mark.parametrize(("nb", "needed"), [(5, 7), (6, 6), (7, 5), (10, 5)])
def test_launches_that_pause_without_exception_convict_where_chance_would_fail_one_night_in_a_hundred(nb, needed):
    """The worst rate of pauses fails p^nc (1 - p)^nb of unchanged cases, and a night has thirty."""
    then = (CLEAN * 2)[:nb]
    assert decide(then, [472.0] * (needed - 1)).finding.code == "pauses-unconfirmed"
    assert decide(then, [472.0] * needed).outcome == "regressed"
    p = needed / (nb + needed)
    assert 30 * p**needed * (1 - p) ** nb < 0.01


def test_overhead_that_grows_by_less_than_matters_passes():
    assert decide(CLEAN, [55.0] * 5).outcome == "pass"
    assert decide(CLEAN, [60.0] * 7).outcome == "regressed"


def test_a_longer_pause_in_every_launch_is_caught_beside_a_baseline_that_pauses():
    assert decide([447.0, 460.0, *CLEAN[:3]], [1010.0] * 7).outcome == "regressed"


def test_a_pause_a_quarter_longer_than_the_baselines_is_of_the_same_kind():
    """Recorded pauses of one cause differ by a tenth: 442 to 590 ms."""
    assert decide([447.0, *CLEAN[:4]], [555.0]).outcome == "pass"
    assert decide([447.0, *CLEAN[:4]], [565.0]).outcome == "inconclusive"


def test_three_baseline_launches_pass_but_never_fail():
    assert decide(CLEAN[:3], [9.0]).outcome == "pass"
    decision = decide(CLEAN[:3], [470.0] * 5)
    assert (decision.outcome, decision.suspect) == ("inconclusive", True)
    assert figures(decision.finding) == {
        "code": "pauses-small-baseline",
        "count": 5,
        "shortest": 470.0,
        "paused": 0,
        "of": 3,
        "needed": 5,
    }


def test_two_baseline_launches_tell_nothing():
    assert decide(CLEAN[:2], [9.0] * 5).outcome == "inconclusive"


def test_zero_is_a_pause_of_nothing_and_none_is_not():
    assert decide([0.0] * 5, [0.0]).outcome == "pass"
    assert decide(CLEAN, [None, 9.0]).finding == Finding(code="bad-values", count=1, of=2)


@pytest.mark.parametrize(("nb", "expected"), [(3, 0), (5, 0), (10, 0), (12, 1), (20, 2)])
def test_larger_baselines_may_hold_pauses_and_still_show_that_they_recur_now(nb, expected):
    """C(5 + k, k) / C(nb + 5, 5) <= 0.001, computed by hand: 1/3003 and 6/3003 for ten, 21/53130 for twenty."""
    assert tolerated(nb, 5) == expected


def test_two_pauses_among_twenty_baseline_launches_do_not_hide_a_recurring_one():
    assert decide([*CLEAN * 3, *CLEAN[:3], 450.0, 470.0], [460.0] * 5).outcome == "regressed"
    assert decide([*CLEAN * 3, *CLEAN[:2], 450.0, 470.0, 480.0], [460.0] * 5).outcome == "pass"


def test_a_pass_that_most_launches_pause_in_is_suspect():
    assert decide(CLEAN, [472.0, 590.0, 10.0]).suspect is True
    assert decide(CLEAN, [472.0, 10.0, 11.0]).suspect is False
    assert decide(CLEAN, [10.0]).suspect is False
    assert decide([*CLEAN[:-1], 472.0], [472.0]).suspect is False


@pytest.mark.parametrize(
    ("candidate", "outcome"),
    [
        ([10.0, 59_000.0, 59_000.0], "inconclusive"),
        ([10.0, 59_000.0, 59_000.0, 59_000.0, 59_000.0], "inconclusive"),
        ([10.0, 10.0, 59_000.0, 59_000.0, 59_000.0], "inconclusive"),
        ([10.0, 10.0, 10.0, 59_000.0, 59_000.0], "pass"),
        ([10.0, 59_000.0], "pass"),
        ([10.0, 10.0, 1125.0], "pass"),
        ([10.0, 1125.1, 1125.1], "inconclusive"),
        ([59_000.0] * 7, "regressed"),
    ],
)
def test_one_launch_does_not_acquit_most_that_stand_still_for_longer_than_the_request_takes(candidate, outcome):
    extreme = replace(MARGINS, extreme_abs=1125.0)
    found = RULES["pause"].decide(CLEAN, candidate, extreme, same_node=True)
    assert found.outcome == outcome
    assert found.suspect is (outcome == "inconclusive" or (outcome == "pass" and max(candidate) > 1125.0))
    # Where most of the baseline's did so as well, it is nothing new.
    known = RULES["pause"].decide([59_000.0, 59_000.0, 59_000.0, 10.0, 10.0], candidate, extreme, same_node=True)
    assert known.outcome == "pass"
