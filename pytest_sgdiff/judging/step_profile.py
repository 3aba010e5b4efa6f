"""The denoising steps of a launch beside their sum: what a mean hides. Pure.

A figure of the profile is one number per launch and is judged as any other; the steps of one launch share its clocks
and are never pooled. Nothing here fails a case or asks for another launch: launches are asynchronous, and time moves
between steps without any being lost (docs/decision-evidence.md, "The step profile").
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_sgdiff.data import LaunchRecord, StepFinding
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES, Margins
from pytest_sgdiff.judging.rules.moderated import BASELINE_LAUNCHES
from pytest_sgdiff.metrics import denoising_of, parameter, step_stages

FIRST_STEPS = 2
"""Steps that hold what is built or tuned on first use."""
SPIKE = 1.25
SPIKE_MS = 20.0
SPIKE_LAUNCHES = 3
"""A step spikes if it takes SPIKE times its usual time, and SPIKE_MS more, in each of SPIKE_LAUNCHES or more. With one
launch a sporadic spike somewhere is seen in 40 % of unchanged cases."""
TAIL_STEPS = 9
"""Fewer steps have no thirds to speak of."""

_TAIL_MARGINS = replace(CLASS_MARGINS["stage"], allow_abs=0.0, detect_abs=0.0, noise_abs=0.0, zeros=False)
"""A ratio of two means has no unit, so that margins in milliseconds mean nothing."""

Profile = tuple[float, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """The steps of one denoising stage, one profile per launch; `start` is the number of the first step."""

    stage: str
    start: int
    then: tuple[Profile, ...]
    now: tuple[Profile, ...]

    @property
    def slower(self) -> float:
        """How much slower the part is as a whole, 1.0 or more: what the sum says already is no news of its steps."""
        then, now = (statistics.median(math.fsum(steps) for steps in side) for side in (self.then, self.now))
        return max(1.0, now / then)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Slower:
    """By how much a figure of the steps is slower, and both centres from which that follows."""

    ratio: float
    baseline: float
    now: float


def step_findings(baseline: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> tuple[StepFinding, ...]:
    """What the step profiles of both sides show beyond their sums; empty where either side has none to compare.

    Steps are numbered from 0 over all denoising stages, as in the perf dump.
    """
    then, new = counted(baseline), counted(now)
    lengths = {len(launch.steps_ms) for launch in (*then, *new)}
    usable = all(math.isfinite(ms) and ms > 0 for launch in (*then, *new) for ms in launch.steps_ms)
    if len(lengths) != 1 or lengths == {0} or not usable or not new or len(then) < BASELINE_LAUNCHES:
        return ()
    return tuple(f for part in _parts(then, new) for f in (*_first(part), *_tail(part), *_spikes(part)))


def _parts(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> Iterator[_Part]:
    inner = step_stages((*then, *now))
    if inner is None:
        return
    stages = tuple(map(parameter, denoising_of((*then, *now)))) or ("",)
    edges = (0, *inner, len(now[0].steps_ms))
    for stage, start, end in zip(stages, edges[:-1], edges[1:], strict=True):
        if end > start:
            sides = [tuple(launch.steps_ms[start:end] for launch in side) for side in (then, now)]
            yield _Part(stage=stage if inner else "", start=start, then=sides[0], now=sides[1])


def _first(part: _Part) -> Iterator[StepFinding]:
    then, now = ([math.fsum(steps[:FIRST_STEPS]) for steps in side] for side in (part.then, part.now))
    found = _slower(then, now, CLASS_MARGINS["stage"], whole=part.slower)
    if found is not None and len(part.now[0]) > FIRST_STEPS:
        yield StepFinding(
            code="first-steps",
            stage=part.stage,
            first=part.start,
            last=part.start + FIRST_STEPS - 1,
            launches=len(now),
            now_ms=found.now,
            then_ms=found.baseline,
            change=found.ratio - 1,
        )


def _tail(part: _Part) -> Iterator[StepFinding]:
    n = len(part.now[0])
    if n < TAIL_STEPS:
        return
    then, now = ([_tail_ratio(steps) for steps in side] for side in (part.then, part.now))
    found = _slower(then, now, _TAIL_MARGINS, whole=1.0)
    if found is not None:
        first, last = part.start + n - n // 3, part.start + n - 1
        yield StepFinding(
            code="tail-drift", stage=part.stage, first=first, last=last, launches=len(now), change=found.ratio - 1
        )


def _tail_ratio(steps: Profile) -> float:
    third = len(steps) // 3
    return statistics.fmean(steps[-third:]) / statistics.fmean(steps[third:-third])


def _spikes(part: _Part) -> Iterator[StepFinding]:
    if len(part.now) < SPIKE_LAUNCHES:
        return
    for index in range(FIRST_STEPS, len(part.now[0])):
        usual = statistics.median(steps[index] for steps in part.then)
        least = min(steps[index] for steps in part.now)
        expected = usual * part.slower
        if least > SPIKE * expected and least > expected + SPIKE_MS:
            step = part.start + index
            yield StepFinding(
                code="spike",
                stage=part.stage,
                first=step,
                last=step,
                launches=len(part.now),
                now_ms=least,
                then_ms=usual,
            )


def _slower(then: Sequence[float], now: Sequence[float], margins: Margins, *, whole: float) -> _Slower | None:
    """How much, where it is beyond doubt, beyond the class's limit, and beyond what the whole part lost as well."""
    decision = RULES["moderated"].decide(then, now, margins, same_node=True)
    ratio, usual, now_ms = decision.ratio, decision.baseline, decision.now
    if decision.outcome != "regressed" or ratio is None or usual is None or now_ms is None:
        return None
    found = _Slower(ratio=ratio, baseline=usual, now=now_ms)
    return found if ratio > 1 + margins.detect and ratio > whole * (1 + margins.allow) else None
