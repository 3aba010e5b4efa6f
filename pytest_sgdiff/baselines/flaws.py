"""What is wrong with a baseline, or worth knowing of it, beside the case that it belongs to. Nothing is launched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import Baseline, Case, MetricClass, is_one_of
from pytest_sgdiff.engines.flags.translate import meant_for
from pytest_sgdiff.judging.comparable import counted, other_work
from pytest_sgdiff.judging.power import Power, powers
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.series import Series, unknown_stages
from pytest_sgdiff.judging.workload import workload
from pytest_sgdiff.metrics import entry, title
from pytest_sgdiff.reports import doubt_text
from pytest_sgdiff.reports.numbers import percent, quantity

Level = Literal["error", "warning", "note"]
Code = Literal[
    "file",
    "misplaced",
    "other-work",
    "assets",
    "timers",
    "no-primary",
    "no-metric",
    "engine",
    "gpu",
    "machine",
    "weak",
    "finds",
]
"""What it is: of the file itself, of its place, of what the case asks for now, or of what it can find."""

SYNC_STAGES = "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING"
UNKNOWN = "unknown"
"""The product of a machine that a recording does not tell."""
ANEW = "record it anew with --sgdiff-update"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """One thing about one baseline file, on its `line`, or about all of it. An error fails the check, a warning only a
    strict one, a note none."""

    level: Level
    code: Code
    path: str
    line: int | None = None
    message: str

    def __str__(self) -> str:
        place = self.path if self.line is None else f"{self.path}:{self.line}"
        return f"{place}: {'warning: ' if self.level == 'warning' else ''}{self.message}"


def of_case(baseline: Baseline, case: Case, assets: Mapping[str, str], own: Sequence[Series]) -> Iterator[Flaw]:
    """How the baseline differs from what its case asks for now. `assets` maps flags to hashes of the files that are
    there; `own` are its `own_series`."""
    yield from (_flaw(baseline, *found) for found in _differences(baseline, case, assets, own))


def of_power(
    baseline: Baseline, own: Sequence[Series], *, looks: int, priors: Mapping[MetricClass, Prior]
) -> Iterator[Flaw]:
    """What the baseline finds of each of its `own_series` in `looks` launches, and what of it is too little."""
    if baseline.kind == "reference":
        return
    found = powers(own, looks=looks, priors=priors)
    if told := [f"{title(p.metric)} {_size(p)}" for p in found]:
        yield _flaw(baseline, "note", "finds", f"finds slowdowns from {', '.join(told)} in {looks} launches")
    weak = [p for p in found if p.weak]
    if weak:
        what = ", ".join(f"{title(p.metric)} {_size(p)}{_against(p)}" for p in weak)
        yield _flaw(baseline, "warning", "weak", f"smaller slowdowns are missed: {what}; {_helps(weak, looks)}")


def _flaw(baseline: Baseline, level: Level, code: Code, message: str) -> Flaw:
    return Flaw(level=level, code=code, path=baseline.path or baseline.measurement.case, message=message)


def _size(power: Power) -> str:
    if power.detectable is None:
        return "none"
    size = percent(power.detectable)
    known = power.metric_class == "stage" and power.centre is not None and power.detectable <= 1
    return f"{size} ({quantity(power.detectable * power.centre, power.unit)})" if known and power.centre else size


def _against(power: Power) -> str:
    spread = "" if power.spread is None else f", launches vary by {percent(power.spread)}"
    return f" (limit {percent(power.limit)}{spread})"


def _helps(weak: Sequence[Power], launches: int) -> str:
    if launches < 3:
        return "let the case take more launches (launches.looks)"
    return f"{ANEW} on a quiet machine, with more launches (launches.baseline), or raise the limit"


def _differences(
    baseline: Baseline, case: Case, assets: Mapping[str, str], own: Sequence[Series]
) -> Iterator[tuple[Level, Code, str]]:
    then = baseline.measurement
    if then.workload.digest and (apart := other_work(then.workload, workload(case, asset_hashes={}))):
        yield "error", "other-work", f"the case asks for a different workload now: {'; '.join(apart)}; {ANEW}"
    yield from _assets(baseline, case, assets)
    yield from _timers(baseline, case)
    yield from _metrics(baseline, case, own)
    machine, version = then.machine, baseline.engine_version
    if machine.product == UNKNOWN:
        yield "warning", "machine", "of an unknown machine: only recordings without a machine are compared with it"
    elif machine.kind == "gpu" and case.gpus and not then.workload.digest and machine.count != case.gpus:
        yield "error", "machine", f"of {machine.count} GPUs, the case uses {case.gpus}: nothing is compared with it"
    if machine.kind == "gpu" and machine.product != UNKNOWN and not is_one_of(machine.product, case.requires.gpu):
        wanted = ", ".join(case.requires.gpu)
        yield "warning", "gpu", f"of {machine.product}, and the case runs on {wanted} only (requires.gpu)"
    if version is not None and baseline.kind == "recorded" and not _meant(case, version):
        yield "warning", "engine", f"of sglang {version}, and the case requires {case.requires.engine}; {ANEW}"


def _assets(baseline: Baseline, case: Case, assets: Mapping[str, str]) -> Iterator[tuple[Level, Code, str]]:
    work = baseline.measurement.workload
    if not work.digest:
        return
    then = {name.removeprefix("assets."): value for name, value in work.fields.items() if name.startswith("assets.")}
    found = [f"{flag} is new" for flag in case.assets if flag not in then]
    found += [f"{flag} is gone" for flag in then if flag not in case.assets]
    found += [f"{flag} is another file" for flag, value in then.items() if assets.get(flag, value) != value]
    if found:
        yield "error", "assets", f"the case has other input files now: {', '.join(found)}; {ANEW}"


def _timers(baseline: Baseline, case: Case) -> Iterator[tuple[Level, Code, str]]:
    """What the shell sets nobody knows here: only a case that says how its timers are is held to it."""
    asked = case.env.get(SYNC_STAGES)
    was = {launch.environment.sync_stages for launch in counted(baseline.measurement.launches)}
    if asked is not None and baseline.kind == "recorded" and was != {asked in ("1", "true", "True")}:
        yield "error", "timers", f"the case sets {SYNC_STAGES} to {asked}, and its launches had it otherwise; {ANEW}"


def _metrics(baseline: Baseline, case: Case, own: Sequence[Series]) -> Iterator[tuple[Level, Code, str]]:
    launches = baseline.measurement.launches
    if baseline.kind == "reference":
        return
    for unknown in unknown_stages(launches, case.metrics):
        level: Level = "error" if unknown.key == "metrics.primary" else "warning"
        code: Code = "no-primary" if level == "error" else "no-metric"
        yield level, code, f"{case.at(unknown.key)}: {doubt_text.unknown_stage(unknown)}"
    known = {name for launch in launches for name in launch.metrics}
    primary = next((s for s in own if s.primary), None)
    told = primary is None or _in_family(primary.metric) or any(v is not None for v in primary.baseline)
    if primary is not None and not told:
        yield "error", "no-primary", f"holds no {title(primary.metric)}, the primary metric of the case; {ANEW}"
    for name in case.metrics.gate or ():
        # Of a stage `unknown_stages` tells.
        if entry(name) and not _in_family(name) and name not in known and name != case.metrics.primary:
            yield "warning", "no-metric", f"holds no {title(name)}, which the case gates; {ANEW}"


def _in_family(name: str) -> bool:
    metric = entry(name)
    return metric is not None and metric.family


def _meant(case: Case, version: str) -> bool:
    from packaging.version import InvalidVersion

    try:
        return meant_for(case, version)
    except InvalidVersion:
        # A build that has no number of a release is nobody's past.
        return True
