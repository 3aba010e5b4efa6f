"""The acceptances of a case on its way through the pipeline: how many launches they need, and what became of them; and
of a run, also those of which no case knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from difflib import get_close_matches
from pathlib import Path

from pytest_sgdiff.cases.load import ids_below
from pytest_sgdiff.data import Acceptance, AcceptanceUse, CaseResult, Verdict
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


def of_run(
    acceptances: Sequence[Acceptance],
    results: Sequence[CaseResult],
    *,
    selected: Iterable[str],
    root: Path,
    today: date,
) -> Iterator[AcceptanceUse]:
    """What became of each line that accepts a slowdown. A case that was measured knows it of its own; one that was not
    `selected`, by the id of its test, needs none. `root` is the folder in which all cases lie."""
    of_cases = [use for result in results for use in result.acceptances]
    yield from dict.fromkeys(of_cases)
    told = {(use.acceptance.path, use.acceptance.line) for use in of_cases}
    left = [one for one in acceptances if (one.path, one.line) not in told]
    if not left:
        return
    named = {node_id.rpartition("::")[2] for node_id in selected}
    ids = ids_below(root)
    for one in left:
        if one.expired(today):
            yield AcceptanceUse(acceptance=one, state="expired")
        elif one.case in named:
            yield AcceptanceUse(acceptance=one, state="not-judged")
        elif one.case not in ids:
            near = get_close_matches(one.case, sorted(ids), n=1)
            yield AcceptanceUse(acceptance=one, state="unknown-case", near=next(iter(near), ""))
