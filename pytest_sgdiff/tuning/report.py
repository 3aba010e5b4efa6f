"""A search as reports show it: the nouns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Case, OtherRequest, Pruned, Quality, RequestPart, Standing, Tuned, TuneLaunch, Variant
from pytest_sgdiff.tuning.claims import ClaimResult
from pytest_sgdiff.tuning.fit import EVEN
from pytest_sgdiff.tuning.ratios import is_faster

REQUEST_SHARE = 0.05
"""By how much a whole request must be shorter to be named: its medians come from a few launches, which pause at times
(docs/noise.md)."""
LONG_SHARE = 0.25
"""A whole request is long that takes so much more than the time of its ranking suggests. A guess: more than hosts add
as a rule (docs/noise.md), and less than a compiled VAE did on an H200, which took five times as long as denoising."""

WrittenCode = Literal["beaten", "unproven", "given-up", "unmeasured"]
"""What became of the case as it is written: a variant is proven faster, none is, it cannot be used, or nothing was
measured of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TunedVariant:
    """What reports say of a variant beside its standing: the median time of its whole requests in ms, what became of
    its pictures beside those of the case as it is written (None where nothing was measured), the engine's command line,
    its launches that count, and in what it is another request than that case."""

    variant: Variant
    e2e_ms: float | None = None
    quality: Quality | None = None
    command: str = ""
    tries: tuple[TuneLaunch, ...] = ()
    asks: tuple[RequestPart, ...] = ()

    @property
    def name(self) -> str:
        """The name of the variant."""
        return self.variant.name

    @property
    def lossy(self) -> bool:
        """Whether the picture may change, or did although no setting should change it."""
        return self.variant.lossy or (self.quality is not None and self.quality.other_picture)

    @property
    def uneven(self) -> int:
        """How many of its launches were visibly held up."""
        return sum(one.tried is not None and (one.tried.lost or 0.0) > EVEN for one in self.tries)


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneReport:
    """A search. `metric` is what variants are ranked by. `base` is the case as it is written, and `written` the
    variant that is it, empty where that cannot be launched. `front` are the variants that no other one beats in both
    time and memory, the quickest first, and `lossless_front` those of the lossless ones of the same request. `best`
    is the one that is recommended, `best_lossless` the one that is of the lossless ones of the same request, None
    where there is none; `quicker_request` is one whose whole request is shorter. `budget_s` is the time that the
    search was given, None for any; `took_s` what it took. `claims` are those of the guide about this model.
    `other_requests` are the variants that ask for something else than the case as it is written; `odd_launches` are
    launches of that case whose pictures nothing is compared with. `file` is the case file with the winner, if one was
    asked for."""

    case: str
    base: Case
    metric: str
    engine_version: str
    machine: str
    tuned: Tuned
    variants: tuple[TunedVariant, ...]
    written: str
    pruned: tuple[Pruned, ...] = ()
    front: tuple[str, ...] = ()
    lossless_front: tuple[str, ...] = ()
    best: str | None = None
    best_lossless: str | None = None
    quicker_request: str | None = None
    claims: tuple[ClaimResult, ...] = ()
    other_requests: tuple[OtherRequest, ...] = ()
    odd_launches: tuple[Quality, ...] = ()
    budget_s: float | None = None
    took_s: float = 0.0
    folder: str = ""
    file: str = ""

    @property
    def first(self) -> Standing | None:
        """The first of the ranking: the fastest variant that can be used. None if none can."""
        return next((one for one in self.tuned.standings if one.usable), None)

    @property
    def of_written(self) -> WrittenCode:
        """What became of the case as it is written."""
        one = next((one for one in self.tuned.standings if one.variant == self.written), None)
        if one is not None and one.given_up:
            return "given-up"
        if one is None or one.ms is None:
            return "unmeasured"
        return "beaten" if self.proven_faster else "unproven"

    @property
    def proven_faster(self) -> tuple[str, ...]:
        """The variants that are proven faster than the case as it is written, the quickest first."""
        usable = [one.variant for one in self.tuned.standings if one.usable]
        return tuple(name for name in usable if is_faster(self.tuned, name, self.written))

    @property
    def given_up_faster(self) -> str | None:
        """Of the variants that cannot be used the fastest, if it is faster than all that can. Other requests are none
        of them."""
        others = {one.variant for one in self.other_requests}
        timed = [one for one in self.tuned.standings if one.ms is not None and one.variant not in others]
        fastest = min((one for one in timed if one.given_up), key=lambda one: one.ms or 0.0, default=None)
        usable = [one.ms for one in timed if one.usable and one.ms is not None]
        if fastest is None or fastest.ms is None or not usable:
            return None
        return fastest.variant if fastest.ms < min(usable) else None

    @property
    def long_requests(self) -> tuple[str, ...]:
        """The variants whose whole request takes longer by more than LONG_SHARE than the time of the ranking suggests:
        what is outside of it takes no longer than in the variant where it takes least."""
        others = {one.variant for one in self.other_requests}
        about = {one.name: one.e2e_ms for one in self.variants}
        known = [
            (one.variant, one.ms, e2e_ms)
            for one in self.tuned.standings
            if one.usable and one.ms is not None and one.variant not in others and (e2e_ms := about.get(one.variant))
        ]
        if self.metric == metrics.E2E or not known:
            return ()
        least = max(0.0, min(e2e_ms - ms for _, ms, e2e_ms in known))
        return tuple(name for name, ms, e2e_ms in known if e2e_ms > (1 + LONG_SHARE) * (ms + least))
