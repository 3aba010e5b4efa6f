"""What benchmarks/decision.py simulates is what ships: both forms of every rule, draw by draw."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_sgdiff.data import (
    Baseline,
    Case,
    Environment,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    MetricChoice,
    Recorded,
    Workload,
)
from pytest_sgdiff.judging.judge import judge, outcome_of, settled
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES, ExcessRule, ModeratedRule, PairedRule, Prior, Whole
from pytest_sgdiff.step_core import cores


@pytest.fixture(scope="module")
def vectorised():
    folder = str(Path(__file__).parents[2] / "benchmarks")
    sys.path.insert(0, folder)
    try:
        import decision_cases
        import decision_noise
        import decision_rules

        yield decision_rules, decision_noise, decision_cases
    finally:
        sys.path.remove(folder)


DRAWS = 60


@pytest.mark.parametrize("kind", ["primary", "stage", "memory"])
@pytest.mark.parametrize("sizes", [(3, 1), (5, 3), (5, 5), (10, 5)])
def test_the_moderated_rule(vectorised, kind, sizes):
    rules, noise, _ = vectorised
    rng = np.random.default_rng(5)
    seen = set()
    for level, cv, slower in ((30.0, 0.01, 0.2), (900.0, 0.004, 0.0), (9e4, 0.02, 0.06), (9e4, 0.01, -0.05)):
        for prior in (Prior(), Prior(cv0=0.004, weight=20.0, session_cv=0.001)):
            b, c = (
                level * f * noise.outliers(0.1)(rng, DRAWS, n, cv) for n, f in zip(sizes, (1, 1 + slower), strict=True)
            )
            margins = CLASS_MARGINS[kind]
            got = rules.moderated(b, c, margins, prior=prior)
            for i in range(DRAWS):
                one = ModeratedRule(prior).decide(list(b[i]), list(c[i]), margins, same_node=True)
                # What is too short or too small to matter is not simulated.
                if one.finding.code not in ("below-floor", "below-floor-unconfirmed"):
                    assert (rules.OUTCOMES[got.code[i]], bool(got.suspect[i])) == (one.outcome, one.suspect)
                seen.add(one.outcome)
    assert {"pass", "inconclusive"} <= seen


@pytest.mark.parametrize("pairs", [2, 3, 5, 10])
def test_the_paired_rule(vectorised, pairs):
    rules, noise, _ = vectorised
    rng = np.random.default_rng(6)
    for cv, slower in ((0.004, 0.0), (0.01, 0.05), (0.02, 0.12), (0.005, -0.05)):
        b, c = (5000 * f * noise.outliers(0.1)(rng, DRAWS, pairs, cv) for f in (1, 1 + slower))
        got = rules.paired(b, c, CLASS_MARGINS["primary"])
        for i in range(DRAWS):
            one = PairedRule().decide(list(b[i]), list(c[i]), CLASS_MARGINS["primary"], same_node=True)
            assert rules.OUTCOMES[got.code[i]] == one.outcome


@pytest.mark.parametrize(("nb", "nc"), [(3, 5), (5, 1), (5, 5), (12, 5)])
def test_the_pause_rule(vectorised, nb, nc):
    rules, _, _ = vectorised
    rng = np.random.default_rng(7)
    b, c = (
        np.where(rng.random((300, n)) < share, rng.uniform(300.0, 600.0, (300, n)), 10.0)
        for n, share in ((nb, 0.15), (nc, 0.85))
    )
    got = rules.pauses(b, c, np.full(300, 45.0))

    margins = replace(CLASS_MARGINS["pause"], allow_abs=45.0)
    for i in range(300):
        one = RULES["pause"].decide(list(b[i]), list(c[i]), margins, same_node=True)
        assert rules.OUTCOMES[got.code[i]] == one.outcome


CASE = Case(
    name="c", location=Location(path="c.yaml", line=1, column=1), model="m", metrics=MetricChoice(primary="denoise")
)


def measurement(rows):
    """Launches of these metrics, with their steps where a row is a pair of both."""
    environment = Environment(gpu_uuids=("GPU-1",), sync_stages=True)
    pairs = [row if isinstance(row, tuple) else (row, ()) for row in rows]
    return Measurement(
        case="c",
        machine=Machine(kind="gpu", product="NVIDIA H200", count=1),
        workload=Workload(digest="d"),
        launches=tuple(
            LaunchRecord(number=i, metrics=row, steps_ms=steps, environment=environment)
            for i, (row, steps) in enumerate(pairs)
        ),
    )


def shipped(then, now):
    """Outcome and launches of the loop that the runner drives."""
    baseline = Baseline(measurement=measurement(then), recorded=Recorded(at="2026-11-23", command="pytest"))
    for look in CASE.launches.looks:
        verdicts = judge(measurement(now[:look]), baseline, CASE.metrics, looks=CASE.launches.looks)
        if settled(verdicts):
            break
    return outcome_of(verdicts)[0], look


def held_up(vectorised, n, nb, slower, *, added=0.0):
    """Steps of launches that the host holds up now and then; `added` ms more in step 7 of each candidate launch."""
    _, noise, _ = vectorised
    core = sys.modules["decision_core"]
    rng = np.random.default_rng(12)
    sides = []
    for launches, factor in ((nb, 1.0), (5, 1 + slower)):
        calm = 1024 * factor * noise.clean(rng, n, launches, 0.005)
        sides.append(core.steps(rng, calm, noise.held_by(rng, (n, launches), noise.HELD_SHARE)))
    sides[1][:, :, 7] += added
    return sides


def profiles(launches):
    return [tuple(map(float, steps)) for steps in launches]


@pytest.mark.parametrize("nb", [3, 5, 10])
def test_the_cores_of_launches(vectorised, nb):
    then, now = held_up(vectorised, 40, nb, 0.03)
    got = sys.modules["decision_core"].cores(then, now)
    for i in range(40):
        one = cores(profiles(then[i]), profiles(now[i]), ())
        for name in ("core", "excess", "held"):
            for side, launches in enumerate((one.then, one.now)):
                shipped = [getattr(launch, name) for launch in launches]
                assert getattr(got, name)[side][i] == pytest.approx(shipped, rel=1e-9, abs=1e-6)
        assert np.maximum(0, got.rests[i].min(axis=0)).sum() == pytest.approx(one.common, abs=1e-6)


def by_excess(then, now, rule, request=None):
    """What the shipped rule says of one draw, a pause of 45 ms being one that matters."""
    found = cores(profiles(then), profiles(now), ())
    sums = [[launch.core + launch.excess for launch in side] for side in (found.then, found.now)]
    usual = CLASS_MARGINS["primary"]
    wholes = [Whole(then=tuple(b), now=tuple(c), margins=usual) for b, c in filter(None, (sums, request))]
    sides = [[launch.excess for launch in side] for side in (found.then, found.now)]
    margins = replace(CLASS_MARGINS["pause"], allow_abs=45.0)
    return ExcessRule(found, wholes, RULES[rule]).decide(*sides, margins, same_node=True).outcome


@pytest.mark.parametrize("nb", [3, 5, 10])
@pytest.mark.parametrize("added", [0.0, 40.0, 70.0])
@pytest.mark.parametrize("nc", [1, 3, 5])
def test_the_rule_for_excesses(vectorised, nb, added, nc):
    rules, _, _ = vectorised
    then, now = held_up(vectorised, 60, nb, 0.0, added=added)
    k = sys.modules["decision_core"].cores(then, now)
    core, beyond = ((side[0], side[1][:, :nc]) for side in (k.core, k.excess))
    got = rules.excess(core, beyond, CLASS_MARGINS["primary"], np.full(60, 45.0), k.rests[:, :nc])
    for i in range(60):
        assert rules.OUTCOMES[got.code[i]] == by_excess(then[i], now[i, :nc], "moderated")


@pytest.mark.parametrize("more", [0.0, 50.0])
@pytest.mark.parametrize("added", [10.0, 40.0])
def test_the_rule_for_excesses_of_a_request_that_is_judged_too(vectorised, added, more):
    rules, _, _ = vectorised
    then, now = held_up(vectorised, 60, 5, 0.0, added=added)
    k = sys.modules["decision_core"].cores(then, now)
    request = then.sum(axis=2) + 300, now.sum(axis=2) + 300 + more
    got = rules.excess(k.core, k.excess, CLASS_MARGINS["primary"], np.full(60, 45.0), k.rests, request=request)
    for i in range(60):
        assert rules.OUTCOMES[got.code[i]] == by_excess(then[i], now[i], "moderated", [side[i] for side in request])


@pytest.mark.parametrize("added", [0.0, 70.0])
def test_the_rule_for_excesses_of_pairs(vectorised, added):
    rules, _, _ = vectorised
    then, now = held_up(vectorised, 60, 5, 0.0, added=added)
    k = sys.modules["decision_core"].cores(then, now)
    got = rules.excess(k.core, k.excess, CLASS_MARGINS["primary"], np.full(60, 45.0), k.rests, by_pairs=True)
    for i in range(60):
        assert rules.OUTCOMES[got.code[i]] == by_excess(then[i], now[i], "paired")


@pytest.mark.parametrize(("slower", "added"), [(0.0, 0.0), (0.05, 0.0), (0.0, 60.0)])
def test_a_case_whose_launches_keep_their_steps(vectorised, slower, added):
    rules, noise, whole = vectorised
    then, now = held_up(vectorised, 40, 5, slower, added=added)
    _, apart = noise.recorded(np.random.default_rng(9), 40, 5, 0.0, share=0.0)
    steps = then.sum(axis=2), now.sum(axis=2)
    extra = tuple(sum(apart.stages[name][side][:, :5] for name in ("text", "decode")) for side in (0, 1))
    pause = tuple(np.full(side.shape, 8.0) for side in steps)
    k = sys.modules["decision_core"].cores(then, now)
    net = tuple(sum_ + more for sum_, more in zip(steps, extra, strict=True))
    found = whole.Steps(core=k.core, net=(net[0] - k.held[0], net[1] - k.held[1]), excess=k.excess, rests=k.rests)
    cases = whole.Cases(
        primary={"steps": steps, "net": net},
        stages={name: (b, c[:, :5]) for name, (b, c) in apart.stages.items()},
        memory=(apart.memory[0], apart.memory[1][:, :5]),
        e2e="net",
        pause=pause,
        steps=found,
    )
    got = whole.judged(cases)
    for i in range(40):
        rows = (list(rows_of(cases, pause, i, side)) for side in (0, 1))
        profiled = [
            list(zip(side, profiles(steps[i]), strict=True)) for side, steps in zip(rows, (then, now), strict=True)
        ]
        assert (rules.OUTCOMES[got.code[i]], got.launches[i]) == shipped(*profiled)


def rows_of(cases, pause, index, side):
    """One draw as launches: the dump's metrics, from which the judge takes the pause out again."""
    text, decode = (cases.stages[name][side][index] for name in ("text", "decode"))
    memory = cases.memory[side][index]
    if pause is None:
        denoise, e2e = (cases.primary[name][side][index] for name in ("denoise", "e2e"))
        steps = [None] * len(e2e)
    else:
        steps = cases.primary["steps"][side][index]
        denoise = steps + pause[side][index]
        e2e = denoise + text + decode
    for values in zip(denoise, e2e, text, decode, memory, steps, strict=True):
        row = dict(
            zip(("denoise", "e2e", "stage:Text", "stage:Decode", "peak_memory", "denoise_steps"), values, strict=True)
        )
        row["stage:DenoisingStage"] = row["denoise"]
        yield {name: float(v) for name, v in row.items() if v is not None}


@pytest.mark.parametrize("slower", [0.0, 0.05, 0.08])
@pytest.mark.parametrize("family", ["suite", "recorded", "unsynchronised"])
def test_a_case_over_its_looks(vectorised, family, slower):
    rules, noise, whole = vectorised
    rng = np.random.default_rng(8)
    if family == "suite":
        cases, pause = noise.suite(rng, 40, 5, slower, cv=None), None
    else:
        # Where all launches of both sides pause nothing is taken apart, which is not simulated: 2 of 14 avoid it.
        shares = {} if family == "recorded" else {"share": 2 / 14, "synchronised": False}
        cases, _ = noise.recorded(rng, 40, 5, slower, every=450.0 if slower == 0.05 else 0.0, **shares)
        pause = cases.pause
    got = whole.judged(cases)
    for i in range(40):
        then, now = (list(rows_of(cases, pause, i, side)) for side in (0, 1))
        assert (rules.OUTCOMES[got.code[i]], got.launches[i]) == shipped(then, now)
