"""Why the life of a server does not count: what it and its requests must have proved before a number is used.

A server that answers proves nothing: 0.5.17 says 200 to /health while its warmup runs, a job that failed answers 200,
and a server whose own warmup failed goes on cold.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from pytest_sgdiff.data import Case, Launch, PerfDump, Problem, ProblemCode, Request, Served, ServerPhase
from pytest_sgdiff.engines import gate
from pytest_sgdiff.engines.log import LogEvidence
from pytest_sgdiff.engines.problems import last_lines, problem
from pytest_sgdiff.engines.serving.numbers import answered
from pytest_sgdiff.engines.serving.requests import loads_of

BREAKABLE_GRAPHS = "breakable-cuda-graph"
_KEY = "enable_breakable_cuda_graph"
_NONE = Served()

Dumps = Mapping[int, tuple[PerfDump | None, str | None]]
"""Number of a request -> its dump, and what is wrong with it."""


def chosen(log: LogEvidence, argv: Iterable[str]) -> tuple[str, ...]:
    """What the server turned on by itself and is part of its work: breakable CUDA graphs, which 0.5.23 enables for some
    pipelines in `serve`, and never in `generate`."""
    asked = any(word.partition("=")[0] == f"--enable-{BREAKABLE_GRAPHS}" for word in argv)
    on = bool(log.breakable_graphs) or log.server_args.get(_KEY) is True
    return (BREAKABLE_GRAPHS,) if on and not asked else ()


def problems(launch: Launch, case: Case, log: LogEvidence, dumps: Dumps) -> Iterator[Problem]:
    """Every reason why the launch does not count, the most telling first."""
    served = launch.served or _NONE
    early = list(cut_short(launch, log, seconds=case.timeout_s))
    if early:
        yield from early
        return
    yield from _missing(launch, case)
    yield from of_dumps(launch, dumps)
    work = list(_work(launch, case, log, dumps))
    yield from work
    if not any(one.code in ("diffusers-ran", "native-ran") for one in work):
        yield from _says_itself(served, case)
    yield from cold(log)
    yield from gate.setting_problems(launch, case, log)
    yield from unhealthy_after(served, log)


def cut_short(launch: Launch, log: LogEvidence, *, seconds: float | None) -> Iterator[Problem]:
    """Why not everything was done with the server: it ended early, the client left early, or a request failed.
    `seconds` is the time limit of its life."""
    served = launch.served or _NONE
    ended = _ended(launch, log, served, seconds)
    if ended is not None:
        yield ended
        return
    if served.stopped != "request":
        yield from _left(served, log)
    failed = [one for one in launch.requests if one.failure is not None]
    yield from (_failed(one, log) for one in failed)
    if log.failures and not failed:
        lines = dict.fromkeys((*log.failures, *log.shown))
        yield problem("launch-failed", "failure-in-log", lines, cause=log.lacked, failure=log.failure)


def cold(log: LogEvidence) -> Iterator[Problem]:
    """A warmup of the server's own that failed, after which it went on."""
    if log.warmup_code == "failed":
        yield problem("invalid", "warmup", log.warmup_lines, cause="warmup", warmup="failed")


def unhealthy_after(served: Served, log: LogEvidence) -> Iterator[Problem]:
    """A server that was broken when its last request had been answered."""
    if served.healthy_after is False:
        yield problem("launch-failed", "server-unhealthy", last_lines(log), phase="after", said=served.message)


def _ended(launch: Launch, log: LogEvidence, served: Served, seconds: float | None) -> Problem | None:
    """How the life of the server ended, unless it was stopped because everything was done."""
    at, request = phase_of(launch)
    lines = dict.fromkeys((*log.failures, *log.shown)) or last_lines(log)
    if launch.ending == "timeout":
        figures: dict[str, Any] = {"seconds": seconds, "failure": log.failure, "phase": at, "request": request}
        if request is not None:
            return problem("timeout", "request-timeout", lines, cause=log.lacked or "time", **figures)
        if at == "after":
            # All requests are answered; it waited for the dump of one of them.
            return problem(
                "timeout", "timeout", lines, cause=log.lacked or "time", seconds=seconds, failure=log.failure
            )
        waiting = (served.waiting_for,) if served.waiting_for else ()
        figures |= {"found": waiting, "status": served.last_status}
        return problem("timeout", "server-not-ready", lines, cause=log.lacked or "readiness", **figures)
    if launch.ending == "interrupted":
        return problem("launch-failed", "interrupted", last_lines(log))
    if launch.ending == "stopped":
        return None
    if launch.returncode is None and not launch.requests and launch.served is None and not log.failures:
        return problem("launch-failed", "cut-off", last_lines(log), cause="cut-off")
    lines = dict.fromkeys((*log.failures, *log.shown, *last_lines(log)))
    number = launch.returncode
    killed = "killed" if number is not None and number == -9 and not log.failure else None
    cause = log.lacked or killed
    return problem(
        "launch-failed",
        "server-ended",
        lines,
        cause=cause,
        number=number,
        failure=log.failure,
        phase=at,
        request=request,
    )


def phase_of(launch: Launch) -> tuple[ServerPhase, int | None]:
    """What the server was at when its life ended, and the number of the request that it had."""
    served = launch.served or _NONE
    if served.http_s is None:
        return "start", None
    if served.ready_s is None:
        return "readiness", None
    # Under a load it may be any of them.
    open_ = next((one for one in launch.requests if one.failure is not None or one.client_ms is None), None)
    if open_ is None:
        return "after", None
    return ("warmup" if open_.warmup else "request"), open_.number


def _left(served: Served, log: LogEvidence) -> Iterator[Problem]:
    """Why the client did not send everything that it was to send."""
    if served.stopped == "unhealthy":
        phase = "readiness" if served.ready_s is None else "request"
        lines = dict.fromkeys((*log.failures, *log.shown)) or last_lines(log)
        figures: dict[str, Any] = {"phase": phase, "said": served.message, "failure": log.failure}
        yield problem("launch-failed", "server-unhealthy", lines, cause=log.lacked, **figures)
    elif served.stopped == "foreign":
        yield problem("launch-failed", "foreign-server", last_lines(log), cause="foreign-server", said=served.message)
    elif served.stopped == "other-task":
        yield problem("invalid", "other-task", (), cause="other-task", said=served.message)


def _failed(request: Request, log: LogEvidence) -> Problem:
    lines = dict.fromkeys((*log.failures, *log.shown))
    phase: ServerPhase = "warmup" if request.warmup else "request"
    return problem(
        "launch-failed",
        "request-failed",
        lines or ((request.message,) if request.message else ()),
        cause=log.lacked or "request",
        request=request.number,
        phase=phase,
        how=request.failure,
        status=request.status,
        state=request.state or "",
        said=request.message,
        failure=log.failure,
    )


def _missing(launch: Launch, case: Case) -> Iterator[Problem]:
    """Fewer requests than the case asks for, measured or of warmup, each with its time."""
    plain = [one for one in launch.requests if not one.load]
    done = [one for one in plain if answered(one)]
    measured = sum(not one.warmup for one in done)
    if measured != case.served_requests:
        yield problem(
            "invalid", "requests-missing", (), number=measured, wanted=(str(case.served_requests),), phase="request"
        )
    if case.warmup == "request" and not any(one.warmup for one in done):
        yield problem("invalid", "warmup", (), cause="warmup", warmup="none")
    for load in loads_of(case):
        done_in_it = sum(one.load == load and answered(one) for one in launch.requests)
        if done_in_it != case.launches.load_requests:
            wanted = (str(case.launches.load_requests),)
            yield problem(
                "invalid", "requests-missing", (), number=done_in_it, wanted=wanted, phase="request", said=load
            )


def of_dumps(launch: Launch, dumps: Dumps) -> Iterator[Problem]:
    """What is wrong with the numbers of requests: they must be there, sound, and of this very request."""
    for one in launch.requests:
        if not one.load:
            yield from _numbers(one, *dumps[one.number])


def _numbers(request: Request, dump: PerfDump | None, error: str | None) -> Iterator[Problem]:
    if error is not None:
        yield replace(gate.failed_dump(error), request=request.number)
        return
    if dump is None:
        yield problem("launch-failed", "no-request-dump", (), request=request.number)
        return
    if dump.request_id != request.id:
        found = (dump.request_id or "no request",)
        yield problem(
            "invalid", "other-request", (), request=request.number, wanted=(request.id or "no request",), found=found
        )


def _work(launch: Launch, case: Case, log: LogEvidence, dumps: Dumps) -> Iterator[Problem]:
    """The work of every request; what is said of all of them once, and else of the first of which it is true."""
    read = {one.number: dump for one in launch.requests if (dump := dumps[one.number][0]) is not None}
    found: dict[Problem, list[int]] = {}
    for number, dump in read.items():
        for one in gate.work_problems(launch, case, log, dump):
            found.setdefault(one, []).append(number)
    for one, numbers in found.items():
        yield one if len(numbers) == len(read) else replace(one, request=numbers[0])


def _says_itself(served: Served, case: Case) -> Iterator[Problem]:
    """What the server says that it runs, beside its log."""
    info = served.answers.get("/model_info")
    classes = info.get("architectures") if isinstance(info, Mapping) else None
    names = tuple(map(str, classes)) if isinstance(classes, list) else ()
    native = case.runs_on == "sglang"
    if not names:
        yield problem("invalid", "no-model-info", ())
    elif (gate.DIFFUSERS_PIPELINE in names) == native:
        code: ProblemCode = "diffusers-ran" if native else "native-ran"
        shown = (f"/model_info: architectures {list(names)}",)
        yield problem("invalid", code, shown, cause="backend" if native else None)
