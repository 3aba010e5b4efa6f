"""The words for a bisection: what it does, and which commit it found. The one place that has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pytest_sgdiff.data import BisectCode, Bisected, BisectStep, Judged, Pairs, SkipCode
from pytest_sgdiff.reports import metric_text, numbers
from pytest_sgdiff.reports.figures import fixed

SHOWN = 12
"""Digits of a commit."""


def step(one: BisectStep) -> str:
    """`judging 3f2a… Title against 9c1b… Title, 7 commits left`, or what came of it."""
    if one.judged is not None:
        return f"  {judged(one.judged)}"
    left = f", {numbers.plural(one.left, 'commit')} left" if one.left else ""
    base = f"{one.base[:SHOWN]} {one.base_title}"
    return f"comparing {one.commit[:SHOWN]} {one.title} with {base}{left}"


def judged(one: Judged) -> str:
    """`slower: +5.2 % (+4.1 .. +6.3 %), 5 pairs`, `not slower: …`, `skipped, its setup failed: …`."""
    figures = ", and before that ".join(filter(None, map(pairs, reversed(one.evidence))))
    if one.verdict == "skip":
        side = "the engine that it is compared with: " if one.blame == "base" else ""
        told = f"{side}{_SKIPS[one.skip or 'undecided']}"
        return f"skipped, {told}" + (f": {one.why}" if one.why else "") + (f" ({figures})" if figures else "")
    word = "slower" if one.verdict == "bad" else "not slower"
    return f"{word}: {figures}" if figures else word


def pairs(one: Pairs) -> str:
    """`+5.2 % (+4.1 .. +6.3 %), 5 pairs`; empty where nothing was measured."""
    if not one.pairs:
        return ""
    count = numbers.plural(one.pairs, "pair")
    if one.ratio is None:
        return count
    interval = ""
    if one.low is not None and one.high is not None:
        interval = f" ({numbers.bare(one.low - 1)} .. {numbers.signed(one.high - 1)})"
    return f"{numbers.signed(one.ratio - 1)}{interval}, {count}"


def summary(end: Bisected) -> list[str]:
    """What was found, its evidence, and how sure it is."""
    return list(_lines(end))


def _lines(end: Bisected) -> Iterator[str]:
    yield f"{end.case}: {_ENDS[end.code](end)}"
    if end.metric:
        yield f"  metric    {metric_text.metric_name(end.metric)}"
    if end.whole is not None:
        yield f"  whole     {end.bad[:SHOWN]} against {end.good[:SHOWN]}: {judged(end.whole)}"
    if end.first is not None and end.first.commit != end.bad:
        yield f"  commit    against {end.good[:SHOWN]}: {judged(end.first)}"
    if end.parent is not None:
        yield f"  parent    against its parent: {judged(end.parent)}"
    if end.partial:
        yield "  rest      it explains a part of the slowdown: bisect again with it as --good"
    for one in end.suspects:
        yield f"  suspect   {one.commit[:SHOWN]} {one.title}: {judged(one)}"
    for one in end.path:
        yield f"  judged    {one.commit[:SHOWN]} {one.title}: {judged(one)}"
    if end.error is not None:
        yield f"  sure      {_sure(end)}"
    if end.folder:
        yield f"  files     {end.folder}"


def _sure(end: Bisected) -> str:
    decisions = 1 + sum(one.verdict != "skip" for one in end.path)
    words = (
        f"{numbers.plural(decisions, 'decision')} led here, of which one is wrong with a probability of at most "
        f"{_probability(end.error or 0.0)}"
    )
    if end.parent_error is not None:
        words += f"; that the commit is slower than its parent is wrong in at most {_probability(end.parent_error)}"
    elif end.parent is not None and end.parent.verdict == "skip":
        words += "; it could not be compared with its parent"
    return words


def _probability(chance: float) -> str:
    return f"{fixed(100 * chance, 2 if chance < 0.01 else 0)} %"


def _named(end: Bisected) -> str:
    return "" if end.first is None else f"{end.first.commit[:SHOWN]} {end.first.title}"


def _unconfirmed(end: Bisected) -> str:
    if end.parent is not None and end.parent.verdict == "skip":
        return (
            "but could not be compared with its own parent: read the commits before it, mend what keeps the parent "
            "from being judged, or search with --first-parent"
        )
    return "but not than its own parent: the slowdown came in several commits, or a decision was wrong"


_SKIPS: Mapping[SkipCode, str] = {
    "checkout-failed": "it could not be checked out",
    "setup-failed": "its setup failed",
    "no-engine": "it gives no engine",
    "invalid": "a launch of it does not count",
    "not-comparable": "it does other work",
    "not-measured": "the case was not measured",
    "disturbed": "other work disturbed the launches",
    "undecided": "the pairs cannot tell",
}

_ENDS: Mapping[BisectCode, Callable[[Bisected], str]] = {
    "found": lambda end: f"{_named(end)} is the first commit that is slower",
    "among": lambda end: (
        f"one of {numbers.plural(len(end.suspects), 'commit')} is the first that is slower, the last of which is "
        f"{_named(end)}; the others could not be judged"
    ),
    "unconfirmed": lambda end: f"{_named(end)} is slower than the good commit, {_unconfirmed(end)}",
    "not-slower": lambda end: (
        "the bad commit is not slower than the good one, by what the case allows: state a smaller slowdown with "
        "--allow, or there is nothing to bisect"
    ),
    "undecided": lambda end: (
        "the pairs cannot tell whether the bad commit is slower: use a quieter machine, or a longer case"
    ),
    "good-unusable": lambda end: "the good commit gives no valid measurement: mend the setup, or name another commit",
    "bad-unusable": lambda end: "the bad commit gives no valid measurement: mend the setup, or name another commit",
}
