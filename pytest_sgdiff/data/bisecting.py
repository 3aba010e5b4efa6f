"""A bisection: which commit made the engine slower, and on what that rests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SkipCode = Literal[
    "checkout-failed",
    "setup-failed",
    "no-engine",
    "invalid",
    "not-comparable",
    "not-measured",
    "disturbed",
    "undecided",
]
"""Why a commit can be called neither good nor bad: it could not be checked out or built, there is no engine that says
its version, a launch of it does not count, its launches are of other work, the case was skipped, other work disturbed
the machine, or the pairs cannot tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Aim:
    """What commits are judged by: the verdict on `metric`, which the names of `gate` bring about, and the margins
    `allow` and `detect`, fractions; None for those of the case."""

    metric: str
    gate: tuple[str, ...]
    allow: float | None = None
    detect: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """What one comparison of two engines gave for the metric of the bisection: `ratio` is candidate over good, with its
    95 % interval; `allow` and `detect` are the margins, fractions; `pairs` launches of each engine, and `checkpoints`
    after which a verdict was sought. What was not measured is None, or 0."""

    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    allow: float | None = None
    detect: float | None = None
    pairs: int = 0
    checkpoints: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What was found out about a commit: it is `good` (as fast as the good one), `bad` (slower), or skipped, and `skip`
    says why, with the `why` of whoever noticed (a log's place, a reason); `blame` is the engine of the two that it is
    about. `evidence` are its comparisons, the last one decided."""

    commit: str
    title: str
    verdict: Literal["good", "bad", "skip"]
    skip: SkipCode | None = None
    why: str = ""
    blame: Literal["base", "candidate"] = "candidate"
    evidence: tuple[Pairs, ...] = ()

    @property
    def checkpoints(self) -> int:
        """How often a verdict was sought."""
        return sum(pairs.checkpoints for pairs in self.evidence)


@dataclass(frozen=True, kw_only=True, slots=True)
class BisectStep:
    """What a bisection does next, or has just found out: compare `commit` with `base` (`judged` is None), or that it is
    `judged`. `left` commits may still be the first bad one, 0 where that is not the question."""

    commit: str
    title: str
    base: str
    base_title: str
    left: int = 0
    judged: Judged | None = None


BisectCode = Literal[
    "found",
    "among",
    "unconfirmed",
    "not-slower",
    "undecided",
    "good-unusable",
    "bad-unusable",
]
"""How a bisection ended: with the commit; with several, of which all but the last were skipped; with a commit that is
not slower than its parent; or before it began, since the bad commit is not slower, the pairs cannot tell, or one of
the two gave no valid measurement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bisected:
    """The end of a bisection of one case by one metric.

    `first` is the first bad commit, or the last of the `suspects`, each of which may be it. `whole` compares the bad
    commit with the good one. `path` are the commits that were judged, in that order. `parent` compares the first bad
    commit with its parent, None where nothing was compared; with `parent_is_good` there was no need. `partial`: it
    explains a part of the slowdown. `error` is the probability, at most, that a decision on the way was wrong, and
    `parent_error` the one that the commit is not slower than its parent. `folder` keeps logs and launches.
    """

    code: BisectCode
    case: str
    good: str
    bad: str
    metric: str = ""
    first: Judged | None = None
    suspects: tuple[Judged, ...] = ()
    whole: Judged | None = None
    path: tuple[Judged, ...] = ()
    parent: Judged | None = None
    parent_is_good: bool = False
    partial: bool = False
    error: float | None = None
    parent_error: float | None = None
    folder: str = ""
