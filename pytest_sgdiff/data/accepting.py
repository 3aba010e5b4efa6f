"""Slowdowns that somebody accepted for a time: the lines that say so, and what became of each in a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """One line `sgdiff-accept: CASE METRIC +SIZE % until DATE because REASON`, at `path`:`line`.

    `size` is a fraction (5 % is 0.05). `until` is the last day (ISO 8601, UTC) on which it has an effect.
    """

    case: str
    metric: str
    size: float
    until: str
    because: str
    path: str
    line: int

    def expired(self, today: date) -> bool:
        """Whether it has no effect any more on a day."""
        return self.until < today.isoformat()


AcceptanceState = Literal[
    "used",
    "exceeded",
    "undecided",
    "not-needed",
    "expired",
    "not-gated",
    "unknown-case",
    "not-judged",
]
"""What became of an acceptance: `used` covers what its metric is slower by, of which more than it accepts is `exceeded`
and neither is `undecided`; `not-needed`: the case is judged alike without it; `not-gated`: the case judges no such
metric; `unknown-case`: no case file has the case; `not-judged`: the case gave nothing to judge."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AcceptanceUse:
    """An acceptance, and what became of it. `near` is the case that an unknown one resembles, empty if there is
    none."""

    acceptance: Acceptance
    state: AcceptanceState
    near: str = ""
