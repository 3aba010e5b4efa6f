"""The metrics: one line each in `METRICS`, saying its name, unit, class and how it is read from a perf dump.

A metric that a dump does not hold is absent, never 0.0. `stage:<name>` stands for one metric per pipeline stage. The
naming rule for denoising stages is upstream's (bench_diffusion_denoise.py, unchanged in 0.5.8 to 0.5.23).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pytest_sgdiff.data import MetricClass, PerfDump

STAGE = "stage:"

# Something of the engine's own that it times beside the pipeline, and a pseudo-stage of upstream's baseline files.
_NOT_STAGES = ("per_frame_generation",)

# The peak of the measured request, by dump generation: the writing rank's up to 0.5.19, the largest of all ranks from
# 0.5.20 on. 0.5.19 (C1) writes runtime_peak too, but with allocated fields that are not its own.
_PEAK_CHECKPOINT = {"B": "after_forward", "C1": "after_forward", "C2": "runtime_peak"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric. `read` gives its value in `unit`, or None where the dump does not hold it."""

    name: str
    title: str
    unit: str
    metric_class: MetricClass
    read: Callable[[PerfDump], float | None]


def is_stage(name: str) -> bool:
    """Whether an entry of a dump's `steps` is a pipeline stage.

    Stages are named after a class, or after their registered snake_case name where a class is used twice. Dotted names
    such as `Scheduler.return_result.spill_arrays` are what the engine does around the pipeline.
    """
    return "." not in name and name not in _NOT_STAGES


def is_denoising(name: str) -> bool:
    """Whether a stage is part of denoising. `…BeforeDenoisingStage` only prepares it."""
    return name.endswith(("DenoisingStage", "RefinementStage")) and "BeforeDenoisingStage" not in name


def _denoise(dump: PerfDump) -> float | None:
    """Sum of the denoising stages; without any, the sum of the steps, as upstream has it.

    The diffusers backend has neither: what it does is one stage, whose time is not denoising alone.
    """
    stages = [stage.duration_ms for stage in dump.stages if is_denoising(stage.name)]
    return math.fsum(stages) if stages else _denoise_steps(dump)


def _denoise_steps(dump: PerfDump) -> float | None:
    return math.fsum(dump.steps_ms) if dump.steps_ms else None


def _denoise_gap(dump: PerfDump) -> float | None:
    """What denoising took beyond its steps: a pause. Clock noise can make it slightly negative."""
    stages = [stage.duration_ms for stage in dump.stages if is_denoising(stage.name)]
    return math.fsum(stages) - math.fsum(dump.steps_ms) if stages and dump.steps_ms else None


def _peak_memory(dump: PerfDump) -> float | None:
    """Peak allocated memory. An engine that does not run on CUDA writes 0.0 for what it does not know."""
    fields = dump.memory.get(_PEAK_CHECKPOINT.get(dump.generation, ""), {})
    return fields.get("peak_allocated_mb") or None


METRICS: tuple[Metric, ...] = (
    Metric(name="denoise", title="denoise", unit="ms", metric_class="primary", read=_denoise),
    Metric(
        name="denoise_steps", title="denoise (sum of steps)", unit="ms", metric_class="primary", read=_denoise_steps
    ),
    Metric(name="denoise_gap", title="denoise gap", unit="ms", metric_class="pause", read=_denoise_gap),
    Metric(name="e2e", title="e2e", unit="ms", metric_class="primary", read=lambda dump: dump.total_ms),
    Metric(name="peak_memory", title="peak memory", unit="MiB", metric_class="memory", read=_peak_memory),
)
_BY_NAME = {metric.name: metric for metric in METRICS}


def metrics_of(dump: PerfDump) -> dict[str, float]:
    """Every metric that the dump holds, by name: those of `METRICS`, then `stage:<name>` in execution order."""
    found = {metric.name: value for metric in METRICS if (value := metric.read(dump)) is not None}
    return found | {STAGE + stage.name: stage.duration_ms for stage in dump.stages if is_stage(stage.name)}


def metric_class(name: str) -> MetricClass:
    """The class whose margins judge a metric. A stage that a case names as its primary metric is the case's to raise.

    >>> metric_class("denoise"), metric_class("stage:TextEncodingStage")
    ('primary', 'stage')
    """
    metric = _BY_NAME.get(name)
    return metric.metric_class if metric else "stage"


def unit(name: str) -> str:
    """`ms`, or `MiB` for memory."""
    metric = _BY_NAME.get(name)
    return metric.unit if metric else "ms"


def title(name: str) -> str:
    """The name as people read it: `peak memory`, `TextEncodingStage`."""
    metric = _BY_NAME.get(name)
    return metric.title if metric else name.removeprefix(STAGE)


def plausible(value: float) -> bool:
    """Whether a time in ms or a size in MiB may have been measured: nothing takes a femtosecond, or lasts for longer
    than people do. Ratios of others are no numbers any more."""
    return value == 0 or 1e-12 <= abs(value) <= 1e15
