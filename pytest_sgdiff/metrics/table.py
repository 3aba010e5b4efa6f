"""The metrics: one entry each in `METRICS`, and nowhere else a list of them.

An entry gives a metric's name, title, unit, class of margins and direction, how a launch's value is read, and how it is
judged. Case files, their JSON schema, baselines, histories, reports and commands take what they need from it. A family
has one metric for each part of a launch: `stage:<name>` is one for each pipeline stage. A metric that a launch does not
hold is absent, never 0.0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import LaunchRecord, MetricClass, PerfDump
from pytest_sgdiff.metrics import derived, reading
from pytest_sgdiff.metrics.derived import Compared, Derived, Values
from pytest_sgdiff.metrics.names import (
    CLIENT_E2E,
    DENOISE,
    DENOISE_CORE,
    DENOISE_EXCESS,
    DENOISE_GAP,
    DENOISE_STEPS,
    E2E,
    LOAD,
    NIGHTLY_LATENCY,
    PAUSE,
    PEAK_MEMORY,
    QUEUE,
    STAGE,
    WARMUP,
    is_denoising,
    is_stage,
    parameter,
)
from pytest_sgdiff.metrics.reading import Observed


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric, or one family of them, with the margins of `metric_class` and values in `unit`.

    How it is had:
        read: its value in one launch, None where the launch does not hold it; of a family a value for each parameter.
            Left out for one that is derived only: no launch and no baseline keeps it then, and a history keeps what
            was judged.
        derive: what is judged of it where both sides are known, in place of the values of the launches; the first
            series stands for the metric, the others are judged beside it. Given the name of the metric (of a family
            that of the member). Nothing where the launches' own values are to be judged.
        place: where a launch has it, by the generation of its dump; values of two places are not compared.
    How it is named:
        title, subject: as people read it (of a family in front of the parameter), and as the subject of a sentence; the
            name where they are empty.
        admits: which parameters a family has.
        group: the gate name of all members of a family that no other metric sums up.
        part_of: the metric in place of which it is judged: it is no gate of its own, and not reported beside that one.
        published: its key in upstream's baseline files.
    What it means:
        better: whether less or more of it is good. It is judged by its inverse where more is, so that a slowdown is
            one of the time for each.
        usual: whether a case gates it that does not choose.
        zero: whether 0.0 and less are values of it.
        sums: which members of the family `stage` it is the sum of.
        steadier: the metric that says the same without pauses, and stands for it where it is known.
    """

    name: str
    unit: str
    metric_class: MetricClass
    read: Callable[[Observed], float | Mapping[str, float] | None] | None = None
    derive: Callable[[Compared, str], tuple[Derived, ...]] | None = None
    place: Callable[[LaunchRecord], str | None] | None = None
    title: str = ""
    subject: str = ""
    better: Literal["less", "more"] = "less"
    family: bool = False
    admits: Callable[[str], bool] = lambda _: True
    group: str = ""
    part_of: str = ""
    published: str = ""
    usual: bool = False
    zero: bool = False
    sums: Callable[[str], bool] | None = None
    steadier: str = ""

    @property
    def gates(self) -> bool:
        """Whether a case can gate it by name."""
        return not self.part_of

    @property
    def may_be_primary(self) -> bool:
        """Whether it can decide a case first: a time of work, no memory and no pause."""
        return self.gates and self.metric_class in ("primary", "stage")

    def is_of(self, name: str) -> bool:
        """Whether `name` is the metric, or a member of the family."""
        head, colon, _ = name.partition(":")
        return head == self.name and self.family is bool(colon)

    def members(self, launches: Iterable[LaunchRecord]) -> tuple[str, ...]:
        """The names of it in the launches' metrics, in the order in which they first appear."""
        names = dict.fromkeys(name for launch in launches for name in launch.metrics)
        return tuple(name for name in names if self.is_of(name) and self.admits(parameter(name)))


METRICS: tuple[Metric, ...] = (
    Metric(
        name=DENOISE,
        unit="ms",
        metric_class="primary",
        read=reading.denoise,
        derive=derived.judged_denoise,
        subject="denoising",
        usual=True,
        sums=is_denoising,
        steadier=DENOISE_STEPS,
    ),
    Metric(
        name=DENOISE_STEPS,
        unit="ms",
        metric_class="primary",
        read=reading.denoise_steps,
        title="denoise (sum of steps)",
        subject="denoising",
        part_of=DENOISE,
    ),
    Metric(
        name=DENOISE_CORE,
        unit="ms",
        metric_class="primary",
        title="denoise (core of steps)",
        subject="denoising",
        part_of=DENOISE,
    ),
    Metric(
        name=DENOISE_EXCESS,
        unit="ms",
        metric_class="pause",
        title="denoise excess",
        subject="what the denoising steps take beyond their core",
        part_of=DENOISE,
        zero=True,
    ),
    Metric(
        name=DENOISE_GAP,
        unit="ms",
        metric_class="pause",
        read=reading.denoise_gap,
        title="denoise gap",
        part_of=DENOISE,
        zero=True,
        steadier=DENOISE_STEPS,
    ),
    Metric(
        name=PAUSE,
        unit="ms",
        metric_class="pause",
        subject="time outside the denoising steps and stages",
        part_of=DENOISE,
        zero=True,
    ),
    Metric(
        name=E2E,
        unit="ms",
        metric_class="primary",
        read=lambda seen: seen.dump.total_ms,
        derive=derived.judged_e2e,
        published="expected_e2e_ms",
        usual=True,
        steadier=DENOISE_STEPS,
    ),
    Metric(
        name="stage",
        unit="ms",
        metric_class="stage",
        read=reading.stages,
        derive=derived.judged_stage,
        family=True,
        admits=is_stage,
        group="stages",
        usual=True,
    ),
    Metric(
        name=PEAK_MEMORY,
        unit="MiB",
        metric_class="memory",
        read=reading.peak_memory,
        place=reading.peak_place,
        title="peak memory",
        published="runtime_peak_allocated_mb",
        usual=True,
    ),
    Metric(
        name=CLIENT_E2E,
        unit="ms",
        metric_class="primary",
        read=reading.outside(CLIENT_E2E),
        title="client e2e",
        subject="the request as its client sees it",
        usual=True,
    ),
    Metric(
        name=QUEUE,
        unit="ms",
        metric_class="stage",
        read=reading.outside(QUEUE),
        subject="what a request takes beside its pipeline",
        zero=True,
    ),
    Metric(
        name=LOAD,
        unit="ms",
        metric_class="stage",
        read=reading.outside(LOAD),
        subject="loading the model",
        published="expected_load_ms",
    ),
    Metric(name=WARMUP, unit="ms", metric_class="stage", read=reading.outside(WARMUP)),
    # Of histories that were imported: the server's time or the client's, which upstream's former runner did not tell.
    Metric(
        name=NIGHTLY_LATENCY,
        unit="ms",
        metric_class="primary",
        title="latency of the nightly comparison",
        part_of=E2E,
    ),
    # One for each load that a server gets: `throughput:c4` at four requests at a time, `latency_p95:r0.5` at one every
    # two seconds.
    Metric(
        name="throughput",
        unit="1/s",
        metric_class="stage",
        read=reading.under_load("throughput"),
        better="more",
        family=True,
        title="throughput",
    ),
    *(
        Metric(
            name=name,
            unit="ms",
            metric_class="stage",
            read=reading.under_load(name),
            family=True,
            title=f"latency p{of}",
        )
        for name, of in (("latency_p50", 50), ("latency_p95", 95), ("latency_p99", 99))
    ),
)


def metrics_of(dump: PerfDump, outside: Mapping[str, float] | None = None, *, served: bool = False) -> dict[str, float]:
    """Every metric that a launch holds, by name, in the order of the table, families last; stages in that of execution.
    `outside` are times that were measured outside the engine, by name; `served`: the dump is of one of several requests
    of a server."""
    seen = Observed(dump=dump, outside=outside or {}, served=served)
    found: dict[str, float] = {}
    for metric in sorted(METRICS, key=lambda metric: metric.family):
        value = None if metric.read is None else metric.read(seen)
        if isinstance(value, Mapping):
            found |= {f"{metric.name}:{part}": one for part, one in value.items()}
        elif value is not None:
            found[metric.name] = value
    return found


def entry(name: str) -> Metric | None:
    """The entry of a metric, or of the family that it is of; None for one that a hook added."""
    head, colon, _ = name.partition(":")
    family = bool(colon)
    for metric in METRICS:
        if metric.name == head and metric.family is family:
            return metric
    return None


def metric_class(name: str) -> MetricClass:
    """The class whose margins judge a metric. A stage that a case names as its primary metric is the case's to raise.

    >>> metric_class("denoise"), metric_class("stage:TextEncodingStage")
    ('primary', 'stage')
    """
    metric = entry(name)
    return metric.metric_class if metric else "stage"


def unit(name: str) -> str:
    """`ms`, or `MiB` for memory; empty for what a hook added, whose unit nobody told."""
    metric = entry(name)
    return metric.unit if metric else ""


def title(name: str) -> str:
    """The name as people read it: `peak memory`, `TextEncodingStage`."""
    metric = entry(name)
    if metric is None:
        return name
    return f"{metric.title} {parameter(name)}".strip() if metric.family else metric.title or name


def subject(name: str) -> str:
    """The name as the subject of a sentence: `denoising`."""
    metric = entry(name)
    return (metric.subject if metric else "") or title(name)


def may_be_zero(name: str) -> bool:
    """Whether 0.0 is a value of the metric, not one that is missing."""
    metric = entry(name)
    return metric is not None and metric.zero


def places(name: str, launches: Iterable[LaunchRecord]) -> tuple[str, ...]:
    """Where the launches' values of a metric were read from, sorted; nothing where that is of no matter, or not
    known."""
    metric = entry(name)
    if metric is None or metric.place is None:
        return ()
    return tuple(sorted({place for one in launches if one.generation and (place := metric.place(one))}))


def only_derived(name: str) -> bool:
    """Whether no launch holds the metric by itself: it is made of both sides when they are judged."""
    metric = entry(name)
    return metric is not None and metric.read is None


def more_is_better(name: str) -> bool:
    """Whether more of the metric is good, as of images per second."""
    metric = entry(name)
    return metric is not None and metric.better == "more"


def cost(name: str, value: float) -> float:
    """A value, or a ratio of values, such that more of it is worse: itself, or its inverse where more is better.
    Applied twice it gives back what it was given."""
    return 1 / value if value and more_is_better(name) else value


def costs(name: str, values: Iterable[float | None]) -> Values:
    """As `cost`, of every value that is there."""
    return tuple(None if value is None else cost(name, value) for value in values)


def sum_of(name: str) -> Metric | None:
    """The metric that sums up a stage, None where none does."""
    if not name.startswith(STAGE):
        return None
    return next((metric for metric in METRICS if metric.sums and metric.sums(parameter(name))), None)


def steadier(name: str) -> str:
    """The metric that says the same without pauses; empty where there is none."""
    metric = sum_of(name) or entry(name)
    return metric.steadier if metric else ""


def plausible(value: float) -> bool:
    """Whether a time in ms or a size in MiB may have been measured: nothing takes a femtosecond, or lasts for longer
    than people do. Ratios of others are no numbers any more."""
    return value == 0 or 1e-12 <= abs(value) <= 1e15
