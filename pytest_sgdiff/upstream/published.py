"""Numbers that were published for cases of ours without a file to import: references, with their source. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pytest_sgdiff.data import Baseline, Case, LaunchRecord, Machine, Recorded
from pytest_sgdiff.metrics import DENOISE
from pytest_sgdiff.upstream.import_baselines import PRODUCTS, reference_baseline, target_of
from pytest_sgdiff.upstream.scenarios import Scenario

GUIDE = "SGLang Diffusion performance guide, FireRed image edit: denoising on 2 x H100, CFG parallel against Ulysses"


def _firered(version: str, **parallel: object) -> Scenario:
    """The guide's command: 1024 x 1024, 40 steps, two GPUs, and the parallel flags of either side."""
    size = {"width": 1024, "height": 1024, "num-inference-steps": 40}
    flags = {name.replace("_", "-"): value for name, value in parallel.items()}
    return Scenario(gpus=2, model=f"FireRedTeam/FireRed-Image-Edit-{version}", args={**size, **flags})


PUBLISHED: Mapping[str, tuple[Scenario, float]] = MappingProxyType(
    {
        "firered_1_0[ulysses]": (_firered("1.0", ulysses_degree=2), 13419.15),
        "firered_1_0[cfg]": (_firered("1.0", enable_cfg_parallel=True, ulysses_degree=1), 10955.90),
        "firered_1_1[ulysses]": (_firered("1.1", ulysses_degree=2), 13414.72),
        "firered_1_1[cfg]": (_firered("1.1", enable_cfg_parallel=True, ulysses_degree=1), 10934.21),
    }
)
"""Name -> what was measured, and denoising in ms; the guide gives them as denoise numbers and names neither engine
version nor spread."""


def published_references(cases: Sequence[Case]) -> tuple[tuple[Baseline, ...], tuple[str, ...]]:
    """References from published numbers, of the cases that ask for the same work and of `upstream.<name>` otherwise;
    and a line for every case of the same model that does not."""
    recorded = Recorded(at="", command="sgdiff import (published numbers)")
    found, report = [], []
    for name, (scenario, value) in PUBLISHED.items():
        launch = LaunchRecord(number=0, metrics={DENOISE: value})
        target, remarks = target_of(name, scenario, launch, scenario.gpus, cases)
        report += remarks
        machine = Machine(kind="gpu", product=PRODUCTS["H100"], count=scenario.gpus)
        fields = {"scenario": name, "model": scenario.model}
        found.append(reference_baseline(target, machine, launch, recorded, source=GUIDE, fields=fields))
    return tuple(found), tuple(report)
