"""The nouns of the project as frozen dataclasses, in the order in which data flows.

    Case ─engine.command→ Command ─launcher→ Launch ─engine.read→ Reading ─┐
                                                                           ├─judge→ Verdict, CaseResult
    Baseline ──────────────────────────────────────────────────────────────┘

Units sit in names (`_ms`, `_mb` which is MiB as the engine counts it, `_s`). Paths are strings: this module and all
pure modules above it know no file system. A value that is not known is None and a metric that was not measured is
absent; neither is ever 0.0. Everything here crosses process borders as plain builtins through `pytest_sgdiff.wire`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["pass", "improved", "regressed", "inconclusive", "no-baseline", "invalid"]
Backend = Literal["sglang", "diffusers"]
MetricClass = Literal["primary", "stage", "memory", "pause"]
Scalar = str | int | float | bool
ArgValue = Scalar | tuple[Scalar, ...]

OUTCOMES: tuple[Outcome, ...] = ("pass", "improved", "regressed", "inconclusive", "no-baseline", "invalid")


# ---------------------------------------------------------------------------------------------------------- cases


@dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A place in a file that people write; prints as `cases/x.yaml:12:5`."""

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputSize:
    """What the engine must have produced, as far as the case says so."""

    width: int | None = None
    height: int | None = None
    frames: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Expect:
    """What must be seen in a launch before it counts.

    `pipeline` is the pipeline class, `stages` are names that the perf dump's `steps` must hold, `attention` the
    attention backend that must have been used.
    """

    pipeline: str | None = None
    stages: tuple[str, ...] = ()
    output: OutputSize = field(default_factory=OutputSize)
    attention: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricChoice:
    """Which metrics are gated. `gate` holds `denoise`, `e2e`, `stages`, `stage:<name>`, `peak_memory`.

    `primary` is `denoise`, `e2e` or `stage:<name>`. `limits` maps a gate name to the slowdown that a pass must
    exclude, as a fraction (4 % is 0.04); a name that is absent has its class's limit.
    """

    primary: str = "denoise"
    gate: tuple[str, ...] = ("denoise", "e2e", "stages", "peak_memory")
    limits: Mapping[str, float] = field(default_factory=dict)


NIGHTLY_BASELINE = 10
"""Launches in the baseline of a case that is judged night after night: rare pauses and outliers need as many to show
(docs/decision.md)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchPlan:
    """`baseline`: launches to record a baseline from; NIGHTLY_BASELINE in a case marked nightly that does not say.
    `looks`: launches after which a verdict is sought."""

    baseline: int = 5
    looks: tuple[int, ...] = (1, 3, 5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Requires:
    """What the case needs: `gpu` product words (any of them), `engine` a PEP 440 specifier, `token` an HF token."""

    gpu: tuple[str, ...] = ()
    engine: str = ""
    token: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FasterThan:
    """A relation between two cases of one run: this one is at least `at_least` (a fraction) faster than `case`."""

    case: str
    at_least: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One performance case, fully resolved: defaults merged, one matrix variant chosen.

    `args` are the engine's flags without dashes, in order: True is a bare flag, a tuple several values. `locations`
    maps a dotted key (`args.ulysses-degree`, `gpus`) to its place in the file. `timeout_s` bounds one launch.
    """

    name: str
    variant: str | None = None
    summary: str = ""
    location: Location
    locations: Mapping[str, Location] = field(default_factory=dict)
    model: str
    gpus: int = 1
    engine: str = "sglang-generate"
    backend: Backend = "sglang"
    warmup: Literal["request", "off"] = "request"
    marks: tuple[str, ...] = ()
    fixtures: tuple[str, ...] = ()
    args: Mapping[str, ArgValue] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    assets: Mapping[str, str] = field(default_factory=dict)
    expect: Expect = field(default_factory=Expect)
    metrics: MetricChoice = field(default_factory=MetricChoice)
    launches: LaunchPlan = field(default_factory=LaunchPlan)
    timeout_s: float = 1800.0
    requires: Requires = field(default_factory=Requires)
    faster_than: FasterThan | None = None
    source: str = ""

    @property
    def id(self) -> str:
        """`ltx2_twostage_t2v`, or `firered_1_1[cfg]` for a matrix variant; unique over all files."""
        return self.name if self.variant is None else f"{self.name}[{self.variant}]"

    @property
    def node_id(self) -> str:
        """The pytest node id, `cases/ltx2.yaml::ltx2_twostage_t2v`."""
        return f"{self.location.path}::{self.id}"

    def at(self, key: str) -> Location:
        """The place of a dotted key in the file; of its nearest parent, or of the case, if it is not written."""
        while key:
            if key in self.locations:
                return self.locations[key]
            key = key.rpartition(".")[0]
        return self.location


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """One thing that is known about what a case asks for. `slug` is explained in docs/advice.md."""

    level: Literal["error", "warning"]
    slug: str
    message: str
    location: Location

    def __str__(self) -> str:
        return f"{self.location}: {self.level}: {self.message} [{self.slug}]"


# ------------------------------------------------------------------------------------------------ from case to launch


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineInfo:
    """The engine that a command line is written for: its command as a tuple of words, and its version."""

    command: tuple[str, ...]
    version: str
    torch: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchFiles:
    """Where one launch reads and writes; all absolute, in a folder of its own. `assets` maps a flag to a file."""

    workdir: str
    output_dir: str
    perf_dump: str
    perf_log_dir: str
    config: str
    assets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """Ports that no other launch on this host has."""

    http: int
    scheduler: int
    master: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command line ready to run. `env` is added to, `unset` is taken from the caller's environment; `files` maps
    paths that must be written before the launch to their text."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    unset: tuple[str, ...]
    files: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """One GPU. `index` counts in PCI order over the whole machine, which is what CUDA_VISIBLE_DEVICES is set from."""

    index: int
    uuid: str
    name: str
    memory_mb: int | None = None
    pci: str | None = None
    numa_node: int | None = None
    mig_profile: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What must be equal before two measurements may be compared: the kind of hardware and how much of it.

    `kind` is `gpu`, or `cpu` for a case with `gpus: 0`, where `product` is the CPU model and `count` its cores.
    """

    kind: Literal["gpu", "cpu"]
    product: str
    count: int
    mig_profile: str | None = None

    @property
    def slug(self) -> str:
        """`nvidia-h200-x1`: the name of the baseline folder."""
        words = "".join(c.lower() if c.isalnum() else "-" for c in self.product)
        if self.mig_profile:
            words += "-mig-" + "".join(c.lower() if c.isalnum() else "-" for c in self.mig_profile)
        return "-".join(w for w in words.split("-") if w) + f"-x{self.count}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """What a launch ran on beyond `Machine`: recorded with it, compared where it explains a difference.

    `host` is a hash of the host's name. `sync_stages` tells whether the engine was told to synchronise its stage
    timers (SGLANG_DIFFUSION_SYNC_STAGE_PROFILING), without which numbers are not comparable. `cpu_count` are the CPUs
    that pytest might use, `launch_cpus` those that the launch was bound to, `0-15,32-47`.
    """

    gpu_uuids: tuple[str, ...] = ()
    driver: str | None = None
    cuda: str | None = None
    power_limit_w: float | None = None
    sm_clock_max_mhz: int | None = None
    mem_clock_max_mhz: int | None = None
    persistence: bool | None = None
    cpu_model: str | None = None
    cpu_count: int | None = None
    launch_cpus: str | None = None
    host: str | None = None
    engine_version: str | None = None
    torch_version: str | None = None
    plugin_version: str | None = None
    sync_stages: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuFacts:
    """What the driver tells of one GPU, or MIG slice, that stays the same while it is used; None is "not told".

    `nvml_index` is NVML's own number; `parent` the UUID of the GPU that a MIG slice belongs to. `compute_mode` and
    `fabric_state` are NVML's codes (3 is EXCLUSIVE_PROCESS; 3 is COMPLETED).
    """

    uuid: str
    nvml_index: int
    name: str
    memory_mb: int | None = None
    pci: str | None = None
    numa_node: int | None = None
    mig_enabled: bool | None = None
    mig_profile: str | None = None
    parent: str | None = None
    compute_mode: int | None = None
    fabric_state: int | None = None
    power_limit_w: float | None = None
    sm_clock_max_mhz: int | None = None
    mem_clock_max_mhz: int | None = None
    persistence: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuState:
    """One reading of a GPU's counters; None is "not told", never zero.

    `used_mb` leaves out what the driver reserves for itself. `reasons` is NVML's clocks-event mask.
    """

    used_mb: int | None = None
    util_pct: int | None = None
    sm_mhz: int | None = None
    mem_mhz: int | None = None
    power_w: float | None = None
    temperature_c: int | None = None
    reasons: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuProcess:
    """A process seen on a GPU by NVML. `when` is the part of the launch in which it was seen."""

    gpu_uuid: str
    pid: int
    name: str | None = None
    used_mb: int | None = None
    when: Literal["start", "during", "end"] = "during"


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuSeries:
    """What one GPU did while the launch ran: parallel tuples, one value per sample; None is "unknown", never zero.

    `reasons` are NVML's clocks-event (throttle) reason masks.
    """

    gpu_uuid: str
    at_s: tuple[float, ...] = ()
    sm_mhz: tuple[int | None, ...] = ()
    mem_mhz: tuple[int | None, ...] = ()
    power_w: tuple[float | None, ...] = ()
    temperature_c: tuple[int | None, ...] = ()
    util_pct: tuple[int | None, ...] = ()
    memory_mb: tuple[int | None, ...] = ()
    reasons: tuple[int | None, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """What was seen beside a launch. `foreign`: processes that are not the launch's own; `co_runners`: case ids of
    other launches of ours that ran on this host at the time; `to_be_alone`: whether it was to have the host to itself
    (None in recordings that do not say); `alone`: whether no other launch of ours was seen; `hidden_mb`: by how much
    memory grew, and stayed, that no listed process accounts for, on the GPU with the most; `unknown`: names
    of counters that this driver does not tell; `events`: what was told outside the samples (Xid errors, counters of
    thermal throttling); `pids`: how far the listed processes could be told apart (docs/gpus.md); `cost_ms`: the time
    that the watch itself took."""

    gpus: tuple[GpuSeries, ...] = ()
    foreign: tuple[GpuProcess, ...] = ()
    co_runners: tuple[str, ...] = ()
    to_be_alone: bool | None = None
    alone: bool | None = None
    isolation: str | None = None
    hidden_mb: int | None = None
    unknown: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    pids: Literal["exact", "calibrated", "unusable"] | None = None
    cost_ms: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFile:
    """A file that the launch left in its output folder."""

    name: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One process of the engine, run and ended, or read back from a recording: everything that is known of it.

    `dump` is the perf dump's text, None if there is none or only one older than the launch (`stale_dump`). `outputs`
    is None where it was not recorded. `env` holds what the launch added to the environment, secrets redacted.
    `workload` is what the case asked for when it was launched, None where that was not recorded.
    """

    case: str
    number: int
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    started_at: str | None = None
    wall_s: float | None = None
    ending: Literal["exited", "timeout", "interrupted"] = "exited"
    returncode: int | None = None
    log: str = ""
    dump: str | None = None
    stale_dump: bool = False
    outputs: tuple[OutputFile, ...] | None = None
    machine: Machine | None = None
    environment: Environment = field(default_factory=Environment)
    watch: Watch | None = None
    workload: Workload | None = None
    session: str | None = None
    folder: str | None = None


# ------------------------------------------------------------------------------------------- from launch to measurement


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One entry of the perf dump's `steps`: a pipeline stage, or something else that the engine timed."""

    name: str
    duration_ms: float


@dataclass(frozen=True, kw_only=True, slots=True)
class PerfDump:
    """A perf dump, parsed and checked. `generation` is A, B, C1 or C2 (docs/engine.md).

    `steps_ms` are the denoising steps in order over all denoising stages. `memory` maps a checkpoint
    (`after_forward`) to its fields in MiB.
    """

    generation: Literal["A", "B", "C1", "C2"]
    tag: str
    timestamp: str | None
    total_ms: float
    stages: tuple[Stage, ...]
    steps_ms: tuple[float, ...]
    memory: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    model: str | None = None


Cause = Literal["memory", "port", "time", "backend", "warmup"]
"""What a launch lacked, where there is a known cure (`pytest_sgdiff.cures.CURES`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a launch does not count. `evidence` quotes the log lines or dump entries that show it; `cause` is what it
    comes from, None where there is no known cure."""

    kind: Literal["launch-failed", "timeout", "invalid"]
    message: str
    evidence: tuple[str, ...] = ()
    cause: Cause | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What really ran in a launch. `metrics` are the values of `pytest_sgdiff.metrics` by name; `warmup` is proven
    by positive evidence only; `auto_tuned` quotes the settings that the engine chose by itself. A launch counts only
    if `problems` is empty."""

    dump: PerfDump | None
    backend: Backend | None
    pipeline: str | None
    warmup: Literal["proven", "unproven", "none"]
    attention: tuple[str, ...] = ()
    auto_tuned: tuple[str, ...] = ()
    server_args: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchRecord:
    """One launch as results and baselines keep it: its numbers and where they come from.

    `excluded` says why the launch was replaced (a disturbance), None if it counts. `steps_ms` is the step profile,
    `server_args` the settings that the engine resolved, as its log tells them (a baseline keeps none).
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
    server_args: Mapping[str, Any] = field(default_factory=dict)
    alone: bool | None = None
    excluded: str | None = None
    folder: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """Everything that changes what is measured, and its digest. `fields` is the readable form behind the digest."""

    digest: str
    fields: Mapping[str, Any] = field(default_factory=dict)


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
    """When and how a baseline came to be. `at` is ISO 8601 UTC; `sessions` are ids of the recording sessions."""

    at: str
    command: str
    commit: str | None = None
    sessions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """A measurement with provenance, kept in a file that people review.

    `kind` is `recorded`, or `reference` for published numbers without spread, which never pass or improve a case.
    `best` maps a metric to the best centre ever recorded. `path` is where it was read from.
    """

    measurement: Measurement
    recorded: Recorded
    engine_version: str | None = None
    kind: Literal["recorded", "reference"] = "recorded"
    best: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    path: str | None = None


# ---------------------------------------------------------------------------------------------------------- judging


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a rule says of one metric: `ratio` is candidate over baseline centre, with its 95 % interval
    (`low`, `high`); `excluded` is the smallest slowdown (a fraction) that a pass rules out; `suspect` tells that an
    inconclusive figure lies beyond its limit. Everything that could not be computed is None."""

    outcome: Outcome
    why: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    excluded: float | None = None
    suspect: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """One metric judged. `baseline` and `now` are centres in `unit`; `spread` is the baseline's CV; `limit` and
    `ignore` are the margins used, as fractions; `deciding` metrics settle the outcome of the case, the others only
    fail it. `baseline_values` and `now_values` are what was judged, one value per launch that counts: not always a
    metric of the launches themselves (a pause, e2e net of it). `detectable` is the slowdown, a fraction, that the
    case's looks find 19 times of 20: by the baseline, or in an update by the one that was recorded."""

    metric: str
    metric_class: MetricClass
    unit: str
    outcome: Outcome
    why: str
    baseline: float | None = None
    now: float | None = None
    baseline_values: tuple[float | None, ...] = ()
    now_values: tuple[float | None, ...] = ()
    spread: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    ignore: float | None = None
    excluded: float | None = None
    detectable: float | None = None
    best_ratio: float | None = None
    primary: bool = False
    deciding: bool = True
    suspect: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseResult:
    """Everything that a run found out about one case; what workers send and reports read.

    `reason` says in one line why the outcome is what it is; `next_step` what to do about it. `noise` tells which
    prior of the noise between launches was used. `recorded` tells that the launches are meant as a new baseline
    (`--sgdiff-update`), and its verdicts are then for show. `baseline_records` are the baseline's own launches, so
    that a report can show both sides launch by launch; `baseline_source` says where a reference was published.
    """

    case: str
    node_id: str
    location: Location
    outcome: Outcome
    reason: str
    next_step: str = ""
    summary: str = ""
    faster_than: FasterThan | None = None
    machine: Machine | None = None
    gpu_indices: tuple[int, ...] = ()
    workload: Workload | None = None
    launches: tuple[LaunchRecord, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    warnings: tuple[str, ...] = ()
    noise: str = ""
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
    worker: str | None = None

    @property
    def paired(self) -> bool:
        """Whether the baseline is the base engine's launches of this very run (`--sgdiff-against`), kept in no file."""
        return self.baseline_recorded is not None and self.baseline_path is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Relation:
    """Whether one case of a run was faster than another by as much as it claims (`faster_than`).

    `outcome` is pass (it is), regressed (it is not) or inconclusive. `ratio` is this case's time over the other's,
    with its 95 % interval; `at_least` the claimed gain as a fraction.
    """

    case: str
    than: str
    at_least: float
    metric: str
    outcome: Outcome
    why: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryPoint:
    """One earlier run of one case and metric: ISO 8601 UTC time and the centre of its launches."""

    at: str
    value: float
    engine_version: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePoint:
    """From this run on the figure is another one: `before` and `after` are means in the metric's unit."""

    at: str
    index: int
    before: float
    after: float
    pvalue: float
    engine_version: str | None = None

    @property
    def change(self) -> float:
        """The change as a fraction; above 0 is slower."""
        return self.after / self.before - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Trend:
    """What a history says of one case and metric, its latest run included: where it changed, and how far the latest
    runs are above the best (`creep`, a fraction; None with too few runs). `worse`: the latest change is a slowdown that
    matters, or the creep is."""

    case: str
    metric: str
    runs: int
    latest: float
    creep: float | None = None
    changes: tuple[ChangePoint, ...] = ()
    worse: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One pytest run as reports see it. `selected` counts the cases that were to be measured; `history` maps a case
    id to its metrics' earlier runs, oldest first; `trends` are what was found in it with this run added and
    `trends_missing` why that is not all; `gpu_busy` is the share of GPU time that was leased."""

    started_at: str
    elapsed_s: float
    command: str
    plugin_version: str
    header: tuple[str, ...] = ()
    selected: int = 0
    results: tuple[CaseResult, ...] = ()
    relations: tuple[Relation, ...] = ()
    gpu_busy: float | None = None
    history: Mapping[str, Mapping[str, tuple[HistoryPoint, ...]]] = field(default_factory=dict)
    trends: tuple[Trend, ...] = ()
    trends_missing: str = ""

    @property
    def measured(self) -> int:
        """Cases of which at least one launch gave numbers."""
        return sum(result.measured for result in self.results)
