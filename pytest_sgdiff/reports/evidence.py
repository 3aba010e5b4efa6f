"""What the outcome of a case rests on: the launches that count, the values that were judged, and the conditions."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pytest_sgdiff.data import CaseResult, LaunchRecord, Verdict
from pytest_sgdiff.reports import numbers

# NVML_CLOCKS_EVENT_REASON_*: HW slowdown, SW thermal slowdown, HW thermal slowdown, HW power brake. The power cap (0x4)
# is not among them: a busy GPU is at its cap in every launch.
SLOWDOWN_REASONS = 0x08 | 0x20 | 0x40 | 0x80

Judged = tuple[LaunchRecord, float | None]


def counted(result: CaseResult) -> tuple[LaunchRecord, ...]:
    """The launches whose numbers reached the verdicts."""
    return tuple(launch for launch in result.launches if launch.excluded is None and launch.metrics)


def judged(result: CaseResult, verdict: Verdict) -> tuple[list[Judged], list[Judged]]:
    """What a verdict rests on, launch by launch: the baseline's and this run's, replaced launches among them."""
    return (
        _judged(result.baseline_records, verdict.baseline_values, verdict.metric),
        _judged(result.launches, verdict.now_values, verdict.metric),
    )


def _judged(launches: Sequence[LaunchRecord], values: Sequence[float | None], metric: str) -> list[Judged]:
    """Values stand for the launches that count, in order; without values the launches' own metric is taken."""
    counting = [launch for launch in launches if launch.excluded is None]
    given = dict(zip((launch.number for launch in counting), values, strict=False))
    return [(launch, given.get(launch.number) if given else launch.metrics.get(metric)) for launch in launches]


def measured(result: CaseResult) -> str:
    """What was measured although it could not be judged: `denoise 1.023 s, e2e 1.120 s, peak memory 3.09 GiB`."""
    figures = (("denoise", "denoise", "ms"), ("e2e", "e2e", "ms"), ("peak memory", "peak_memory", "MiB"))
    found = [(title, median(result, metric), unit) for title, metric, unit in figures]
    return ", ".join(f"{title} {numbers.quantity(value, unit)}" for title, value, unit in found if value is not None)


def median(result: CaseResult, metric: str) -> float | None:
    """A metric's median over the launches that count; None if none has it."""
    values = [launch.metrics[metric] for launch in counted(result) if metric in launch.metrics]
    return statistics.median(values) if values else None


def conditions(result: CaseResult) -> str:
    """What the launches ran under, in one line: how many, alone or not, clocks, throttling, processes, warmup."""
    launches = counted(result)
    if not launches:
        return f"{numbers.plural(len(result.launches), 'launch')}, none of which counts"
    words = numbers.plural(len(launches), "launch")
    alone = sum(launch.alone is True for launch in launches)
    if alone:
        words += f" ({'alone' if alone == len(launches) else f'{alone} of them alone'} on the host)"
    facts = [words]
    watches = [launch.watch for launch in launches if launch.watch is not None]
    series = [gpu for watch in watches for gpu in watch.gpus]
    clocks = [mhz for gpu in series for mhz in gpu.sm_mhz if mhz is not None]
    if clocks:
        facts.append(f"SM {statistics.median_high(clocks)} MHz")
    reasons = [mask for gpu in series for mask in gpu.reasons if mask is not None]
    if reasons:
        facts.append("THROTTLED" if any(mask & SLOWDOWN_REASONS for mask in reasons) else "no throttling")
    if watches:
        foreign = len({process.pid for watch in watches for process in watch.foreign})
        facts.append(f"{numbers.plural(foreign, 'other process')} on the GPUs" if foreign else "no other processes")
    proven = sum(launch.warmup == "proven" for launch in launches)
    facts.append("warmup proven" if proven == len(launches) else f"warmup proven in {proven} of {len(launches)}")
    return ", ".join(facts)
