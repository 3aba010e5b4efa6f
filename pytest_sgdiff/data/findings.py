"""What was found out, as codes with the figures behind them. `reports/` has the words, and nothing reads those back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FindingCode = Literal[
    # There is nothing to compare.
    "no-baseline",
    "no-values",
    "bad-values",
    "stage-gone",
    "stage-unknown",
    "other-checkpoint",
    "first-recording",
    "not-comparable",
    # Too little to compare as ratios.
    "below-floor",
    "below-floor-unconfirmed",
    "zero-values",
    # The three-way test.
    "ruled-out",
    "faster",
    "undecided",
    "interval-undecided",
    "unconfirmed",
    "gross",
    "beyond-allow",
    "out-of-order",
    # Small samples.
    "small-baseline",
    "small-baseline-gross",
    "few-pairs",
    # Pauses.
    "no-pause",
    "rare-pauses",
    "pauses",
    "pauses-unconfirmed",
    "pauses-small-baseline",
    "extreme-pauses",
    # Steps that the host holds up.
    "no-hold-up",
    "held-up",
    "held-up-always",
    "held-up-unconfirmed",
    "host-decides",
    # A published number.
    "reference-zero",
    "reference-shows",
    "reference-within",
    "reference-overlaps",
    "reference-beyond",
]

ComparisonCode = Literal[
    # One launch or two.
    "few-launches",
    "few-launches-beyond",
    "few-launches-slower",
    "pauses-alike",
    "pause-on-one-side",
    "pauses-on-both-sides",
    "change-is-a-pause",
    # What no rule judges.
    "old-only",
    "new-only",
    "by-its-steps",
    "other-figure",
    # Upstream's fixed tolerances.
    "tolerance-within",
    "tolerance-beyond",
    "no-tolerance",
]
"""Findings of `sgdiff compare` alone; the results of a run have none of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Why a metric's outcome is what it is: a code, and the figures behind it. `reports/finding_text.py` has the words.

    `allow`, `detect`, `size`, `low` and `high` are fractions (of a slowdown or growth); `floor`, `shortest`
    and `longest` in the metric's unit. `count` of `of` launches or pairs are meant; `needed` is how many would do.
    `baseline` says that `count` and `of` are the baseline's, not the candidate's; of a pause, that it is there. Of few
    launches `size` is by how much launches differ anyway. `slack` is the fraction by which
    both margins were wider, since the baseline does not know the GPU or host. `then` and `now` name what differs. Of
    steps that are held up, `shortest` and `longest` are what they take, `usual` what a step takes otherwise (ms), and
    `first` to `last` the steps, numbered from 0, that are so in every launch. Where the host decides, `size` is the
    CV of the launches, `busy` the share of time for which the GPU was seen busy, and `clock` that of its full clock;
    None where nobody watched.
    """

    code: FindingCode | ComparisonCode
    allow: float | None = None
    detect: float | None = None
    size: float | None = None
    low: float | None = None
    high: float | None = None
    floor: float | None = None
    shortest: float | None = None
    longest: float | None = None
    count: int | None = None
    of: int | None = None
    paused: int | None = None
    needed: int | None = None
    usual: float | None = None
    first: int | None = None
    last: int | None = None
    busy: float | None = None
    clock: float | None = None
    baseline: bool = False
    pairs: bool = False
    slack: float = 0.0
    then: tuple[str, ...] = ()
    now: tuple[str, ...] = ()


RelationCode = Literal["holds", "fails", "undecided", "not-in-run", "not-measured", "other-machine", "no-common-metric"]
"""Why a `faster_than` has its outcome; the first three rest on launches of both cases."""

ReasonCode = Literal[
    "verdicts",
    "problem",
    "environment",
    "cluster",
    "no-machine",
    "no-baseline",
    "not-comparable",
    "empty-recording",
    "short-recording",
    "no-more-launches",
    "shard-unreported",
    "shard-killed",
    "shard-unmeasured",
    "shard-incomplete",
    "picture-changed",
    "odd-picture",
    "recorded",
]
"""Why a case has its outcome: by its verdicts, by the first problem of a launch, since launches were disturbed or GPUs
not to be had, since nodes of a cluster were lost, since there is nothing to judge by, since a recording holds too
little, or since the shard that was to measure it never reported, was killed, or did not measure it, or since
launches of that shard are missing, or by its pictures: another one than the baseline's, or in a recording a launch that
drew something else than the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepFinding:
    """Something in the profile of the denoising steps that their sum does not show.

    Steps `first` to `last` (numbered from 0 over all denoising stages) of `stage` ("" where there is one only) took
    `now_ms`, and `then_ms` in the baseline; `change` is the slowdown as a fraction, where one was judged; `launches`
    is in how many it was seen.
    """

    code: Literal["first-steps", "tail-drift", "spike"]
    stage: str
    first: int
    last: int
    launches: int
    now_ms: float | None = None
    then_ms: float | None = None
    change: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubt:
    """Why a baseline's launches are not good enough for a metric.

    `count` of `of` launches are meant (of an outlier `launch` is its number); `low` and `high` are in `unit`: the two
    modes, or the shortest and the longest pause; `size` is a fraction: the CV, or how far above the median, and
    `limit` the CV from which so few launches are too few. `needed` is how many launches a recording should have, None
    where more would not help.
    """

    code: Literal["two-modes", "outlier", "varies", "outliers", "pauses"]
    metric: str
    unit: str
    of: int
    count: int = 0
    launch: int | None = None
    low: float | None = None
    high: float | None = None
    size: float | None = None
    limit: float | None = None
    needed: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownStage:
    """A stage that the case names under `key` (`metrics.gate`) and no launch has; `near` is the one that it resembles,
    empty if there is none, `known` are all that the launches have."""

    key: str
    name: str
    near: str
    known: tuple[str, ...]
