"""What a search came to, as reports show it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pytest_sgdiff.data import EngineInfo, Space, Tuned, TuneLaunch, Variant
from pytest_sgdiff.engines import ENGINES
from pytest_sgdiff.runner import command_line
from pytest_sgdiff.tuning.bench import Bench
from pytest_sgdiff.tuning.pictures import pictures
from pytest_sgdiff.tuning.report import TunedVariant


def described(
    space: Space, launches: Sequence[TuneLaunch], bench: Bench, engine: EngineInfo
) -> tuple[TunedVariant, ...]:
    """What is known of each variant beside its standing."""
    return tuple(
        TunedVariant(
            variant=one,
            e2e_ms=_e2e_ms(one.name, launches),
            quality=pictures(bench, space.written, one, launches),
            command=_command(one, engine),
        )
        for one in space.variants
    )


def best(tuned: Tuned, described: Sequence[TunedVariant]) -> str | None:
    """The variant to recommend: of the first group in the ranking a lossless one before a lossy one, then the one with
    the fewest GPUs, then the quickest."""
    about = {one.name: one.variant for one in described}
    ranked = [
        one for one in tuned.standings if one.ms is not None and (one.dropped is None or one.dropped.code == "slower")
    ]
    equal = [about[one.variant] for one in ranked if one.group == ranked[0].group]
    return min(equal, key=lambda one: (one.lossy, one.case.gpus)).name if equal else None


def _e2e_ms(name: str, launches: Sequence[TuneLaunch]) -> float | None:
    known = [one.e2e_ms for one in launches if one.variant == name and one.e2e_ms is not None]
    return statistics.median(known) if known else None


def _command(variant: Variant, engine: EngineInfo) -> str:
    adapter = ENGINES.get(variant.case.engine)
    # An engine of a plugin is known to pytest, which loads it, and not here.
    return "" if adapter is None else command_line.text(variant.case, adapter, engine, None)
