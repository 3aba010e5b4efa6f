"""The search for the first bad commit: which one is judged next, and what the answers together prove."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from pytest_sgdiff import metrics
from pytest_sgdiff.bisect.book import Book
from pytest_sgdiff.data import Aim, BisectCode, Bisected, BisectStep, Judged, MetricClass, Pairs, SkipCode
from pytest_sgdiff.judging.rules.three_way import ALPHA, BETA

ATTEMPTS = 2
"""How often a commit is judged that the pairs cannot tell, before it is skipped."""
END_ATTEMPTS = 4
"""The same of the first comparison, of the two ends, and of the last one, with the parent: no other commit takes their
place. With two, one of thirty drawn bisections ended at each of them (`benchmarks/bisecting.py`)."""
MENDABLE: frozenset[SkipCode] = frozenset({"checkout-failed", "setup-failed", "no-engine", "not-measured"})
"""Why commits were skipped that may be judged the next time, as after a package index that could not be reached."""
ALLOW_SHARE, DETECT_SHARE = 0.25, 0.75
"""The margins of a commit as shares of what the bad one is slower by, at least (the lower end of its 95 % interval):
one slower by more than the first is bad, one for which the second is ruled out is good. So a slow commit is far from
both, and so is one that is as fast as the good one (`benchmarks/bisecting.py`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One comparison of two engines. `skip` says why there is no verdict, of the `side` that is to blame; `metric` is
    the metric that decided, of `metric_class`."""

    verdict: Literal["good", "bad", "skip"]
    skip: SkipCode | None = None
    side: Literal["base", "candidate"] = "candidate"
    why: str = ""
    metric: str = ""
    metric_class: MetricClass = "primary"
    pairs: Pairs = field(default_factory=Pairs)


class Bench(Protocol):
    """Makes engines of commits, and compares them."""

    def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
        """Compare the engine of a commit with that of another, by the case's own metrics and margins without `aim`."""
        ...


class Commits(Protocol):
    """What is to be known of the commits (`pytest_sgdiff.bisect.repository.Repository`)."""

    def left(self, bad: str, good: Collection[str]) -> tuple[str, ...]: ...
    def title(self, commit: str) -> str: ...
    def parents(self, commit: str) -> tuple[str, ...]: ...


class Search:
    """One bisection, from `good` to `bad`. `say` is told what happens next; `folder` is where the evidence lies."""

    def __init__(
        self,
        commits: Commits,
        bench: Bench,
        book: Book,
        *,
        case: str,
        good: str,
        bad: str,
        say: Callable[[BisectStep], None] = lambda _: None,
        folder: str = "",
    ) -> None:
        self.commits, self.bench, self.book, self.say = commits, bench, book, say
        self.case, self.good, self.bad, self.folder = case, good, bad, folder
        self._path: list[Judged] = []
        self._asked: set[str] = set()

    def run(self) -> Bisected:
        """Search to the end. Raises SgdiffError where a comparison cannot be made at all."""
        whole, aim = self._whole()
        if whole.verdict == "good":
            return self._end("not-slower", whole)
        if whole.verdict == "skip":
            return self._end(_unusable(whole), whole)
        if aim is None:
            raise AssertionError("what is slower is slower by a metric")
        goods, skipped, first = {self.good}, dict[str, Judged](), whole
        while True:
            left = self.commits.left(first.commit, goods)
            chosen = _next(left, skipped) or self._mendable(left, skipped)
            if chosen is None:
                break
            known = None if chosen in skipped else self.book.judged(chosen)
            judged = known or self._judge(self.good, chosen, aim, left=len(left))
            if judged.blame == "base":
                self._path.append(judged)
                return self._end("good-unusable", whole, aim)
            if known is None:
                self._asked.add(chosen)
                # What other work kept from being judged is judged again by the command that goes on from here.
                if judged.skip != "disturbed":
                    self.book.note(judged)
            skipped.pop(chosen, None)
            self._path = [*(one for one in self._path if one.commit != chosen), judged]
            if judged.verdict == "good":
                goods.add(chosen)
            elif judged.verdict == "bad":
                first = judged
            else:
                skipped[chosen] = judged
        suspects = tuple(skipped[one] for one in left if one in skipped)
        return self._found(whole, aim, first, suspects)

    def _mendable(self, left: Sequence[str], skipped: Mapping[str, Judged]) -> str | None:
        """Where only skipped commits are left, one of those that an earlier command could not judge: what kept it from
        that may be mended. Each is asked once."""
        again = (one for one in left if one in skipped and one not in self._asked)
        return next((one for one in again if skipped[one].skip in MENDABLE), None)

    def _found(self, whole: Judged, aim: Aim, first: Judged, suspects: tuple[Judged, ...]) -> Bisected:
        if suspects:
            return self._end("among", whole, aim, first=first, suspects=(*suspects, first))
        parent = self.commits.parents(first.commit)[0]
        if parent == self.good:
            return self._end("found", whole, aim, first=first, parent_is_good=True)
        compared = self.book.parent(first.commit)
        if compared is None:
            compared = self._judge(parent, first.commit, aim, attempts=END_ATTEMPTS)
            # What kept it from being judged may be mended, and is asked again.
            if compared.verdict != "skip":
                self.book.note_parent(compared)
        # Slower than the good commit may be what lacks a gain of it: only the parent tells that it is this commit.
        code: BisectCode = "found" if compared.verdict == "bad" else "unconfirmed"
        return self._end(code, whole, aim, first=first, parent=compared)

    def _whole(self) -> tuple[Judged, Aim | None]:
        """The bad commit against the good one, and what the others are judged by."""
        state = self.book.state
        if state.whole is not None:
            return state.whole, state.aim
        whole, aim = self._compare(self.good, self.bad, None, attempts=END_ATTEMPTS)
        # That an engine could not be built or launched may be mended, and is asked again.
        if whole.verdict != "skip":
            self.book.note_whole(whole, aim)
        return whole, aim

    def _judge(self, base: str, commit: str, aim: Aim, *, left: int = 0, attempts: int = ATTEMPTS) -> Judged:
        """A commit against another."""
        return self._compare(base, commit, aim, left=left, attempts=attempts)[0]

    def _compare(
        self, base: str, commit: str, aim: Aim | None, *, left: int = 0, attempts: int = ATTEMPTS
    ) -> tuple[Judged, Aim | None]:
        """A commit against another, once more where the pairs cannot tell, up to so many `attempts`; and what others
        are judged by if it is slower."""
        step = BisectStep(
            commit=commit,
            title=self.commits.title(commit),
            base=base,
            base_title=self.commits.title(base),
            left=left,
        )
        self.say(step)
        evidence: list[Pairs] = []
        for _ in range(attempts):
            compared = self.bench.compare(base, commit, aim)
            evidence.append(compared.pairs)
            if compared.skip not in ("undecided", "disturbed"):
                break
        judged = Judged(
            commit=commit,
            title=step.title,
            verdict=compared.verdict,
            skip=compared.skip,
            why=compared.why,
            blame=compared.side,
            evidence=tuple(evidence),
        )
        self.say(replace(step, judged=judged))
        return judged, aim_of(compared) if compared.verdict == "bad" else None

    def _end(
        self,
        code: BisectCode,
        whole: Judged,
        aim: Aim | None = None,
        *,
        first: Judged | None = None,
        suspects: tuple[Judged, ...] = (),
        parent: Judged | None = None,
        parent_is_good: bool = False,
    ) -> Bisected:
        proof = first if parent_is_good else parent
        return Bisected(
            code=code,
            case=self.case,
            good=self.good,
            bad=self.bad,
            metric="" if aim is None else aim.metric,
            first=first,
            suspects=suspects,
            whole=whole,
            path=tuple(self._path),
            parent=parent,
            parent_is_good=parent_is_good,
            partial=first is not None and _is_part(first, whole),
            error=None if first is None else error_of((whole, *self._path)),
            parent_error=None if proof is None or proof.verdict != "bad" else error_of((proof,)),
            folder=self.folder,
        )


def _unusable(whole: Judged) -> BisectCode:
    if whole.skip in ("undecided", "disturbed"):
        return "undecided"
    return "good-unusable" if whole.blame == "base" else "bad-unusable"


def aim_of(compared: Compared) -> Aim:
    """What commits are judged by, where the bad one is slower like this."""
    pairs, metric = compared.pairs, compared.metric
    entry = metrics.entry(metric)
    gate: tuple[str, ...] = (metric if entry is None or not entry.part_of else entry.part_of,)
    if metric == metrics.PAUSE:
        # Both hold pauses, and the request those outside denoising too.
        gate = (metrics.DENOISE, metrics.E2E)
    least = 0.0 if pairs.low is None else pairs.low - 1
    if compared.metric_class == "pause" or least <= 0:
        return Aim(metric=metric, gate=gate)
    return Aim(metric=metric, gate=gate, allow=ALLOW_SHARE * least, detect=DETECT_SHARE * least)


def error_of(path: Sequence[Judged]) -> float:
    """The probability, at most, that one of the decisions is wrong: a good commit is called bad with ALPHA at each
    checkpoint, and one that is slower by `detect` good with BETA (docs/decision.md)."""
    rates = {"bad": ALPHA, "good": BETA, "skip": 0.0}
    return min(1.0, sum(rates[one.verdict] * one.checkpoints for one in path))


def _next(left: Sequence[str], skipped: Collection[str]) -> str | None:
    """The commit that halves best what is left, or None. Where commits were skipped, one farther away: what does not
    build mostly does not build next door either. So does `git bisect skip`."""
    found = [one for one in left[:-1] if one not in skipped]
    if not found:
        return None
    near = sum(one in skipped for one in left)
    spread = (near * 0.618034) % 1 if near else 0.0
    return found[int(len(found) * spread**1.5)]


def _is_part(first: Judged, whole: Judged) -> bool:
    """Whether the commit is less slow than the bad one."""
    one, all_ = first.evidence[-1], whole.evidence[-1]
    return one.high is not None and all_.low is not None and one.high < all_.low
