"""From case to launch: what is run, on what, and what was seen beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pytest_sgdiff.data.pictures import OutputSample
from pytest_sgdiff.data.serving import Request, Served, Service

T = TypeVar("T")

Ending = Literal["exited", "timeout", "interrupted", "stopped"]
"""How a launch ended: by itself, at its deadline, by somebody else's signal, or because its work was done."""

FlagKind = Literal["value", "list", "boolean", "switch"]
"""How a flag takes its value: one, one or more, none or true or false, none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Flag:
    """A flag as an engine's own help shows it. `choices` are the values that it may have, empty where the help names
    none; `off` is the flag that says the contrary (`no-save-output`), None where there is none."""

    kind: FlagKind
    choices: tuple[str, ...] = ()
    off: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineInfo:
    """The engine that a command line is written for: its command as a tuple of words, and its version. `flags` are
    those that the engine itself says it has, by name; None where it was not asked. `installed`: the command is a script
    of the Python environment that has the engine, so that it runs on this machine and sees its files. `packages` are
    the versions of what brings its kernels, `commit` is that of its `checkout`, the folder of its sources; None where
    nobody knows."""

    command: tuple[str, ...]
    version: str
    torch: str | None = None
    packages: Mapping[str, str] | None = None
    commit: str | None = None
    checkout: str | None = None
    flags: Mapping[str, Flag] | None = None
    installed: bool = False


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

    @property
    def broker(self) -> int:
        """The port that a server takes besides and has no flag for: the one after that of HTTP (0.5.17 to 0.5.23,
        server_args.py)."""
        return self.http + 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """A command line ready to run. `env` is added to, `unset` is taken from the caller's environment; `files` maps
    paths that must be written before the launch to their text. `service` is what is asked of the process while it
    lives, if it is a server: it is ended when that is done."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    unset: tuple[str, ...]
    files: Mapping[str, str]
    service: Service | None = None


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

    `host` is a hash of the host's name. `sync_stages` says whether the engine was told to synchronise its stage
    timers (SGLANG_DIFFUSION_SYNC_STAGE_PROFILING), without which numbers are not comparable. `cpu_count` are the CPUs
    that pytest might use, `launch_cpus` those that the launch was bound to, `0-15,32-47`. `inherited` are the variables
    that the engine reads and that the launch inherited (`judging.inherited`), secrets redacted; None where that
    was not recorded. `packages` are the versions of packages that bring kernels, and `engine_commit` is the commit of
    the engine's sources; None where that is not known.
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
    packages: Mapping[str, str] | None = None
    engine_commit: str | None = None
    plugin_version: str | None = None
    sync_stages: bool = False
    inherited: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuFacts:
    """What the driver reports of one GPU, or MIG slice, that stays the same while it is used; None is "not reported".

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
    """One reading of a GPU's counters; None is "not reported", never zero.

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
    """A process seen on a GPU by NVML. `when` is the part of the launch in which it was seen; `work` is what the driver
    lists it for, `graphics` if for nothing else, None where that is not known."""

    gpu_uuid: str
    pid: int
    name: str | None = None
    used_mb: int | None = None
    work: Literal["compute", "graphics"] | None = field(default=None, compare=False)
    when: Literal["start", "during", "end"] = "during"


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuSeries:
    """What one GPU did while the launch ran: parallel tuples, one value per sample; None is "unknown", never zero, and
    a tuple that is empty was not sampled at all. `column` is how to read one beside others.

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

    def column(self, values: tuple[T | None, ...]) -> tuple[T | None, ...]:
        """One of the tuples with a value for each sample: unknown where it was not sampled."""
        return values or (None,) * len(self.at_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class GpuEvent:
    """What the driver reported of a GPU outside the samples: an error of it (`number` is the Xid), or that its counter
    of thermal throttling grew by `ms`. `text` is what an older recording says that is neither."""

    kind: Literal["xid", "heat", "other"]
    gpu_uuid: str = ""
    number: int | None = None
    ms: float | None = None
    text: str = ""

    @classmethod
    def of_text(cls, text: str) -> GpuEvent:
        """The event of a line `GPU-…: Xid 79`, as drivers' files and recordings of an older form have it."""
        if match := re.fullmatch(r"(\S+|a GPU): Xid (\d{1,9})", text):
            return cls(kind="xid", gpu_uuid="" if match[1] == "a GPU" else match[1], number=int(match[2]))
        if match := re.fullmatch(r"(\S+): held back by heat for (\d{1,12}) ms", text):
            return cls(kind="heat", gpu_uuid=match[1], ms=float(match[2]))
        return cls(kind="other", text=text)


DisturbanceCode = Literal[
    "foreign-process",
    "hardware-slowdown",
    "thermal-slowdown-driver",
    "thermal-slowdown-hardware",
    "power-brake",
    "slow-clock",
    "xid",
    "heat",
    "other-event",
    "not-alone",
    "hidden-memory",
]
"""What disturbed a launch: somebody else on its GPU, a GPU that was held back or had an error, another launch on the
host, or memory in use by nobody who is listed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Disturbance:
    """One thing that disturbed a launch, with its evidence; `reports/disturbance_text.py` has the words.

    `processes` are all sightings of one foreign process; `count` of `of` samples showed the throttle `reason` (NVML's
    bit), at `temperature_c` at most; `mhz` is the median SM clock under load and `usual_mhz` the baseline's; `cases`
    ran beside it; `memory_mb` is hidden; `event` is what the driver reported.
    """

    code: DisturbanceCode
    gpu_uuid: str = ""
    processes: tuple[GpuProcess, ...] = ()
    reason: int | None = None
    count: int | None = None
    of: int | None = None
    temperature_c: int | None = None
    mhz: float | None = None
    usual_mhz: float | None = None
    cases: tuple[str, ...] = ()
    memory_mb: int | None = None
    event: GpuEvent | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """What was seen beside a launch. `foreign`: processes that are not the launch's own; `drawing`: those of them that
    only draw a screen, which are not among `foreign` and disturb nothing; `co_runners`: case ids of
    other launches of ours that ran on this host at the time; `to_be_alone`: whether it was to have the host to itself
    (None in recordings that do not say); `alone`: whether no other launch of ours was seen; `hidden_mb`: by how much
    memory (MiB) grew, and stayed, that no listed process accounts for, on the GPU with the most; `hidden_by_gpu`: the
    same for each GPU by its UUID, empty in recordings that do not say; `stolen_s`: CPU time (s over
    all CPUs) for which a hypervisor withheld them from this machine, None if not reported; `unknown`: names of
    counters that this driver does not report; `gpu_events`: what was told outside the samples (Xid errors, counters of
    thermal throttling); `pids`: how far the listed processes could be distinguished (docs/gpus.md); `cost_ms`: the time
    that the watch itself took."""

    gpus: tuple[GpuSeries, ...] = ()
    foreign: tuple[GpuProcess, ...] = ()
    drawing: tuple[GpuProcess, ...] = ()
    co_runners: tuple[str, ...] = ()
    to_be_alone: bool | None = None
    alone: bool | None = None
    isolation: str | None = None
    hidden_mb: int | None = None
    hidden_by_gpu: Mapping[str, int] = field(default_factory=dict)
    stolen_s: float | None = None
    unknown: tuple[str, ...] = ()
    gpu_events: tuple[GpuEvent, ...] = ()
    pids: Literal["exact", "calibrated", "unusable"] | None = None
    cost_ms: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutputFile:
    """A file that the launch left in its output folder.

    `width` and `height` are those of its picture, and `modified_at` is when it was written last, by the host's clock
    and in its time zone (ISO 8601); None where that is not known. `kept`: the file itself lies in the recording
    (`--sgdiff-keep-outputs`).
    """

    name: str
    size_bytes: int
    width: int | None = None
    height: int | None = None
    modified_at: str | None = None
    kept: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """Everything that changes what is measured, and its digest. `fields` is the readable form behind the digest.

    `inherited` names the variables among its `env.` fields that the launches inherited and the case does not give; None
    where nobody recorded what they inherited.
    """

    digest: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    inherited: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A variable that the launches of now inherited otherwise than those of the baseline; None is "not set". If not
    `recorded`, nobody knows what the baseline's launches inherited."""

    name: str
    then: str | None = None
    now: str | None = None
    recorded: bool = True


DifferenceCode = Literal["machine", "field", "digest", "timers", "conditioning-cache", "engine"]
"""In what two measurements differ: the machine, a field of the workload, the workload without its fields being known,
how stage timers are kept, whether encodings came from the engine's cache, or the engine's version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing in which two measurements differ, or a launch and what its case asks for now.

    `key` is the workload's field (`args.width`), `inherited` says that launches inherited it. `then` and `now` are the
    two values: of a field, None where it is not set; of timers and of the cache, whether they are synchronised or on
    (None: of both kinds); digests; versions. Of machines they are in `machines`.
    """

    code: DifferenceCode
    key: str = ""
    then: Any = None
    now: Any = None
    inherited: bool = False
    machines: tuple[Machine, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Launch:
    """One process of the engine, run and ended, or read back from a recording: everything that is known of it.

    `dump` is the perf dump's text, None if there is none or only one older than the launch (`stale_dump`). `outputs`
    is None where it was not recorded, and `samples` of them where nobody took any. `env` holds what the launch added to
    the environment, secrets redacted.
    `workload` is what the case asked for when it was launched, None where that was not recorded. `started_ns` is when
    it was started, by CLOCK_MONOTONIC of its host. `ending` is `stopped` where a server was ended because everything
    was done that it was started for; `served` and `requests` are what was seen of it.
    """

    case: str
    number: int
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    started_at: str | None = None
    wall_s: float | None = None
    started_ns: int | None = None
    ending: Ending = "exited"
    returncode: int | None = None
    log: str = ""
    dump: str | None = None
    stale_dump: bool = False
    outputs: tuple[OutputFile, ...] | None = None
    samples: tuple[OutputSample, ...] | None = None
    machine: Machine | None = None
    environment: Environment = field(default_factory=Environment)
    watch: Watch | None = None
    workload: Workload | None = None
    session: str | None = None
    folder: str | None = None
    served: Served | None = None
    requests: tuple[Request, ...] = ()
