"""The metrics: one entry each in `METRICS`, and nowhere else a list of them.

An entry gives a metric's name, title, unit, class of margins and direction, how a launch's value is read, and how it is
judged. Case files, their JSON schema, baselines, histories, reports and commands take what they need from it. A family
has one metric for each part of a launch: `stage:<name>` is one for each pipeline stage. A metric that a launch does not
hold is absent, never 0.0. The naming rule for denoising stages is upstream's (bench_diffusion_denoise.py, unchanged in
0.5.8 to 0.5.23).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from pytest_sgdiff.data import LaunchRecord, MetricChoice, MetricClass, PerfDump
from pytest_sgdiff.step_core import Core, Cores, cores, stage_starts

STAGE = "stage:"
E2E = "e2e"
DENOISE = "denoise"
DENOISE_STEPS = "denoise_steps"
DENOISE_CORE = "denoise_core"
DENOISE_EXCESS = "denoise_excess"
DENOISE_GAP = "denoise_gap"
PEAK_MEMORY = "peak_memory"
PAUSE = "pause"
CLIENT_E2E = "client_e2e"
QUEUE = "queue"
LOAD = "load"
WARMUP = "warmup"
NIGHTLY_LATENCY = "nightly_latency"

# Something of the engine's own that it times beside the pipeline, and a pseudo-stage of upstream's baseline files.
_NOT_STAGES = ("per_frame_generation",)

# Where a generation of dumps has the peak of the measured request: the writing rank's up to 0.5.19, the largest of all
# ranks from 0.5.20 on. 0.5.19 (C1) writes runtime_peak too, but with allocated fields that are not its own.
_PEAK_CHECKPOINT = {"B": "after_forward", "C1": "after_forward", "C2": "runtime_peak"}
_PEAK_FIELD = "peak_allocated_mb"

COVERED = 0.95
"""Share of the denoising stage that the steps must cover in some launch before they may stand for it; others may pause.
Recorded: 0.98 to 0.99. Launches that are not synchronised can leave work behind the last step, which only the stage
contains."""

Values = tuple[float | None, ...]
"""One value per launch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What one launch showed, or one request of a server (`served`): the engine's perf dump, and what was measured from
    outside, by name (a server's load and warmup, a client's requests)."""

    dump: PerfDump
    outside: Mapping[str, float] = field(default_factory=dict)
    served: bool = False


@dataclass(frozen=True, kw_only=True)
class Compared:
    """The launches of both sides that count, with their stages and step profiles, and the primary metric of the case:
    what a derived metric is made of."""

    then: tuple[LaunchRecord, ...]
    now: tuple[LaunchRecord, ...]
    primary: str = DENOISE

    @cached_property
    def apart(self) -> bool:
        """Whether the steps may stand for denoising on both sides, and what is outside of them is a pause."""
        return self._both and max(map(_covered, (*self.then, *self.now))) >= COVERED

    @cached_property
    def _both(self) -> bool:
        return _complete(self.then, self.now)

    @cached_property
    def core(self) -> Cores | None:
        """The steps of every launch without what held them up, and what they took beyond that; None where the steps
        have no core: their sum stands for denoising then."""
        return _core(self.then, self.now) if self._both else None

    def each(self, value: Callable[[LaunchRecord], float | None]) -> tuple[Values, Values]:
        """A value of every launch, side by side."""
        return tuple(map(value, self.then)), tuple(map(value, self.now))


@dataclass(frozen=True, kw_only=True, slots=True)
class Beyond:
    """What a series is the excess of: the `cores` of the launches, and all that the metric took, ms per launch."""

    cores: Cores
    then: Values
    now: Values


@dataclass(frozen=True, kw_only=True, slots=True)
class Derived:
    """A series that is judged in place of what launches say of a metric; `net` where pauses were taken out of it.
    `beyond` is what the series is the excess of."""

    metric: str
    then: Values
    now: Values
    net: bool = False
    beyond: Beyond | None = None


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


# ------------------------------------------------------------------------------------------------------------- stages


def is_stage(name: str) -> bool:
    """Whether an entry of a dump's `steps` is a pipeline stage.

    Stages are named after a class, or after their registered snake_case name where a class is used twice. Dotted names
    such as `Scheduler.return_result.spill_arrays` are what the engine does around the pipeline.
    """
    return "." not in name and name not in _NOT_STAGES


def is_denoising(name: str) -> bool:
    """Whether a stage is part of denoising. `…BeforeDenoisingStage` only prepares it."""
    return name.endswith(("DenoisingStage", "RefinementStage")) and "BeforeDenoisingStage" not in name


def parameter(name: str) -> str:
    """What stands behind the colon: `TextEncodingStage` of `stage:TextEncodingStage`; a name without one is its own."""
    return name.partition(":")[2] or name


def stages_of(launches: Iterable[LaunchRecord]) -> tuple[str, ...]:
    """Metric names of the launches' stages, in the order in which they ran."""
    names = dict.fromkeys(name for launch in launches for name in launch.metrics if name.startswith(STAGE))
    return tuple(name for name in names if is_stage(parameter(name)))


def denoising_of(launches: Iterable[LaunchRecord]) -> tuple[str, ...]:
    """Those of `stages_of` that are part of denoising."""
    return tuple(name for name in stages_of(launches) if is_denoising(parameter(name)))


def _stages(seen: Observed) -> dict[str, float]:
    return {stage.name: stage.duration_ms for stage in seen.dump.stages if is_stage(stage.name)}


# ----------------------------------------------------------------------------------------------------- read of launches


def _denoise(seen: Observed) -> float | None:
    """Sum of the denoising stages; without any, the sum of the steps, as upstream has it.

    The diffusers backend has neither: what it does is one stage, whose time is not denoising alone.
    """
    stages = [stage.duration_ms for stage in seen.dump.stages if is_denoising(stage.name)]
    return math.fsum(stages) if stages else _denoise_steps(seen)


def _denoise_steps(seen: Observed) -> float | None:
    return math.fsum(seen.dump.steps_ms) if seen.dump.steps_ms else None


def _denoise_gap(seen: Observed) -> float | None:
    """What denoising took beyond its steps: a pause. Clock noise can make it slightly negative."""
    stages = [stage.duration_ms for stage in seen.dump.stages if is_denoising(stage.name)]
    return math.fsum(stages) - math.fsum(seen.dump.steps_ms) if stages and seen.dump.steps_ms else None


def _peak_memory(seen: Observed) -> float | None:
    """Peak allocated memory. An engine that does not run on CUDA writes 0.0 for what it does not know."""
    fields = seen.dump.memory.get(_peak_checkpoint(seen.dump.generation, served=seen.served) or "", {})
    return fields.get(_PEAK_FIELD) or None


def _peak_checkpoint(generation: str, *, served: bool) -> str | None:
    """A server's `runtime_peak` is the largest of all its requests so far; `after_forward` is of the request."""
    checkpoint = _PEAK_CHECKPOINT.get(generation)
    return checkpoint and (_PEAK_CHECKPOINT["B"] if served else checkpoint)


def _peak_place(launch: LaunchRecord) -> str | None:
    """Where its generation of dumps has the peak (docs/engine.md): B and C1 rank 0 only, C2 the largest rank."""
    if launch.generation == "A":
        return "no checkpoint"
    checkpoint = _peak_checkpoint(launch.generation or "", served=launch.served)
    return None if checkpoint is None else f"{checkpoint}.{_PEAK_FIELD}"


def _outside(name: str) -> Callable[[Observed], float | None]:
    """What was measured outside the engine under this name."""
    return lambda seen: seen.outside.get(name)


def _under_load(name: str) -> Callable[[Observed], dict[str, float]]:
    """What was measured under this name, by load."""
    prefix = f"{name}:"
    return lambda seen: {key.removeprefix(prefix): ms for key, ms in seen.outside.items() if key.startswith(prefix)}


# ------------------------------------------------------------------------------------------------------------- derived
# Where both sides carry denoising steps, the request is taken apart: the steps stand for denoising, by their core where
# they have one and else by their sum; what they take beyond the core, and what the launch spent outside steps and
# stages, are metrics of their own that are judged by how often they come; and e2e is judged net of them.


def pause_ms(launch: LaunchRecord) -> float | None:
    """Milliseconds outside the steps and the stages: denoising beyond its steps, the request beyond its stages.

    Each part is clamped at zero, for clocks disagree by microseconds. None where a part is not known.
    """
    denoise, steps, e2e = (launch.metrics.get(name) for name in (DENOISE, DENOISE_STEPS, E2E))
    if denoise is None or steps is None:
        return None
    gap = max(0.0, denoise - steps)
    if e2e is None:
        return gap
    stages = total(launch.metrics[name] for name in stages_of((launch,)))
    return gap + max(0.0, e2e - stages) if stages else gap


def request_ms(launch: LaunchRecord, *, net: bool) -> float | None:
    """How long the request took, without its pauses if `net`; None where that is not known."""
    e2e = launch.metrics.get(E2E)
    if not net or e2e is None:
        return e2e
    pause = pause_ms(launch)
    return None if pause is None else e2e - pause


def total(values: Iterable[float]) -> float:
    """The sum, infinite where it is too large for a float."""
    try:
        return math.fsum(values)
    except OverflowError:
        return math.inf


def _complete(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> bool:
    """Whether every launch has steps and all denoising stages: in a launch that lacks one, what lies outside the stages
    is denoising and no pause."""
    if not then or not now:
        return False
    known = denoising_of(then)
    for launch in (*then, *now):
        has = denoising_of((launch,))
        if not set(known) <= set(has) or (not has and stages_of((launch,))):
            return False
    return all(_positive(launch, name) for launch in (*then, *now) for name in (DENOISE, DENOISE_STEPS))


def _covered(launch: LaunchRecord) -> float:
    """The share of denoising that the steps cover."""
    return launch.metrics[DENOISE_STEPS] / launch.metrics[DENOISE]


def _positive(launch: LaunchRecord, name: str) -> bool:
    value = launch.metrics.get(name)
    return value is not None and math.isfinite(value) and value > 0


def _core(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> Cores | None:
    """The cores of launches whose timers are synchronised: others return from a step before it has ended."""
    launches = (*then, *now)
    if not all(launch.environment.sync_stages and _whole(launch) for launch in launches):
        return None
    inner = step_stages(launches)
    if inner is None:
        return None
    return cores([launch.steps_ms for launch in then], [launch.steps_ms for launch in now], inner)


def _whole(launch: LaunchRecord) -> bool:
    """Whether the steps that a launch kept are those that it summed up."""
    known = launch.metrics.get(DENOISE_STEPS)
    return known is not None and bool(launch.steps_ms) and math.isclose(total(launch.steps_ms), known, rel_tol=1e-3)


def step_stages(launches: Sequence[LaunchRecord]) -> tuple[int, ...] | None:
    """As `pytest_sgdiff.step_core.stage_starts`, of the denoising stages of the launches."""
    stages = denoising_of(launches)
    return stage_starts(
        [launch.steps_ms for launch in launches],
        [[launch.metrics.get(stage, 0.0) for stage in stages] for launch in launches],
    )


def _gap_ms(launch: LaunchRecord) -> float | None:
    """Milliseconds of denoising outside its steps."""
    denoise, steps = launch.metrics.get(DENOISE), launch.metrics.get(DENOISE_STEPS)
    return None if denoise is None or steps is None else max(0.0, denoise - steps)


def _beside_pause(
    sides: Compared,
    judged: Derived,
    whole: tuple[Values, Values],
    pause: Callable[[LaunchRecord], float | None] = _gap_ms,
) -> Iterator[Derived]:
    """A series, and behind it what was taken out of it: how often that comes is judged by itself. `whole` is the series
    with what held up its steps."""
    yield judged
    core = sides.core
    if core is not None:
        before, after = (tuple(launch.excess for launch in side) for side in (core.then, core.now))
        beyond = Beyond(cores=core, then=whole[0], now=whole[1])
        yield Derived(metric=DENOISE_EXCESS, then=before, now=after, beyond=beyond)
    if sides.apart:
        then, now = sides.each(pause)
        yield Derived(metric=PAUSE, then=then, now=now)


def _steps(sides: Compared) -> tuple[Values, Values]:
    return sides.each(lambda launch: launch.metrics.get(DENOISE_STEPS))


def _undisturbed(sides: Compared) -> tuple[str, Values, Values]:
    """What stands for denoising where steps may: their core, or their sum where they have none."""
    if sides.core is None:
        return (DENOISE_STEPS, *_steps(sides))
    then, now = (tuple(launch.core for launch in side) for side in (sides.core.then, sides.core.now))
    return DENOISE_CORE, then, now


def _judged_denoise(sides: Compared, name: str) -> tuple[Derived, ...]:
    """The steps stand for denoising; where they do not cover it, it is judged without what held them up."""
    if sides.apart:
        metric, then, now = _undisturbed(sides)
        return tuple(_beside_pause(sides, Derived(metric=metric, then=then, now=now), _steps(sides)))
    return tuple(_unheld(sides, name, sides.each(lambda launch: launch.metrics.get(name)))) if sides.core else ()


def _judged_e2e(sides: Compared, name: str) -> tuple[Derived, ...]:
    """The request without its pauses, and without what held up its steps."""
    if not sides.apart and sides.core is None:
        return ()
    whole = sides.each(lambda launch: request_ms(launch, net=sides.apart))
    return tuple(_unheld(sides, name, whole, pause_ms))


def _unheld(
    sides: Compared,
    metric: str,
    whole: tuple[Values, Values],
    pause: Callable[[LaunchRecord], float | None] = _gap_ms,
) -> Iterator[Derived]:
    """A metric that holds all steps, without what held them up."""
    then, now = whole
    if sides.core is not None:
        then, now = _less(then, sides.core.then), _less(now, sides.core.now)
    yield from _beside_pause(sides, Derived(metric=metric, then=then, now=now, net=True), whole, pause)


def _less(values: Values, launches: Sequence[Core]) -> Values:
    return tuple(None if value is None else value - launch.held for value, launch in zip(values, launches, strict=True))


def _judged_stage(sides: Compared, name: str) -> tuple[Derived, ...]:
    """The sole denoising stage by its steps, if it is the primary metric."""
    sole = denoising_of(sides.then) == (name,) == denoising_of(sides.now)
    if not (sole and name == sides.primary and sides.apart):
        return ()
    _, then, now = _undisturbed(sides)
    return tuple(_beside_pause(sides, Derived(metric=name, then=then, now=now, net=True), _steps(sides)))


# --------------------------------------------------------------------------------------------------------------- table


METRICS: tuple[Metric, ...] = (
    Metric(
        name=DENOISE,
        unit="ms",
        metric_class="primary",
        read=_denoise,
        derive=_judged_denoise,
        subject="denoising",
        usual=True,
        sums=is_denoising,
        steadier=DENOISE_STEPS,
    ),
    Metric(
        name=DENOISE_STEPS,
        unit="ms",
        metric_class="primary",
        read=_denoise_steps,
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
        read=_denoise_gap,
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
        derive=_judged_e2e,
        published="expected_e2e_ms",
        usual=True,
        steadier=DENOISE_STEPS,
    ),
    Metric(
        name="stage",
        unit="ms",
        metric_class="stage",
        read=_stages,
        derive=_judged_stage,
        family=True,
        admits=is_stage,
        group="stages",
        usual=True,
    ),
    Metric(
        name=PEAK_MEMORY,
        unit="MiB",
        metric_class="memory",
        read=_peak_memory,
        place=_peak_place,
        title="peak memory",
        published="runtime_peak_allocated_mb",
        usual=True,
    ),
    Metric(
        name=CLIENT_E2E,
        unit="ms",
        metric_class="primary",
        read=_outside(CLIENT_E2E),
        title="client e2e",
        subject="the request as its client sees it",
        usual=True,
    ),
    Metric(
        name=QUEUE,
        unit="ms",
        metric_class="stage",
        read=_outside(QUEUE),
        subject="what a request takes beside its pipeline",
        zero=True,
    ),
    Metric(
        name=LOAD,
        unit="ms",
        metric_class="stage",
        read=_outside(LOAD),
        subject="loading the model",
        published="expected_load_ms",
    ),
    Metric(name=WARMUP, unit="ms", metric_class="stage", read=_outside(WARMUP)),
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
        read=_under_load("throughput"),
        better="more",
        family=True,
        title="throughput",
    ),
    *(
        Metric(name=name, unit="ms", metric_class="stage", read=_under_load(name), family=True, title=f"latency p{of}")
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


# --------------------------------------------------------------------------------------------------------------- gates


def group(name: str) -> Metric | None:
    """The family all of whose members a gate name means: `stages`."""
    return next((metric for metric in METRICS if metric.group and metric.group == name), None)


def gated(choice: MetricChoice) -> tuple[str, ...]:
    """The gate names of a case: what it states, or what is usual."""
    if choice.gate is not None:
        return choice.gate
    return tuple(metric.group or metric.name for metric in METRICS if metric.usual)


def everything() -> tuple[str, ...]:
    """The gate names of all metrics and groups: what is judged where no case chooses."""
    plain = (metric.group or ("" if metric.family else metric.name) for metric in METRICS if metric.gates)
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
    return tuple(name for metric in METRICS if metric.gates for name in (metric.group, *_written(metric)) if name)


def primary_names() -> tuple[str, ...]:
    """What can decide a case first, as `gate_names`."""
    return tuple(name for metric in METRICS if metric.may_be_primary for name in _written(metric))


def _written(metric: Metric) -> tuple[str, ...]:
    return (f"{metric.name}:<name>",) if metric.family else (metric.name,)


def published() -> dict[str, str]:
    """Metric -> its key in upstream's baseline files, of those that are in them by themselves."""
    return {metric.name: metric.published for metric in METRICS if metric.published}


def by_steadiness() -> tuple[str, ...]:
    """The names of the metrics of the whole request, each behind the steadier one that may stand for it."""
    main = [metric for metric in METRICS if metric.metric_class == "primary" and _is_time(metric)]
    return tuple(dict.fromkeys(name for metric in main for name in (metric.steadier, metric.name) if name))


def _is_time(metric: Metric) -> bool:
    return metric.gates and not metric.family and metric.better == "less"


def plausible(value: float) -> bool:
    """Whether a time in ms or a size in MiB may have been measured: nothing takes a femtosecond, or lasts for longer
    than people do. Ratios of others are no numbers any more."""
    return value == 0 or 1e-12 <= abs(value) <= 1e15
