"""SGLang's own baseline files (`perf_baselines.json`, `perf_baselines/*.json`) as reference baselines. Pure.

Their numbers are one per metric, without spread, taken in server mode on a pool of machines, so they become *reference*
baselines: shown beside a measurement, never passing a case. A scenario becomes the reference of a case only where
everything that is known of both is equal and nothing that matters is unknown; else of `upstream.<scenario>`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_sgdiff.baselines.file_format import SCENARIO
from pytest_sgdiff.data import Baseline, Case, LaunchRecord, Machine, Measurement, Recorded, Workload
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.metrics import DENOISE, DENOISE_STEPS, PEAK_MEMORY, STAGE, is_denoising, is_stage, published
from pytest_sgdiff.upstream.scenarios import KNOWN, Scenario, gpus_of

PRODUCTS = {
    "H100": "NVIDIA H100 80GB HBM3",
    "H200": "NVIDIA H200",
    "B200": "NVIDIA B200",
    "5090": "NVIDIA GeForce RTX 5090",
    "B60": "Intel Arc Pro B60",
}
"""Word in `metadata.hardware` -> product name, of NVIDIA's as NVML gives it."""

OF_TWO_RUNS = 0.02
"""Steps that are longer together than the loop around them by more than this fraction are no rounding. In h100.json of
0.5.23 it is 45, 51 and 69 % where it happens, and half a per cent at most elsewhere; e2e agrees with the loop."""

SECTIONS = ("stages_ms", "denoise_step_ms")
"""What a scenario has by name or number, where it has it."""

MATTERS = ("width", "height", "num-frames", "num-inference-steps")
PARALLEL = ("ulysses-degree", "ring-degree", "sp-degree", "tp-size", "enable-cfg-parallel", "cfg-parallel-size")


# ------------------------------------------------------------------------------------------------------------ import


def import_upstream(
    document: Any,
    cases: Sequence[Case],
    *,
    source: str,
    engine_version: str | None = None,
    default_gpus: int | None = None,
    known: Mapping[str, Scenario] = KNOWN,
) -> tuple[tuple[Baseline, ...], tuple[str, ...], tuple[str, ...]]:
    """Reference baselines from a file of upstream's, a line for everything that was dropped or did not match, and how
    many scenarios were not imported for which reason (`47 need --gpus N`).

    `source` says where the file comes from; it goes into every baseline. `default_gpus` is for scenarios that neither
    `known` nor their name tells the number of GPUs of; without it they are not imported.
    Raises WireError if it is no such file.
    """
    metadata, scenarios = _parts(document)
    product = _product(metadata)
    report: list[str] = []
    found: list[Baseline] = []
    unplaced: list[str] = []
    numberless = 0
    for name, scenario in scenarios.items():
        if not isinstance(scenario, Mapping):
            raise WireError(f"scenarios.{name}: must be a mapping, got {scenario!r:.60}", ("scenarios", name))
        for key in SECTIONS:
            if not isinstance(scenario.get(key), Mapping | None):
                place = ("scenarios", name, key)
                raise WireError(f"{'.'.join(place)}: must be a mapping, got {scenario[key]!r:.60}", place)
        empty = tuple(_empty(scenario))
        if empty:
            report.append(f"{name}: {', '.join(empty)} zero or null, so not measured: dropped")
        launch = _launch(scenario)
        if overlong := _overlong(launch):
            report.append(f"{name}: denoise_step_ms {overlong}: dropped, they come from another run")
            metrics = {metric: value for metric, value in launch.metrics.items() if metric != DENOISE_STEPS}
            launch = replace(launch, metrics=metrics, steps_ms=())
        gpus = gpus_of(name, known) or default_gpus
        if not launch.metrics:
            report.append(f"{name}: holds no number: not imported")
            numberless += 1
        elif gpus is None:
            unplaced.append(name)
        else:
            target, remarks = target_of(name, known.get(name), launch, gpus, cases)
            report += remarks
            machine = Machine(kind="gpu", product=product, count=gpus)
            recorded = Recorded(at=str(metadata.get("last_updated", "")), command=f"sgdiff import ({source})")
            fields = {"scenario": name} | ({"model": known[name].model} if name in known else {})
            reference = reference_baseline(target, machine, launch, recorded, source=source, fields=fields)
            found.append(replace(reference, engine_version=engine_version))
    if unplaced:
        report.append(f"not imported, because their number of GPUs is unknown (give --gpus): {', '.join(unplaced)}")
    if document.get("runner_overrides"):
        report.append(
            "runner_overrides: not imported: they belong to other machines, whose baselines have other folders"
        )
    missed = []
    if unplaced:
        missed.append(f"{len(unplaced)} need{'s' * (len(unplaced) == 1)} --gpus N")
    if numberless:
        missed.append(f"{numberless} {'holds' if numberless == 1 else 'hold'} no number")
    return tuple(found), tuple(report), tuple(missed)


def _parts(document: Any) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if not isinstance(document, Mapping) or not isinstance(document.get("scenarios"), Mapping):
        raise WireError("this is no baseline file of SGLang's: it has no mapping 'scenarios'")
    metadata = document.get("metadata", {})
    if not isinstance(metadata, Mapping):
        raise WireError(f"metadata: must be a mapping, got {metadata!r:.60}", ("metadata",))
    return metadata, document["scenarios"]


def _product(metadata: Mapping[str, Any]) -> str:
    hardware = str(metadata.get("hardware", ""))
    for word, product in PRODUCTS.items():
        if re.search(rf"(?<!G){word}", hardware):  # a GH200 is no H200, a GB200 no B200
            return product
    raise WireError(
        f"metadata.hardware: names none of {', '.join(PRODUCTS)}, got {hardware!r}", ("metadata", "hardware")
    )


def _empty(scenario: Mapping[str, Any]) -> Iterator[str]:
    """Places of zeros and nulls; upstream wrote both for what was not measured, and then checked nothing there."""
    for key, value in scenario.items():
        if key in SECTIONS and isinstance(value, Mapping):
            yield from (f"{key}.{inner}" for inner, number in value.items() if is_stage(inner) and _no_number(number))
        elif not isinstance(value, Mapping) and _no_number(value):
            yield key


def _no_number(value: Any) -> bool:
    return value is None or (not isinstance(value, str) and _positive(value) is None)


def _positive(value: Any) -> float | None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    # A whole number may be beyond a float's range.
    return float(value) if number and 0 < value <= sys.float_info.max else None


def _launch(scenario: Mapping[str, Any]) -> LaunchRecord:
    stages = _numbers(scenario.get("stages_ms"))
    told = {name for name in scenario.get("stages_ms") or {} if is_denoising(name)}
    denoising = [stages[name] for name in stages if is_denoising(name)]
    numbered = scenario.get("denoise_step_ms") or {}
    steps = _numbers(numbered)
    # A sum over what was measured of a part would be the number of something else.
    in_order = [steps[str(i)] for i in range(len(numbered)) if str(i) in steps]
    whole = tuple(in_order) if len(in_order) == len(numbered) else ()
    metrics = {
        **{name: _positive(scenario.get(key)) for name, key in published().items()},
        DENOISE: _positive(sum(denoising)) if len(denoising) == len(told) else None,
        DENOISE_STEPS: _positive(sum(whole)),
        **{STAGE + name: value for name, value in stages.items() if is_stage(name)},
    }
    kept = {name: round(value, 3) for name, value in metrics.items() if value is not None}
    return LaunchRecord(number=0, metrics=kept, steps_ms=whole, generation="C2" if PEAK_MEMORY in kept else None)


def _overlong(launch: LaunchRecord) -> str:
    """How the steps do not fit into the denoising around them; empty where they do, or either is not told."""
    loop, steps = launch.metrics.get(DENOISE), launch.metrics.get(DENOISE_STEPS)
    if loop is None or steps is None or steps <= loop * (1 + OF_TWO_RUNS):
        return ""
    return f"are {steps:g} ms together, longer than the {loop:g} ms of denoising around them"


def _numbers(values: Any) -> dict[str, float]:
    pairs = values.items() if isinstance(values, Mapping) else ()
    return {name: number for name, value in pairs if (number := _positive(value)) is not None}


def target_of(
    name: str, scenario: Scenario | None, launch: LaunchRecord, gpus: int, cases: Sequence[Case]
) -> tuple[str, list[str]]:
    """The case that a scenario is a reference of, or its own name; and why cases of the same model are not it."""
    remarks = []
    for case in cases:
        if scenario is None or case.model != scenario.model:
            continue
        differences = list(_differences(case, scenario, launch, gpus))
        if not differences:
            return case.id, []
        remarks.append(f"{name}: is not {case.id}: {'; '.join(differences)}")
    return SCENARIO + name, remarks


def _differences(case: Case, scenario: Scenario, launch: LaunchRecord, gpus: int) -> Iterator[str]:
    if case.gpus != gpus:
        yield f"{case.gpus} GPUs in the case, {gpus} upstream"
    theirs = dict(scenario.args)
    if launch.steps_ms:
        theirs.setdefault("num-inference-steps", len(launch.steps_ms))
    for name in MATTERS:
        # A size that neither states is the model's own on both sides.
        if case.args.get(name) != theirs.get(name):
            yield f"{name} {case.args.get(name, 'not set')} in the case, {theirs.get(name, 'not stated')} upstream"
    for name in PARALLEL:
        if case.args.get(name) != theirs.get(name):
            yield f"{name} {case.args.get(name, 'not set')} in the case, {theirs.get(name, 'not set')} upstream"
    if scenario.remark:
        yield f"upstream ran it {scenario.remark}"


def reference_baseline(
    case: str,
    machine: Machine,
    launch: LaunchRecord,
    recorded: Recorded,
    *,
    source: str,
    fields: Mapping[str, str],
) -> Baseline:
    """Published numbers as a baseline; `fields` are what is known of their workload."""
    # No digest: published numbers are compared by machine only, their exact workload nobody can know.
    workload = Workload(digest="", fields=fields)
    measurement = Measurement(case=case, machine=machine, workload=workload, launches=(launch,))
    return Baseline(measurement=measurement, recorded=recorded, kind="reference", source=source)
