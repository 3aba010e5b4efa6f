"""A search from its first launch to its last: what is launched next, within the time and the GPUs that there are."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pytest_sgdiff.data import Dropped, Quality, Space, Tried, TuneCode, Tuned, TuneLaunch, TuneLeft, TuneStep, Variant
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.quality.odd import FEWEST_RECORDED
from pytest_sgdiff.tuning.bench import Bench
from pytest_sgdiff.tuning.book import Book

TRIES_AT_MOST = 2
"""Tries that come to nothing by chance before a variant is given up: other work disturbs it, in spite of the launches
that replace disturbed ones, or a signal ends its engine. Somebody may have sent it, or the host was short of memory."""

PICTURES_AT_MOST = FEWEST_RECORDED
"""Launches of the case as it is written that are made to know what it draws: as many as show an odd one among them."""

DAMAGED = frozenset(("blank", "damaged"))
"""Causes for which the case as it is written has a second try: everything is compared with it."""


def launch_order(space: Space) -> tuple[str, ...]:
    """The variants in the order of their first launches: the case as it is written, and those that compile last. One of
    them may take many times as long as any other (on an H200 longer than six minutes, beside launches of 45 s), and a
    budget that it uses up would have measured nothing else."""
    return tuple(sorted((one.name for one in space.variants), key=lambda name: name in _late(space)))


def _late(space: Space) -> frozenset[str]:
    """The variants that compile, but for the case as it is written."""
    return frozenset(
        one.name
        for one in space.variants
        if one is not space.written and one.case.args.get("enable-torch-compile") is True
    )


class Chooser(Protocol):
    """Chooses what is launched next (`pytest_sgdiff.tuning.search.Race`)."""

    @property
    def round(self) -> int:
        """The round that a launch belongs to which begins now."""
        ...

    def next(self, slots: int) -> Sequence[str]:
        """The variants to launch next, at most `slots`; none once the search is over."""
        ...

    def add(self, tried: Tried, *, round_: int | None = None) -> None:
        """Take a launch that counts, of the round in which it began."""
        ...

    def drop(self, variant: str, dropped: Dropped) -> None:
        """Give a variant up."""
        ...

    def put_back(self, variant: str) -> None:
        """Take back a variant that `next` named and that was not launched."""
        ...

    def stop(self, code: TuneCode) -> None:
        """End the search before its own end."""
        ...

    def tuned(self) -> Tuned:
        """How the variants rank by now."""
        ...

    def left(self) -> TuneLeft:
        """What is left to launch, about."""
        ...


@dataclass
class Search:
    """`gpus` are as many as the variants may have at a time, `budget_s` the seconds that all parts of the search may
    take together, None for any number. `say` is told of every step. `drew` says what became of the picture of a variant
    beside that of the case as it is written, None where variants may draw what they like. `settled` says whether the
    launches of that case by now show what it draws; if not, it is launched again, up to PICTURES_AT_MOST times.
    `retry` are variants of which launches that did not count are forgotten; `retried` are those that had some, once it
    runs."""

    space: Space
    chooser: Chooser
    bench: Bench
    book: Book
    gpus: int
    budget_s: float | None = None
    say: Callable[[TuneStep], None] = lambda step: None
    drew: Callable[[Variant], Quality | None] | None = None
    settled: Callable[[], bool] = lambda: True
    retry: Sequence[str] = ()
    retried: tuple[str, ...] = ()
    clock: Callable[[], float] = time.monotonic
    _used_s: float = 0.0
    _began: float = 0.0
    _lost: dict[str, int] = field(default_factory=dict)

    def run(self) -> Tuned:
        """Launch until the search is over or its time is used up. Raises as `Bench.measure` and `Book.add`; what is
        known by then is kept."""
        self._began, self._used_s = self.clock(), self.book.took_s
        self.book.mend(self._lacking())
        for number in self.book.open():
            # Of a round in which the command was killed only its files say how long it took at least.
            lasted_s = self.bench.lasted_s(number)
            of_launches = max((one.took_s for one in self.book.launches if one.round == number), default=0.0)
            self._used_s += max(0.0, lasted_s - of_launches)
            self.book.spend(number, self._used_s)
        for begun in list(self.book.unfinished()):
            variants = [self._variants[name] for name in begun.variants]
            known = self.bench.known(begun.begun, variants)
            if found := [one for one in known if not self.book.knows(begun.begun, one.variant)]:
                self.book.add(found)
                self._say_came(found)
        self.retried = self.book.forget(self.retry)
        for one in self.book.launches:
            self._tell(one)
        # Whether pictures were compared after the last launches of an earlier part nobody knows.
        self._look_at({one.variant for one in self.book.launches if one.tried is not None})
        while named := self._named():
            fitting = [name for name in named if self._fits(name)]
            chosen = self._together(fitting)
            for name in named:
                if name not in chosen:
                    self.chooser.put_back(name)
            if not chosen:
                self.chooser.stop("budget")
                break
            self._launch(chosen)
        return self.chooser.tuned()

    def _lacking(self) -> Mapping[int, Sequence[str]]:
        """The rounds that were begun, as their folders show, and that the state does not know of any more."""
        found: dict[int, Sequence[str]] = {}
        for number in self.bench.known_rounds():
            if self.book.may_lack(number):
                ids = self.bench.launched(number)
                found[number] = [one.name for one in self.space.variants if one.case.id in ids]
        return found

    def _named(self) -> Sequence[str]:
        """All that the round still has to launch. The case as it is written is first until it has two launches: the
        first one on a machine may be slow, as kernels are compiled for it, and all gains are told against this case.
        Others run beside it where there are GPUs, as they run beside one another: alone it would have the host for
        itself, and be quicker than it is beside them."""
        names = self.chooser.next(len(self._variants))
        if names and (written := self.space.written) is not None:
            tries = [one for one in self.book.launches if one.variant == written.name]
            given_up = any(one.variant == written.name and one.dropped for one in self.chooser.tuned().standings)
            if len(tries) == 1 and not given_up:
                return tuple(dict.fromkeys((written.name, *names)))
        return names

    @property
    def used_s(self) -> float:
        """The seconds that the search took by now, with those of its earlier parts."""
        return self._used_s + self.clock() - self._began

    @property
    def _variants(self) -> Mapping[str, Variant]:
        return {variant.name: variant for variant in self.space.variants}

    def _launch(self, names: Sequence[str]) -> None:
        # Somebody may have removed the folders of rounds that the state knows.
        number = max(self.bench.next_round(), 1 + max((one.begun for one in self.book.begun), default=0))
        left = self.chooser.left().launches
        self.say(
            TuneStep(
                round=number,
                variants=tuple(names),
                launches=sum(one.tried is not None for one in self.book.launches),
                left=left,
                left_s=self._left_s(left, at_once=max(1, min(self._slots(), left))),
            )
        )
        self.book.begin(number, names, race_round=self.chooser.round)
        timeout_s = None if self.budget_s is None else max(1.0, self.budget_s - self.used_s)
        variants = [self._variants[name] for name in names]
        # Where this is interrupted, the next command reads what ended before.
        try:
            found = self.bench.measure(number, variants, timeout_s=timeout_s)
        except BaseException:
            with contextlib.suppress(SgdiffError):
                self.book.spend(number, self.used_s)
            raise
        self.book.spend(number, self.used_s)
        self._keep(found)
        for name in set(names) - {one.variant for one in found}:
            # The time was up before it ended.
            self.chooser.put_back(name)

    def _keep(self, found: Sequence[TuneLaunch]) -> None:
        if not found:
            return
        first = {one.variant for one in found} - {one.variant for one in self.book.launches if one.tried is not None}
        self.book.add(found)
        for one in found:
            self._tell(one)
        self._say_came(found)
        self._look_at({one.variant for one in found if one.tried is not None} & first)

    def _say_came(self, found: Sequence[TuneLaunch]) -> None:
        for one in found:
            self.say(TuneStep(round=one.round, variants=(one.variant,), came=one))

    def _look_at(self, names: Collection[str]) -> None:
        """Look at the pictures of those of the variants that may still be used."""
        if self.drew is None:
            return
        first = {one.variant: one for one in reversed(self.book.launches) if one.tried is not None}
        standings = self.chooser.tuned().standings
        given_up = {one.variant for one in standings if one.dropped is not None and one.dropped.code != "slower"}
        for name in self._variants:
            if name in names and name not in given_up:
                self._look(first[name])

    def _look(self, one: TuneLaunch) -> None:
        """Give up a variant that draws another picture although it is called lossless."""
        variant, written = self._variants[one.variant], self.space.written
        if written is None or variant.lossy or variant is written:
            return
        if self._is_other(variant) and self._counted(written) < 2:
            # How far two launches of the case itself are from one another is noise, and no change.
            if not self._fits(written.name):
                return
            self._launch([written.name])
        while not self.settled() and (before := self._counted(written)) < PICTURES_AT_MOST:
            if not self._fits(written.name):
                return
            self._launch([written.name])
            if self._counted(written) == before:
                # It came to nothing: the case is to be launched as often as any other, and no more.
                break
        if not self._is_other(variant):
            return
        self._keep([TuneLaunch(round=one.round, variant=one.variant, dropped=Dropped(code="picture"))])

    def _counted(self, variant: Variant) -> int:
        """How many launches of the variant count."""
        return sum(known.variant == variant.name and known.tried is not None for known in self.book.launches)

    def _is_other(self, variant: Variant) -> bool:
        quality = None if self.drew is None else self.drew(variant)
        return quality is not None and quality.other_picture

    def _tell(self, one: TuneLaunch) -> None:
        if one.tried is not None:
            self.chooser.add(one.tried, round_=self.book.race_rounds().get(one.round))
        elif one.dropped is not None and (_by_chance(one.dropped) or self._is_accident(one)):
            self._lost[one.variant] = tries = self._lost.get(one.variant, 0) + 1
            if tries >= TRIES_AT_MOST:
                self.chooser.drop(one.variant, one.dropped)
            else:
                self.chooser.put_back(one.variant)
        elif one.dropped is not None:
            self.chooser.drop(one.variant, one.dropped)

    def _is_accident(self, one: TuneLaunch) -> bool:
        """Whether a launch of the case as it is written failed by what it drew alone."""
        problem = None if one.dropped is None else one.dropped.problem
        written = self.space.written
        return written is not None and one.variant == written.name and problem is not None and problem.cause in DAMAGED

    def _slots(self) -> int:
        """How many variants can run at the same time, if each that is left needs as few GPUs as the least of them."""
        given_up = {one.variant for one in self.chooser.tuned().standings if one.dropped is not None}
        needs = [one.case.gpus for one in self.space.variants if one.name not in given_up]
        least = min(needs, default=0)
        return max(1, self.gpus // least) if least else 1

    def _together(self, names: Sequence[str]) -> list[str]:
        """Those of the variants that have room beside each other, in their order, and the first of them in any case.
        As long as others wait, a variant that compiles has its first launch not beside them: a round lasts as long as
        the longest of its launches."""
        chosen: list[str] = []
        free = self.gpus
        known = {one.variant for one in self.book.launches}
        late = _late(self.space) - known
        soon = [name for name in dict.fromkeys(names) if name not in late]
        for name in dict.fromkeys(names):
            need = self._variants[name].case.gpus
            waits = name in late and any(one not in chosen for one in soon)
            if not chosen or (0 < need <= free and not waits):
                chosen.append(name)
                free -= need
        return chosen

    def _fits(self, name: str) -> bool:
        """Whether a launch of the variant is expected to end in time. Before anything was launched nobody knows."""
        if self.budget_s is None:
            return True
        return self.used_s < self.budget_s and self.used_s + self._expected_s(name) <= self.budget_s

    def _expected_s(self, name: str) -> float:
        """As long as the longest try of this variant, or of all of them if there was none."""
        own = [one.took_s for one in self.book.launches if one.variant == name]
        return max(own or [one.took_s for one in self.book.launches], default=0.0)

    def _left_s(self, left: int, *, at_once: int) -> float | None:
        """About how long that many launches take, None before one was made."""
        took = [one.took_s for one in self.book.launches]
        return left * sum(took) / len(took) / at_once if took else None


def _by_chance(dropped: Dropped) -> bool:
    """Whether another try may come to something."""
    return dropped.code == "disturbed" or (dropped.problem is not None and dropped.problem.code == "signal")
