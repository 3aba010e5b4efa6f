"""Cases: what people write, and what is known about it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_sgdiff.data.pictures import LOSSLESS, QualityChoice

Outcome = Literal["pass", "improved", "regressed", "inconclusive", "no-baseline", "invalid"]
Backend = Literal["sglang", "diffusers"]
MetricClass = Literal["primary", "stage", "memory", "pause"]
Scalar = str | int | float | bool
ArgValue = Scalar | tuple[Scalar, ...]

OUTCOMES: tuple[Outcome, ...] = ("pass", "improved", "regressed", "inconclusive", "no-baseline", "invalid")


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
    attention backend that must have been used. `fallback` are components (`text_encoder`) that may run as a class of
    transformers or diffusers, although the engine has one of its own.
    """

    pipeline: str | None = None
    stages: tuple[str, ...] = ()
    output: OutputSize = OutputSize()
    attention: str | None = None
    fallback: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MetricChoice:
    """Which metrics are gated, by the names that `pytest_sgdiff.metrics` has: `denoise`, `stages`, `stage:<name>`.

    `gate` is None where the case does not state it (`pytest_sgdiff.metrics.gated` has the names then), and `primary`
    is the one that decides first where it is gated (`pytest_sgdiff.metrics.primary_of`). `allow` is the slowdown, as a
    fraction (4 % is 0.04), that is accepted and never fails: one for the case, or one by gate name. `detect`, in the
    same way, is the slowdown that a pass rules out. What is absent follows from the metric's class.
    """

    primary: str = "denoise"
    gate: tuple[str, ...] | None = None
    allow: float | Mapping[str, float] | None = None
    detect: float | Mapping[str, float] | None = None


USUAL_BASELINE = 5
"""Launches in the baseline of a case that states no number: the fewest of which ranks can confirm a slowdown."""
NIGHTLY_BASELINE = 10
"""Launches in the baseline of a case that is judged night after night: rare pauses and outliers need as many to show
(docs/decision.md)."""


SERVE = "sglang-serve"
"""The engine of which one launch is the life of a server."""

SERVED_REQUESTS = 3
"""Measured requests of a launch of a server whose case states no number, as in upstream's nightly comparison."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchPlan:
    """`baseline`: launches to record a baseline from, None where the case does not state it (`Case.recorded_launches`
    has the number then). `looks`: launches after which a verdict is sought.

    Of servers: `requests` are the measured requests of a launch (`Case.served_requests`), `inputs` whether each has
    inputs of its own (`Case.varied`); None where the case does not state it. `side_by_side`: in an A/B run both engines
    of a pair run at the same time, each on GPUs of its own. `concurrency` and `rate` (a second) are the loads that a
    server gets after its measured requests, of `load_requests` each."""

    baseline: int | None = None
    looks: tuple[int, ...] = (1, 3, 5)
    requests: int | None = None
    inputs: Literal["varied", "same"] | None = None
    side_by_side: bool = False
    concurrency: tuple[int, ...] = ()
    rate: tuple[float, ...] = ()
    load_requests: int = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Requires:
    """What the case needs: `gpu` product words (any of them), `engine` a PEP 440 specifier, `token` an HF token."""

    gpu: tuple[str, ...] = ()
    engine: str = ""
    token: bool = False


def is_one_of(product: str, wanted: Sequence[str]) -> bool:
    """Whether a GPU's product name holds one of the words, as `requires.gpu` means it, in any case: `H20` is no H200,
    and `RTX 4090` is in `NVIDIA GeForce RTX 4090`. Every product is where no word is given."""
    return not wanted or any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", product, re.IGNORECASE) for word in wanted)


@dataclass(frozen=True, kw_only=True, slots=True)
class FasterThan:
    """A relation between two cases of one run: this one is at least `at_least` (a fraction) faster than `case`."""

    case: str
    at_least: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One performance case, fully resolved: defaults merged, one matrix variant chosen.

    `args` are the engine's flags without dashes, in order: True is a bare flag, a tuple several values. `locations`
    maps a dotted key (`args.ulysses-degree`, `gpus`) to its place in the file, and is of no other meaning. `written`
    are the dotted keys that stand in a committed file, None where that is all of them: what a fixture adds to a case of
    a file stands in none. `backend`
    is None where the case does not state it: the native one (`runs_on`), which is then not named on the command line.
    `timeout_s` bounds one launch.
    """

    name: str
    variant: str | None = None
    summary: str = ""
    location: Location
    locations: Mapping[str, Location] = field(default_factory=dict)
    written: tuple[str, ...] | None = None
    model: str
    gpus: int = 1
    engine: str = "sglang-generate"
    backend: Backend | None = None
    warmup: Literal["request", "off"] = "request"
    marks: tuple[str, ...] = ()
    fixtures: tuple[str, ...] = ()
    args: Mapping[str, ArgValue] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    assets: Mapping[str, str] = field(default_factory=dict)
    expect: Expect = Expect()
    metrics: MetricChoice = MetricChoice()
    launches: LaunchPlan = LaunchPlan()
    quality: QualityChoice = LOSSLESS
    timeout_s: float = 1800.0
    requires: Requires = Requires()
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

    @property
    def runs_on(self) -> Backend:
        """The backend that a launch must have run on."""
        return self.backend or "sglang"

    @property
    def serves(self) -> bool:
        """Whether a launch of it is the life of a server."""
        return self.engine == SERVE

    @property
    def served_requests(self) -> int:
        """Measured requests of one launch of a server."""
        return SERVED_REQUESTS if self.launches.requests is None else self.launches.requests

    @property
    def varied(self) -> bool:
        """Whether no two requests of a server have the same inputs: unless the case says otherwise, or turns the
        engine's cache of encodings off itself, for which inputs are varied."""
        if self.launches.inputs is not None:
            return self.launches.inputs == "varied"
        return self.args.get("disable-conditioning-cache") is not True

    @property
    def side_by_side(self) -> bool:
        """Whether both engines of an A/B run are launched at the same time: where there are GPUs, each on its own."""
        return self.launches.side_by_side and self.gpus > 0

    @property
    def recorded_launches(self) -> int:
        """Launches to record a baseline from: what the case states, or what is usual for its marks."""
        if self.launches.baseline is not None:
            return self.launches.baseline
        return NIGHTLY_BASELINE if "nightly" in self.marks else USUAL_BASELINE

    def at(self, key: str) -> Location:
        """The place of a dotted key in the file; of its nearest parent, or of the case, if it is not written."""
        while key:
            if key in self.locations:
                return self.locations[key]
            key = key.rpartition(".")[0]
        return self.location


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """One thing that is known about what a case asks for: `key` is the dotted key that it is about. `slug` is explained
    in docs/advice.md."""

    level: Literal["error", "warning"]
    slug: str
    message: str
    location: Location
    key: str = ""

    def __str__(self) -> str:
        return f"{self.location}: {self.level}: {self.message} [{self.slug}]"
