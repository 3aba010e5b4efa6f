"""What became of slowdowns that somebody accepted for a time. Pure.

A case is judged twice: by what it allows itself, which gives its outcome, and with the accepted slowdowns in place of
that. It is `accepted` if it does not pass the first and passes the second. So an accepted slowdown is held to the same
rule as any other: one that is larger fails, and one that the launches cannot tell from a larger one does, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Acceptance, AcceptanceState, AcceptanceUse, Outcome, Verdict
from pytest_sgdiff.judging.judge import outcome_of

Judge = Callable[[Mapping[str, float]], tuple[Verdict, ...]]
"""Judges the launches of a case with these slowdowns accepted, by gate name."""

GOOD: frozenset[Outcome] = frozenset({"pass", "improved"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The `verdicts` by the case's own margins, with what is accepted of each; whether all that keeps the case from
    passing is (`whole`); and what became of each acceptance."""

    verdicts: tuple[Verdict, ...]
    whole: bool
    uses: tuple[AcceptanceUse, ...]


def sizes(acceptances: Sequence[Acceptance]) -> Mapping[str, float]:
    """What is accepted by gate name, fractions."""
    return {one.metric: one.size for one in acceptances}


def accept(verdicts: Sequence[Verdict], acceptances: Sequence[Acceptance], judge: Judge) -> Accepted:
    """What of `verdicts`, by the case's own margins, is accepted."""
    relaxed = judge(sizes(acceptances))
    allowed = {v.metric: v for v in relaxed}
    passes = outcome_of(relaxed)[0] in GOOD
    whole = passes and outcome_of(verdicts)[0] not in GOOD
    told = tuple(_covered(v, allowed.get(v.metric)) for v in verdicts)

    def needed(one: Acceptance) -> bool:
        others = [other for other in acceptances if other is not one]
        return outcome_of(judge(sizes(others)))[0] not in GOOD

    idle = whole and not any(map(needed, acceptances))
    uses = [
        AcceptanceUse(acceptance=one, state=_state(one, verdicts, relaxed, whole=whole, needed=idle or needed(one)))
        for one in acceptances
    ]
    return Accepted(verdicts=told, whole=whole, uses=tuple(uses))


def _covered(v: Verdict, relaxed: Verdict | None) -> Verdict:
    covers = relaxed is not None and v.outcome not in GOOD and relaxed.outcome in GOOD
    return replace(v, accepted=relaxed.allow) if relaxed is not None and covers else v


def _state(
    one: Acceptance, verdicts: Sequence[Verdict], relaxed: Sequence[Verdict], *, whole: bool, needed: bool
) -> AcceptanceState:
    own = [v for v in relaxed if _is_of(one.metric, v.metric)]
    if not own:
        return "not-gated"
    if any(v.outcome == "regressed" for v in own):
        return "exceeded"
    slower = any(v.outcome == "regressed" for v in verdicts if _is_of(one.metric, v.metric))
    if any(v.outcome == "inconclusive" and (v.deciding or slower) for v in own):
        return "undecided"
    # Where the case fails by another metric, its own says whether it is of use.
    return "used" if (needed if whole else slower) else "not-needed"


def _is_of(gate: str, metric: str) -> bool:
    """Whether a verdict on `metric` is one on what the name of the gate means."""
    found, sums = metrics.entry(metric), metrics.sum_of(metric)
    if metric == gate or (found is not None and gate in (found.part_of, found.group)):
        return metric != metrics.PAUSE or gate == metrics.PAUSE
    return sums is not None and sums.name == gate
