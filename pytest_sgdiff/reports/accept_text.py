"""The words for slowdowns that somebody accepted for a time. The one place that has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pytest_sgdiff.data import Acceptance, AcceptanceState, AcceptanceUse, CaseResult
from pytest_sgdiff.reports import metric_text, numbers

ACCEPTED = "accepted"
"""The outcome as people read it of a case that would fail without an acceptance."""


def words(use: AcceptanceUse) -> str:
    """`sgdiff-accept.txt:3: accepted: wan22 denoise +5 % until 2027-01-31, because …`: what became of a line."""
    return f"{use.acceptance.path}:{use.acceptance.line}: {_WORDS[use.state](use)}"


def until(result: CaseResult) -> str:
    """`accepted: denoise up to +5 % until 2027-01-31`, of several the day on which the first ends; empty where nothing
    of the case is accepted."""
    used = [use.acceptance for use in result.acceptances if use.state == "used"]
    if not result.accepted or not used:
        return ""
    told = ", ".join(f"{metric_text.metric_name(one.metric)} up to {_size(one)}" for one in used)
    return f"accepted: {told} until {min(one.until for one in used)}"


def lines(uses: Iterable[AcceptanceUse]) -> list[str]:
    """`words` of each, what is in use first."""
    return [numbers.clean(words(use)) for use in sorted(uses, key=lambda use: use.state != "used")]


def _size(one: Acceptance) -> str:
    return f"+{100 * one.size:g} %"


def _what(use: AcceptanceUse) -> str:
    one = use.acceptance
    return f"{one.case} {one.metric} {_size(one)} until {one.until}"


_WORDS: Mapping[AcceptanceState, Callable[[AcceptanceUse], str]] = {
    "used": lambda use: f"accepted: {_what(use)}, because {use.acceptance.because}",
    "exceeded": lambda use: f"slower than accepted: {_what(use)}; the case fails",
    "undecided": lambda use: (
        f"{_what(use)}: the launches cannot tell whether the slowdown is larger than accepted; the case is judged "
        "without the line"
    ),
    "not-needed": lambda use: f"no longer needed: {_what(use)}; remove the line",
    "expired": lambda use: f"expired, and without effect: {_what(use)}; remove the line, or accept it anew",
    "not-gated": lambda use: f"without effect: {_what(use)}; the case judges no such metric",
    "unknown-case": lambda use: (
        f"without effect: {_what(use)}; no case is called '{use.acceptance.case}'"
        + (f", did you mean '{use.near}'?" if use.near else "")
    ),
    "not-judged": lambda use: f"without effect: {_what(use)}; the case gave nothing to judge",
}
