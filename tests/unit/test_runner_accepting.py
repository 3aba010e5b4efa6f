"""Accepted slowdowns in the pipeline: against a baseline, pair by pair, and where nothing can be judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_sgdiff.data import Acceptance, CaseResult, Quality, Verdict
from pytest_sgdiff.data.pictures import OTHER_PICTURE
from pytest_sgdiff.runner.ab import against
from pytest_sgdiff.runner.accepting import with_accepted, with_the_rest
from pytest_sgdiff.runner.gate import gate
from tests.unit.test_runner import SLOW, STEADY, Script, baseline, job


def accepted(size: float, **changes: str) -> Acceptance:
    given = {"case": "wan", "metric": "denoise", "until": "2027-01-31", "because": "it", "path": "a.txt", **changes}
    return Acceptance(size=size, line=3, **given)


def told(result: CaseResult) -> tuple[str, bool, list[str]]:
    return result.outcome, result.accepted, [use.state for use in result.acceptances]


def test_a_slowdown_of_eight_per_cent_against_a_baseline() -> None:
    then = baseline(*STEADY)
    for size, state in ((0.1, ("regressed", True, ["used"])), (0.03, ("regressed", False, ["exceeded"]))):
        found = gate(job(Script(*SLOW), then=then, acceptances=(accepted(size),)))
        assert told(found) == state
    assert told(gate(job(Script(*STEADY), then=then, acceptances=(accepted(0.1),)))) == ("pass", False, ["not-needed"])


def test_the_same_pair_by_pair() -> None:
    for size, state in ((0.1, ("regressed", True, ["used"])), (0.03, ("regressed", False, ["exceeded"]))):
        then, now = Script(*STEADY * 2), Script(*SLOW * 2)
        assert told(against(job(then), job(now, acceptances=(accepted(size),)))) == state


def test_what_says_no_word_of_a_slowdown_still_names_its_lines() -> None:
    """One about a case that fails, and one whose time is over."""
    broken = job(
        Script("it crashed"),
        acceptances=(accepted(0.1),),
        expired_acceptances=(accepted(0.2, until="2026-01-01"),),
    )
    assert told(with_the_rest(broken, gate(broken))) == ("invalid", False, ["not-judged", "expired"])


def test_another_picture_is_not_accepted_with_the_time_that_it_takes() -> None:
    then, lines = baseline(*STEADY), (accepted(0.1),)
    slower = job(Script(*SLOW), then=then, acceptances=lines)
    found = gate(slower)
    assert found.accepted
    changed = replace(found, quality=Quality(code=next(iter(sorted(OTHER_PICTURE)))))

    def judge(sizes: Mapping[str, float]) -> tuple[Verdict, ...]:
        return tuple(replace(v, outcome="pass") for v in found.verdicts) if sizes else found.verdicts

    assert with_accepted(slower, found, judge).accepted
    assert not with_accepted(slower, changed, judge).accepted
