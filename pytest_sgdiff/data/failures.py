"""Why an engine's launch failed, as values: a class for each kind, distinguished by `code`.

`reports/failure_text.py` has the words.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal

Cause = Literal[
    "memory",
    "host-memory",
    "disk",
    "port",
    "collective",
    "killed",
    "time",
    "backend",
    "component",
    "warmup",
    "unproved",
    "contradicted",
    "conditioning-cache",
    "cut-off",
    "exit-code",
    "readiness",
    "request",
    "foreign-server",
    "other-task",
    "chosen",
    "other-work",
    "mixture",
    "blank",
    "damaged",
]
"""What a launch lacked, where there is a known fix (`pytest_sgdiff.reports.next_text.FIXES`)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PortTaken:
    """Another process had the port; None where the log does not name it."""

    code: Literal["port-taken"] = "port-taken"
    port: int | None = None

    @property
    def cause(self) -> Cause:
        return "port"


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfMemory:
    """The memory of the GPU, or of the host, did not suffice; `tried` is what was asked for, as the log says it."""

    code: Literal["out-of-memory"] = "out-of-memory"
    where: Literal["GPU", "host"] = "GPU"
    tried: str | None = None

    @property
    def cause(self) -> Cause:
        return "memory" if self.where == "GPU" else "host-memory"


@dataclass(frozen=True, kw_only=True, slots=True)
class NoRoom:
    """A disk was full, or its quota used up; `path` is what could not be written, None where the log does not say."""

    code: Literal["no-room"] = "no-room"
    path: str | None = None

    @property
    def cause(self) -> Cause:
        return "disk"


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectiveTimeout:
    """Ranks waited for one that never came: `operation` names the collective, `rank` who gave up, `seconds` after how
    long; None where the log does not say. `by` is who kept the time: NCCL's watchdog, gloo, or the store of addresses.
    """

    code: Literal["collective-timeout"] = "collective-timeout"
    by: Literal["NCCL", "gloo", "store"]
    operation: str | None = None
    rank: int | None = None
    seconds: float | None = None

    @property
    def cause(self) -> Cause:
        return "collective"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExceptionRaised:
    """A Python exception: its class as the log names it, its message, and `more`, lines of it without which the first
    one says nothing."""

    code: Literal["exception"] = "exception"
    type: str
    message: str = ""
    more: str = ""

    @property
    def cause(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownModel:
    """The engine found no model of this name that it can run."""

    code: Literal["unknown-model"] = "unknown-model"
    model: str

    @property
    def cause(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandRefused:
    """The engine's parser refused its command line."""

    code: Literal["command-refused"] = "command-refused"
    message: str

    @property
    def cause(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFailed:
    """The engine says that a request failed, and why."""

    code: Literal["request-failed"] = "request-failed"
    message: str

    @property
    def cause(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Crashed:
    """A process ended without an exception of Python's: `what` is the signal or the C++ exception, as printed, `killed`
    tells that the signal was SIGKILL."""

    code: Literal["crashed"] = "crashed"
    what: str
    killed: bool = False

    @property
    def cause(self) -> Cause | None:
        return "killed" if self.killed else None


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerDied:
    """A worker is gone, and nothing says why."""

    code: Literal["worker-died"] = "worker-died"
    rank: int
    exit_code: int | None = None

    @property
    def signal(self) -> int | None:
        """The signal that ended it, which a shell adds to 128."""
        code = self.exit_code or 0
        return -code if code < 0 else code - 128 if code > 128 else None

    @property
    def cause(self) -> Cause | None:
        return "killed" if self.signal == signal.SIGKILL else None


Failure = (
    PortTaken
    | OutOfMemory
    | NoRoom
    | CollectiveTimeout
    | ExceptionRaised
    | UnknownModel
    | CommandRefused
    | RequestFailed
    | Crashed
    | WorkerDied
)
"""Every one of them; `cause` of each is what helps against it, None if nothing does."""
