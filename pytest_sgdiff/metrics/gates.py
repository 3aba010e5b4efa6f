"""Which metrics a case gates, and which one decides it first."""

from __future__ import annotations

from pytest_sgdiff.data import MetricChoice
from pytest_sgdiff.metrics import table
from pytest_sgdiff.metrics.table import Metric, entry


def group(name: str) -> Metric | None:
    """The family all of whose members a gate name means: `stages`."""
    return next((metric for metric in table.METRICS if metric.group and metric.group == name), None)


def gated(choice: MetricChoice) -> tuple[str, ...]:
    """The gate names of a case: what it states, or what is usual."""
    if choice.gate is not None:
        return choice.gate
    return tuple(metric.group or metric.name for metric in table.METRICS if metric.usual)


def everything() -> tuple[str, ...]:
    """The gate names of all metrics and groups: what is judged where no case chooses."""
    plain = (metric.group or ("" if metric.family else metric.name) for metric in table.METRICS if metric.gates)
    return tuple(filter(None, plain))


def gates(choice: MetricChoice, name: str) -> bool:
    """Whether a case gates what `name` means: a metric, a group, or a member of a group that it gates."""
    found, names = entry(name), gated(choice)
    return name in names or (found is not None and bool(found.group) and found.group in names)


def primary_of(choice: MetricChoice) -> str:
    """The metric that decides a case first: the one that it names if it is gated, else the first time of the whole
    request that is; empty where none is."""
    if gates(choice, choice.primary):
        return choice.primary
    main = (name for name in gated(choice) if (metric := entry(name)) is not None and metric.metric_class == "primary")
    return next(main, "")


def gate_names() -> tuple[str, ...]:
    """What a case can gate: metrics, groups, and `stage:<name>` for any member of a family."""
    return tuple(name for metric in table.METRICS if metric.gates for name in (metric.group, *_written(metric)) if name)


def primary_names() -> tuple[str, ...]:
    """What can decide a case first, as `gate_names`."""
    return tuple(name for metric in table.METRICS if metric.may_be_primary for name in _written(metric))


def _written(metric: Metric) -> tuple[str, ...]:
    return (f"{metric.name}:<name>",) if metric.family else (metric.name,)


def published() -> dict[str, str]:
    """Metric -> its key in upstream's baseline files, of those that are in them by themselves."""
    return {metric.name: metric.published for metric in table.METRICS if metric.published}


def by_steadiness() -> tuple[str, ...]:
    """The names of the metrics of the whole request, each behind the steadier one that may stand for it."""
    main = [metric for metric in table.METRICS if metric.metric_class == "primary" and _is_time(metric)]
    return tuple(dict.fromkeys(name for metric in main for name in (metric.steadier, metric.name) if name))


def _is_time(metric: Metric) -> bool:
    return metric.gates and not metric.family and metric.better == "less"
