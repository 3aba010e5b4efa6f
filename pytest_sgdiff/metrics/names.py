"""Names of metrics, and which of a launch's stages are part of denoising.

The naming rule for denoising stages is upstream's (bench_diffusion_denoise.py, unchanged in 0.5.8 to 0.5.23).
"""

from __future__ import annotations

from collections.abc import Iterable

from pytest_sgdiff.data import LaunchRecord

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
