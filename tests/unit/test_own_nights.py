"""How a case's own history refines the drift between nights."""

from __future__ import annotations

import math
import random

import pytest

from pytest_sgdiff.data import Baseline, LaunchRecord, Machine, Measurement, Recorded, Workload
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.rules.prior import SESSION_CV, fit_night_cv
from pytest_sgdiff.judging.suite_prior import with_nights

PRIORS = {"primary": Prior(), "stage": Prior(), "memory": Prior()}


def nights(count, *, session, launch=0.004, launches=1, seed=1, jump=0.0):
    rng = random.Random(seed)
    return [
        (
            1000 * math.exp(rng.gauss(0, session) + rng.gauss(0, launch) / math.sqrt(launches)) * (1 + jump * (i > 30)),
            launches,
        )
        for i in range(count)
    ]


def baseline(*values):
    launches = tuple(LaunchRecord(number=i, metrics={"denoise_steps": v, "e2e": v}) for i, v in enumerate(values))
    machine = Machine(kind="gpu", product="NVIDIA H200", count=1)
    measured = Measurement(case="c", machine=machine, workload=Workload(digest="d"), launches=launches)
    return Baseline(measurement=measured, recorded=Recorded(at="", command=""))


STEADY = baseline(1000.0, 1004.0, 996.0, 1003.0, 997.0)
"""Launches with a CV of 0.36 %."""


@pytest.mark.parametrize("session", [0.001, 0.004, 0.02])
def test_the_drift_of_many_nights_is_found_beside_the_noise_of_their_launches(session):
    drift, freedom = fit_night_cv(nights(3000, session=session), 0.004)
    assert drift == pytest.approx(session, abs=0.0012)
    assert freedom == pytest.approx(0.37 * 2999)


def test_a_jump_is_a_change_of_code_and_no_noise():
    quiet, jumped = (fit_night_cv(nights(60, session=0.004, jump=jump), 0.004)[0] for jump in (0.0, 0.3))
    assert jumped == pytest.approx(quiet, abs=0.0005)


def test_nights_of_several_launches_vary_less_by_them():
    drift, _ = fit_night_cv(nights(3000, session=0.002, launches=3), 0.004)
    assert drift == pytest.approx(0.002, abs=0.0005)


def test_a_case_that_drifts_needs_larger_slowdowns_and_a_steady_one_smaller():
    by = {s: with_nights(PRIORS, {"e2e": nights(70, session=s)}, STEADY)["primary"].session_cv for s in (0.0, 0.02)}
    assert by[0.0] < SESSION_CV < 0.015 < by[0.02]


def test_the_steadiest_metric_speaks():
    wild, steady = nights(40, session=0.05), nights(40, session=0.0)
    found = with_nights(PRIORS, {"e2e": wild, "denoise_steps": steady}, STEADY)["primary"]
    assert found.session_cv < SESSION_CV


def test_few_nights_change_nothing_and_other_classes_never():
    assert with_nights(PRIORS, {"e2e": nights(7, session=0.05)}, STEADY) is PRIORS
    found = with_nights(PRIORS, {"e2e": nights(8, session=0.05)}, STEADY)
    assert (found["primary"].session_cv > SESSION_CV, found["primary"].nights) == (True, 8)
    assert (found["stage"], found["memory"]) == (PRIORS["stage"], PRIORS["memory"])
