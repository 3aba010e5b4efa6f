"""`faster_than` is judged on the launches of one run."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_sgdiff.data import CaseResult, FasterThan, LaunchRecord, Machine
from pytest_sgdiff.relations import relations_of
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
                "firered[cfg] takes 18.5 % less time than firered[ulysses] (claimed: 18.5 %): cannot be told from "
                "5 against 5 launches: give both cases more (launches.looks)"
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
