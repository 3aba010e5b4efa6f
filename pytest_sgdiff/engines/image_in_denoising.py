"""Work before the first step that the engine times as denoising: Wan2.2 TI2V encodes its image there.

Other models have a stage for it, ImageVAEEncodingStage. This one encodes the image within its DenoisingStage, before
step 0 (stages/model_specific_stages/wan_ti2v.py of the engine, 0.5.8 to 0.5.23). What such a stage takes beyond
its steps is work and no pause. It is told apart as a stage of its own, so that a slower encoder is judged as one, and
denoising by its steps.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pytest_sgdiff.data import Case, PerfDump, Stage
from pytest_sgdiff.engines.log import LogEvidence
from pytest_sgdiff.engines.outputs import draws_image_size
from pytest_sgdiff.metrics import is_denoising

STAGE = "ImageEncodingBeforeSteps"
"""The name of that stage, which is this plugin's and not the engine's."""


def told_apart(dump: PerfDump, log: LogEvidence, case: Case | None = None) -> PerfDump:
    """The dump, with the encoding as a stage before denoising where the launch had one."""
    denoising = [stage for stage in dump.stages if is_denoising(stage.name)]
    if len(denoising) != 1 or not dump.steps_ms or not draws_image_size(log, case):
        return dump
    steps_ms = math.fsum(dump.steps_ms)
    if denoising[0].duration_ms <= steps_ms:
        return dump
    return replace(dump, stages=tuple(_split(dump.stages, denoising[0], steps_ms)))


def _split(stages: Iterable[Stage], denoising: Stage, steps_ms: float) -> Iterator[Stage]:
    for stage in stages:
        if stage is denoising:
            yield Stage(name=STAGE, duration_ms=stage.duration_ms - steps_ms)
            yield replace(stage, duration_ms=steps_ms)
        else:
            yield stage
