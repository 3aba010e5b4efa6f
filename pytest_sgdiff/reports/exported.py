"""A run's figures as other systems store them: one entry for each case and metric, in base units.

The formats for dashboards and databases (`openmetrics`, `influx`, `asv`, `github_benchmark`) have the same figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from pytest_sgdiff.data import CaseResult, Run
from pytest_sgdiff.metrics import only_derived, unit
from pytest_sgdiff.reports import case_text, evidence

_BASE: Mapping[str, tuple[str, Fraction]] = {
    "ms": ("s", Fraction(1, 1000)),
    "MiB": ("bytes", Fraction(1024 * 1024)),
}
"""The unit of a metric -> its base unit, and how many of these it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """One metric of one case. `now` and `baseline` are centres over the launches that count and `values` are those of
    this run's launches, all in `unit` (s, bytes, or what the metric has). Ratios are now over baseline, with the ends
    of their 95 % interval. `allowed` is the ratio up to which the metric passes. `outcome` is the metric's verdict,
    None where it was not judged."""

    metric: str
    unit: str
    now: float
    values: tuple[float, ...]
    baseline: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    allowed: float | None = None
    outcome: str | None = None
    primary: bool = False


def exported(result: CaseResult) -> Iterator[Exported]:
    """What was measured of a case, the judged metrics first. Nothing of a case that was not measured."""
    judged = set()
    for verdict in case_text.by_importance(result.verdicts):
        judged.add(verdict.metric)
        if verdict.now is None:
            continue
        name, scaled = _base(verdict.unit)
        _, now = evidence.judged(result, verdict)
        yield Exported(
            metric=verdict.metric,
            unit=name,
            now=scaled(verdict.now),
            values=tuple(scaled(value) for launch, value in now if launch.counts and value is not None),
            baseline=None if verdict.baseline is None else scaled(verdict.baseline),
            ratio=verdict.ratio,
            low=verdict.low,
            high=verdict.high,
            allowed=None if verdict.allow is None or verdict.ratio is None else 1 + verdict.allow,
            outcome=verdict.outcome,
            primary=verdict.primary,
        )
    counted = evidence.counted(result)
    for metric in dict.fromkeys(name for launch in counted for name in launch.metrics):
        if metric in judged or only_derived(metric):
            continue
        seen = evidence.seen(metric, tuple(launch for launch in result.baseline_records if launch.counts), counted)
        name, scaled = _base(unit(metric))
        if seen.now is not None:
            yield Exported(
                metric=metric,
                unit=name,
                now=scaled(seen.now),
                values=tuple(scaled(launch.metrics[metric]) for launch in counted if metric in launch.metrics),
                baseline=None if seen.baseline is None else scaled(seen.baseline),
                ratio=seen.ratio,
            )


def _base(unit: str) -> tuple[str, Callable[[float], float]]:
    """The base unit, and what makes a value in it: 87710 ms are 87.71 s, and not 87.71000000000001."""
    name, size = _BASE.get(unit, (unit, Fraction(1)))
    return name, lambda value: value * size.numerator / size.denominator


def engine_of(result: CaseResult) -> str:
    """The engine's version that the launches report; empty where none does."""
    return next((version for entry in result.launches if (version := entry.environment.engine_version)), "")


def machine_of(result: CaseResult) -> str:
    """The machine's name; empty where the case has reached none."""
    return result.machine.slug if result.machine else ""


def started_s(run: Run) -> float:
    """When the run began, in seconds since 1970."""
    # Python 3.10 does not know the Z.
    return datetime.fromisoformat(run.started_at.replace("Z", "+00:00")).timestamp()


def once(run: Run) -> Iterator[CaseResult]:
    """The results, worst first, each case on each machine once: stores know nothing of two figures at one time."""
    seen: set[tuple[str, str, str]] = set()
    for result in case_text.worst_first(run.results):
        place = (result.case, result.location.path, machine_of(result))
        if place not in seen:
            seen.add(place)
            yield result
