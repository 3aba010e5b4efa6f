"""The search for the quickest variant: which to launch next, which to give up, and when to stop. Pure.

It is successive elimination (Even-Dar, Mannor, Mansour 2006, jmlr.org/papers/v7/evendar06a.html) on the logarithms of
the times, with a tolerance, and lazy as LUCB is (Kalyanakrishnan et al. 2012): every variant is launched once; then, in
rounds, the quickest so far with those that look as quick, or the nearest of those that may still be quicker. So what is
far off has one launch, and what is learnt of the noise meanwhile decides on it.

The guarantee, for those that were launched and can be used: with probability `confidence` all of this holds, at the
ends of all rounds at once:

- a variant that is dropped as `slower`, and stays so, is not the quickest;
- the first of a search that ended `decided` or `equal` is within `within` of the quickest. In general it is within its
  own `ratio_high`;
- the intervals hold, but for variants of which all launches were held up: each of those may miss by itself.

These are multiple comparisons with the best (Hsu 1984, Annals of Statistics 12:1136): the unknown quickest variant is
compared with each other one by Student's t with moderated variances. Half of what may go wrong is for that, divided
among the others, and among rounds as 1 / (r (r + 1)), whose sum is one. The other half is for the quickest variant
being dropped because all its launches were held up (`tuning.fit`). As soon as launches turn out to be noisier than
believed, or to be held up more often, variants that were dropped for too little race again.

What it assumes: launches of a variant vary around its centre as normal ones do, but for those held up, and what drifts
falls on all variants of a round alike. docs/tune.md has what happens where that does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pytest_sgdiff.data import Dropped, Standing, Tried, TuneCode, Tuned, TuneLeft
from pytest_sgdiff.judging.rules.prior import DEFAULT, Prior
from pytest_sgdiff.judging.rules.three_way import quantile
from pytest_sgdiff.tuning.fit import Centre, Fit, Sample, fit

CONFIDENCE, WITHIN = 0.95, 0.02
NOISE = replace(DEFAULT, cv0=0.006)
"""The noise that is believed of launches before any is seen. That of the gate is larger (0.8 %): a verdict rests on it,
and here the launches of all variants soon show their own."""
MOST_LAUNCHES = 10
"""Launches that a variant may have. Two equal ones take three each at a CV of 1 % to be known to be within 2 %, twelve
take some four (simulated)."""
REOPENED: frozenset[TuneCode | None] = frozenset(("decided", "equal", "launches"))
"""Ends of a search after which another launch may change what is decided."""
HELD_PART = 0.5
"""Part of what may go wrong that is for a variant of which all launches were held up."""
SLOW_PART, FAST_PART, CENTRES_PART = 0.65, 0.2, 0.15
"""Parts of the rest: that the quickest variant looks slower beside others than it is, on which all decisions and the
upper ends of the ratios depend; that it looks quicker, which the lower ends depend on; and the intervals of the times
themselves."""


class Race:
    """One search among `variants`, in the order in which they are launched first.

    `memory_mib` is what a launch may have in use at its peak. `prior` has the noise expected between launches. The
    state follows from what was added and dropped, in that order: adding it all again goes on where it was. Within a
    round the order does not matter. Launches that were chosen under other limits may be added as well, each with its
    round: what they show is judged by the limits of this race.

    Raises ValueError for no variants or a name twice, for a confidence or tolerance that is no fraction, and for fewer
    than one launch.
    """

    def __init__(
        self,
        variants: Sequence[str],
        *,
        memory_mib: float | None = None,
        confidence: float = CONFIDENCE,
        within: float = WITHIN,
        most_launches: int = MOST_LAUNCHES,
        prior: Prior = NOISE,
    ) -> None:
        if len(set(variants)) != len(variants) or not variants:
            raise ValueError("a race has variants, each once")
        if not (0 < confidence < 1 and 0 < within < 1):
            raise ValueError(f"confidence {confidence} and within {within} are fractions")
        if most_launches < 1:
            raise ValueError(f"a variant has at least one launch, not {most_launches}")
        if memory_mib is not None and not memory_mib > 0:
            raise ValueError(f"memory_mib is {memory_mib}")
        self.variants = tuple(variants)
        self.memory_mib, self.most_launches = memory_mib, most_launches
        self.confidence, self.within = confidence, within
        self._prior = prior
        self._tried: dict[str, list[Tried]] = {name: [] for name in self.variants}
        self._samples: dict[str, list[Sample]] = {name: [] for name in self.variants}
        self._dropped: dict[str, Dropped] = {}
        # The round in which those were dropped that are slower.
        self._dropped_in: dict[str, int] = {}
        self._round = 1
        self._pending = list(self.variants)
        self._out: set[str] = set()
        self._over: TuneCode | None = None
        # Launches came of a round that was not asked for, and nothing is decided by them yet.
        self._unasked = False
        self._fitted: Fit | None = None

    @property
    def over(self) -> TuneCode | None:
        """How the search ended, None while it goes on."""
        self._settle()
        return self._over

    @property
    def round(self) -> int:
        """The round that a launch belongs to which begins now, counted from 1. One that is made although the search is
        over is in a round of its own, at whose end it is decided again."""
        self._settle()
        return self._round + (self._over in REOPENED)

    def next(self, slots: int) -> tuple[str, ...]:
        """The variants to launch now, at most `slots`, one launch of each. Those named before that have neither been
        added nor dropped since are taken to be under way; none may mean that the round waits for them. When the
        search is over, there are none (`over`)."""
        if self.over is not None:
            return ()
        free = [name for name in self._pending if name not in self._out][: max(0, slots)]
        self._out.update(free)
        return tuple(free)

    def add(self, tried: Tried, *, round_: int | None = None) -> None:
        """Count a launch, of the `round_` in which it began, None for the one that is under way. Raises ValueError for
        a variant that is none of the race's, and for figures that are none: a round below 1, a time that is not above
        zero, a share that is none, memory or seconds below zero, NaN and infinity."""
        self._known(tried.variant)
        if round_ is not None and round_ < 1:
            raise ValueError(f"{tried.variant}: {round_} is no round")
        if not (math.isfinite(tried.ms) and tried.ms > 0):
            raise ValueError(f"{tried.variant}: {tried.ms} ms is no time")
        if tried.lost is not None and not 0 <= tried.lost <= 1:
            raise ValueError(f"{tried.variant}: {tried.lost} is no share")
        for what, value in (("MiB", tried.memory_mib), ("s of GPUs", tried.gpu_s)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{tried.variant}: {value} {what}")
        round_ = round_ or self._round + (self._over in REOPENED)
        if round_ > self._round and self._over != "budget":
            self._move_on(round_)
        self._tried[tried.variant].append(tried)
        self._samples[tried.variant].append(Sample(log=math.log(tried.ms), round=round_, lost=tried.lost))
        if self.memory_mib is not None and tried.memory_mib is not None and tried.memory_mib > self.memory_mib:
            self._give_up(tried.variant, Dropped(code="memory"))
        self._answered(tried.variant)

    def drop(self, variant: str, dropped: Dropped) -> None:
        """Give up a variant whose launches do not count. What was dropped because this one is faster races again, also
        where the search was over. Raises ValueError for a variant that is none of the race's."""
        self._known(variant)
        self._settle()
        self._give_up(variant, dropped)
        if self._over in REOPENED:
            # What was decided was decided beside this one.
            self._over = None
        self._answered(variant)

    def put_back(self, variant: str) -> None:
        """Take back what `next` named: its launch came to nothing, and it is named again."""
        self._out.discard(variant)

    def stop(self, code: TuneCode = "budget") -> None:
        """End the search before its own end. What is added later still counts."""
        if self.over is None:
            self._over = code

    def tuned(self) -> Tuned:
        """What is known now. While the search goes on its code is `budget`: as if the time were used up."""
        self._settle()
        standings = self._standings()
        code = self._over or "budget"
        if not any(one.group == 1 for one in standings) and code != "budget":
            code = "nothing"
        return Tuned(
            code=code,
            standings=standings,
            confidence=self.confidence,
            within=self.within,
            memory_mib=self.memory_mib,
            launches=sum(len(own) for own in self._tried.values()),
            gpu_s=math.fsum(one.gpu_s for own in self._tried.values() for one in own),
        )

    def left(self) -> TuneLeft:
        """What is left to launch, if times and noise are what they look like now: at least the round that is under
        way. Seconds are None before the first launch."""
        launches: dict[str, int] = {}
        if self.over is None:
            needed = self._needed()
            launches = needed | {name: max(1, needed.get(name, 0)) for name in self._pending}
        means = {name: math.fsum(one.gpu_s for one in own) / len(own) for name, own in self._tried.items() if own}
        usual = math.fsum(means.values()) / len(means) if means else None
        seconds = None
        if usual is not None:
            seconds = math.fsum(count * means.get(name, usual) for name, count in launches.items())
        return TuneLeft(launches=sum(launches.values()), gpu_s=seconds)

    def _give_up(self, variant: str, dropped: Dropped) -> None:
        was = self._dropped.get(variant)
        if was is not None and (was.code != "slower" or dropped.code == "slower"):
            return
        self._dropped[variant] = dropped
        self._dropped_in.pop(variant, None)
        if dropped.code == "slower":
            self._dropped_in[variant] = self._round
            return
        # It cannot be used: what is slower than it may be the quickest of those that can.
        for name in [name for name in self._dropped_in if self._dropped[name].by == variant]:
            self._race_again(name)

    def _known(self, variant: str) -> None:
        if variant not in self._tried:
            raise ValueError(f"{variant} is no variant of this race")

    def _answered(self, variant: str) -> None:
        self._fitted = None
        self._out.discard(variant)
        if variant in self._pending:
            self._pending.remove(variant)
        self._pending = [name for name in self._pending if name not in self._dropped]
        if not self._pending and self._over is None and not self._unasked:
            self._decide()

    def _move_on(self, round_: int) -> None:
        """To a later round, whose launches others chose: they knew what came of those before, and so it is decided by
        them here, too, whatever this race would have had launched besides."""
        self._settle()
        if round_ <= self._round:
            return
        if self._over is None:
            self._decide()
        if self._over is not None:
            self._over, self._pending, self._unasked = None, [], True
        self._round = max(self._round, round_)

    def _settle(self) -> None:
        """Decide by the launches of a round that was not asked for."""
        if self._unasked:
            self._unasked = False
            if self._over is None and not self._pending:
                self._decide()

    def _left_in(self) -> list[str]:
        """The variants that may be the quickest."""
        return [name for name in self.variants if name not in self._dropped and self._samples[name]]

    def _fit(self) -> Fit:
        if self._fitted is None:
            self._fitted = fit(self._samples, self._prior)
        return self._fitted

    def _decide(self) -> None:
        """At the end of a round: drop, and end or choose the next."""
        racing = self._left_in()
        # Of launches that others chose one may have been forgotten since.
        unseen = [name for name in self.variants if name not in self._dropped and not self._samples[name]]
        if not racing and not unseen:
            self._over = "nothing"
            return
        first = self._drop_slower(racing) if racing else ""
        if unseen:
            self._round += 1
            self._pending = unseen
            return
        found = self._fit()
        tolerance = math.log1p(self.within)
        racing = self._left_in()
        others = [name for name in racing if name != first]
        open_ = [name for name in others if not self._is_slower(found, name, first, -tolerance)]
        if not open_:
            alike = any(found.difference(name, first).log <= tolerance for name in others)
            self._over = "equal" if alike else "decided"
            return
        open_.sort(key=lambda name: (found.centres[name].log, self.variants.index(name)))
        waiting = [name for name in open_ if len(self._samples[name]) < self.most_launches]
        # Those that look alike have to be launched in any case: the sooner, the fewer rounds.
        near = sum(found.difference(name, first).log <= tolerance for name in waiting)
        chosen = waiting[: max(near, math.ceil(math.sqrt(len(waiting))))]
        if len(self._samples[first]) < self.most_launches:
            chosen = [first, *chosen]
        if not chosen:
            self._over = "launches"
            return
        self._round += 1
        # Turned round each time, so that what drifts within a round does not always fall on the same variants.
        self._pending = chosen[::-1] if self._round % 2 == 0 else chosen

    def _drop_slower(self, racing: Sequence[str]) -> str:
        """Drop what is slower than the quickest of those that race, which is returned."""
        found = self._fit()
        first = _quickest(found, racing)
        # What few launches seemed to prove when nobody knew how noisy they are may prove nothing now.
        for name, round_ in list(self._dropped_in.items()):
            if not self._is_slower(found, name, first, 0.0, round_=round_):
                self._race_again(name)
        for name in racing:
            if name != first and self._is_slower(found, name, first, 0.0):
                self._dropped[name] = Dropped(code="slower", by=first)
                self._dropped_in[name] = self._round
        return first

    def _race_again(self, name: str) -> None:
        del self._dropped[name], self._dropped_in[name]

    def _is_slower(self, found: Fit, name: str, first: str, least: float, *, round_: int | None = None) -> bool:
        """Whether `name` is surely slower than `first` by more than `least` (of the logarithm)."""
        difference = found.difference(name, first)
        if difference.log - difference.margin(self._error(round_)) <= least:
            return False
        return found.all_held(name, found.centres[first].log + least) <= self._held_error()

    def _error(self, round_: int | None = None, *, part: float = SLOW_PART) -> float:
        """What a comparison with the quickest may err by, on one side, in a round, by itself this one."""
        return part * self._of_round(round_ or self._round) / max(1, len(self.variants) - 1)

    def _held_error(self) -> float:
        """What a variant may be misjudged by because all its launches were held up."""
        return HELD_PART * (1 - self.confidence)

    def _of_round(self, round_: int) -> float:
        return (1 - HELD_PART) * (1 - self.confidence) / (round_ * (round_ + 1))

    def _needed(self) -> dict[str, int]:
        """Launches that variants need besides those that they have, so that what is open can be decided."""
        racing = self._left_in()
        if not racing:
            return {}
        found = self._fit()
        first = _quickest(found, racing)
        tolerance = math.log1p(self.within)
        needed: dict[str, int] = {}
        for name in racing:
            if name == first or self._is_slower(found, name, first, -tolerance):
                continue
            gap = found.difference(name, first).log + tolerance
            sides = [found.centres[one] for one in (name, first)]
            per_launch = math.hypot(*(one.sd for one in sides)) * quantile(self._error(), sum(o.freedom for o in sides))
            count = min(self.most_launches, math.ceil((per_launch / gap) ** 2))
            for one in (name, first):
                more = max(1, count - len(self._samples[one]))
                needed[one] = max(needed.get(one, 0), min(more, self.most_launches - len(self._samples[one])))
        return needed

    def _standings(self) -> tuple[Standing, ...]:
        racing = self._left_in()
        if not any(self._samples.values()):
            return tuple(Standing(variant=name, dropped=self._dropped.get(name)) for name in self.variants)
        found = self._fit()
        ranked = [name for name in self.variants if name in found.centres and self._may_rank(name)]
        ranked.sort(key=lambda name: (found.centres[name].log, self.variants.index(name)))
        groups = self._groups(found, ranked, racing)
        # A variant that was dropped may look quicker than one that may still be the quickest, or by now than that.
        ranked.sort(key=lambda name: groups[name])
        standings = [self._standing(found, name, ranked, racing, groups[name]) for name in ranked]
        rest = [name for name in self.variants if name not in ranked]
        rest.sort(key=lambda name: found.centres[name].log if name in found.centres else math.inf)
        return (*standings, *(self._standing(found, name, ranked, racing, None) for name in rest))

    def _may_rank(self, name: str) -> bool:
        dropped = self._dropped.get(name)
        return dropped is None or dropped.code == "slower"

    def _standing(
        self, found: Fit, name: str, ranked: Sequence[str], racing: Sequence[str], group: int | None
    ) -> Standing:
        peaks = [one.memory_mib for one in self._tried[name] if one.memory_mib is not None]
        bare = Standing(
            variant=name,
            launches=len(self._tried[name]),
            memory_mib=max(peaks, default=None),
            group=group,
            dropped=self._dropped.get(name),
        )
        centre = found.centres.get(name)
        if centre is None:
            return bare
        margin = self._centre_margin(found, centre)
        # The centre of what is left if all launches were held up.
        lowest = min(centre.log - margin, centre.log - found.held_by(name, self._held_error()))
        timed = replace(
            bare,
            ms=_exp(centre.log),
            low=_exp(lowest),
            high=_exp(centre.log + margin),
        )
        if not ranked:
            return timed
        log = centre.log - found.centres[ranked[0]].log
        low, high = self._over_quickest(found, name, racing or ranked)
        return replace(timed, ratio=_exp(log), ratio_low=_exp(min(low, log)), ratio_high=_exp(max(high, log)))

    def _over_quickest(self, found: Fit, name: str, racing: Sequence[str]) -> tuple[float, float]:
        """The interval of a variant's time over that of the quickest (logarithms): over all that may be it."""
        low, high, held = math.inf, -math.inf, found.held_by(name, self._held_error())
        for other in racing:
            if other == name:
                low, high = min(low, 0.0), max(high, 0.0)
                continue
            difference = found.difference(name, other)
            lowest = difference.log - max(difference.margin(self._error(part=FAST_PART)), held)
            low, high = min(low, lowest), max(high, difference.log + difference.margin(self._error()))
        return (max(0.0, low), max(0.0, high)) if self._may_rank(name) else (low, high)

    def _centre_margin(self, found: Fit, centre: Centre) -> float:
        error = CENTRES_PART * self._of_round(self._round) / (2 * len(self.variants))
        variance = centre.sd**2 / centre.quick
        variance += sum((n / centre.quick) ** 2 * found.unsure[k] for k, n in centre.rounds.items())
        return quantile(error, centre.freedom) * math.sqrt(variance)

    def _groups(self, found: Fit, ranked: Sequence[str], racing: Sequence[str]) -> dict[str, int]:
        """Groups of the ranked variants: those that may be the quickest, and then each time the quickest of the others
        with those that are not told apart from it."""
        groups = dict.fromkeys(racing, 1)
        # Any two may meet here, and not each with the quickest only.
        error = self._error() * 2 / len(self.variants)
        left, group = [name for name in ranked if name not in groups], len(set(groups.values()))
        while left:
            group += 1
            for name in left:
                difference = found.difference(name, left[0])
                if name == left[0] or difference.log <= difference.margin(error):
                    groups[name] = group
            left = [name for name in left if name not in groups]
        return groups


def _exp(log: float) -> float | None:
    """None where it is too large for a float."""
    try:
        return math.exp(log)
    except OverflowError:
        return None


def _quickest(found: Fit, names: Sequence[str]) -> str:
    return min(names, key=lambda name: (found.centres[name].log, names.index(name)))


def front(standings: Sequence[Standing]) -> tuple[str, ...]:
    """The variants of which no other one is both as quick and as small, the quickest first: what to choose from where
    memory counts. One whose time or peak is not known, or that cannot be used, is none of them."""
    usable = [
        (one.ms, one.memory_mib, one.variant)
        for one in standings
        if one.usable and one.ms is not None and one.memory_mib is not None
    ]
    found: list[str] = []
    least = math.inf
    for _, memory_mib, variant in sorted(usable, key=lambda one: one[:2]):
        if memory_mib < least:
            least = memory_mib
            found.append(variant)
    return tuple(found)
