"""What of upstream's files was not taken over, and why: values, whose words are in `reports/refusal_text.py`. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Why(Enum):
    """Why a value, a row or a scenario was left out."""

    # Of any file.
    NO_METRIC = "no-metric"
    """No metric here means what the key holds."""
    EMPTY = "empty"
    """Zero or null: upstream writes both for what was not measured."""
    NOT_A_NUMBER = "not-a-number"
    """No number that somebody can have measured."""
    WRONG_KIND = "wrong-kind"
    MISSING = "missing"
    # Of results of the nightly comparison.
    FAILED = "failed"
    """The case failed in that night; `found` is upstream's own error."""
    OTHER_FRAMEWORK = "other-framework"
    NO_TIME = "no-time"
    NO_NAME = "no-name"
    NOT_THE_MEDIAN = "not-the-median"
    # Of baseline files.
    OTHER_RUN = "other-run"
    """Steps that are longer together than the denoising around them; `found` are both, in ms."""
    SAMPLED = "sampled"
    """Steps of which the file has some only: their sum would be of something else."""
    NUMBERLESS = "numberless"
    NO_GPUS = "no-gpus"
    NO_SUCH_SCENARIO = "no-such-scenario"
    """An override of a scenario that the file does not have: upstream's loader fails there."""
    # Of baselines that were to be written for upstream's loader.
    LACKS = "lacks"
    """Its checks need keys that the baseline has no number for; `found` are the keys."""
    AS_ZERO = "as-zero"
    """Its loader demands keys that the baseline has no number for, and has 0.0 for them; `found` are the keys."""
    NO_BASE = "no-base"
    """The numbers of one pool of machines, without those of the scenario that they override."""


Path = tuple[str | int, ...]
"""Keys and indices from the top of the document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One thing that was left out: where it stands, why, and what was found there. `line` is for files whose lines are
    not found by path, such as tables."""

    path: Path
    why: Why
    found: tuple[str, ...] = ()
    line: int | None = None
