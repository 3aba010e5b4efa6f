"""What is wrong with a baseline, or worth knowing of it, beside the case that it belongs to. Nothing is launched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_sgdiff.data import Baseline, Case, Difference, Location, MetricClass, UnknownStage, is_one_of
from pytest_sgdiff.engines.flags.translate import meant_for
from pytest_sgdiff.judging.comparable import counted, other_work
from pytest_sgdiff.judging.power import Power, powers
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.series import Series, unknown_stages
from pytest_sgdiff.judging.workload import workload
from pytest_sgdiff.metrics import entry

Level = Literal["error", "warning", "note"]
Code = Literal[
    # Of the file itself.
    "unreadable",
    "stray",
    "stray-picture",
    "noisy-pictures",
    "misplaced",
    "no-case",
    "few-launches",
    "no-times",
    "missing-values",
    "negative-gap",
    "no-provenance",
    "no-moment",
    "no-command",
    "no-digest",
    "edited-workload",
    "edited-best",
    "lacking-sessions",
    "launch-twice",
    "launch-without-provenance",
    "impossible-step",
    "impossible-wall",
    "no-engine",
    # Of what the case asks for now.
    "other-work",
    "assets",
    "timers",
    "unknown-primary",
    "unknown-stage",
    "no-primary",
    "no-metric",
    "engine",
    "gpu",
    "unknown-machine",
    "other-count",
    # Of what it can find.
    "weak",
    "finds",
]
"""What it is: of the file itself, of what the case asks for now, or of what it can find."""

SYNC_STAGES = "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING"
UNKNOWN = "unknown"
"""The product of a machine that a recording does not report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """One thing about one baseline file, on its `line`, or about all of it. An error fails the check, a warning only a
    strict one, a note none. `reports/flaw_text.py` has the words.

    `name` is the metric, session, case, command or place that is meant, `names` several of them; `number` of `of`
    launches, or the numbers of two launches; `value` a figure of the file and `expected` what it should be. `new`,
    `gone` and `other` are flags of input files. `powers` say what is found in `of` launches. `why` is what the reader
    of the file says of it.
    """

    level: Level
    code: Code
    path: str
    line: int | None = None
    name: str = ""
    names: tuple[str, ...] = ()
    number: int | None = None
    of: int | None = None
    value: float | None = None
    expected: float | None = None
    new: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    powers: tuple[Power, ...] = ()
    stage: UnknownStage | None = None
    location: Location | None = None
    why: str = ""


def of_case(baseline: Baseline, case: Case, assets: Mapping[str, str], own: Sequence[Series]) -> Iterator[Flaw]:
    """How the baseline differs from what its case asks for now. `assets` maps flags to hashes of the files that are
    there; `own` are its `own_series`."""
    then = baseline.measurement
    if then.workload.digest and (apart := other_work(then.workload, workload(case, asset_hashes={}))):
        yield _flaw(baseline, "error", "other-work", differences=apart)
    yield from _assets(baseline, case, assets)
    yield from _timers(baseline, case)
    yield from _metrics(baseline, case, own)
    machine, version = then.machine, baseline.engine_version
    if machine.product == UNKNOWN:
        yield _flaw(baseline, "warning", "unknown-machine")
    elif machine.kind == "gpu" and case.gpus and not then.workload.digest and machine.count != case.gpus:
        yield _flaw(baseline, "error", "other-count", number=machine.count, of=case.gpus)
    if machine.kind == "gpu" and machine.product != UNKNOWN and not is_one_of(machine.product, case.requires.gpu):
        yield _flaw(baseline, "warning", "gpu", name=machine.product, names=case.requires.gpu)
    if version is not None and baseline.kind == "recorded" and not _meant(case, version):
        yield _flaw(baseline, "warning", "engine", name=version, names=(case.requires.engine,))


def of_power(
    baseline: Baseline, own: Sequence[Series], *, looks: Sequence[int], priors: Mapping[MetricClass, Prior]
) -> Iterator[Flaw]:
    """What the baseline finds of each of its `own_series` with these checkpoints, and what of it is too little."""
    if baseline.kind == "reference":
        return
    found = tuple(powers(own, looks=looks, priors=priors))
    if found:
        yield _flaw(baseline, "note", "finds", powers=found, of=looks[-1])
    if weak := tuple(p for p in found if p.weak):
        yield _flaw(baseline, "warning", "weak", powers=weak, of=looks[-1])


def _flaw(baseline: Baseline, level: Level, code: Code, **figures: Any) -> Flaw:
    return Flaw(level=level, code=code, path=baseline.path or baseline.measurement.case, **figures)


def _assets(baseline: Baseline, case: Case, assets: Mapping[str, str]) -> Iterator[Flaw]:
    work = baseline.measurement.workload
    if not work.digest:
        return
    then = {name.removeprefix("assets."): value for name, value in work.fields.items() if name.startswith("assets.")}
    new = tuple(flag for flag in case.assets if flag not in then)
    gone = tuple(flag for flag in then if flag not in case.assets)
    other = tuple(flag for flag, value in then.items() if assets.get(flag, value) != value)
    if new or gone or other:
        yield _flaw(baseline, "error", "assets", new=new, gone=gone, other=other)


def _timers(baseline: Baseline, case: Case) -> Iterator[Flaw]:
    """What the shell sets nobody knows here: only a case that says how its timers are is held to it."""
    asked = case.env.get(SYNC_STAGES)
    was = {launch.environment.sync_stages for launch in counted(baseline.measurement.launches)}
    if asked is not None and baseline.kind == "recorded" and was != {asked in ("1", "true", "True")}:
        yield _flaw(baseline, "error", "timers", name=SYNC_STAGES, names=(asked,))


def _metrics(baseline: Baseline, case: Case, own: Sequence[Series]) -> Iterator[Flaw]:
    launches = baseline.measurement.launches
    if baseline.kind == "reference":
        return
    for unknown in unknown_stages(launches, case.metrics):
        primary = unknown.key == "metrics.primary"
        code: Code = "unknown-primary" if primary else "unknown-stage"
        yield _flaw(baseline, "error" if primary else "warning", code, stage=unknown, location=case.at(unknown.key))
    known = {name for launch in launches for name in launch.metrics}
    first = next((s for s in own if s.primary), None)
    told = first is None or _in_family(first.metric) or any(v is not None for v in first.baseline)
    if first is not None and not told:
        yield _flaw(baseline, "error", "no-primary", name=first.metric)
    for name in case.metrics.gate or ():
        # Of a stage `unknown_stages` tells.
        if entry(name) and not _in_family(name) and name not in known and name != case.metrics.primary:
            yield _flaw(baseline, "warning", "no-metric", name=name)


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
