"""`faster_than` is judged on the launches of one run."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_sgdiff.data import CaseResult, Disturbance, FasterThan, LaunchRecord, Machine
from pytest_sgdiff.judging.faster_than import relations_of
from pytest_sgdiff.reports.text import relation_line
from tests import factories

# Launch-to-launch factors of a real series, CV 0.4 %.
JITTER = (1.0, 0.996, 1.005, 0.998, 1.003)


def case(name: str, denoise_ms: float, *, launches: int = 5, claim: FasterThan | None = None) -> CaseResult:
    records = tuple(
        LaunchRecord(number=n, metrics={"denoise": denoise_ms * JITTER[n], "e2e": denoise_ms * JITTER[n] + 500})
        for n in range(launches)
    )
    return dataclasses.replace(factories.result(name), launches=records, faster_than=claim)


# The published FireRed 1.1 figures: CFG parallel 10934 ms, Ulysses 13415 ms, 18.5 % less time.
ULYSSES = case("firered[ulysses]", 13414.72)


@pytest.mark.parametrize(
    ("at_least", "outcome", "line"),
    [
        (
            0.10,
            "pass",
            "firered[cfg] takes 18.5 % less time than firered[ulysses] (claimed: 10 %): holds, 5 against 5 launches",
        ),
        (
            0.30,
            "regressed",
            (
                "firered[cfg] takes 18.5 % less time than firered[ulysses] (claimed: 30 %): does not hold, "
                "5 against 5 launches"
            ),
        ),
        (
            0.185,
            "inconclusive",
            (
                "firered[cfg] takes 18.5 % less time than firered[ulysses] (claimed: 18.5 %): cannot be decided with "
                "5 against 5 launches: give both cases more (launches.checkpoints)"
            ),
        ),
    ],
)
def test_a_claim_holds_or_not_by_the_decision_rule(at_least: float, outcome: str, line: str) -> None:
    claim = FasterThan(case="firered[ulysses]", at_least=at_least)
    (relation,) = relations_of([case("firered[cfg]", 10934.21, claim=claim), ULYSSES])
    assert relation.outcome == outcome
    assert relation_line(relation) == line


def test_one_launch_each_is_never_enough() -> None:
    claim = FasterThan(case="firered[ulysses]", at_least=0.1)
    fast, slow = case("firered[cfg]", 10934.21, launches=1, claim=claim), case("firered[ulysses]", 13414.72, launches=1)
    (relation,) = relations_of([fast, slow])
    assert relation.outcome == "inconclusive"


def test_what_cannot_be_compared_says_why() -> None:
    claim = FasterThan(case="firered[ulysses]", at_least=0.1)
    fast = case("firered[cfg]", 10934.21, claim=claim)
    (alone,) = relations_of([fast])
    assert relation_line(alone) == (
        "firered[cfg] against firered[ulysses] (claimed: 10 %): firered[ulysses] was not in this run"
    )
    (unmeasured,) = relations_of([fast, dataclasses.replace(ULYSSES, launches=())])
    assert (unmeasured.code, unmeasured.missing) == ("not-measured", "firered[ulysses]")
    elsewhere = dataclasses.replace(ULYSSES, machine=Machine(kind="gpu", product="NVIDIA H200", count=2))
    (apart,) = relations_of([fast, elsewhere])
    assert apart.code == "other-machine"
    assert {alone.outcome, unmeasured.outcome, apart.outcome} == {"inconclusive"}


def test_the_interval_is_that_of_the_times_and_not_of_the_claim() -> None:
    """Times are compared with the claimed gain taken off; what is told is the ratio of the times themselves."""
    ratios = []
    for at_least in (0.0, 0.1, 0.3):
        claim = FasterThan(case="firered[ulysses]", at_least=at_least)
        (relation,) = relations_of([case("firered[cfg]", 10934.21, claim=claim), ULYSSES])
        ratios.append((relation.ratio, relation.low, relation.high))
    assert ratios[1] == pytest.approx(ratios[0])
    assert ratios[2] == pytest.approx(ratios[0])
    ratio, low, high = ratios[0]
    assert ratio == pytest.approx(10934.21 / 13414.72)
    assert ratio / low == pytest.approx(high / ratio)
    assert (low, high) == pytest.approx((0.8052, 0.8251), abs=5e-4)


@pytest.mark.parametrize(
    ("mine", "other", "metric"),
    [
        (("denoise_steps", "denoise", "e2e"), ("denoise_steps", "denoise", "e2e"), "denoise_steps"),
        (("denoise_steps", "denoise", "e2e"), ("denoise", "e2e"), "denoise"),
        (("e2e",), ("denoise", "e2e"), "e2e"),
    ],
)
def test_the_steadiest_metric_that_both_have_is_compared(mine: tuple, other: tuple, metric: str) -> None:
    claim = FasterThan(case="slow", at_least=0.1)
    ms = {"denoise_steps": 1000.0, "denoise": 1010.0, "e2e": 1100.0}

    def side(name: str, names: tuple, factor: float) -> CaseResult:
        launches = tuple(
            LaunchRecord(number=n, metrics={one: ms[one] * factor * JITTER[n] for one in names}) for n in range(5)
        )
        return dataclasses.replace(factories.result(name), launches=launches)

    fast = dataclasses.replace(side("fast", mine, 0.5), faster_than=claim)
    (relation,) = relations_of([fast, side("slow", other, 1.0)])
    assert (relation.metric, relation.outcome) == (metric, "pass")


def test_launches_that_do_not_count_are_no_evidence() -> None:
    claim = FasterThan(case="firered[ulysses]", at_least=0.1)
    fast = case("firered[cfg]", 10934.21, claim=claim)
    held_up = LaunchRecord(
        number=5, metrics={"denoise": 90_000.0, "e2e": 91_000.0}, disturbances=(Disturbance(code="heat"),)
    )
    (clean,) = relations_of([fast, ULYSSES])
    (seen,) = relations_of([fast, dataclasses.replace(ULYSSES, launches=(*ULYSSES.launches, held_up))])
    assert seen == clean


def test_a_claim_is_held_to_its_very_size() -> None:
    """No margin is ignored: 2 % less than claimed is not what was claimed, if launches are as steady as that."""
    steady = [1.0, 1.0001, 0.9999, 1.0, 1.0001]

    def side(name: str, ms: float, claim: FasterThan | None = None) -> CaseResult:
        launches = tuple(LaunchRecord(number=n, metrics={"e2e": ms * f}) for n, f in enumerate(steady * 4))
        return dataclasses.replace(factories.result(name), launches=launches, faster_than=claim)

    outcomes = [
        relations_of([side("fast", ms, FasterThan(case="slow", at_least=0.1)), side("slow", 100_000.0)])[0].outcome
        for ms in (88_000.0, 92_000.0, 93_000.0)
    ]
    assert outcomes == ["pass", "regressed", "regressed"]
