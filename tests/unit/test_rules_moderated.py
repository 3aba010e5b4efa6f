"""The rule on figures whose verdict people can check by eye; tests/property holds its laws and an independent form."""

from __future__ import annotations

import math
import statistics

import pytest

from pytest_sgdiff.data import Decision, Finding
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES, ModeratedRule, Prior
from pytest_sgdiff.judging.rules.ranks import rank_p
from tests.factories import figures

PRIMARY, STAGE, MEMORY = (CLASS_MARGINS[name] for name in ("primary", "stage", "memory"))
QUIET = [81750.0, 81802.0, 81690.0, 81775.0, 81731.0]
"""Denoising of Wan2.2 T2V in ms, five launches with a CV of 0.05 %."""
NOISY = [1000.0, 1012.0, 991.0, 1008.0, 989.0]
"""Five launches with a CV of 1 %."""


def decide(baseline, candidate, margins=PRIMARY, *, same_node=True) -> Decision:
    return ModeratedRule().decide(baseline, candidate, margins, same_node=same_node)


def scaled(values, factor):
    return [v * factor for v in values]


def test_one_unchanged_launch_passes_and_says_what_it_excludes():
    decision = decide(QUIET, [81744.0])
    assert (decision.outcome, figures(decision.finding)) == ("pass", {"code": "ruled-out", "size": 0.019})
    assert decision.excluded == pytest.approx(0.0193, abs=1e-4)
    assert decision.ratio == pytest.approx(1.0, abs=1e-4)
    assert decision.low < 1 < decision.high


def test_five_percent_slower_is_confirmed_by_five_launches_not_by_three():
    slow = scaled(NOISY, 1.05)
    first, second, last = (decide(NOISY, slow[:n]) for n in (1, 3, 5))
    assert (first.outcome, first.suspect) == ("inconclusive", True)
    assert (second.outcome, figures(second.finding)) == (
        "inconclusive",
        {"code": "unconfirmed", "count": 3, "needed": 5},
    )
    assert (last.outcome, figures(last.finding)) == ("regressed", {"code": "beyond-allow", "allow": 0.012})


def test_proof_of_a_slowdown_beyond_what_is_allowed_wins_over_a_pass():
    decision = decide(QUIET, scaled(QUIET, 1.032))
    assert (decision.outcome, figures(decision.finding)) == (
        "regressed",
        {"code": "beyond-allow", "allow": 0.012},
    )


def test_twenty_percent_slower_needs_only_three_launches():
    decision = decide(NOISY, scaled(NOISY[:3], 1.2))
    assert decision.outcome == "regressed"
    assert figures(decision.finding) == {"code": "gross", "allow": 0.012, "size": 0.175}


def test_one_launch_a_quarter_slower_asks_for_more():
    decision = decide(QUIET, [102000.0])
    assert (decision.outcome, figures(decision.finding)) == (
        "inconclusive",
        {"code": "unconfirmed", "count": 1, "needed": 3},
    )


def test_a_slowdown_that_is_allowed_never_fails_however_sure():
    decision = decide(QUIET * 4, scaled(QUIET, 1.012) * 4)
    assert (decision.outcome, figures(decision.finding)) == ("pass", {"code": "ruled-out", "size": 0.021})


def test_a_larger_allowance_widens_what_passes():
    from dataclasses import replace

    wide = replace(PRIMARY, allow=0.075, detect=0.20)
    assert decide(NOISY, scaled(NOISY, 1.06), wide).outcome == "pass"
    assert decide(NOISY, scaled(NOISY, 1.06)).outcome == "regressed"


def test_ten_percent_faster_is_improved_from_the_first_launch():
    decision = decide(QUIET, scaled(QUIET[:1], 0.9))
    assert (decision.outcome, figures(decision.finding)) == ("improved", {"code": "faster", "size": -0.08})


def test_faster_in_the_mean_alone_is_no_improvement():
    """Three launches of which one is as slow as the baseline's fastest: rank order is asked for from three on."""
    assert decide(NOISY, [900.0, 905.0, 989.0]).outcome == "pass"
    assert decide(NOISY, [900.0, 905.0, 910.0]).outcome == "improved"


def test_a_significant_mean_without_rank_order_is_inconclusive():
    """One baseline launch is slower than every candidate launch: five v five cannot be confirmed by ranks."""
    decision = decide([*QUIET[:4], 95000.0], scaled(QUIET, 1.08))
    assert decision.outcome == "inconclusive"
    assert figures(decision.finding) == {"code": "out-of-order", "size": 0.075, "needed": 10}


def test_what_three_launches_find_is_what_they_may_fail():
    """Three launches fail only what is gross in each of them, so no smaller size may be promised; one fails nothing."""
    size = ModeratedRule().detectable(NOISY, PRIMARY, looks=(3,))
    assert size == pytest.approx(0.144, abs=0.02)
    centre = statistics.median(NOISY)
    assert decide(NOISY, [centre * (1 + size)] * 3).outcome == "regressed"
    assert decide(NOISY, [centre * 1.1] * 3).outcome == "inconclusive"
    assert [ModeratedRule().detectable(NOISY, PRIMARY, looks=(n,)) for n in (1, 2)] == [None, None]


def test_more_launches_are_not_asked_of_a_baseline_of_ten():
    decision = decide([*QUIET, *QUIET[:3], 95000.0, 96000.0], scaled(QUIET, 1.08))
    assert decision.outcome == "inconclusive"
    assert figures(decision.finding) == {"code": "out-of-order", "size": 0.075}


def test_ten_baseline_launches_tolerate_one_outlier():
    assert decide([*QUIET, *QUIET[:4], 95000.0], scaled(QUIET, 1.08)).outcome == "regressed"


def test_an_outlier_among_the_candidates_is_clipped_not_dropped():
    decision = decide(QUIET, [*QUIET[:4], 123000.0])
    assert decision.outcome == "pass"
    assert 1.0 < decision.ratio < 1.02


def test_noise_that_contradicts_the_prior_overrules_it():
    """Launches 6 % apart: with the prior's 0.8 % this would be a regression."""
    wild = [1000.0, 1060.0, 940.0, 1070.0, 930.0]
    decision = decide(wild, scaled(wild, 1.05))
    assert decision.outcome == "inconclusive"
    assert decision.finding.code == "interval-undecided"
    assert decision.finding.low < 0.05 < decision.finding.high


def test_another_node_has_two_percent_of_slack_and_says_so():
    slow = scaled(QUIET, 1.035)
    assert decide(QUIET, slow).outcome == "regressed"
    decision = decide(QUIET, slow, same_node=False)
    assert decision.outcome == "pass"
    assert figures(decision.finding) == {"code": "ruled-out", "size": 0.048, "slack": 0.02}


def test_what_is_found_on_another_node_is_larger_by_the_slack():
    rule = ModeratedRule()
    here, there = (rule.detectable(QUIET, PRIMARY, looks=(5,), same_node=near) for near in (True, False))
    assert there - here == pytest.approx(0.02, abs=0.001)
    # So much is found there, and what is found here is not.
    assert decide(QUIET, scaled(QUIET, 1 + there), same_node=False).outcome == "regressed"
    assert decide(QUIET, scaled(QUIET, 1 + here), same_node=False).outcome == "pass"


def test_zero_variance_takes_the_priors():
    decision = decide([5000.0] * 5, [5000.0])
    assert decision.outcome == "pass"
    assert decision.high > decision.low


def test_equal_memory_regresses_by_four_percent_without_a_variance():
    decision = decide([3011.52] * 5, [3167.86] * 5, MEMORY)
    assert (decision.outcome, figures(decision.finding)) == ("regressed", {"code": "beyond-allow", "allow": 0.011})


def test_memory_within_its_absolute_floor_passes():
    """1 % would be 6 MiB of 600; 32 MiB is never a regression, and a pass rules out 128 MiB."""
    assert decide([600.0] * 5, [630.0] * 5, MEMORY).outcome == "pass"


@pytest.mark.parametrize("bad", [None, math.nan, math.inf, -math.inf, -1.0, 0.0])
@pytest.mark.parametrize("side", ["baseline", "candidate"])
@pytest.mark.parametrize("margins", [PRIMARY, MEMORY], ids=["primary", "memory"])
def test_what_is_no_value_is_never_judged(bad, side, margins):
    good = list(QUIET)
    spoilt = [*QUIET[:4], bad]
    decision = decide(spoilt, good, margins) if side == "baseline" else decide(good, spoilt, margins)
    assert decision.outcome == "inconclusive"
    assert decision.finding == Finding(code="bad-values", count=1, of=5, baseline=side == "baseline")


def test_zeros_all_over_are_a_stage_too_short_to_time_and_a_broken_primary():
    assert decide([0.0] * 5, [0.0], STAGE) == Decision(outcome="pass", finding=Finding(code="below-floor", floor=15))
    assert decide([0.0] * 5, [0.0]).outcome == "inconclusive"
    assert decide([0.0] * 5, [0.0], MEMORY).outcome == "inconclusive"


def test_a_stage_of_microseconds_passes_whatever_its_ratio():
    assert decide([0.03, 0.04, 0.03, 0.05, 0.04], [14.9], STAGE).finding.code == "below-floor"
    assert decide([0.03, 0.04, 0.03, 0.05, 0.04], [15.1], STAGE).outcome == "inconclusive"


def test_a_zero_beside_a_stage_above_the_floor_is_missing():
    decision = decide([35.0, 36.0, 34.0, 35.0, 0.0], [35.0], STAGE)
    assert (decision.outcome, decision.finding.code) == ("inconclusive", "zero-values")


def test_no_baseline_is_said_to_be_missing():
    assert decide([], QUIET) == Decision(outcome="no-baseline", finding=Finding(code="no-baseline"))
    assert decide(QUIET, []) == Decision(outcome="inconclusive", finding=Finding(code="no-values"))


@pytest.mark.parametrize("nb", [1, 2])
def test_one_or_two_baseline_launches_neither_pass_nor_fail(nb):
    for candidate in (QUIET[:1], QUIET, scaled(QUIET, 1.2), scaled(QUIET, 0.5), scaled(QUIET[:2], 2.0)):
        assert decide(QUIET[:nb], candidate).outcome == "inconclusive"


def test_a_small_baseline_still_fails_what_no_noise_explains():
    decision = decide(QUIET[:2], scaled(QUIET[:3], 1.3))
    assert decision.outcome == "regressed"
    assert figures(decision.finding) == {"code": "small-baseline-gross", "size": 0.25, "of": 2}


def test_a_small_baseline_of_microseconds_fails_nothing():
    assert decide([1.0, 1.0], [4.0, 4.0, 4.0], STAGE).outcome == "inconclusive"


def test_figures_far_apart_give_no_infinite_interval():
    decision = decide([1e-300, 1.0, 1e300], [1e300], STAGE)
    for value in (decision.ratio, decision.low, decision.high):
        assert value is None or math.isfinite(value)


def test_ties_keep_the_exact_rank_distribution():
    """A normal approximation, as is usual where there are ties, would give 0.002 here, half of what 1 in 252 is."""
    assert rank_p([1.0] * 5, [2.0] * 5) == pytest.approx(1 / 252)


def test_the_table_of_margins():
    rows = {
        name: (m.allow, m.detect, m.allow_abs, m.detect_abs, m.cv0, m.noise_abs)
        for name, m in CLASS_MARGINS.items()
        if name != "pause"
    }
    assert rows == {
        "primary": (0.012, 0.042, 2, 5, 0.008, 0.5),
        "stage": (0.12, 0.20, 15, 20, 0.03, 0.5),
        "memory": (0.01, 0.03, 32, 128, 0.002, 8),
    }


def test_resolution_falls_with_baseline_launches_and_rises_with_their_noise():
    rule = ModeratedRule()
    by_size = [rule.detectable(NOISY * n, PRIMARY, looks=(5,)) for n in (1, 2, 4)]
    assert by_size == sorted(by_size, reverse=True)
    assert rule.detectable(QUIET, PRIMARY, looks=(5,)) < by_size[0]
    assert by_size[0] == pytest.approx(0.095, abs=0.01)


def test_resolution_is_unknown_for_two_launches_invalid_values_and_what_is_below_the_floor():
    rule = ModeratedRule()
    assert rule.detectable(QUIET[:2], PRIMARY, looks=(5,)) is None
    assert rule.detectable([*QUIET, None], PRIMARY, looks=(5,)) is None
    assert rule.detectable([0.1] * 5, STAGE, looks=(5,)) is None


def test_what_holds_up_no_pass_is_found_from_later_on():
    """One launch whose stage is slower by less than a pass would rule out ends the case."""
    rule = ModeratedRule()
    noisy = [300.0, 312.0, 288.0, 306.0, 294.0]
    deciding, beside = (rule.detectable(noisy, STAGE, looks=(1, 3, 5), secondary=flag) for flag in (False, True))
    assert 0.2 < deciding < beside < 0.35


def test_a_slowdown_of_the_printed_resolution_is_found():
    """Noise free at its printed size, the rule must answer: the printed figure is no smaller than its own threshold."""
    size = ModeratedRule().detectable(NOISY, PRIMARY, looks=(5,))
    assert decide(NOISY, scaled(NOISY, 1 + size)).outcome == "regressed"


def test_a_prior_of_the_suite_replaces_the_default_noise():
    quiet = ModeratedRule(Prior(cv0=0.002, weight=30.0, session_cv=0.0))
    slow = scaled(QUIET, 1.02)
    assert decide(QUIET, slow).outcome == "pass"
    assert quiet.decide(QUIET, slow, PRIMARY, same_node=True).outcome == "regressed"
    assert quiet.detectable(QUIET, PRIMARY, looks=(5,)) < ModeratedRule().detectable(QUIET, PRIMARY, looks=(5,))


def test_every_rule_is_listed_under_its_name():
    assert {name: rule.name for name, rule in RULES.items()} == {
        name: name for name in ("moderated", "paired", "pause", "reference")
    }
