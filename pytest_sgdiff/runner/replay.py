"""Where a replayed launch enters: the launches of a recording, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from pytest_sgdiff.data import CaseResult, Launch, NextStep, Problem, Reason, ReasonCode, ShardGap
from pytest_sgdiff.judging.comparable import mixture


class ReplaySource:
    """Launches of one case from a folder that `--sgdiff-out` wrote, in their order.

    They are of one measurement: those that do not say where they were made were made where the others were.
    """

    def __init__(self, launches: Sequence[Launch]) -> None:
        where = next((launch.machine for launch in launches if launch.machine), None)
        self._launches: Iterator[Launch] = iter([replace(one, machine=one.machine or where) for one in launches])

    def launch(self, *, alone: bool) -> Launch | None:
        """The next recorded launch; what ran beside it was settled when it was recorded."""
        return next(self._launches, None)


ENDS_EARLY: frozenset[ReasonCode] = frozenset({"empty-recording", "short-recording", "no-more-launches", "environment"})
"""Reasons of a case for which its launches, all of them or those that count, were too few."""


def with_gap(result: CaseResult, gap: ShardGap, *, planned: int = 0) -> CaseResult:
    """The result of a case of which its shard reported none.

    A shard that began may have left launches that settle the case all the same: then nothing is missing, for its own
    gate would have ended there too. A case that they leave open is invalid: nobody knows what the missing launches
    would show. So is each case of a shard that never reported, and one that its gate would have launched as often as
    `planned`, since it is compared with another case, and that has fewer launches; and one of which launches are
    missing that its shard has recorded. One that could not be launched there has the result that it had there.
    """
    ends_early = result.reason.code in ENDS_EARLY or result.reason.of is not None
    again = NextStep(code="run-shard", command=f"--sgdiff-shard={gap.shard}")
    if gap.unlaunched is not None:
        result = replace(result, decided_by=(), recorded=False, measured=False, next_step=again)
        return replace(result, outcome="inconclusive", reason=gap.unlaunched)
    open_ = ends_early and result.outcome in ("inconclusive", "invalid")
    too_few = result.measured and sum(one.counts for one in result.launches) < planned
    if gap.began and not (open_ or too_few or gap.of is not None):
        return result
    code: ReasonCode = "shard-killed" if gap.unmeasured is None else "shard-unmeasured"
    if not gap.began:
        code = "shard-unreported"
    elif gap.of is not None:
        code = "shard-incomplete"
    why = "" if gap.unmeasured is None else gap.unmeasured.why
    return replace(
        result,
        outcome="invalid",
        reason=Reason(code=code, shard=str(gap.shard), error=why, launches=gap.launches, of=gap.of),
        decided_by=(),
        recorded=False,
        measured=False,
        next_step=again,
    )


def of_two_measurements(launches: Sequence[Launch]) -> tuple[Problem, ...]:
    """A problem where launches of a recording are not of one measurement, as when two jobs' are copied into one folder.

    Told of the whole recording, whichever of its launches are looked at: nobody knows which of the two is meant.
    """
    for one, other in combinations(launches, 2):
        if apart := mixture(one, other):
            two = (one.number, other.number)
            return (Problem(kind="invalid", code="two-measurements", cause="mixture", launches=two, differences=apart),)
    return ()
