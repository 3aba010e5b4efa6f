"""Whole cases over arrays, a draw per row: the shipped judging of a case, look by look.

`tests/unit/test_rules_vectorised.py` holds it to `pytest_sgdiff.judging.judge`, up to the outcome of the case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from decision_rules import (
    IMPROVED,
    INCONCLUSIVE,
    PASS,
    REGRESSED,
    Array,
    Codes,
    Decided,
    Flags,
    excess,
    moderated,
    pauses,
)
from numpy.typing import NDArray

from pytest_sgdiff.data import MetricClass
from pytest_sgdiff.judging.rules import CLASS_MARGINS, Prior
from pytest_sgdiff.judging.rules.pause import confirming
from pytest_sgdiff.judging.rules.prior import DEFAULT
from pytest_sgdiff.judging.series import STAGE_SHARE

LOOKS = (1, 3, 5)
Sides = tuple[Array, Array]


@dataclass(frozen=True, kw_only=True, slots=True)
class Steps:
    """What is judged of launches that keep their steps, in place of the primary metrics: the `core`, the request `net`
    of what held it up, the `excess` beyond the core, and the `rests`, the excess of each step of the candidate."""

    core: Sides
    net: Sides
    excess: Sides
    rests: Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Cases:
    """Draws of a case: `primary` are judged and decide (the first is the case's own), `stages` fail it only, `memory`
    decides, `pause` is milliseconds outside steps and stages, and `steps` stand for `primary` where launches keep them.
    Baseline (N, nb), candidate (N, 5)."""

    primary: Mapping[str, Sides]
    stages: Mapping[str, Sides]
    memory: Sides
    e2e: str
    pause: Sides | None = None
    steps: Steps | None = None

    @property
    def judged(self) -> Mapping[str, Sides]:
        """The primary metrics by name."""
        return self.primary if self.steps is None else {"core": self.steps.core, self.e2e: self.steps.net}


def first(cases: Cases, n: int) -> Cases:
    """The first `n` draws."""

    def cut(metrics: Mapping[str, Sides]) -> dict[str, Sides]:
        return {name: (b[:n], c[:n]) for name, (b, c) in metrics.items()}

    steps = cases.steps
    if steps is not None:
        steps = Steps(**cut({"core": steps.core, "net": steps.net, "excess": steps.excess}), rests=steps.rests[:n])
    sides = cut({"memory": cases.memory} | ({} if cases.pause is None else {"pause": cases.pause}))
    return Cases(
        primary=cut(cases.primary),
        stages=cut(cases.stages),
        memory=sides["memory"],
        e2e=cases.e2e,
        pause=sides.get("pause"),
        steps=steps,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What a rule says of each draw in the end, after how many launches, and by how many metrics a failed one fails;
    `metrics` are judged in each."""

    code: Codes
    launches: NDArray[np.int64]
    worse: NDArray[np.int64]
    metrics: int


def judged(cases: Cases, *, priors: Mapping[MetricClass, Prior] | None = None, slack: float = 0.0) -> Judged:
    """`pytest_sgdiff.judging.judge` over the looks of the runner. In the look that it adds for a pause of all launches,
    the other metrics are taken as they were."""
    priors = priors or {}
    n = len(cases.memory[0])
    code, used = np.full(n, INCONCLUSIVE, dtype=np.int8), np.zeros(n, dtype=np.int64)
    worse = np.zeros(n, dtype=np.int64)
    todo: NDArray[np.int64] = np.arange(n)
    for look in LOOKS:
        used[todo] = look
        code[todo], worse[todo], is_open = _one_look(cases, todo, look, priors, slack)
        todo = todo[is_open]
    if cases.pause is not None and (needed := confirming(cases.pause[0].shape[1])) > LOOKS[-1]:
        paused = pauses(cases.pause[0][todo], cases.pause[1][todo, : LOOKS[-1]], _long(cases, todo))
        todo = todo[paused.code == INCONCLUSIVE]
        used[todo] = needed
        code[todo], worse[todo], _ = _one_look(cases, todo, LOOKS[-1], priors, slack, pauses_of=needed)
    metrics = len(cases.primary) + len(cases.stages) + 1 + (cases.pause is not None) + (cases.steps is not None)
    return Judged(code=code, launches=used, worse=worse, metrics=metrics)


def _long(cases: Cases, rows: NDArray[np.int64]) -> Array:
    """The pause that matters, ms: a share of the request as it was, held up or not."""
    usual = CLASS_MARGINS["pause"]
    return np.maximum(usual.allow_abs, usual.allow * np.median(cases.primary[cases.e2e][0][rows], axis=1))


def _one_look(
    cases: Cases,
    rows: NDArray[np.int64],
    look: int,
    priors: Mapping[MetricClass, Prior],
    slack: float,
    *,
    pauses_of: int | None = None,
) -> tuple[Codes, NDArray[np.int64], Flags]:
    def take(sides: Sides) -> Sides:
        return sides[0][rows], sides[1][rows, :look]

    def of(kind: MetricClass, sides: Sides, **more: Array) -> Decided:
        b, c = take(sides)
        return moderated(b, c, CLASS_MARGINS[kind], prior=priors.get(kind, DEFAULT), slack=slack, **more)

    e2e_ms = np.median(cases.primary[cases.e2e][0][rows], axis=1)
    deciding = [of("primary", sides) for sides in cases.judged.values()]
    first = deciding[0]
    deciding.append(of("memory", cases.memory))
    long = _long(cases, rows)
    if cases.pause is not None:
        deciding.append(pauses(cases.pause[0][rows], cases.pause[1][rows, : pauses_of or look], long))
    if cases.steps is not None:
        rests = cases.steps.rests[rows, :look]
        core, beyond, prior = take(cases.steps.core), take(cases.steps.excess), priors.get("primary", DEFAULT)
        whole = take(cases.primary[cases.e2e])
        margins = CLASS_MARGINS["primary"]
        deciding.append(excess(core, beyond, margins, long, rests, request=whole, prior=prior, slack=slack))
    stages = [of("stage", sides, floor=STAGE_SHARE * e2e_ms) for sides in cases.stages.values()]
    failed = [d.code == REGRESSED for d in (*deciding, *stages)]
    many = np.sum(failed, axis=0)
    worse = many > 0
    undecided = np.logical_or.reduce([~d.settled for d in deciding] + [d.suspect for d in stages])
    code = np.where(first.code == IMPROVED, IMPROVED, PASS).astype(np.int8)
    code[undecided] = INCONCLUSIVE
    code[worse] = REGRESSED
    return code, many, undecided & ~worse
