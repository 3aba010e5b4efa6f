"""What the outcome of a case rests on: the launches that count, the values that were judged, and the conditions."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_sgdiff.data import CaseResult, Environment, Estimator, GpuSeries, LaunchRecord, Verdict
from pytest_sgdiff.judging import estimator
from pytest_sgdiff.judging.estimator import centres, over
from pytest_sgdiff.metrics import entry, metric_class, parameter, table, title, unit
from pytest_sgdiff.reports import numbers

# NVML_CLOCKS_EVENT_REASON_*: HW slowdown, SW thermal slowdown, HW thermal slowdown, HW power brake. The power cap (0x4)
# is not among them: a busy GPU is at its cap in every launch (`launch_notes`).
SLOWDOWN_REASONS = 0x08 | 0x20 | 0x40 | 0x80
# A sample counts as one under load from this utilisation on, as in `pytest_sgdiff.watch`.
_BUSY_PCT = 50

Judged = tuple[LaunchRecord, float | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """A metric that decides nothing, for the case does not gate it: both sides' centres in `unit`, None where no launch
    has it, and the ratio of the two."""

    metric: str
    unit: str
    baseline: float | None
    now: float | None
    estimator: Estimator = "mean"

    @property
    def ratio(self) -> float | None:
        """Now over baseline; None where there are no two figures."""
        return over(self.now, self.baseline)


def counted(result: CaseResult) -> tuple[LaunchRecord, ...]:
    """The launches whose numbers reached the verdicts."""
    return tuple(launch for launch in result.launches if launch.counts and launch.metrics)


def judged(result: CaseResult, verdict: Verdict) -> tuple[list[Judged], list[Judged]]:
    """What a verdict rests on, launch by launch: the baseline's and this run's, replaced launches among them."""
    return (
        _judged(result.baseline_records, verdict.baseline_values, verdict.metric),
        _judged(result.launches, verdict.now_values, verdict.metric),
    )


def _judged(launches: Sequence[LaunchRecord], values: Sequence[float | None], metric: str) -> list[Judged]:
    """Values stand for the launches that count, in order; without values the launches' own metric is taken."""
    counting = [launch for launch in launches if launch.counts]
    given = dict(zip((launch.number for launch in counting), values, strict=False))
    return [(launch, given.get(launch.number) if given else launch.metrics.get(metric)) for launch in launches]


def reported(result: CaseResult) -> tuple[Reported, ...]:
    """What the launches show beside what is judged: every metric in the order of the table, stages in the order in
    which they ran, and metrics that a hook added, whose unit nobody told.

    A sole denoising stage is left out where denoising is judged: it is the same time, once more and with its pauses.
    """
    if not result.verdicts:
        return ()
    now, then = counted(result), tuple(launch for launch in result.baseline_records if launch.counts)
    known = {verdict.metric for verdict in result.verdicts}
    return tuple(seen(metric, then, now) for metric in _figures((*now, *then), judged=known) if metric not in known)


def seen(metric: str, then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> Reported:
    """A metric as the launches of both sides show it."""
    sides = ([launch.metrics.get(metric) for launch in side] for side in (then, now))
    (baseline, current), by = centres(metric_class(metric), *sides)
    return Reported(metric=metric, unit=unit(metric), baseline=baseline, now=current, estimator=by)


def _figures(launches: Sequence[LaunchRecord], *, judged: set[str]) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name for launch in launches for name in launch.metrics))
    found = {metric.name: metric.members(launches) for metric in table.METRICS if not metric.part_of}
    for metric in table.METRICS:
        if metric.sums is None:
            continue
        summed = [name for members in found.values() for name in members if metric.sums(parameter(name))]
        parts = [part.name for part in table.METRICS if part.part_of == metric.name]
        known = not judged.isdisjoint({metric.name, *parts})
        if summed or known:
            # The same time once more.
            found[metric.name] = ()
        if known and len(summed) == 1:
            found = {name: tuple(one for one in members if one not in summed) for name, members in found.items()}
    own = [name for name in names if entry(name) is None]
    return (*(name for members in found.values() for name in members), *own)


def measured(result: CaseResult) -> str:
    """What was measured although it could not be judged: `denoise 1.023 s, e2e 1.120 s, peak memory 3.09 GiB`."""
    names = [metric.name for metric in table.METRICS if metric.gates and not metric.family]
    found = [(title(name), centre(result, name), unit(name)) for name in names]
    return ", ".join(f"{title} {numbers.quantity(value, unit)}" for title, value, unit in found if value is not None)


def centre(result: CaseResult, metric: str) -> float | None:
    """A metric's centre over the launches that count, as a history keeps it; None if none has it."""
    return estimator.centre([launch.metrics.get(metric) for launch in counted(result)], metric_class(metric))


def conditions(result: CaseResult) -> str:
    """What the launches ran under, in one line: how many, alone or not, clocks, throttling, processes, warmup."""
    launches = counted(result)
    if not launches:
        many = len(result.launches)
        return f"{numbers.plural(many, 'launch')}, {'which does not count' if many == 1 else 'none of which counts'}"
    words = numbers.plural(len(launches), "launch")
    alone = sum(launch.alone is True for launch in launches)
    if alone:
        words += f" ({'alone' if alone == len(launches) else f'{alone} of them alone'} on the host)"
    facts = [words]
    watches = [launch.watch for launch in launches if launch.watch is not None]
    series = [gpu for watch in watches for gpu in watch.gpus]
    samples = [sample for gpu in series for sample in zip(gpu.column(gpu.sm_mhz), busy(gpu), strict=True)]
    # A GPU may idle while the model is loaded, which says nothing of the launch; a short one is caught at nothing else.
    loaded = [mhz for mhz, busy in samples if mhz is not None and busy]
    clocks = loaded or [mhz for mhz, _ in samples if mhz is not None]
    if clocks:
        facts.append(f"SM {statistics.median_high(clocks)} MHz")
    facts += [words for words in (_throttling(launches), _processes(launches)) if words]
    proven = sum(launch.warmup == "proven" for launch in launches)
    facts.append("warmup proven" if proven == len(launches) else f"warmup proven in {proven} of {len(launches)}")
    return ", ".join(facts)


def busy(series: GpuSeries) -> list[bool]:
    """Of each sample, whether the GPU was at work."""
    return [util is not None and util >= _BUSY_PCT for util in series.column(series.util_pct)]


def differences(result: CaseResult) -> str:
    """What of the machine's settings no launch of the baseline had: `power limit 400 W now, 700 W then`."""
    return _apart(result, _settings)


def changes(result: CaseResult) -> str:
    """As `differences`, with versions and the node: what a new baseline brings with it beside its numbers."""
    return _apart(result, lambda environments: [*_versions(environments), *_settings(environments)])


def _apart(result: CaseResult, settings: Callable[[Sequence[Environment]], list[tuple[str, list[str]]]]) -> str:
    old = [launch.environment for launch in result.baseline_records if launch.counts]
    pairs = zip(settings([launch.environment for launch in counted(result)]), settings(old), strict=True)
    return "; ".join(
        f"{name} {' or '.join(now)} now, {' or '.join(then)} then"
        for (name, now), (_, then) in pairs
        if then and not set(now) <= set(then)
    )


def _settings(environments: Sequence[Environment]) -> list[tuple[str, list[str]]]:
    """The settings that explain a difference, each with its values as they are shown; those not known are left out."""
    limits = [f"{e.power_limit_w:.0f} W" for e in environments if e.power_limit_w is not None]
    clocks = [f"{e.sm_clock_max_mhz} MHz" for e in environments if e.sm_clock_max_mhz is not None]
    drivers = [numbers.clean(e.driver) for e in environments if e.driver is not None]
    found = (("power limit", limits), ("highest SM clock", clocks), ("driver", drivers))
    return [(name, sorted(set(values))) for name, values in found]


def _versions(environments: Sequence[Environment]) -> list[tuple[str, list[str]]]:
    """As `_settings`: the engine, what it stands on, and which GPUs and host ran it."""
    found = (
        ("sglang", [e.engine_version for e in environments]),
        ("torch", [e.torch_version for e in environments]),
        ("CUDA", [e.cuda for e in environments]),
        ("CPU", [e.cpu_model for e in environments]),
        ("GPU", [uuid for e in environments for uuid in e.gpu_uuids]),
    )
    return [(name, sorted({numbers.clean(value) for value in values if value})) for name, values in found]


def _throttling(launches: Sequence[LaunchRecord]) -> str:
    """One launch that shows it is enough; that there was none takes all of them. Empty if nobody asked."""
    told = [
        [[mask for mask in gpu.reasons if mask is not None] for gpu in launch.watch.gpus] if launch.watch else []
        for launch in launches
    ]
    masks = [mask for series in told for gpu in series for mask in gpu]
    if any(mask & SLOWDOWN_REASONS for mask in masks):
        return "THROTTLED"
    if not masks and not _untold(launches, "reasons"):
        return ""
    return "no throttling" if all(series and all(series) for series in told) else "throttling unknown"


def _processes(launches: Sequence[LaunchRecord]) -> str:
    """As for throttling: foreign processes of any launch, or else none in all of them."""
    watches = [launch.watch for launch in launches if launch.watch is not None]
    foreign = len({process.pid for watch in watches for process in watch.foreign})
    if foreign:
        return f"{numbers.plural(foreign, 'other process')} on the GPUs"
    if not any(watch.gpus or "processes" in watch.unknown for watch in watches):
        return ""
    known = len(watches) == len(launches) and not _untold(launches, "processes")
    return "no other processes" if known else "other processes unknown"


def _untold(launches: Sequence[LaunchRecord], counter: str) -> bool:
    return any(launch.watch is not None and counter in launch.watch.unknown for launch in launches)
