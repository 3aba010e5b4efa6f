"""The words for why the life of a server does not count: those of the problems that no other engine has. The one place
that has them; `sgdiff inspect` and `compare` show them as reports do."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_sgdiff.data import Problem, ProblemCode, RequestFailure, ServerPhase
from pytest_sgdiff.reports.failure_text import in_words

_AT: Mapping[ServerPhase, str] = {
    "start": "before it answered",
    "readiness": "before it was ready",
    "warmup": "during its warmup request",
    "request": "during its requests",
    "after": "after its requests",
}


def _phase(p: Problem) -> str:
    return f"during request {p.request}" if p.phase == "request" and p.request is not None else _AT[p.phase or "start"]


def _code(p: Problem) -> str:
    return "" if p.number is None else f" (exit code {p.number})"


def _says(p: Problem) -> str:
    return f": {p.said}" if p.said else ""


def _request(p: Problem) -> str:
    return "the warmup request" if p.phase == "warmup" else f"request {p.request}"


def _how(p: Problem) -> str:
    return how_it_failed(p.how, status=p.status, state=p.state or "lost")


def how_it_failed(how: RequestFailure | None, *, status: int | None, state: str = "failed") -> str:
    """How a request failed, with its last HTTP status and what the server called its job."""
    behind = "" if status is None else f" (HTTP {status})"
    return {
        "status": f"HTTP {status}",
        "job": f"its job is {state}{behind}",
        "answer": f"its answer cannot be read{behind}",
        "content": "it has no content",
        "connection": "the connection broke",
        None: "nobody knows why",
    }[how]


def _not_ready(p: Problem) -> str:
    last = "" if p.status is None else f", its last status was {p.status}"
    waited = f": {_and(p.found)} did not answer 200{last}" if p.found else ""
    return f"the server was not ready {_within(p)}{waited}{_why(p)}"


def _and(words: tuple[str, ...]) -> str:
    return " and ".join(words)


def _why(p: Problem) -> str:
    return "" if p.failure is None else f": {in_words(p.failure)}"


def _within(p: Problem) -> str:
    return "in time" if p.seconds is None else f"within {p.seconds:g} s"


SERVER_WORDS: Mapping[ProblemCode, Callable[[Problem], str]] = {
    "server-not-ready": _not_ready,
    "server-ended": lambda p: f"the server ended by itself {_phase(p)}{_code(p)}{_why(p)}",
    "server-unhealthy": lambda p: f"the server calls itself unhealthy {_phase(p)}{_says(p)}{_why(p)}",
    "foreign-server": lambda p: f"another process listens on the server's {p.said or 'port'}",
    "other-task": lambda p: f"the server does other work than the case's requests are for: {p.said}",
    "request-timeout": lambda p: f"{_request(p)} did not end {_within(p)} of the server's start{_why(p)}",
    "request-failed": lambda p: f"{_request(p)} failed: {_how(p)}{_says(p)}{_why(p)}",
    "requests-missing": lambda p: (
        f"{p.number} {f'requests of the load {p.said}' if p.said else 'measured requests'} ended well, "
        f"the case asks for {_and(p.wanted)}"
    ),
    "no-request-dump": lambda p: f"request {p.request} left no perf dump",
    "other-request": lambda p: f"the perf dump of request {p.request} is of {_and(p.found)}, not of {_and(p.wanted)}",
    "no-model-info": lambda p: "nothing proves the backend: the server's /model_info names no pipeline class",
    "chosen-otherwise": lambda p: (
        f"the engine turned on {_and(p.found) or 'nothing'} by itself, and {_and(p.wanted) or 'nothing'} in earlier "
        "launches"
    ),
}
