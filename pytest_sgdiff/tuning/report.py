"""A search as reports show it: the nouns."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_sgdiff.data import Case, OtherRequest, Pruned, Quality, Tuned, Variant
from pytest_sgdiff.tuning.claims import ClaimResult


@dataclass(frozen=True, kw_only=True, slots=True)
class TunedVariant:
    """What reports say of a variant beside its standing: the median time of its whole requests in ms, what became of
    its pictures beside those of the case as it is written (None where nothing was measured), and the engine's command
    line."""

    variant: Variant
    e2e_ms: float | None = None
    quality: Quality | None = None
    command: str = ""

    @property
    def name(self) -> str:
        """The name of the variant."""
        return self.variant.name

    @property
    def lossy(self) -> bool:
        """Whether the picture may change, or did although no setting should change it."""
        return self.variant.lossy or (self.quality is not None and self.quality.other_picture)


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneReport:
    """A search. `metric` is what variants are ranked by. `base` is the case as it is written, and `written` the variant
    that is it, empty where that cannot be launched. `front` are the variants that no other one beats in both time and
    memory, the quickest first, and `lossless_front` those that no other lossless one beats. `best` is the one that is
    recommended, None where there is none; `quicker_request` is one whose whole request is shorter. `budget_s` is the
    time that the search was given, None for any; `took_s` what it took. `claims` are those of the guide about this
    model. `other_requests` are the variants that ask for something else than the case as it is written;
    `odd_launches` are launches of that case whose pictures nothing is compared with. `file` is the case file with the
    winner, if one was asked for."""

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
    quicker_request: str | None = None
    claims: tuple[ClaimResult, ...] = ()
    other_requests: tuple[OtherRequest, ...] = ()
    odd_launches: tuple[Quality, ...] = ()
    budget_s: float | None = None
    took_s: float = 0.0
    folder: str = ""
    file: str = ""
