"""What every decision rule offers: is the candidate slower than the baseline, judged on one value per launch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pytest_sgdiff.data import Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class Margins:
    """What size matters for a class of metric, and how noisy it is beforehand.

    `allow` and `detect` are slowdowns as fractions: one up to `allow` is accepted and never fails, and a pass rules out
    one of `detect`. `allow_abs`, `detect_abs` and `noise_abs` are in the metric's unit (ms or MiB); the larger of a
    fraction and its absolute figure counts. `cv0` is the expected
    coefficient of variation between launches. `zeros` tells that 0.0 is a value (a stage too short for the clock),
    not a failed reading. `extreme_abs`: a pause that is longer is none of those that come and go (rules/pause.py).
    """

    allow: float
    detect: float
    allow_abs: float
    detect_abs: float
    cv0: float
    noise_abs: float
    zeros: bool = False
    extreme_abs: float = math.inf

    def allowing(self, allow: float | None = None, detect: float | None = None) -> Margins:
        """The margins with what is stated of them, as fractions; `detect` keeps its distance from `allow` where it is
        not stated."""
        allowed = self.allow if allow is None else allow
        return replace(self, allow=allowed, detect=allowed + self.detect - self.allow if detect is None else detect)


class Rule(Protocol):
    """A decision rule. Rules are pure and know neither files nor metrics' names."""

    @property
    def name(self) -> str:
        """The rule's name in `pytest_sgdiff.judging.rules.RULES`."""
        ...

    def decide(
        self,
        baseline: Sequence[float | None],
        candidate: Sequence[float | None],
        margins: Margins,
        *,
        same_node: bool,
    ) -> Decision:
        """Judge the candidate's launches against the baseline's; None, NaN, infinities and zeros are no values."""
        ...
