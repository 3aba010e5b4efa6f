"""Numbers that were published for cases of ours without a file to import: references, with their source. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pytest_sgdiff.data import Baseline, Case, LaunchRecord, Machine, Recorded
from pytest_sgdiff.upstream import PRODUCTS, reference_baseline

GUIDE = "SGLang Diffusion performance guide, FireRed image edit: denoising on 2 x H100, CFG parallel against Ulysses"
H100X2 = Machine(kind="gpu", product=PRODUCTS["H100"], count=2)
PUBLISHED: Mapping[str, float] = MappingProxyType(
    {
        "firered_1_0[ulysses]": 13419.15,
        "firered_1_0[cfg]": 10955.90,
        "firered_1_1[ulysses]": 13414.72,
        "firered_1_1[cfg]": 10934.21,
    }
)
"""Case id -> denoising in ms; the guide gives them as denoise numbers and names neither engine version nor spread."""


def published_references(cases: Sequence[Case]) -> tuple[Baseline, ...]:
    """References from published numbers, for those of the cases that have one."""
    models = {case.id: case.model for case in cases}
    recorded = Recorded(at="", command="sgdiff import (published numbers)")
    return tuple(
        reference_baseline(
            case,
            H100X2,
            LaunchRecord(number=0, metrics={"denoise": value}),
            recorded,
            source=GUIDE,
            fields={"scenario": case, "model": models[case]},
        )
        for case, value in PUBLISHED.items()
        if case in models
    )
