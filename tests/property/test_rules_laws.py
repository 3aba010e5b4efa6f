"""Laws that every verdict obeys, whatever the figures, and the rule against an independent form of itself."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pytest_sgdiff.cli.judge import _worded
from pytest_sgdiff.judging.plain_numbers import apply_plain
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES, ModeratedRule
from pytest_sgdiff.judging.rules.ranks import rank_p
from tests.examples import examples

QUICK = examples(150, derandomize=True)
RULE = ModeratedRule()
CLASSES = st.sampled_from(["primary", "stage", "memory"])
FREE = {name: replace(m, allow_abs=0.0, detect_abs=0.0, noise_abs=0.0) for name, m in CLASS_MARGINS.items()}
"""The margins without absolute floors, which are the only part that knows a scale."""


@st.composite
def launches(draw, *, smallest=1, largest=10):
    """Launches around 10,000 with a spread of 0.1 to 6 %, sometimes with an outlier."""
    spread = draw(st.sampled_from([0.001, 0.005, 0.01, 0.02, 0.06]))
    values = draw(st.lists(st.floats(-1.5, 1.5), min_size=smallest, max_size=largest))
    outlier = draw(st.sampled_from([1.0, 1.0, 1.0, 1.4]))
    return [10_000 * math.exp(spread * v) * (outlier if i == 0 else 1.0) for i, v in enumerate(values)]


SLOWDOWN = st.floats(-0.3, 0.6)


def decide(baseline, candidate, kind="primary", *, same_node=True):
    return RULE.decide(baseline, candidate, FREE[kind], same_node=same_node)


def slower(values, fraction):
    return [v * (1 + fraction) for v in values]


@QUICK
@given(launches(smallest=3), launches(), SLOWDOWN, CLASSES, st.randoms(use_true_random=False), st.booleans())
def test_order_does_not_matter(baseline, candidate, slowdown, kind, random, same_node):
    candidate = slower(candidate, slowdown)
    mixed = (random.sample(baseline, len(baseline)), random.sample(candidate, len(candidate)))
    one, two = decide(baseline, candidate, kind, same_node=same_node), decide(*mixed, kind, same_node=same_node)
    assert (one.outcome, one.suspect) == (two.outcome, two.suspect)
    assert one.ratio == pytest.approx(two.ratio, rel=1e-9)


@QUICK
@given(launches(smallest=3), launches(), SLOWDOWN, CLASSES, st.sampled_from([1e-6, 1e-3, 60.0, 1024.0, 1e9]))
def test_the_unit_does_not_matter(baseline, candidate, slowdown, kind, factor):
    candidate = slower(candidate, slowdown)
    one = decide(baseline, candidate, kind)
    two = decide([v * factor for v in baseline], [v * factor for v in candidate], kind)
    assert (one.outcome, one.suspect) == (two.outcome, two.suspect)
    assert one.ratio == pytest.approx(two.ratio, rel=1e-9)


@QUICK
@given(launches(smallest=3), CLASSES, st.booleans())
def test_the_same_launches_are_never_a_change(values, kind, same_node):
    for rule in (RULES["moderated"], RULES["paired"]):
        decision = rule.decide(values, values, CLASS_MARGINS[kind], same_node=same_node)
        assert decision.outcome in ("pass", "inconclusive")
        assert decision.ratio == pytest.approx(1.0)


@QUICK
@given(launches(smallest=3), launches(smallest=3), SLOWDOWN, CLASSES)
def test_swapping_the_sides_mirrors_the_verdict(one, other, slowdown, kind):
    """The interval turns round, and what is worse one way is never worse the other way."""
    other = slower(other, slowdown)
    there, back = decide(one, other, kind), decide(other, one, kind)
    assert there.ratio * back.ratio == pytest.approx(1.0)
    assert there.low * back.high == pytest.approx(1.0)
    if there.outcome == "regressed":
        assert back.outcome in ("improved", "pass")
    if there.outcome == "improved":
        assert back.outcome in ("regressed", "inconclusive", "pass")
        assert back.ratio > 1 + FREE[kind].allow
        # What keeps it from `regressed` is the order of the launches or their number, never doubt about the mean.
        if len(one) >= 5:
            assert back.outcome == "regressed" or back.finding.code in ("out-of-order", "ruled-out")


@QUICK
@given(launches(smallest=3), launches(smallest=10), SLOWDOWN, CLASSES, st.randoms(use_true_random=False))
def test_pairs_have_no_order_and_mirror_when_the_engines_are_swapped(base, now, slowdown, kind, random):
    rule, margins = RULES["paired"], FREE[kind]
    pairs = list(zip(base, slower(now, slowdown), strict=False))
    mixed = random.sample(pairs, len(pairs))
    one, other, back = (
        rule.decide([b for b, _ in some], [c for _, c in some], margins, same_node=True)
        for some in (pairs, mixed, [(c, b) for b, c in pairs])
    )
    assert (one.outcome, one.suspect, one.ratio) == (other.outcome, other.suspect, pytest.approx(other.ratio))
    assert one.ratio * back.ratio == pytest.approx(1.0)
    assert one.low * back.high == pytest.approx(1.0)
    if one.outcome == "regressed":
        assert back.outcome in ("improved", "pass")


@QUICK
@given(
    launches(smallest=3, largest=8), launches(smallest=5, largest=8), st.floats(0.02, 0.6), CLASSES, st.integers(2, 5)
)
def test_more_of_the_same_data_never_takes_a_regression_back(baseline, candidate, slowdown, kind, times):
    """Nothing leads out of `regressed`: proof wins over a pass, and more of the same is more proof."""
    candidate = slower(candidate, slowdown)
    once = decide(baseline, candidate, kind)
    assume(once.outcome == "regressed")
    for b, c in ((1, times), (times, 1), (times, times)):
        assert decide(baseline * b, candidate * c, kind).outcome == "regressed"


@QUICK
@given(launches(largest=2), launches(), st.floats(-0.9, 0.2), CLASSES)
def test_one_or_two_baseline_launches_never_decide(baseline, candidate, slowdown, kind):
    top = max(baseline) / max(candidate)
    candidate = [v * top * (1 + slowdown) for v in candidate]
    for name in ("moderated", "pause"):
        margins = CLASS_MARGINS["pause"] if name == "pause" else CLASS_MARGINS[kind]
        assert RULES[name].decide(baseline, candidate, margins, same_node=True).outcome == "inconclusive"


@QUICK
@given(launches(smallest=3), launches(largest=4), st.floats(0.0, 0.09), CLASSES)
def test_fewer_than_five_launches_never_fail_what_is_not_gross(baseline, candidate, slowdown, kind):
    top = max(baseline) / min(candidate)
    candidate = [v * top * (1 + slowdown) for v in candidate]
    assert decide(baseline, candidate, kind).outcome != "regressed"


NOTHING = st.sampled_from([None, math.nan, math.inf, -math.inf, -1.0, 0.0])


@QUICK
@given(st.lists(st.floats(0.001, 1e6) | NOTHING, max_size=6), st.lists(st.floats(0.001, 1e6) | NOTHING, max_size=6))
def test_what_is_no_value_never_passes_and_never_fails(baseline, candidate):
    spoilt = any(v is None or not math.isfinite(v) or v <= 0 for v in (*baseline, *candidate))
    assume(spoilt)
    for kind in ("primary", "memory"):
        decision = RULE.decide(baseline, candidate, CLASS_MARGINS[kind], same_node=True)
        assert decision.outcome in ("inconclusive", "no-baseline")
    below = CLASS_MARGINS["stage"].allow_abs
    stage = RULE.decide(baseline, candidate, CLASS_MARGINS["stage"], same_node=True)
    if stage.outcome == "pass":
        assert all(v is not None and 0 <= v <= below for v in (*baseline, *candidate))


@QUICK
@given(launches(smallest=3), st.floats(0.0, 1.0), CLASSES, st.sampled_from([0.0, 0.01, 0.1, 0.2]), st.integers(1, 8))
def test_a_slowdown_that_is_allowed_never_fails(baseline, share, kind, allow, times):
    margins = replace(FREE[kind], allow=allow, detect=allow + 0.03)
    candidate = slower(baseline, share * allow) * times
    assert RULE.decide(baseline, candidate, margins, same_node=True).outcome != "regressed"


@QUICK
@given(launches(smallest=3), launches(), SLOWDOWN, st.floats(0.0, 0.2), st.floats(0.0, 0.2))
def test_allowing_more_never_fails_more(baseline, candidate, slowdown, some, more):
    candidate = slower(candidate, slowdown)
    tight, wide = (
        RULE.decide(baseline, candidate, replace(FREE["primary"], allow=a, detect=a + 0.03), same_node=True).outcome
        for a in (some, some + more)
    )
    assert wide != "regressed" or tight == "regressed"


@QUICK
@given(launches(smallest=3), launches(), SLOWDOWN, CLASSES)
def test_a_pass_rules_out_what_it_must_and_prints_what_it_excludes(baseline, candidate, slowdown, kind):
    decision = decide(baseline, slower(candidate, slowdown), kind)
    if decision.outcome == "pass":
        assert decision.ratio - 1 < decision.excluded < FREE[kind].detect
    else:
        assert decision.outcome == "improved" or decision.excluded is None


@QUICK
@given(launches(smallest=3), launches(), SLOWDOWN, CLASSES)
def test_another_node_never_fails_what_the_same_node_does_not(baseline, candidate, slowdown, kind):
    candidate = slower(candidate, slowdown)
    near, far = (decide(baseline, candidate, kind, same_node=same) for same in (True, False))
    if far.outcome == "regressed":
        assert near.outcome == "regressed"
    if near.outcome == "pass":
        assert far.outcome == "pass"


@QUICK
@given(st.lists(st.floats(0, 600), min_size=3, max_size=12), st.lists(st.floats(0, 600), min_size=1, max_size=6))
def test_one_launch_without_a_pause_clears_the_engine(baseline, candidate):
    margins = replace(CLASS_MARGINS["pause"], detect_abs=45.0)
    decision = RULES["pause"].decide(baseline, [*candidate, min(baseline)], margins, same_node=True)
    assert decision.outcome == "pass"


ROWS = st.fixed_dictionaries(
    {"id": st.text(max_size=3), "metric_class": CLASSES},
    optional={
        "same_node": st.booleans(),
        "baseline": st.lists(st.floats() | st.integers() | st.none() | st.just("NaN"), max_size=6),
        "candidate": st.lists(st.floats() | st.integers() | st.none() | st.just("NaN"), max_size=6),
    },
)


@QUICK
@given(st.lists(ROWS, min_size=1, max_size=3))
def test_rows_of_any_numbers_are_answered_in_valid_json(rows):
    answers = apply_plain(rows)
    assert [a["id"] for a in answers] == [r["id"] for r in rows]
    json.dumps([_worded(answer) for answer in answers], allow_nan=False)


# ------------------------------------------------------------------------------------------- an independent form


def by_the_book(b, c, m, *, same_node):
    """The rule written a second time, from its definition in docs/decision-evidence.md, with SciPy's own statistics."""
    import numpy as np
    from scipy import stats

    slack = 0.0 if same_node else 0.02
    middle = np.median(b)
    lo = np.log(1 + max(m.allow, m.allow_abs / middle) + slack)
    hi = np.log(1 + max(m.detect, m.detect_abs / middle) + slack)
    s0 = np.hypot(m.cv0, m.noise_abs / middle)

    def clip(values):
        y = np.log(values)
        return np.minimum(y, np.median(y) + 3 * max(stats.median_abs_deviation(y, scale="normal"), s0))

    x, y = clip(b), clip(c)
    squares = ((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()
    k = len(b) + len(c) - 2
    s2, v = (squares / k, k) if squares / k > (2 * s0) ** 2 else ((8 * s0**2 + squares) / (8 + k), 8 + k)
    d, se = y.mean() - x.mean(), np.sqrt(s2 * (1 / len(b) + 1 / len(c)) + 2 * 0.003**2)
    t = {p: stats.t.isf(p, v) * se for p in (1e-4, 0.01, 0.02)}
    if d - t[1e-4] > 0 and d - t[0.01] > lo:
        p = stats.mannwhitneyu(c, b, alternative="greater", method="exact").pvalue
        if len(c) >= 5 and p <= max(0.01, 1 / math.comb(len(b) + len(c), len(c))):
            return "regressed"
        if len(c) >= 3 and min(c) / max(b) > 1 + max(0.10, m.detect):
            return "regressed"
        if len(c) < 5:
            return "inconclusive"
    if d + t[0.02] < hi:
        faster = d + t[1e-4] < 0 and d + t[0.01] < -lo and (len(c) < 3 or max(c) < min(b))
        return "improved" if faster else "pass"
    return "inconclusive"


@examples(300, derandomize=True)
@given(launches(smallest=3), launches(largest=6), SLOWDOWN, CLASSES, st.booleans(), st.sampled_from([1.0, 0.01, 0.002]))
def test_the_rule_is_the_one_of_the_book(baseline, candidate, slowdown, kind, same_node, scale):
    """Scaled down to 100 and 20 ms, where the absolute margins take over."""
    b, c = [v * scale for v in baseline], [v * scale * (1 + slowdown) for v in candidate]
    expected = by_the_book(b, c, CLASS_MARGINS[kind], same_node=same_node)
    if max(*b, *c) <= CLASS_MARGINS[kind].allow_abs:
        expected = "pass"
    assert RULE.decide(b, c, CLASS_MARGINS[kind], same_node=same_node).outcome == expected


@QUICK
@given(st.lists(st.integers(0, 12), min_size=3, max_size=8), st.lists(st.integers(0, 12), min_size=5, max_size=8))
def test_the_rank_check_is_exact_without_ties(baseline, candidate):
    """Counted over all ways to share out the values, for samples without ties."""
    from itertools import combinations

    b, c = [x + i / 100 for i, x in enumerate(baseline)], [x + i / 100 + 0.005 for i, x in enumerate(candidate)]
    values = sorted((*b, *c))
    assume(len(set(values)) == len(values) and len(values) <= 13)
    wins = sum(y > x for x in b for y in c)
    rank_sum = wins + len(c) * (len(c) + 1) / 2
    shared = [sum(chosen) for chosen in combinations(range(1, len(values) + 1), len(c))]
    assert rank_p(b, c) == pytest.approx(sum(s >= rank_sum for s in shared) / len(shared))


RANKS = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=12)


@QUICK
@given(RANKS, RANKS)
def test_the_rank_check_is_that_of_scipy_with_ties_too(baseline, candidate):
    from scipy import stats

    expected = stats.mannwhitneyu(candidate, baseline, alternative="greater", method="exact").pvalue
    assert rank_p(baseline, candidate) == pytest.approx(expected)
