"""The words for what a log shows: each `Failure` in one line, and the state of the warmup. The one place that has
them."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sgdiff.data import WarmupCode
from pytest_sgdiff.data.failures import (
    CollectiveTimeout,
    CommandRefused,
    Crashed,
    ExceptionRaised,
    Failure,
    NoRoom,
    OutOfMemory,
    PortTaken,
    RequestFailed,
    UnknownModel,
    WorkerDied,
)

LONGEST = 300

CUT_OFF = "the launch is incomplete: it has neither an exit code nor a perf dump"
NATIVE_UNPROVED = "nothing proves the native backend: the log names no pipeline class"

_WARMUP: Mapping[WarmupCode, str] = {
    "proven": "the log shows a completed warmup request",
    "none": "the log shows no warmup",
    "failed": "the warmup failed, so the measured request ran cold",
    "synthetic": "warmup_resolutions {} warms up synthetic requests instead of the measured one",
    "server": "the engine chose server warmup, which `sglang generate` never runs",
    "claimed": "the log claims that warmup was excluded, but shows no completed one",
    "asked": "warmup was requested, but the log shows no completed one",
}


def warmup_unproved(code: WarmupCode, asked: str = "") -> str:
    """`warmup is not proven: the log shows no warmup`; `asked` are the sizes of made-up requests."""
    return f"warmup is not proven: {_WARMUP[code].format(asked)}"


def in_words(failure: Failure) -> str:
    """The reason in one line of at most `LONGEST` characters."""
    match failure:
        case PortTaken():
            return "a port was already in use" if failure.port is None else f"port {failure.port} was already in use"
        case OutOfMemory():
            tried = f" (tried to allocate {failure.tried})" if failure.tried else ""
            return f"the {failure.where} ran out of memory{tried}"
        case NoRoom():
            return _shortened(f"no space was left on the disk{f' for {failure.path}' if failure.path else ''}")
        case CollectiveTimeout():
            return _timeout(failure)
        case ExceptionRaised():
            first = f"{failure.type}: {failure.message}" if failure.message else failure.type
            return _shortened(f"{first} {failure.more}" if failure.more else first)
        case UnknownModel():
            return f"the engine cannot resolve the model {failure.model}: not found, gated without HF_TOKEN, or offline"
        case CommandRefused() | RequestFailed():
            return _shortened(failure.message)
        case Crashed():
            return _shortened(failure.what)
        case WorkerDied():
            code = "" if failure.exit_code is None else f" (exit code {failure.exit_code})"
            return f"the worker of rank {failure.rank} died{code}"


def _timeout(failure: CollectiveTimeout) -> str:
    who = "" if failure.rank is None else f"rank {failure.rank}: "
    known = [failure.operation, None if failure.seconds is None else f"{failure.seconds:.10g} s"]
    told = ", ".join(part for part in known if part)
    behind = f" ({told})" if told else ""
    if failure.by == "store":
        return f"{who}the ranks did not connect in time{behind}"
    ended = ", NCCL ended the process" if failure.by == "NCCL" else ""
    return f"{who}a collective operation timed out{behind}{ended}"


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
