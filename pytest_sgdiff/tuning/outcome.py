"""What a search came to, as reports show it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

from pytest_sgdiff.data import EngineInfo, Space, Standing, Tuned, TuneLaunch, Variant
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.runner import command_line
from pytest_sgdiff.tuning.bench import Bench
from pytest_sgdiff.tuning.pictures import pictures
from pytest_sgdiff.tuning.report import REQUEST_SHARE, TunedVariant
from pytest_sgdiff.tuning.requests import other_requests


def described(
    space: Space, launches: Sequence[TuneLaunch], bench: Bench, engine: EngineInfo
) -> tuple[TunedVariant, ...]:
    """What is known of each variant beside its standing."""
    assets = bench.assets(space.variants, launches)
    written = space.written
    asks = {} if written is None else {one.variant: one.parts for one in other_requests(written.case, space.variants)}
    return tuple(
        TunedVariant(
            variant=one,
            e2e_ms=_e2e_ms(one.name, launches),
            quality=pictures(bench, space.written, one, launches),
            command=_command(one, engine, assets),
            tries=tuple(each for each in launches if each.variant == one.name and each.tried is not None),
            asks=asks.get(one.name, ()),
        )
        for one in space.variants
    )


def best(tuned: Tuned, described: Sequence[TunedVariant]) -> str | None:
    """The variant to recommend: of the first in the ranking and those of its group that look as quick, to within the
    tolerance of the search, a lossless one before a lossy one, then the one with the fewest GPUs, then one with a
    shorter whole request (by REQUEST_SHARE), then the one with the fewest settings, then the quickest. That a variant
    is in the first group says too little: a slow one is there, too, as long as nobody knows how noisy its launches
    are."""
    about = {one.name: one for one in described}
    ranked = [one for one in tuned.standings if one.usable and one.variant in about]
    equal = [about[one.variant] for one in ranked if one is ranked[0] or _as_quick(one, ranked[0], tuned.within)]

    if not equal:
        return None

    def kind(one: TunedVariant) -> tuple[bool, int]:
        return one.lossy, one.variant.case.gpus

    equal = [one for one in equal if kind(one) == min(map(kind, equal))]
    shortest = min((one.e2e_ms for one in equal if one.e2e_ms is not None), default=math.inf)

    def rank(one: TunedVariant) -> tuple[bool, int]:
        as_short = one.e2e_ms is not None and (1 - REQUEST_SHARE) * one.e2e_ms <= shortest
        return not as_short, len(one.variant.settings)

    return min(equal, key=rank).name


def best_lossless(tuned: Tuned, described: Sequence[TunedVariant]) -> str | None:
    """The variant to recommend of those alone that draw what the case as it is written does, lossless ones of the same
    request; None if none of them can be used."""
    return best(tuned, [one for one in described if not one.lossy and not one.asks])


def quicker_request(tuned: Tuned, described: Sequence[TunedVariant], best: str | None) -> str | None:
    """The variant whose whole request is shorter than that of the recommended one by more than chance
    (REQUEST_SHARE); None if there is none. What settings change outside the metric of the ranking, as offloaded
    encoders do outside denoising, shows here. A lossy one is none beside a lossless one, and another request is none of
    any."""
    about = {one.name: one for one in described}
    first = about.get(best or "")
    if first is None or first.e2e_ms is None:
        return None
    others = [about[one.variant] for one in tuned.standings if one.usable]
    asks_otherwise = {one.variant for one in other_requests(first.variant.case, [one.variant for one in others])}
    others = [one for one in others if one.name not in asks_otherwise]
    rivals = [(one.e2e_ms, one.name) for one in others if one.e2e_ms is not None and (first.lossy or not one.lossy)]
    shortest, name = min(rivals, default=(math.inf, ""))
    return name if shortest < (1 - REQUEST_SHARE) * first.e2e_ms else None


def _as_quick(one: Standing, first: Standing, within: float) -> bool:
    if one.group != first.group or one.ms is None or first.ms is None:
        return False
    return one.ms <= (1 + within) * first.ms


def _e2e_ms(name: str, launches: Sequence[TuneLaunch]) -> float | None:
    known = [one.e2e_ms for one in launches if one.variant == name and one.e2e_ms is not None]
    return statistics.median(known) if known else None


def _command(variant: Variant, engine: EngineInfo, assets: Path | None) -> str:
    adapter = ENGINES.get(variant.case.engine)
    # An engine of a plugin is known to pytest, which loads it, and not here.
    return "" if adapter is None else command_line.text(variant.case, adapter, engine, assets)
