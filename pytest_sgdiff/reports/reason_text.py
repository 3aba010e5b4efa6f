"""The words for why a case has its outcome, where that hangs on its verdicts."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Outcome, Relation, Verdict
from pytest_sgdiff.reports import figures, finding_text


def reason(outcome: Outcome, decided_by: Sequence[Verdict], *, paired: bool = False) -> str:
    """`denoise (sum of steps) +5.3 %, 1.5 % allowed; e2e …`: the verdicts that the outcome rests on, in one line."""
    if not decided_by:
        return "no gated metric was measured"
    if outcome == "no-baseline":
        lacking = f"has no {', no '.join(metrics.title(v.metric) for v in decided_by)}"
        return f"the base engine {lacking}" if paired else f"the baseline {lacking}: record it anew"
    return "; ".join(_told(v, paired=paired) for v in decided_by)


def unjudged(v: Verdict, *, paired: bool = False) -> str:
    """What is said of a metric that could not be judged and does not decide."""
    return f"{metrics.title(v.metric)} was not judged: {finding_text.why(v, paired=paired)}"


def paused(v: Verdict, *, paired: bool = False) -> str:
    """What is said of pauses that pass and that most launches have."""
    return f"{metrics.title(v.metric)}: {finding_text.why(v, paired=paired)}"


def relation(r: Relation) -> str:
    """Why a `faster_than` has its outcome."""
    launches = f"{r.launches} against {r.than_launches} launches"
    return {
        "holds": f"holds, {launches}",
        "fails": f"does not hold, {launches}",
        "undecided": f"cannot be told from {launches}: give both cases more (launches.looks)",
        "not-in-run": f"{r.than} was not in this run",
        "not-measured": f"{r.missing} was not measured",
        "other-machine": "the two ran on different machines",
        "no-common-metric": "the two have no metric in common",
    }[r.code]


def _told(v: Verdict, *, paired: bool) -> str:
    """`denoise (sum of steps) +5.3 %, 1.5 % allowed`"""
    change = "" if v.ratio is None else f" {figures.change(v.ratio - 1)}"
    separator = ":" if v.ratio is None else ","
    return f"{metrics.title(v.metric)}{change}{separator} {finding_text.why(v, paired=paired)}"
