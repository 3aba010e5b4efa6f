"""The words for a `Reason`: why a case has its outcome; why a launch does not count, and why a `faster_than` has its
outcome. The one place that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_sgdiff import metrics
from pytest_sgdiff.data import CaseResult, LaunchRecord, ReasonCode, Relation, Verdict
from pytest_sgdiff.reports import (
    cluster_text,
    difference_text,
    disturbance_text,
    figures,
    finding_text,
    problem_text,
    quality_text,
)
from pytest_sgdiff.reports.numbers import plural


def reason(result: CaseResult) -> str:
    """`denoise (sum of steps) +5.3 %, 1.2 % allowed; e2e …`: why the outcome is what it is, in one line."""
    return _WORDS[result.reason.code](result)


def discarded(launch: LaunchRecord) -> str:
    """Why a launch does not count, empty if it does."""
    if launch.problem is not None:
        return problem_text.message(launch.problem)
    return disturbance_text.all_of(launch.disturbances)


def relation(r: Relation) -> str:
    """Why a `faster_than` has its outcome."""
    launches = f"{r.launches} against {plural(r.than_launches or 0, 'launch')}"
    return {
        "holds": f"holds, {launches}",
        "fails": f"does not hold, {launches}",
        "undecided": f"cannot be decided with {launches}: give both cases more (launches.checkpoints)",
        "not-in-run": f"{r.than} was not in this run",
        "not-measured": f"{r.missing} was not measured",
        "other-machine": "the two ran on different machines",
        "no-common-metric": "the two have no metric in common",
    }[r.code]


def replacing(result: CaseResult) -> str:
    """What fresh launches do to a baseline, and why the two are not comparable."""
    apart = "; ".join(map(difference_text.of_baseline, result.reason.differences))
    return "replace the baseline" + (f", which is not comparable: {apart}" if apart else "")


def _verdicts(result: CaseResult) -> str:
    r, paired = result.reason, result.paired
    by = [v for metric in result.decided_by for v in result.verdicts if v.metric == metric]
    if not by:
        words = "no gated metric was measured"
    elif result.outcome == "no-baseline":
        lacking = f"has no {', no '.join(metrics.title(v.metric) for v in by)}"
        words = f"the base engine {lacking}" if paired else f"the baseline {lacking}: record it again"
    else:
        words = "; ".join(_told(v, paired=paired) for v in by)
    words += "" if r.pairs is None else f", {plural(r.pairs, 'pair')}"
    return (
        words if r.of is None else f"{words}; the recording ends after {r.launches} of up to {plural(r.of, 'launch')}"
    )


def _told(v: Verdict, *, paired: bool) -> str:
    """`denoise (sum of steps) +5.3 %, 1.5 % allowed`"""
    change = "" if v.ratio is None else f" {figures.change(v.ratio - 1)}"
    separator = ":" if v.ratio is None else ","
    return f"{metrics.title(v.metric)}{change}{separator} {finding_text.why(v, paired=paired)}"


def _problem(result: CaseResult) -> str:
    who = {"base": "base engine: ", "current": "current engine: ", None: ""}[result.reason.side]
    return who + problem_text.message(result.problems[0])


def _environment(result: CaseResult) -> str:
    r = result.reason
    what = r.error or (f"{plural(r.disturbed, 'launch')} disturbed: {disturbance_text.all_of(r.disturbances)}")
    return f"{_NOTHING_RECORDED if r.recording else ''}environment: {what}"


def _no_machine(result: CaseResult) -> str:
    if result.reason.side == "base":
        return "the base engine's launches do not say where they ran"
    return "the recording does not say on which machine it was made (launch.json: `machine`)"


def _no_baseline(result: CaseResult) -> str:
    others = result.reason.others
    elsewhere = f" (there is one for {', '.join(others)})" if others else ""
    return f"no baseline for {result.reason.machine}{elsewhere}"


def _not_comparable(result: CaseResult) -> str:
    return "the baseline is not comparable: " + "; ".join(map(difference_text.of_baseline, result.reason.differences))


def _short(result: CaseResult) -> str:
    r = result.reason
    return f"{_NOTHING_RECORDED}the recording ends after {r.launches} of {plural(r.of or 0, 'launch')}"


def _recorded(result: CaseResult) -> str:
    r = result.reason
    if r.added_to is not None:
        done = f"added to the {r.added_to} of the baseline"
    elif r.replaces:
        done = replacing(result)
    else:
        done = "recorded" + (f" (other machines that have a baseline: {', '.join(r.others)})" if r.others else "")
    return f"{r.launches} launch{'es' * (r.launches != 1)} {done}"


_NOTHING_RECORDED = "no baseline recorded: "

_WORDS: Mapping[ReasonCode, Callable[[CaseResult], str]] = {
    "verdicts": _verdicts,
    "problem": _problem,
    "environment": _environment,
    "cluster": lambda result: f"cluster: {cluster_text.lost(result.reason.losses)}",
    "no-machine": _no_machine,
    "no-baseline": _no_baseline,
    "not-comparable": _not_comparable,
    "empty-recording": lambda result: "the recording holds no launch of this case",
    "short-recording": _short,
    "no-more-launches": lambda result: "one of the two engines has no more launches",
    "shard-unreported": lambda result: f"shard {result.reason.shard}, which has this case, never reported",
    "shard-killed": lambda result: f"shard {result.reason.shard}, which has this case, was killed before it ended",
    "shard-unmeasured": lambda result: f"shard {result.reason.shard} did not measure this case: {result.reason.error}",
    "shard-incomplete": lambda result: (
        f"shard {result.reason.shard} recorded {plural(result.reason.of or 0, 'launch')} of this case, "
        f"and {result.reason.launches} are here"
    ),
    "picture-changed": lambda result: (
        "" if result.quality is None else quality_text.words(result.quality, paired=result.paired)
    ),
    "odd-picture": lambda result: (
        "" if result.quality is None else f"{_NOTHING_RECORDED}{quality_text.odd(result.quality)}"
    ),
    "recorded": _recorded,
}
