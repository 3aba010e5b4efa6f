"""Our baselines in the form of SGLang's `perf_baselines/*.json`, so that its own checks can read them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pytest_sgdiff.baselines.file_format import SCENARIO
from pytest_sgdiff.data import Baseline, LaunchRecord
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.metrics import STAGE, published

SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "tolerances": {
            "pr_test": {
                "e2e": 0.25,
                "denoise_stage": 0.25,
                "non_denoise_stage": 0.8,
                "denoise_step": 0.3,
                "denoise_agg": 0.2,
                "load_peak_vram": 0.01,
                "runtime_peak_vram": 0.02,
                "load": 0.4,
            }
        },
        "improvement_reporting": {"threshold": 0.2},
        "sampling": {"step_fractions": [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]},
    }
)
"""What upstream's reader demands beside the scenarios, as its own files of 0.5.23 have it."""


AS_PUBLISHED = "with the numbers as published; the average and median of the steps are those of the published steps"
"""Upstream took its averages and medians in other runs than its step profiles: ours come of what a baseline keeps."""


def export_upstream(baselines: Sequence[Baseline]) -> dict[str, Any]:
    """A document of upstream's form with one scenario per baseline: medians over the launches.

    Raises BaselineError for baselines of more than one GPU product, of which upstream has a file each, and for two of
    one name.
    """
    products = sorted({baseline.measurement.machine.product for baseline in baselines})
    if len(products) != 1:
        told = ", ".join(products) or "none"
        raise BaselineError(f"upstream has one file for each GPU product, these are of {told}: name one machine")
    scenarios: dict[str, Baseline] = {}
    for baseline in baselines:
        first = scenarios.setdefault(baseline.measurement.case.removeprefix(SCENARIO), baseline)
        if first is not baseline:
            name = first.measurement.case.removeprefix(SCENARIO)
            raise BaselineError(f"two baselines would be the scenario '{name}': {first.path} and {baseline.path}")
    dates = [baseline.recorded.at[:10] for baseline in baselines]
    published = sum(baseline.kind == "reference" for baseline in baselines)
    return {
        "metadata": {
            "model": "Diffusion Server",
            "hardware": products[0],
            "description": "Medians over the launches of pytest-sgdiff baselines (sglang generate, not server mode)."
            + (f" {published} of {len(baselines)} are references, {AS_PUBLISHED}." if published else ""),
            "last_updated": max(dates),
        },
        **SETTINGS,
        "scenarios": {name: _scenario(baseline) for name, baseline in scenarios.items()},
    }


def _scenario(baseline: Baseline) -> dict[str, Any]:
    """Absent is absent: upstream's 0.0 for "not measured" is read as a number by its own checks."""
    values = {
        name: round(statistics.median(value for value in series if value is not None), 2)
        for name, series in baseline.measurement.values.items()
    }
    steps = _steps(baseline.measurement.launches)
    scenario: dict[str, Any] = {
        "stages_ms": {name.removeprefix(STAGE): value for name, value in values.items() if name.startswith(STAGE)},
        "denoise_step_ms": {str(index): step for index, step in enumerate(steps)},
    }
    scenario |= {key: values[name] for name, key in published().items() if name in values}
    if steps:
        scenario["expected_avg_denoise_ms"] = round(statistics.fmean(steps), 2)
        scenario["expected_median_denoise_ms"] = round(statistics.median(steps), 2)
    return scenario


def _steps(launches: Sequence[LaunchRecord]) -> list[float]:
    """Step by step the median over the launches that have as many steps as most."""
    profiles = [launch.steps_ms for launch in launches if launch.steps_ms]
    if not profiles:
        return []
    length = statistics.mode(len(profile) for profile in profiles)
    columns = zip(*(profile for profile in profiles if len(profile) == length), strict=True)
    return [round(statistics.median(column), 2) for column in columns]
