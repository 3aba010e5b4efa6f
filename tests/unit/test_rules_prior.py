"""The suite's own prior: recovers the noise that baselines were drawn from, and stays with the default otherwise."""

from __future__ import annotations

import math
import random

import pytest

from pytest_sgdiff.judging.rules.prior import DEFAULT, ENOUGH, SESSION_CV, WEIGHT_CAP, fit_prior, fit_session_cv


def suite(cases: int, cv: float, *, spread: float = 1.0, launches: int = 5, seed: int = 7) -> list[list[float]]:
    """Baselines whose own CV is `cv` times or divided by up to `spread`."""
    rng = random.Random(seed)
    drawn = []
    for _ in range(cases):
        own = cv * spread ** rng.uniform(-1, 1)
        drawn.append([1000 * math.exp(rng.gauss(0, own)) for _ in range(launches)])
    return drawn


def test_too_few_baselines_keep_the_default_and_say_so():
    prior = fit_prior(suite(ENOUGH - 1, 0.004), cv0=0.008)
    assert (prior.cv0, prior.weight, prior.session_cv) == (DEFAULT.cv0, DEFAULT.weight, DEFAULT.session_cv)
    assert (prior.cv0, prior.baselines) == (None, 7)


def test_baselines_of_two_launches_or_without_values_do_not_count():
    prior = fit_prior([*suite(7, 0.004), [1.0, 2.0], [1.0, None, 3.0], [0.0] * 5], cv0=0.008)
    assert (prior.cv0, prior.baselines) == (None, 7)


@pytest.mark.parametrize("cv", [0.003, 0.008, 0.02])
def test_equal_noise_is_recovered_and_trusted_up_to_the_cap(cv):
    prior = fit_prior(suite(60, cv), cv0=0.008)
    assert prior.cv0 == pytest.approx(cv, rel=0.12)
    assert 12 < prior.weight <= WEIGHT_CAP
    assert prior.baselines == 60


def test_baselines_that_vary_alike_are_worth_thirty_degrees_of_freedom_and_no_more():
    assert fit_prior([[1000.0, 1008.0, 992.0, 1004.0, 996.0]] * 12, cv0=0.008).weight == 30.0


def test_cases_that_differ_widely_are_worth_little():
    assert fit_prior(suite(60, 0.008, spread=4.0), cv0=0.008).weight < 6


def test_constant_baselines_prove_no_precision_of_nothing():
    prior = fit_prior([[3011.5] * 5] * 10, cv0=0.002)
    assert prior.cv0 is not None
    assert prior.cv0 >= 0.0004


def test_drift_between_sessions_is_what_launches_do_not_explain():
    rng = random.Random(3)
    sessions = []
    for _ in range(200):
        shifts = {name: rng.gauss(0, 0.01) for name in ("monday", "tuesday")}
        sessions.append({k: [1000 * math.exp(s + rng.gauss(0, 0.004)) for _ in range(5)] for k, s in shifts.items()})
    assert fit_session_cv(sessions) == pytest.approx(0.01, rel=0.15)
    assert fit_session_cv(sessions[: ENOUGH - 1]) == SESSION_CV


def test_no_drift_is_never_negative():
    rng = random.Random(4)
    still = [{k: [1000 * math.exp(rng.gauss(0, 0.01)) for _ in range(5)] for k in "ab"} for _ in range(9)]
    assert 0 <= fit_session_cv(still) < 0.006


def test_baselines_that_differ_by_a_trace_more_than_their_launches_explain_count_as_the_cap():
    """So little that no number of degrees of freedom below 10,000 explains it."""
    trigamma_2 = math.pi**2 / 6 - 1
    away = math.sqrt((trigamma_2 + 5e-5) * 9 / 10) / 2
    shape = (-1.0, -0.5, 0.0, 0.5, 1.0)
    spreads = [0.001 * math.exp(sign * away) for sign in (-1, 1) * 5]
    prior = fit_prior([[math.exp(spread * x) for x in shape] for spread in spreads], cv0=0.008)
    assert prior.weight == WEIGHT_CAP
