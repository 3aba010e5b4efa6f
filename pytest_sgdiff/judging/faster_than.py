"""`faster_than`: was a case of this run faster than another one, by as much as its file claims? Pure.

The other case's launches, shortened by the claimed gain, are what this case may take at most; the decision rule then
tells whether it does. The steadiest metric that every launch of both cases has is compared. Both ran in this run, on
the same kind of machine, so no baseline is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_sgdiff.data import CaseResult, FasterThan, LaunchRecord, Outcome, Relation, RelationCode
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES
from pytest_sgdiff.metrics import by_steadiness


def relations_of(results: Sequence[CaseResult]) -> tuple[Relation, ...]:
    """One relation for every result that claims one."""
    by_id = {result.case: result for result in results}
    return tuple(
        _judge(result, by_id.get(result.faster_than.case), result.faster_than)
        for result in results
        if result.faster_than is not None
    )


def _judge(fast: CaseResult, slow: CaseResult | None, claim: FasterThan) -> Relation:
    open_ = Relation(
        case=fast.case, than=claim.case, at_least=claim.at_least, metric="", outcome="inconclusive", code="not-in-run"
    )
    if slow is None:
        return open_
    mine, other = _counted(fast), _counted(slow)
    if not mine or not other:
        return replace(open_, code="not-measured", missing=(fast if not mine else slow).case)
    if fast.machine != slow.machine:
        return replace(open_, code="other-machine")
    metric = next((name for name in by_steadiness() if all(name in entry.metrics for entry in (*mine, *other))), None)
    if metric is None:
        return replace(open_, code="no-common-metric")
    allowed = [entry.metrics[metric] * (1 - claim.at_least) for entry in other]
    margins = replace(CLASS_MARGINS["primary"], allow=0.0, detect=0.0, allow_abs=0.0, detect_abs=0.0)
    decision = RULES["moderated"].decide(allowed, [entry.metrics[metric] for entry in mine], margins, same_node=True)
    share = 1 - claim.at_least
    return replace(
        open_,
        metric=metric,
        outcome="pass" if decision.outcome == "improved" else decision.outcome,
        code=_CODES.get(decision.outcome, "undecided"),
        launches=len(mine),
        than_launches=len(other),
        ratio=None if decision.ratio is None else decision.ratio * share,
        low=None if decision.low is None else decision.low * share,
        high=None if decision.high is None else decision.high * share,
    )


_CODES: Mapping[Outcome, RelationCode] = {"pass": "holds", "improved": "holds", "regressed": "fails"}


def _counted(result: CaseResult) -> list[LaunchRecord]:
    return [entry for entry in result.launches if entry.counts and entry.metrics]
