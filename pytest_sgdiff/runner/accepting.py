"""The acceptances of a case on its way through the pipeline: how many launches they need, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_sgdiff.data import AcceptanceUse, CaseResult, Verdict
from pytest_sgdiff.judging.accepting import Judge, accept, sizes
from pytest_sgdiff.judging.judge import settled
from pytest_sgdiff.runner.job import Job


def all_settled(job: Job, verdicts: Sequence[Verdict], judge: Judge) -> bool:
    """Whether more launches would change nothing: neither by what the case allows, nor by what is accepted."""
    if not settled(verdicts):
        return False
    return not job.acceptances or settled(judge(sizes(job.acceptances)))


def with_accepted(job: Job, result: CaseResult, judge: Judge) -> CaseResult:
    """The result of a case that was judged, with what is accepted of its slowdown."""
    if not job.acceptances:
        return result
    found = accept(result.verdicts, job.acceptances, judge)
    # Who accepts that it takes longer does not accept another picture.
    other_picture = result.quality is not None and result.quality.other_picture
    accepted = found.whole and not other_picture
    return replace(result, verdicts=found.verdicts, accepted=accepted, acceptances=found.uses)


def with_the_rest(job: Job, result: CaseResult) -> CaseResult:
    """The result with all lines about the case: also those that had no say."""
    unjudged = () if result.acceptances else job.acceptances
    idle = [
        *(AcceptanceUse(acceptance=one, state="not-judged") for one in unjudged),
        *(AcceptanceUse(acceptance=one, state="expired") for one in job.expired_acceptances),
    ]
    return replace(result, acceptances=(*result.acceptances, *idle))
