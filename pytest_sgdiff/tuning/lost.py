"""What a launch shows by itself of being held up: steps that take longer than its other ones, and pauses. Pure.

A host holds up some steps of a launch and hardly ever all of them alike. Of 43 recorded launches of H200s whose steps
were even, 41 took what their engine always takes, to within 1.2 %; of the 33 others nearly all were longer than that,
by about as much as their uneven steps took (docs/tune.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Case, LaunchRecord
from pytest_sgdiff.lint.offload import cache_dit
from pytest_sgdiff.lint.protocol import View
from pytest_sgdiff.metrics.derived import pause_ms, step_stages, total
from pytest_sgdiff.step_core import Profile, quantile

QUICK_SHARE = 0.1
"""The quantile of a stage's steps that counts as quick: of 20 steps a value between the second and the third."""
USUAL = 1.06
"""Steps of one stage differ by up to so much where nothing holds them up; recorded: the last steps of a request, which
are the longest."""
FEWEST = 4
"""Fewer steps do not show which of them are quick."""
USUAL_PAUSE = 0.03
"""Share of a request outside its steps and stages that is no pause. Recorded: 0.8 to 1.2 %, and 28 to 34 % with one."""
UNLIKE = ("enable-teacache", "cache-dit-config", "enable-spectrum", "cfg-gate-step")
"""Flags with which some steps compute less than others."""


def lost_share(launch: LaunchRecord, case: Case, metric: str) -> float | None:
    """The share of its time that a launch of a case visibly lost, between 0 and 1, for a metric that variants are
    ranked by; None where the launch shows nothing of it: its steps are not known, not synchronised, too few, or unlike
    one another by what the case asks for, or the metric is neither of denoising nor of the whole request."""
    whole = launch.metrics.get(metric)
    if metric not in (metrics.DENOISE, metrics.E2E) or whole is None or not whole > 0 or _unlike(case):
        return None
    steps = _lost_in_steps_ms(launch)
    if metric == metrics.DENOISE:
        summed = launch.metrics.get(metrics.DENOISE_STEPS)
        return None if steps is None or not summed else min(1.0, steps / summed)
    pause = pause_ms(launch)
    if steps is None or pause is None:
        return None
    paused = pause if pause > USUAL_PAUSE * whole else 0.0
    return min(1.0, (steps + paused) / whole)


def uneven_ms(steps: Profile, inner: Sequence[int]) -> float | None:
    """What steps take beyond the quick ones of their stage, in ms; None where a stage has too few. `inner` are the
    numbers of the steps with which the second and later stages begin."""
    stages = [steps[start:end] for start, end in pairwise((0, *inner, len(steps)))]
    known = [stage for stage in stages if len(stage) >= FEWEST]
    # A short second stage, as of three steps, says nothing, and takes little.
    if not known or sum(map(len, known)) < len(steps) / 2:
        return None
    return math.fsum(max(0.0, ms - USUAL * quantile(stage, QUICK_SHARE)) for stage in known for ms in stage)


def _unlike(case: Case) -> bool:
    view = View(case=case)
    return cache_dit(view) is not None or any(view.arg(flag) is not None and not view.off(flag) for flag in UNLIKE)


def _lost_in_steps_ms(launch: LaunchRecord) -> float | None:
    steps, summed = launch.steps_ms, launch.metrics.get(metrics.DENOISE_STEPS)
    if not launch.environment.sync_stages or not steps or not summed:
        return None
    # A server's steps are the medians of its requests, step by step.
    if not (launch.served or math.isclose(total(steps), summed, rel_tol=1e-3)):
        return None
    inner = step_stages((launch,))
    return None if inner is None else uneven_ms(tuple(steps), inner)
