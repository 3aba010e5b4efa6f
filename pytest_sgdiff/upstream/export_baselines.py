"""Our baselines in the form of SGLang's `perf_baselines/*.json`, so that its own checks can read them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pytest_sgdiff.baselines.file_format import SCENARIO
from pytest_sgdiff.data import Baseline, LaunchRecord
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.metrics import STAGE, published
from pytest_sgdiff.upstream.refusals import Refusal, Why

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


_NEEDED = ("expected_e2e_ms", "expected_load_ms")
"""What upstream checks of each scenario: `validate_e2e` and `validate_load` of `PerformanceValidator` fail without a
number above 0 (test_server_utils.py of 0.5.23)."""

_DEMANDED = ("expected_avg_denoise_ms", "expected_median_denoise_ms")
"""`ScenarioConfig.from_dict` raises KeyError without these (testcase_configs.py of 0.5.23). Upstream's own files have
0.0 there for what was not measured; its check of the steps, which must be off for such a case, fails with it."""

_WITHOUT_LOAD = ("Huawei Ascend",)
"""Hardware on which upstream does not check the load (ascend/conftest.py of 0.5.23)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """A document of upstream's form, and what of the baselines its loader would not accept, by their names."""

    document: dict[str, Any]
    refusals: tuple[Refusal, ...]


def export_upstream(baselines: Sequence[Baseline]) -> Exported:
    """A document of upstream's form with one scenario per baseline: medians over the launches. The numbers of a pool of
    machines become `runner_overrides`.

    Raises BaselineError for baselines of more than one GPU product, of which upstream has a file each, and for two of
    one name.
    """
    products = sorted({baseline.measurement.machine.product for baseline in baselines})
    if len(products) != 1:
        told = ", ".join(products) or "none"
        raise BaselineError(f"upstream has one file for each GPU product, these are of {told}: name one machine")
    needed = [key for key in _NEEDED if key != "expected_load_ms" or not products[0].startswith(_WITHOUT_LOAD)]
    named: dict[tuple[str, str], Baseline] = {}
    for baseline in baselines:
        first = named.setdefault(_place(baseline), baseline)
        if first is not baseline:
            name, _ = _place(baseline)
            raise BaselineError(f"two baselines would be the scenario '{name}': {first.path} and {baseline.path}")
    scenarios: dict[str, Any] = {}
    overrides: dict[str, dict[str, Any]] = {}
    refusals: list[Refusal] = []
    exported: list[Baseline] = []
    # Scenarios come before what overrides them.
    for (name, pool), baseline in sorted(named.items(), key=lambda entry: bool(entry[0][1])):
        path, scenario = (baseline.measurement.case,), _scenario(baseline)
        if pool and name not in scenarios:
            refusals.append(Refusal(path=path, why=Why.NO_BASE, found=(name,)))
        elif pool:
            # An empty section would take the scenario's own away.
            overrides.setdefault(pool, {})[name] = {key: value for key, value in scenario.items() if value != {}}
            exported.append(baseline)
        elif lacking := tuple(key for key in needed if key not in scenario):
            refusals.append(Refusal(path=path, why=Why.LACKS, found=lacking))
        else:
            unmeasured = {key: 0.0 for key in _DEMANDED if key not in scenario}
            if unmeasured:
                refusals.append(Refusal(path=path, why=Why.AS_ZERO, found=tuple(unmeasured)))
            scenarios[name] = {**scenario, **unmeasured}
            exported.append(baseline)
    references = sum(baseline.kind == "reference" for baseline in exported)
    document = {
        "metadata": {
            "model": "Diffusion Server",
            "hardware": products[0],
            "description": "Medians over the launches of pytest-sgdiff baselines (sglang generate, not server mode)."
            + (f" {references} of {len(exported)} are references, {AS_PUBLISHED}." if references else ""),
            "last_updated": max((baseline.recorded.at[:10] for baseline in exported), default=""),
        },
        # The first pool whose name a runner's begins with counts, so the longer ones go first.
        **(
            {"runner_overrides": {pool: overrides[pool] for pool in sorted(overrides, key=_longest)}}
            if overrides
            else {}
        ),
        **SETTINGS,
        "scenarios": scenarios,
    }
    return Exported(document=document, refusals=tuple(refusals))


def _place(baseline: Baseline) -> tuple[str, str]:
    """Scenario, and the pool of machines whose numbers these are; empty for those of all."""
    fields, case = baseline.measurement.workload.fields, baseline.measurement.case
    pool = fields.get("pool") if baseline.kind == "reference" else None
    if isinstance(pool, str) and case.endswith(f"[{pool}]"):
        return case.removesuffix(f"[{pool}]").removeprefix(SCENARIO), pool
    return case.removeprefix(SCENARIO), ""


def _longest(pool: str) -> tuple[int, str]:
    return -len(pool), pool


def _scenario(baseline: Baseline) -> dict[str, Any]:
    """Absent is absent: upstream's 0.0 for "not measured" is read as a number by its own checks."""
    values = {
        name: _rounded(statistics.median(value for value in series if value is not None))
        for name, series in baseline.measurement.values.items()
    }
    steps = _steps(baseline.measurement.launches)
    scenario: dict[str, Any] = {
        "stages_ms": {name.removeprefix(STAGE): value for name, value in values.items() if name.startswith(STAGE)},
        "denoise_step_ms": {str(index): step for index, step in enumerate(steps)},
    }
    scenario |= {key: values[name] for name, key in published().items() if name in values}
    if steps:
        scenario["expected_avg_denoise_ms"] = _rounded(statistics.fmean(steps))
        scenario["expected_median_denoise_ms"] = _rounded(statistics.median(steps))
    return scenario


def _rounded(value: float) -> float:
    """To the hundredths that upstream has; what is less than that is not nothing."""
    return round(value, 2) or float(f"{value:.2g}")


def _steps(launches: Sequence[LaunchRecord]) -> list[float]:
    """Step by step the median over the launches that have as many steps as most."""
    profiles = [launch.steps_ms for launch in launches if launch.steps_ms]
    if not profiles:
        return []
    length = statistics.mode(len(profile) for profile in profiles)
    columns = zip(*(profile for profile in profiles if len(profile) == length), strict=True)
    return [_rounded(statistics.median(column)) for column in columns]
