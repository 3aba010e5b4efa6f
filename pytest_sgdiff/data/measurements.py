"""From launch to measurement: what a launch's dump says, and the baselines that launches make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_sgdiff.data.cases import Backend
from pytest_sgdiff.data.failures import Cause, Failure
from pytest_sgdiff.data.launches import Difference, Disturbance, Environment, Machine, Watch, Workload
from pytest_sgdiff.data.pictures import Blank, Reference
from pytest_sgdiff.data.serving import RequestFailure


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One entry of the perf dump's `steps`: a pipeline stage, or something else that the engine timed."""

    name: str
    duration_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PerfDump:
    """A perf dump, parsed and checked. `generation` is A, B, C1 or C2 (docs/engine.md).

    `steps_ms` are the denoising steps in order over all denoising stages. `memory` maps a checkpoint
    (`after_forward`) to its fields in MiB. `request_id` is the engine's own name of the request.
    """

    generation: Literal["A", "B", "C1", "C2"]
    tag: str
    timestamp: str | None
    total_ms: float
    stages: tuple[Stage, ...]
    steps_ms: tuple[float, ...]
    memory: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    model: str | None = None
    request_id: str | None = None


Expected = Literal["pipeline", "stage", "width", "height", "frames", "attention", "component", "device-mode"]
"""What a case's `expect` can name."""


ProblemCode = Literal[
    "stated",
    # How the launch ended.
    "timeout",
    "interrupted",
    "exit-code",
    "signal",
    "cut-off",
    "failure-in-log",
    # The dump and the files.
    "bad-dump",
    "stale-dump",
    "no-dump",
    "no-exit-code",
    "no-output",
    "empty-output",
    "output-of-warmup",
    "bad-output",
    "blank-output",
    # The backend.
    "diffusers-ran",
    "native-unproved",
    "native-ran",
    "diffusers-unproved",
    # What the case expects.
    "pipeline-unproved",
    "other-pipeline",
    "stages-missing",
    "stages-idle",
    "size-unproved",
    "size-of-image",
    "other-size",
    "other-attention",
    "attention-fell-back",
    "attention-unproved",
    "component-attention",
    "component-fell-back",
    "other-device-mode",
    # How it was measured.
    "cache-hit",
    "cache-on",
    "step-count",
    "steps-too-long",
    "warmup",
    "compile-failed",
    # Servers.
    "server-not-ready",
    "server-ended",
    "server-unhealthy",
    "foreign-server",
    "other-task",
    "request-timeout",
    "request-failed",
    "requests-missing",
    "no-request-dump",
    "other-request",
    "no-model-info",
    "chosen-otherwise",
    # Recordings.
    "other-work",
    "two-measurements",
]
"""Why a launch does not count. `stated`: as the message says, of an engine that a plugin brings."""

ServerPhase = Literal["start", "readiness", "warmup", "request", "after"]
"""What a server was at: it did not answer yet, it answered and was not ready, it had its warmup request or a measured
one, or all of them behind it."""

WarmupCode = Literal["proven", "none", "failed", "synthetic", "server", "claimed", "asked"]
"""What a log shows of the warmup: one that ended, none, one that failed, one of made-up requests, a server's (which
`sglang generate` never runs), or none although the log claims it or it was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a launch does not count. `evidence` quotes the log lines or dump entries that show it; `cause` is what it
    comes from, None where there is no known fix; `about` is what of the case's `expect` was not seen.

    `code` says what it is and the other fields with which figures: `wanted` is what the case asks for and `found` what
    was seen instead, `number` an exit code, a signal or a count of steps, `seconds` the time-out, `took_ms` and
    `steps_ms` the times of a stage and of its steps, `launches` the two that do not fit, `failure` why it failed.
    Of a server: `phase` is what it was at, `request` the number of the request, `how` it failed, with the HTTP `status`
    and the `state` of its job; `said` is what the server, or the connection to it, says of it.
    `blank` is what an output shows that shows nothing.
    `message` holds words only where nothing else does: of a dump that does not parse, and of an engine that a plugin
    brings. `reports/problem_text.py` has all others.
    """

    kind: Literal["launch-failed", "timeout", "invalid"]
    code: ProblemCode = "stated"
    message: str = ""
    evidence: tuple[str, ...] = ()
    cause: Cause | None = None
    about: Expected | None = None
    wanted: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    number: int | None = None
    seconds: float | None = None
    took_ms: float | None = None
    steps_ms: float | None = None
    asked: bool = False
    logged: bool = True
    warmup: WarmupCode | None = None
    failure: Failure | None = None
    launches: tuple[int, ...] = ()
    differences: tuple[Difference, ...] = ()
    phase: ServerPhase | None = None
    request: int | None = None
    how: RequestFailure | None = None
    status: int | None = None
    state: str = ""
    said: str = ""
    blank: Blank | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestReading:
    """One request of a server: its dump, and its metrics by name. `warmup`: it came before the measured ones; `load`
    names the load that it is one of; `failure` says how it failed, with its last HTTP `status`."""

    number: int
    warmup: bool = False
    dump: PerfDump | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    load: str = ""
    failure: RequestFailure | None = None
    status: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CouldStay:
    """Components that the engine offloads, and that have room on the GPU as its last request shows: their names, and
    the flags that offload them."""

    components: tuple[str, ...]
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What really ran in a launch. `metrics` are the values of `pytest_sgdiff.metrics` by name; `warmup` is proven
    by positive evidence only; `auto_tuned` quotes the settings that the engine chose by itself; `could_stay` is what
    it says of components that need no offload; `conditioning_cache` is whether the engine's cache of encodings was on,
    None where nothing says so. `chosen` names what the engine turned on by itself and is part of the workload. A launch
    counts only if `problems` is empty.

    Of a server `requests` are its requests, `metrics` their medians, and `dump` is that of the last measured one."""

    dump: PerfDump | None
    backend: Backend | None
    pipeline: str | None
    warmup: Literal["proven", "unproven", "none"]
    attention: tuple[str, ...] = ()
    auto_tuned: tuple[str, ...] = ()
    could_stay: CouldStay | None = None
    conditioning_cache: bool | None = None
    server_args: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    requests: tuple[RequestReading, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def dumps(self) -> tuple[PerfDump, ...]:
        """The dumps of what was measured: of each measured request of a server, else the one of the launch."""
        if self.requests:
            return tuple(one.dump for one in self.requests if one.dump is not None and not one.warmup)
        return () if self.dump is None else (self.dump,)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestRecord:
    """One request of a server as results keep it: its metrics by name. `warmup`: it came before the measured ones, and
    is in no metric of the launch but `warmup`; one of a `load` is in those of the load alone.

    `sent_s` is when it was sent, and `intended_s` when it was due if it had a time of its own: in s after the start of
    the server's process. `server_ms` is what the server's answer said that it took. `failure` says how it failed, with
    the last HTTP `status` and what was `said` of it. One without failure and `client_e2e` was never answered.
    """

    number: int
    warmup: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    load: str = ""
    sent_s: float | None = None
    intended_s: float | None = None
    server_ms: float | None = None
    failure: RequestFailure | None = None
    status: int | None = None
    said: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchRecord:
    """One launch as results and baselines keep it: its numbers and where they come from.

    `disturbances` and `problem` say why the launch does not count; it `counts` without. `steps_ms` is the step profile,
    `server_args` the settings that the engine resolved, as its log prints them, and `could_stay` what it says of
    components that need no offload (a baseline keeps neither);
    `conditioning_cache` is whether the engine's cache of encodings was on, None where nothing says so. `chosen` names
    what the engine turned on by itself. `requests` are those of a server, of which `metrics` and `steps_ms` are the
    medians (a baseline keeps none).
    """

    number: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps_ms: tuple[float, ...] = ()
    started_at: str | None = None
    wall_s: float | None = None
    session: str | None = None
    environment: Environment = field(default_factory=Environment)
    watch: Watch | None = None
    warmup: str | None = None
    pipeline: str | None = None
    generation: str | None = None
    auto_tuned: tuple[str, ...] = ()
    could_stay: CouldStay | None = None
    conditioning_cache: bool | None = None
    server_args: Mapping[str, Any] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    requests: tuple[RequestRecord, ...] = ()
    alone: bool | None = None
    disturbances: tuple[Disturbance, ...] = ()
    problem: Problem | None = None
    folder: str | None = None

    @property
    def served(self) -> bool:
        """Whether it was the life of a server: only such a launch has what a client measures."""
        return "client_e2e" in self.metrics

    @property
    def counts(self) -> bool:
        """Whether its numbers are used: it was neither disturbed nor invalid."""
        return not self.disturbances and self.problem is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """Per metric one value per launch (None where that launch lacks it), all launches of one kind of machine."""

    case: str
    machine: Machine
    workload: Workload
    launches: tuple[LaunchRecord, ...]

    @property
    def values(self) -> dict[str, tuple[float | None, ...]]:
        """Metric name -> one value per launch, in launch order; names in the order in which they first appear."""
        names = dict.fromkeys(name for launch in self.launches for name in launch.metrics)
        return {name: tuple(launch.metrics.get(name) for launch in self.launches) for name in names}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """When and how a baseline came to be. `at` is ISO 8601 UTC; `sessions` are ids of the recording sessions, `extends`
    those of them that were in the file before, none of what was recorded as a whole."""

    at: str
    command: str
    commit: str | None = None
    sessions: tuple[str, ...] = ()
    extends: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A measurement with provenance, kept in a file that people review.

    `kind` is `recorded`, or `reference` for published numbers without spread, which never pass or improve a case.
    `best` maps a metric to the best centre ever recorded. `path` is where it was read from. `reference` is what its
    launches drew, None where nobody kept that; pictures and points are in files beside it, and empty here until
    `baselines.references` reads them.
    """

    measurement: Measurement
    recorded: Recorded
    engine_version: str | None = None
    kind: Literal["recorded", "reference"] = "recorded"
    best: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    path: str | None = None
    reference: Reference | None = None
