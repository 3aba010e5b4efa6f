"""SGLang's own baseline files (`perf_baselines.json`, `perf_baselines/*.json`) as reference baselines. Pure.

Their numbers are one per metric, without spread, taken in server mode on a pool of machines, so they become *reference*
baselines: shown beside a measurement, never passing a case. A scenario becomes the reference of a case only where
everything that is known of both is equal and nothing that matters is unknown; else of `upstream.<scenario>`.

`runner_overrides` has numbers of single pools of machines, by the beginning of their runners' names. Upstream lays them
over the scenario. Here a pool gets a reference of its own, `upstream.<scenario>[<pool>]`, with the numbers that are of
that pool and no others.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_sgdiff.baselines.file_format import SCENARIO
from pytest_sgdiff.cases.keys import VARIANT
from pytest_sgdiff.data import Baseline, Case, LaunchRecord, Machine, Measurement, Recorded, Workload
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.metrics import DENOISE, DENOISE_STEPS, PEAK_MEMORY, STAGE, is_denoising, is_stage, published
from pytest_sgdiff.upstream.refusals import Path, Refusal, Why
from pytest_sgdiff.upstream.scenarios import KNOWN, Scenario, gpus_of

PRODUCTS = {
    "H100": "NVIDIA H100 80GB HBM3",
    "H200": "NVIDIA H200",
    "B200": "NVIDIA B200",
    "5090": "NVIDIA GeForce RTX 5090",
    "B60": "Intel Arc Pro B60",
    "A2 64GB": "Huawei Ascend A2",
    "Ascend A3": "Huawei Ascend A3",
    "S5000": "Moore Threads MTT S5000",
}
"""Word in `metadata.hardware` -> product name, of NVIDIA's as NVML gives it. The files of 0.5.8 to 0.5.23 have these;
NVIDIA's own A2 has 16 GB."""

_NOT_FIGURES = frozenset({"notes", "estimated_full_test_time_s", "timing_tolerance"})
# Upstream's averages and medians of the steps say less than the steps, which are imported.
_OF_STEPS = frozenset({"expected_avg_denoise_ms", "expected_median_denoise_ms"})

OF_TWO_RUNS = 0.02
"""Steps that are longer together than the loop around them by more than this fraction are no rounding. In h100.json of
0.5.23 it is 45, 51 and 69 % where it happens, and half a per cent at most elsewhere; e2e agrees with the loop."""

SECTIONS = ("stages_ms", "denoise_step_ms")
"""What a scenario has by name or number, where it has it."""

MATTERS = ("width", "height", "num-frames", "num-inference-steps")
PARALLEL = ("ulysses-degree", "ring-degree", "sp-degree", "tp-size", "enable-cfg-parallel", "cfg-parallel-size")


# ------------------------------------------------------------------------------------------------------------ import


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What a file of upstream's holds: references, what was left out, why scenarios are not the references of cases of
    the same model, and how many scenarios and overrides it has."""

    baselines: tuple[Baseline, ...]
    refusals: tuple[Refusal, ...]
    remarks: tuple[str, ...]
    total: int


def import_upstream(
    document: Any,
    cases: Sequence[Case],
    *,
    source: str,
    engine_version: str | None = None,
    default_gpus: int | None = None,
    known: Mapping[str, Scenario] = KNOWN,
) -> Imported:
    """Reference baselines from a file of upstream's.

    `source` says where the file comes from; it goes into every baseline. `default_gpus` is for scenarios that neither
    `known` nor their name tells the number of GPUs of; without it they are not imported.
    Raises WireError if it is no such file.
    """
    metadata, scenarios = _parts(document)
    product = _product(metadata)
    recorded = Recorded(at=str(metadata.get("last_updated", "")), command=f"sgdiff import ({source})")
    refusals: list[Refusal] = []
    remarks: list[str] = []
    found: list[Baseline] = []
    entries: list[tuple[str, str, Mapping[str, Any], Path]] = []
    for name, scenario in scenarios.items():
        _checked(scenario, ("scenarios", name))
        entries.append((name, "", scenario, ("scenarios", name)))
    entries += _overrides(document, scenarios, refusals)
    for name, pool, scenario, path in entries:
        launch = _launch_of(scenario, path, refusals)
        gpus = gpus_of(name, known) or default_gpus
        if not launch.metrics:
            refusals.append(Refusal(path=path, why=Why.NUMBERLESS))
            continue
        if gpus is None:
            refusals.append(Refusal(path=path, why=Why.NO_GPUS))
            continue
        fields = {"scenario": name} | ({"model": known[name].model} if name in known else {})
        if pool:
            # Of which pool a machine is nobody but upstream's runners knows: it is no case's.
            target, fields = f"{SCENARIO}{name}[{pool}]", {**fields, "pool": pool}
        else:
            target, why_not = target_of(name, known.get(name), launch, gpus, cases)
            remarks += why_not
        machine = Machine(kind="gpu", product=product, count=gpus)
        reference = reference_baseline(target, machine, launch, recorded, source=source, fields=fields)
        found.append(replace(reference, engine_version=engine_version))
    refusals += _meaningless(scenarios)
    return Imported(baselines=tuple(found), refusals=tuple(refusals), remarks=tuple(remarks), total=len(entries))


def _overrides(
    document: Mapping[str, Any], scenarios: Mapping[str, Any], refusals: list[Refusal]
) -> Iterator[tuple[str, str, Mapping[str, Any], Path]]:
    """Scenario, pool and numbers of each override, with its place."""
    overrides = document.get("runner_overrides") or {}
    if not isinstance(overrides, Mapping):
        raise _wrong(("runner_overrides",), overrides)
    for pool, changed in overrides.items():
        path: Path = ("runner_overrides", pool)
        if not isinstance(changed, Mapping):
            raise _wrong(path, changed)
        if not re.fullmatch(VARIANT, pool):
            refusals.append(Refusal(path=path, why=Why.NO_NAME, found=(pool,)))
            continue
        for name, numbers in changed.items():
            _checked(numbers, (*path, name))
            if name not in scenarios:
                refusals.append(Refusal(path=(*path, name), why=Why.NO_SUCH_SCENARIO))
                continue
            yield name, pool, numbers, (*path, name)


def _checked(scenario: Any, path: Path) -> None:
    if not isinstance(scenario, Mapping):
        raise _wrong(path, scenario)
    for key in SECTIONS:
        if not isinstance(scenario.get(key), Mapping | None):
            raise _wrong((*path, key), scenario[key])


def _wrong(path: Path, value: Any) -> WireError:
    return WireError(f"{'.'.join(map(str, path))}: must be a mapping, got {value!r:.60}", path)


def _launch_of(scenario: Mapping[str, Any], path: Path, refusals: list[Refusal]) -> LaunchRecord:
    """The numbers of a scenario as one launch's, without those that cannot be of the same run."""
    refusals += [Refusal(path=(*path, *place), why=Why.EMPTY) for place in _empty(scenario)]
    launch = _launch(scenario)
    loop, steps = launch.metrics.get(DENOISE), launch.metrics.get(DENOISE_STEPS)
    numbered = scenario.get("denoise_step_ms") or {}
    if loop is not None and steps is not None and steps > loop * (1 + OF_TWO_RUNS):
        told = (f"{steps:g}", f"{loop:g}")
        refusals.append(Refusal(path=(*path, "denoise_step_ms"), why=Why.OTHER_RUN, found=told))
        metrics = {metric: value for metric, value in launch.metrics.items() if metric != DENOISE_STEPS}
        return replace(launch, metrics=metrics, steps_ms=())
    if numbered and not launch.steps_ms and (last := max(map(_index, numbered))) >= len(numbered):
        told = (str(len(numbered)), f"{last + 1} or more")
        refusals.append(Refusal(path=(*path, "denoise_step_ms"), why=Why.SAMPLED, found=told))
    return launch


def _index(number: Any) -> int:
    """The number of a step, -1 for what is none."""
    return int(number) if re.fullmatch(r"\d{1,6}", str(number)) else -1


def _meaningless(scenarios: Mapping[str, Any]) -> Iterator[Refusal]:
    """Keys that no metric here stands for, once each with how many scenarios have a number there."""
    meant = {*SECTIONS, *published().values(), *_NOT_FIGURES, *_OF_STEPS}
    counts = Counter(key for scenario in scenarios.values() for key in scenario if key not in meant)
    for key, count in counts.items():
        yield Refusal(path=("scenarios", "*", key), why=Why.NO_METRIC, found=(str(count),))


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
        # A GH200 is no H200, a GB200 no B200, an RTX 5090D no 5090.
        if re.search(rf"(?<![A-Za-z0-9]){word}(?![A-Za-z0-9])", hardware):
            return product
    raise WireError(
        f"metadata.hardware: names none of {', '.join(PRODUCTS)}, got {hardware!r}", ("metadata", "hardware")
    )


def _empty(scenario: Mapping[str, Any]) -> Iterator[Path]:
    """Places of zeros and nulls; upstream wrote both for what was not measured, and then checked nothing there."""
    for key, value in scenario.items():
        if key in SECTIONS and isinstance(value, Mapping):
            yield from ((key, inner) for inner, number in value.items() if is_stage(inner) and _no_number(number))
        elif not isinstance(value, Mapping) and _no_number(value):
            yield (key,)


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
        yield f"{case.gpus} GPU{'' if case.gpus == 1 else 's'} in the case, {gpus} upstream"
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
