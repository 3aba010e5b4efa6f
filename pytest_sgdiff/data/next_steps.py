"""What to do about the outcome of a case, as a value. `reports/next_text.py` has the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data.failures import Cause
from pytest_sgdiff.data.launches import Changed

NextCode = Literal[
    # A baseline is recorded, or renewed.
    "record",
    "restore-environment",
    "accept",
    "accept-picture",
    "accept-removal",
    "keep-gain",
    "own-baseline",
    "few-launches",
    "incomplete-baseline",
    "record-more",
    "odd-picture",
    # The case is measured again.
    "repeat",
    "repeat-pairs",
    "wait-for-quiet",
    # The case file is edited.
    "more-checkpoints",
    "correct-gate",
    "larger-case",
    # A launch failed, or GPUs could not be had.
    "fix",
    "read-log",
    "name-recording",
    "run-shard",
    "stated",
    # An A/B run.
    "see-differences",
    "see-pictures",
]
"""What helps. `fix` is what is known against the cause of a launch that does not count; `stated` is as the error says
that kept GPUs or the host from the case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NextStep:
    """What to do about the outcome of a case.

    `command` records a baseline or, in an A/B run, compares the launches of both engines; of a shard it is its option.
    `cause` is that of a launch that does not count. `metrics` are those that the launches, or those of the baseline,
    lack; `changed` the inherited variables to bring back. `launches` are what a baseline, or the checkpoints, need: of
    them a recording that is replayed has `have`, and the case may ask for `fewer` instead. `fix` is what an error says.
    """

    code: NextCode
    command: str = ""
    cause: Cause | None = None
    metrics: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    launches: int | None = None
    have: int | None = None
    fewer: int | None = None
    fix: str = ""
