"""Judging: verdicts, the result of a case, and a run of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_sgdiff.data.accepting import AcceptanceUse
from pytest_sgdiff.data.attribution import Attribution, LongPause
from pytest_sgdiff.data.cases import Advice, FasterThan, Location, MetricClass, Outcome
from pytest_sgdiff.data.cluster import Loss
from pytest_sgdiff.data.findings import Doubt, Finding, ReasonCode, RelationCode, StepFinding, UnknownStage
from pytest_sgdiff.data.launches import Changed, Difference, Disturbance, Machine, Workload
from pytest_sgdiff.data.measurements import LaunchRecord, Problem, Recorded
from pytest_sgdiff.data.next_steps import NextStep
from pytest_sgdiff.data.pictures import Quality
from pytest_sgdiff.data.profiles import Profiled

Estimator = Literal["mean", "median"]
"""What a centre is: the geometric mean over the launches with high outliers pulled in, or the median (of values that
have no logarithm, and of pauses)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a rule says of one metric: `ratio` is candidate over baseline, with its 95 % interval (`low`, `high`);
    `baseline` and `now` are the centres that it is the ratio of, by the estimator `mean`; `excluded` is the smallest
    slowdown (a fraction) that a pass rules out; `suspect` says that an inconclusive figure lies beyond `detect` or is
    to be confirmed, or that pauses pass which are many or long. Everything that could not be computed is None."""

    outcome: Outcome
    finding: Finding
    ratio: float | None = None
    baseline: float | None = None
    now: float | None = None
    low: float | None = None
    high: float | None = None
    excluded: float | None = None
    suspect: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One metric judged. `baseline` and `now` are centres in `unit` by `estimator`, of which `ratio` is the ratio;
    `spread` is the baseline's CV; `allow` and `detect` are the margins used, as fractions; `deciding` metrics settle
    the outcome of the case, the others only fail it. `baseline_values` and `now_values` are what was judged, one value
    per launch that counts: not always a metric of the launches themselves (a pause; e2e without it, which `net` says).
    `detectable` is the slowdown of this metric alone, a fraction, that is regressed in 95 of 100 gates with the case's
    checkpoints: by the baseline, or in an update by the one that was recorded. `best_ratio` is now over the best ever
    recorded: `ratio`, on top of how far the median of the baseline is above the best median. `accepted` is the
    slowdown, a fraction, that somebody accepted for a time in place of `allow`, and that covers this metric."""

    metric: str
    metric_class: MetricClass
    unit: str
    outcome: Outcome
    finding: Finding
    baseline: float | None = None
    now: float | None = None
    estimator: Estimator = "mean"
    baseline_values: tuple[float | None, ...] = ()
    now_values: tuple[float | None, ...] = ()
    spread: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    allow: float | None = None
    detect: float | None = None
    excluded: float | None = None
    detectable: float | None = None
    best_ratio: float | None = None
    accepted: float | None = None
    primary: bool = False
    deciding: bool = True
    suspect: bool = False
    net: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a case has its outcome: a code, and the figures behind it that the result does not hold elsewhere.
    `reports/reason_text.py` has the words.

    `launches` of `of` were launched where a recording ends too early, `pairs` in an A/B run, of which `side` is the
    engine that is meant. `disturbed` launches were, by `disturbances`. `machine` is the slug that has no baseline, and
    `others` are those that have one. `differences` make the baseline incomparable. A recording adds its `launches` to
    the `added_to` launches of the baseline, replaces it (`replaces`), or is the first. `error` is what kept GPUs or
    the host from the case, or what its `shard` (`3/4`) says. `losses` are the launches that were lost with nodes of a
    cluster.
    """

    code: ReasonCode = "verdicts"
    launches: int | None = None
    of: int | None = None
    pairs: int | None = None
    side: Literal["base", "current"] | None = None
    disturbed: int = 0
    disturbances: tuple[Disturbance, ...] = ()
    machine: str = ""
    others: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    added_to: int | None = None
    replaces: bool = False
    recording: bool = False
    error: str = ""
    shard: str = ""
    losses: tuple[Loss, ...] = ()


WarningCode = Literal[
    "auto-tuned",
    "could-stay",
    "behind-rate",
    "inherited-otherwise",
    "inherited-unrecorded",
    "inherited-work",
    "pauses",
    "long-pause",
    "not-judged",
    "new-stages",
    "steps",
    "baseline-doubt",
    "recording-doubt",
    "more-launches",
    "unknown-machine",
    "unknown-stage",
    "lost-launches",
    "not-compared",
    "noisy-pictures",
    "blank-frames",
    "advice",
]
"""What is worth a warning: settings that the engine chose by itself, components that it offloads without need, loads
that come faster than a server answers, variables that launches inherited, what the launches show beside what is judged,
what a baseline or a recording lacks, launches that were lost with nodes of a cluster and made again, and what is known
against the case."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Warned:
    """A warning about a case; `reports/warning_text.py` has the words.

    `names` are the engine's lines on what it tuned, stages, loads, or components that need no offload, with the `flags`
    that offload them; `changed` the variables; `metric` names the verdict that
    it is about; `launches` were taken beyond the usual `usual`, for `doubts`; `losses` are launches that were lost;
    `frames` of `of` of an output show nothing.
    """

    code: WarningCode
    names: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    metric: str = ""
    step: StepFinding | None = None
    doubts: tuple[Doubt, ...] = ()
    launches: int | None = None
    usual: int | None = None
    machine: str = ""
    stage: UnknownStage | None = None
    pause: LongPause | None = None
    location: Location | None = None
    advice: Advice | None = None
    losses: tuple[Loss, ...] = ()
    quality: Quality | None = None
    frames: int | None = None
    of: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NoisePrior:
    """Which prior of the noise between launches judged a class of metrics; `reports/noise_text.py` has the words.

    `cv` is the expected coefficient of variation, a fraction. It is `fitted` from as many `baselines` of the suite and
    counts as `weight` degrees of freedom, or it is the class's default and `baselines` (None: nobody counted) were too
    few. `session_cv` is the drift between sessions, None in pairs, which share theirs; `nights` are the earlier runs
    that refined it.
    """

    metric_class: MetricClass
    cv: float
    fitted: bool
    weight: float
    baselines: int | None = None
    session_cv: float | None = None
    nights: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """Everything that a run found out about one case; what workers send and reports read.

    `reason` says why the outcome is what it is, and `decided_by` names the metrics whose verdicts it is; `next_step`
    says what to do about it. `noise` are the priors of the noise between launches that were used. `recorded` says that
    the launches are meant as a new baseline (`--sgdiff-update`), and its verdicts are then for show. `changed` are
    variables that the launches inherited otherwise than the baseline's did. `baseline_records` are the baseline's own
    launches, so that a report can show both sides launch by launch; `baseline_source` says where a reference was
    published. `accepted`: the outcome would fail, and slowdowns that somebody accepted for a time cover all that it
    rests on. `acceptances` are the lines about the case, and what became of each. `attribution` is where the change
    lies. `profile` is what came of `--sgdiff-profile`, None where it was not asked for. `quality` is what became of the
    pictures, None where it did not come to that.
    """

    case: str
    node_id: str
    location: Location
    outcome: Outcome
    reason: Reason
    decided_by: tuple[str, ...] = ()
    next_step: NextStep | None = None
    summary: str = ""
    faster_than: FasterThan | None = None
    machine: Machine | None = None
    gpu_indices: tuple[int, ...] = ()
    workload: Workload | None = None
    launches: tuple[LaunchRecord, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    warnings: tuple[Warned, ...] = ()
    changed: tuple[Changed, ...] = ()
    noise: tuple[NoisePrior, ...] = ()
    problems: tuple[Problem, ...] = ()
    baseline_path: str | None = None
    baseline_recorded: Recorded | None = None
    baseline_engine: str | None = None
    baseline_source: str = ""
    baseline_launches: int = 0
    baseline_records: tuple[LaunchRecord, ...] = ()
    command: str = ""
    folder: str | None = None
    elapsed_s: float = 0.0
    recorded: bool = False
    measured: bool = False
    attribution: Attribution | None = None
    profile: Profiled | None = None
    quality: Quality | None = None
    accepted: bool = False
    acceptances: tuple[AcceptanceUse, ...] = ()

    def fails(self, outcomes: Collection[Outcome]) -> bool:
        """Whether the case fails a run in which these outcomes do."""
        return self.outcome in outcomes and not self.accepted

    @property
    def reason_code(self) -> ReasonCode:
        """The kind of the reason."""
        return self.reason.code

    @property
    def paired(self) -> bool:
        """Whether the baseline is the base engine's launches of the same run (`--sgdiff-against`), kept in no file."""
        return self.baseline_recorded is not None and self.baseline_path is None

    def heads(self, problem: Problem) -> bool:
        """Whether `problem` is the one that the reason of the case names."""
        return self.reason_code == "problem" and problem is self.problems[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """Whether one case of a run was faster than another by as much as it claims (`faster_than`).

    `outcome` is pass (it is), regressed (it is not) or inconclusive, `code` why. `ratio` is this case's time over the
    other's, with its 95 % interval; `at_least` the claimed gain as a fraction; `missing` is the case that was not
    measured; `launches` and `than_launches` are how many of each were compared.
    """

    case: str
    than: str
    at_least: float
    metric: str
    outcome: Outcome
    code: RelationCode
    missing: str = ""
    launches: int = 0
    than_launches: int = 0
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPoint:
    """One earlier run of one case and metric: ISO 8601 UTC time and the centre of its launches. `commit` is that of the
    checkout that ran. `imported`: others measured it, and nobody knows with which settings."""

    at: str
    value: float
    engine_version: str | None = None
    commit: str | None = None
    imported: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePoint:
    """From this run on the figure has another level: `before` and `after` are the levels in the metric's unit, of
    `runs_before` and `runs_after` runs. `last_at`, `last_engine` and `last_commit` are those of the last run before.

    `settings`: the change is so large that the settings of the case are likelier to have changed than its speed, and
    the history does not know them."""

    at: str
    index: int
    before: float
    after: float
    pvalue: float
    engine_version: str | None = None
    commit: str | None = None
    runs_before: int = 0
    runs_after: int = 0
    last_at: str | None = None
    last_engine: str | None = None
    last_commit: str | None = None
    settings: bool = False

    @property
    def change(self) -> float:
        """The change as a fraction; above 0 is slower."""
        return self.after / self.before - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """What a history says of one case and metric, its latest run included. Changes are fractions.

    `changes` are its change points. Since the last of them the metric has the `level`, for `level_runs` runs, which is
    `step` from the level before and `above_best` from the best level of the same settings; both are None without a
    change point. `creep` is how far the latest runs are above the best, None with too few runs. `alone`: how far the
    latest run is from the level where no earlier one is near it: the next run will show whether it is a change.
    `worse`: the latest change is a slowdown that matters, or the creep is."""

    case: str
    metric: str
    runs: int
    latest: float
    creep: float | None = None
    changes: tuple[ChangePoint, ...] = ()
    worse: bool = False
    level: float | None = None
    level_runs: int = 0
    step: float | None = None
    above_best: float | None = None
    alone: float | None = None


Gap = Literal[
    "recorded",
    "engine-version",
    "gpus",
    "token",
    "assets",
    "skipped",
    "dropped",
    "passed",
    "failed",
    "worker-died",
    "interrupted",
    "not-run",
]
"""Why a selected case was not measured. `recorded`: `--sgdiff-update=missing` found a baseline; `engine-version`,
`gpus`, `token` and `assets`: what the case needs is not here; `skipped`: a mark, a fixture or another plugin skipped
its test; `dropped`: a conftest.py or a plugin took it out of the run and did not report that; `passed`: its test passed
and measured nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unmeasured:
    """A selected case that has no result: the node id of its test, why nothing came of it (`skipped: …`), and the same
    as one of a few reasons."""

    node_id: str
    why: str
    gap: Gap = "not-run"


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One pytest run as reports see it. `selected` counts the cases that were to be measured, `unmeasured` are those of
    them that have no result; `interrupted` says that Ctrl-C or a signal ended the run. `history` maps a case id to its
    metrics' earlier runs, oldest first; `trends` are what was found in it with this run added; `gpu_busy` is the share
    of GPU time that was leased. `commit` is that of the checkout at pytest's root, None without git. `recorded_at` says
    by case id when launches that were replayed were measured. `acceptances` are the lines that accept a slowdown for a
    time, except those about cases that were not selected."""

    started_at: str
    elapsed_s: float
    command: str
    plugin_version: str
    header: tuple[str, ...] = ()
    selected: int = 0
    results: tuple[CaseResult, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
    interrupted: bool = False
    relations: tuple[Relation, ...] = ()
    gpu_busy: float | None = None
    history: Mapping[str, Mapping[str, tuple[HistoryPoint, ...]]] = field(default_factory=dict)
    trends: tuple[Trend, ...] = ()
    commit: str | None = None
    recorded_at: Mapping[str, str] = field(default_factory=dict)
    acceptances: tuple[AcceptanceUse, ...] = ()

    @property
    def measured(self) -> int:
        """Cases of which at least one launch gave numbers."""
        return sum(result.measured for result in self.results)
