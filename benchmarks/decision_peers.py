"""The rules of other tools as cases are judged by them: launches, retries, one rule per class of metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from decision_cases import Cases
from decision_others import Rule, asv, bootstrap, mann_whitney, welch, within
from decision_rules import Array, Flags


@dataclass(frozen=True, kw_only=True, slots=True)
class Peer:
    """A rule of another tool. `launches` it takes, `retries` after which a case passes if any attempt passes; `e2e` is
    the rule for the whole request where it is another than that for denoising."""

    name: str
    launches: int
    primary: Rule
    stage: Rule
    memory: Rule
    e2e: Rule | None = None
    retries: int = 0

    def flags(self, cases: Cases) -> tuple[Flags, Array, Array]:
        """Cases that fail, launches spent on each, and by how many metrics it fails in its last attempt."""
        n = len(cases.memory[0])
        failed, spent = np.ones(n, dtype=bool), np.zeros(n)
        worse: Array = np.zeros(n)
        for attempt in range(self.retries + 1):
            spent[failed] += self.launches
            flagged = self._attempt(cases, attempt * self.launches)
            failed &= flagged > 0
            worse = np.where(failed, flagged, 0)
        return failed, spent, worse

    def alone(self, b: Array, c: Array) -> Flags:
        """What a case of one primary metric comes to."""
        failed = np.ones(len(b), dtype=bool)
        for attempt in range(self.retries + 1):
            start = attempt * self.launches
            failed &= self.primary(b, c[:, start : start + self.launches])
        return failed

    def _attempt(self, cases: Cases, start: int) -> Array:
        kinds = [(self.e2e if name == cases.e2e and self.e2e else self.primary, v) for name, v in cases.primary.items()]
        kinds += [(self.stage, v) for v in cases.stages.values()]
        kinds += [(self.memory, cases.memory)]
        flagged = np.zeros(len(cases.memory[0]))
        for rule, (b, c) in kinds:
            flagged += rule(b, c[:, start : start + self.launches])
        return flagged


def same(name: str, launches: int, rule: Rule, retries: int = 0) -> Peer:
    """A peer that has one rule for all metrics."""
    return Peer(name=name, launches=launches, primary=rule, stage=rule, memory=rule, retries=retries)


def peers(rng: np.random.Generator) -> Sequence[Peer]:
    pr_test, long_term = (
        {"launches": 1, "primary": within(denoise, 20), "e2e": within(e2e, 20), "stage": within(stage, 120)}
        for denoise, e2e, stage in ((0.25, 0.25, 0.8), (0.10, 0.15, 0.5))
    )
    memory = within(0.02, 128)
    return (
        Peer(name="SGLang pr_test, one attempt", memory=memory, **pr_test),  # type: ignore[arg-type]
        Peer(name="SGLang pr_test, six retries", memory=memory, **pr_test, retries=6),  # type: ignore[arg-type]
        Peer(name="SGLang long_term, one attempt", memory=memory, **long_term),  # type: ignore[arg-type]
        Peer(name="SGLang long_term, six retries", memory=memory, **long_term, retries=6),  # type: ignore[arg-type]
        same("pytest-benchmark mean:5%", 1, within(0.05, 0, recorded=None)),
        same("pytest-benchmark mean:5%, two retries", 1, within(0.05, 0, recorded=None), retries=2),
        same("Welch 0.05, three launches", 3, welch(0.05)),
        same("Welch 1 % / 150, three launches", 3, welch(0.01 / 150)),
        same("Mann-Whitney 0.05, five launches (Google Benchmark)", 5, mann_whitney(0.05)),
        same("asv continuous, five launches", 5, asv),
        same("bootstrap 95 % beyond 1 %, five (criterion.rs)", 5, bootstrap(rng)),
    )
