"""What `sgdiff inspect` finds of a launch, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_sgdiff.data import Backend, Failure, Problem, RequestReading, WarmupCode
from pytest_sgdiff.engines.log import Warmup

FlawCode = Literal[
    # How the launch ended.
    "timeout",
    "interrupted",
    "exit-code",
    "stale-dump",
    "no-dump",
    # What the log does not prove.
    "empty-log",
    "cut-off",
    "native-unproved",
    "warmup",
    # What the dump and the log show.
    "bad-dump",
    "failure",
    "diffusers-ran",
    "attention-fell-back",
    "diffusers-component",
    "compile-failed",
    # What the life of a server shows.
    "problem",
]
"""What may be wrong with a launch, whatever case it is of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunchFlaw:
    """What is wrong with a launch; `reports/inspect_text.py` has the words.

    `line` quotes the log, or says why a dump does not parse; empty where the perf dump shows the diffusers backend.
    `problem` is one of a server. `number` is the exit code, `failure` why the launch failed, None where only its line
    is known. `warmup` is what the log shows of the warmup, `asked` the sizes of made-up requests.
    """

    code: FlawCode
    line: str = ""
    number: int | None = None
    failure: Failure | None = None
    warmup: WarmupCode | None = None
    asked: str = ""
    problem: Problem | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspection:
    """What really ran; what is not known is None. `metrics` are in ms or MiB, by name; `problems` are what is
    wrong, the most telling first; `requests` are those of a server."""

    backend: Backend | None
    pipeline: str | None
    warmup: Warmup | None
    generation: str | None
    tag: str | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    problems: tuple[LaunchFlaw, ...] = ()
    requests: tuple[RequestReading, ...] = ()
