"""A space of variants of a case of the stand-in engine, with a known best: what each plays is in its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_sgdiff.data import Case, Setting, Space, Variant

PLAYS: Mapping[str, str] = {
    "slow": "slow:1.3+memory:1000",
    "quick": "slow:0.7+memory:20000",
    "alike-1": "slow:0.85+memory:9000",
    "alike-2": "slow:0.85+memory:8000",
    "large": "slow:0.5+memory:50000",
    "falls-back": "fallback",
    "crashes": "oom",
}
"""What the variants do beside the case as it is written: the best, two equal ones, one with too much memory, one that
is no native run, and one that runs out of memory."""


def space_of(case: Case, plays: Mapping[str, str] = PLAYS, *, gpus: Mapping[str, int] | None = None) -> Space:
    """The case as it is written, and a variant for each entry."""
    variants = [Variant(name="as-written", case=case)]
    for name, scenario in plays.items():
        setting = Setting(axis="compile", name=name, env={"SGDIFF_FAKE_SCENARIO": scenario})
        changed = replace(
            case,
            name=f"{case.name}_{name.replace('-', '_')}",
            gpus=(gpus or {}).get(name, case.gpus),
            env={**case.env, "SGDIFF_FAKE_SCENARIO": scenario},
        )
        variants.append(Variant(name=name, case=changed, settings=(setting,)))
    return Space(variants=tuple(variants))
