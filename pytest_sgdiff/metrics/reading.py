"""How a metric's value is read from what one launch, or one request of a server, showed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pytest_sgdiff.data import LaunchRecord, PerfDump
from pytest_sgdiff.metrics.names import is_denoising, is_stage

# Where a generation of dumps has the peak of the measured request: the writing rank's up to 0.5.19, the largest of all
# ranks from 0.5.20 on. 0.5.19 (C1) writes runtime_peak too, but with allocated fields that are not its own.
_PEAK_CHECKPOINT = {"B": "after_forward", "C1": "after_forward", "C2": "runtime_peak"}
_PEAK_FIELD = "peak_allocated_mb"


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What one launch showed, or one request of a server (`served`): the engine's perf dump, and what was measured from
    outside, by name (a server's load and warmup, a client's requests)."""

    dump: PerfDump
    outside: Mapping[str, float] = field(default_factory=dict)
    served: bool = False


def stages(seen: Observed) -> dict[str, float]:
    return {stage.name: stage.duration_ms for stage in seen.dump.stages if is_stage(stage.name)}


def denoise(seen: Observed) -> float | None:
    """Sum of the denoising stages; without any, the sum of the steps, as upstream has it.

    The diffusers backend has neither: what it does is one stage, whose time is not denoising alone.
    """
    stages = [stage.duration_ms for stage in seen.dump.stages if is_denoising(stage.name)]
    return math.fsum(stages) if stages else denoise_steps(seen)


def denoise_steps(seen: Observed) -> float | None:
    return math.fsum(seen.dump.steps_ms) if seen.dump.steps_ms else None


def denoise_gap(seen: Observed) -> float | None:
    """What denoising took beyond its steps: a pause. Clock noise can make it slightly negative."""
    stages = [stage.duration_ms for stage in seen.dump.stages if is_denoising(stage.name)]
    return math.fsum(stages) - math.fsum(seen.dump.steps_ms) if stages and seen.dump.steps_ms else None


def peak_memory(seen: Observed) -> float | None:
    """Peak allocated memory. An engine that does not run on CUDA writes 0.0 for what it does not know."""
    fields = seen.dump.memory.get(_peak_checkpoint(seen.dump.generation, served=seen.served) or "", {})
    return fields.get(_PEAK_FIELD) or None


def _peak_checkpoint(generation: str, *, served: bool) -> str | None:
    """A server's `runtime_peak` is the largest of all its requests so far; `after_forward` is of the request."""
    checkpoint = _PEAK_CHECKPOINT.get(generation)
    return checkpoint and (_PEAK_CHECKPOINT["B"] if served else checkpoint)


def peak_place(launch: LaunchRecord) -> str | None:
    """Where its generation of dumps has the peak (docs/engine.md): B and C1 rank 0 only, C2 the largest rank."""
    if launch.generation == "A":
        return "no checkpoint"
    checkpoint = _peak_checkpoint(launch.generation or "", served=launch.served)
    return None if checkpoint is None else f"{checkpoint}.{_PEAK_FIELD}"


def is_peak_of_first(launch: LaunchRecord) -> bool:
    """Whether the peak is that of rank 0, whatever the other ranks needed."""
    return launch.generation in ("B", "C1")


def outside(name: str) -> Callable[[Observed], float | None]:
    """What was measured outside the engine under this name."""
    return lambda seen: seen.outside.get(name)


def under_load(name: str) -> Callable[[Observed], dict[str, float]]:
    """What was measured under this name, by load."""
    prefix = f"{name}:"
    return lambda seen: {key.removeprefix(prefix): ms for key, ms in seen.outside.items() if key.startswith(prefix)}
