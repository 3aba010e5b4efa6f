"""Why a launch failed, as values: each says it in one line (`text`) and names the known cure, if there is one."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from typing import Literal, Protocol

from pytest_sgdiff.data import Cause

LONGEST = 300


class Failure(Protocol):
    """What every reason offers."""

    @property
    def text(self) -> str:
        """The reason in one line."""
        ...

    @property
    def cause(self) -> Cause | None:
        """What `pytest_sgdiff.runner.next_step.CURES` helps against it, None if nothing does."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PortTaken:
    """Another process had the port; None where the log does not name it."""

    port: int | None = None

    @property
    def text(self) -> str:
        return "a port was already in use" if self.port is None else f"port {self.port} was already in use"

    @property
    def cause(self) -> Cause:
        return "port"


@dataclass(frozen=True, kw_only=True, slots=True)
class OutOfMemory:
    """The memory of the GPU, or of the host, did not suffice; `tried` is what was asked for, as the log says it."""

    where: Literal["GPU", "host"] = "GPU"
    tried: str | None = None

    @property
    def text(self) -> str:
        return f"the {self.where} ran out of memory" + (f" (tried to allocate {self.tried})" if self.tried else "")

    @property
    def cause(self) -> Cause:
        return "memory" if self.where == "GPU" else "host-memory"


@dataclass(frozen=True, kw_only=True, slots=True)
class CollectiveTimeout:
    """Ranks waited for one that never came: `operation` names the collective, `rank` who gave up, `seconds` after how
    long; None where the log does not say. `by` is who kept the time: NCCL's watchdog, gloo, or the store of addresses.
    """

    by: Literal["NCCL", "gloo", "store"]
    operation: str | None = None
    rank: int | None = None
    seconds: float | None = None

    @property
    def text(self) -> str:
        who = "" if self.rank is None else f"rank {self.rank}: "
        known = [self.operation, None if self.seconds is None else f"{self.seconds:.10g} s"]
        told = ", ".join(part for part in known if part)
        behind = f" ({told})" if told else ""
        if self.by == "store":
            return f"{who}the ranks did not find one another in time{behind}"
        ended = ", NCCL ended the process" if self.by == "NCCL" else ""
        return f"{who}a collective operation timed out{behind}{ended}"

    @property
    def cause(self) -> Cause:
        return "collective"


@dataclass(frozen=True, kw_only=True, slots=True)
class ExceptionRaised:
    """A Python exception: its class as the log names it, its message, and `more`, lines of it without which the first
    one says nothing."""

    type: str
    message: str = ""
    more: str = ""

    @property
    def text(self) -> str:
        first = f"{self.type}: {self.message}" if self.message else self.type
        return shortened(f"{first} {self.more}" if self.more else first)

    @property
    def cause(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class UnknownModel:
    """The engine found no model of this name that it can run."""

    model: str

    @property
    def text(self) -> str:
        return f"the engine cannot resolve the model {self.model}: not found, gated without HF_TOKEN, or offline"

    @property
    def cause(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class CommandRefused:
    """The engine's parser refused its command line."""

    message: str

    @property
    def text(self) -> str:
        return shortened(self.message)

    @property
    def cause(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestFailed:
    """The engine says that a request failed, and why."""

    message: str

    @property
    def text(self) -> str:
        return shortened(self.message)

    @property
    def cause(self) -> None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Crashed:
    """A process ended without an exception of Python's: `what` is the signal or the C++ exception, as printed."""

    what: str

    @property
    def text(self) -> str:
        return shortened(self.what)

    @property
    def cause(self) -> Cause | None:
        return "killed" if self.what.startswith("Killed") else None


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerDied:
    """A worker is gone, and nothing says why."""

    rank: int
    exit_code: int | None = None

    @property
    def signal(self) -> int | None:
        """The signal that ended it, which a shell adds to 128."""
        code = self.exit_code or 0
        return -code if code < 0 else code - 128 if code > 128 else None

    @property
    def text(self) -> str:
        return f"the worker of rank {self.rank} died" + (
            "" if self.exit_code is None else f" (exit code {self.exit_code})"
        )

    @property
    def cause(self) -> Cause | None:
        return "killed" if self.signal == signal.SIGKILL else None


def shortened(text: str) -> str:
    """One line of at most `LONGEST` characters."""
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
