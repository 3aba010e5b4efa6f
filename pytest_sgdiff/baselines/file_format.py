"""The text of a baseline file, and back: pure, no file is opened here.

Schema 1, keys sorted, so that a re-record changes one line for each launch and each metric (docs/baselines.md):

    best          metric -> the best centre (median) ever recorded, so that creep shows
    case          the case id
    engine        version of SGLang, null if it was not known
    every_launch  what all launches have in common: session, pipeline, warmup, environment ...
    kind          recorded | reference
    launches      one line each: number, times, step profile, and whatever `every_launch` does not say
    machine       kind, product, count, mig_profile: what is comparable
    metrics       one line each: the raw value of every launch, null where a launch lacks it
    reference     what the launches drew: files in `<case>.ref/`, their hashes, and the noise between launches
    recorded      at, command, commit, sessions, extends
    schema        1
    source        where a reference was published
    workload      digest, and the readable fields behind it
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from pytest_sgdiff.data import Baseline, Environment, LaunchRecord, Machine, Measurement, Recorded, Reference, Workload
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.files import json_text
from pytest_sgdiff.files.wire import from_plain, spell, to_plain
from pytest_sgdiff.metrics import may_be_zero, plausible
from pytest_sgdiff.quality.reference import bare

SCHEMA = 1

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]

UPGRADES: Mapping[int, Upgrade] = MappingProxyType({})
"""Schema number -> the function that makes a document of the next schema of it. None is needed yet: 1 is the first."""

SCENARIO = "upstream."
"""How the case ids of published scenarios begin that are no case of ours."""

_OWN = ("number", "metrics", "steps_ms", "started_at", "wall_s", "watch", "environment")
"""Fields that every launch has for itself; all others move to `every_launch` when they are equal."""


class MistakeError(Exception):
    """The text is no baseline; `line` says where, `newer` that a newer version of the plugin wrote it."""

    def __init__(self, message: str, line: int, *, newer: bool = False) -> None:
        super().__init__(message)
        self.line, self.newer = line, newer


class _NewerError(WireError):
    """The document's schema is newer than SCHEMA."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """The document, but for its launches."""

    case: str
    machine: Machine
    workload: Workload
    recorded: Recorded
    metrics: Mapping[str, tuple[float | None, ...]]
    engine: str | None = None
    kind: Literal["recorded", "reference"] = "recorded"
    best: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    reference: Reference | None = None


def rounded(value: float) -> float:
    """Three decimals, or three digits below one: a thousandth of a millisecond, and never a zero that was none."""
    return round(value, 3) if abs(value) >= 1 else float(f"{value:.3g}")


# ----------------------------------------------------------------------------------------------------------- writing


def to_text(baseline: Baseline) -> str:
    """The file's text. Raises WireError for a number that is not finite."""
    measurement = baseline.measurement
    file = _File(
        case=measurement.case,
        machine=measurement.machine,
        workload=measurement.workload,
        recorded=baseline.recorded,
        metrics={
            name: tuple(None if value is None else rounded(value) for value in values)
            for name, values in measurement.values.items()
        },
        engine=baseline.engine_version,
        kind=baseline.kind,
        best={name: rounded(value) for name, value in baseline.best.items()},
        source=baseline.source,
        reference=None if baseline.reference is None else bare(baseline.reference),
    )
    every, launches = _shared([_launch_plain(launch) for launch in measurement.launches])
    document = {**to_plain(file, omit_defaults=True), "engine": file.engine, "kind": file.kind, "schema": SCHEMA}
    return json_text.write({**document, "every_launch": every, "launches": launches})


def _launch_plain(launch: LaunchRecord) -> dict[str, Any]:
    steps = tuple(rounded(step) for step in launch.steps_ms)
    wall_s = None if launch.wall_s is None else rounded(launch.wall_s)
    plain: dict[str, Any] = to_plain(
        replace(launch, metrics={}, steps_ms=steps, wall_s=wall_s, requests=()), omit_defaults=True
    )
    return plain


def _shared(launches: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What all launches say, and what each says beyond it."""
    environments = [launch.pop("environment", {}) for launch in launches]
    every = {key: value for key, value in _equal(launches).items() if key not in _OWN}
    environment = _equal(environments)
    rest = [
        {key: value for key, value in launch.items() if key not in every}
        | ({"environment": own} if (own := {k: v for k, v in surroundings.items() if k not in environment}) else {})
        for launch, surroundings in zip(launches, environments, strict=True)
    ]
    return every | ({"environment": environment} if environment else {}), rest


def _equal(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The entries that all mappings have with the same value."""
    first, *others = mappings
    return {key: value for key, value in first.items() if all(m.get(key, ...) == value for m in others)}


# ----------------------------------------------------------------------------------------------------------- reading


def from_text(text: str) -> Baseline:
    """The baseline in a file's text. Raises MistakeError with the line for everything that is not as it should be."""
    try:
        document = json_text.read(text)
    except json_text.JsonTextError as error:
        raise MistakeError(str(error), error.line) from None
    try:
        return _baseline(upgrade(document.value))
    except WireError as error:
        newer = isinstance(error, _NewerError)
        raise MistakeError(str(error), document.line(error.path), newer=newer) from None


def upgrade(document: Any, *, steps: Mapping[int, Upgrade] = UPGRADES, current: int = SCHEMA) -> dict[str, Any]:
    """The document in the current schema, taken there one schema number at a time.

    Raises WireError for a document that has no schema number, or one that no step leads away from.
    """
    if not isinstance(document, dict) or "schema" not in document:
        raise WireError("this is not a baseline of pytest-sgdiff: it has no key 'schema'")
    schema = document["schema"]
    if isinstance(schema, bool) or not isinstance(schema, int):
        raise WireError(f"schema: must be a whole number, got {schema!r}", ("schema",))
    if schema > current:
        message = f"schema: is {schema}, written by a newer pytest-sgdiff; this one reads up to {current}"
        message += ": update pytest-sgdiff"
        raise _NewerError(message, ("schema",))
    for number in range(schema, current):
        if number not in steps:
            raise WireError(f"schema: is {schema}, which cannot be converted to {current}", ("schema",))
        document = {**steps[number](document), "schema": number + 1}
    return dict(document)


def _baseline(document: dict[str, Any]) -> Baseline:
    document = {key: value for key, value in document.items() if key != "schema"}
    launches = _launches(document.pop("launches", None), document.pop("every_launch", {}))
    file = from_plain(_File, document)
    _check_numbers(file, launches=len(launches))
    for index, output in enumerate(file.reference.outputs if file.reference else ()):
        path = ("reference", "outputs", index)
        if output.sample.flaw == "left-out" and not (output.file or output.sha256):
            continue
        if not re.fullmatch(r"[0-9a-f]{16}\.(?:png|xyz)", output.file):
            raise WireError(f"{spell(path)}.file: must be the name of a file, got {output.file!r}", path)
        if not re.fullmatch(r"[0-9a-f]{64}", output.sha256):
            raise WireError(f"{spell(path)}.sha256: must be a SHA-256 in hex", path)
    if file.kind == "reference" and not file.source:
        raise WireError("source: a reference must say where it was published", ("source",))
    return Baseline(
        measurement=Measurement(
            case=file.case,
            machine=file.machine,
            workload=file.workload,
            launches=tuple(
                replace(
                    launch,
                    metrics={name: value for name, values in file.metrics.items() if (value := values[i]) is not None},
                )
                for i, launch in enumerate(launches)
            ),
        ),
        recorded=file.recorded,
        engine_version=file.engine,
        kind=file.kind,
        best=file.best,
        source=file.source,
        reference=file.reference,
    )


def _launches(launches: Any, every: Any) -> list[LaunchRecord]:
    if not isinstance(launches, list) or not launches:
        raise WireError("launches: must be a list of at least one launch", ("launches",))
    _within(("every_launch",), LaunchRecord, every, number=0)
    common = every.get("environment", {})
    read = []
    for index, launch in enumerate(launches):
        path = ("launches", index)
        if isinstance(launch, dict) and "metrics" in launch:
            raise WireError(f"{spell(path)}: has the unknown key 'metrics'", (*path, "metrics"))
        own = _within(path, LaunchRecord, launch)
        merged = {**common, **launch.get("environment", {})}
        environment = from_plain(Environment, merged)
        read.append(replace(from_plain(LaunchRecord, {**every, **launch}), environment=environment, number=own.number))
    return read


def _within(path: tuple[str | int, ...], cls: type[LaunchRecord], plain: Any, **assumed: int) -> LaunchRecord:
    """Read a part of the document, with its path in the error."""
    try:
        return from_plain(cls, {**plain, **assumed} if isinstance(plain, dict) else plain, where=spell(path))
    except WireError as error:
        raise WireError(str(error), (*path, *error.path)) from None


def _check_numbers(file: _File, *, launches: int) -> None:
    if not file.metrics:
        raise WireError("metrics: holds no metric", ("metrics",))
    for name, values in file.metrics.items():
        path = ("metrics", name)
        if len(values) != launches:
            raise WireError(f"{spell(path)}: has {len(values)} values for {launches} launches", path)
        if all(value is None for value in values):
            raise WireError(f"{spell(path)}: holds no value", path)
        for index, value in enumerate(values):
            _check_positive(name, value, (*path, index))
    for name, value in file.best.items():
        _check_positive(name, value, ("best", name))


def _check_positive(name: str, value: float | None, path: tuple[str | int, ...]) -> None:
    if value is not None and not plausible(value):
        raise WireError(f"{spell(path)}: is {value!r}, which is not a possible measurement", path)
    if value is not None and value <= 0 and not may_be_zero(name):
        message = f"{spell(path)}: must be greater than zero, got {value!r}: what was not measured is null"
        raise WireError(message, path)
