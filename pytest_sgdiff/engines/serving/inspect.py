"""What really ran in the life of a server, from its recording, without a case: the content of `sgdiff inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_sgdiff.data import Launch, PerfDump, Problem, ProblemCode
from pytest_sgdiff.engines import gate as launch_gate
from pytest_sgdiff.engines.causes import CUT_OFF, NATIVE_UNPROVED, in_words, warmup_unproved
from pytest_sgdiff.engines.log import LogEvidence, examine
from pytest_sgdiff.engines.perf_dump import read_dump
from pytest_sgdiff.engines.serving import gate
from pytest_sgdiff.engines.serving.numbers import medians, of_life, of_loads, of_request, prompts_of, warmup_of
from pytest_sgdiff.engines.serving.words import SERVER_WORDS

_OTHERS: Mapping[ProblemCode, str] = {
    "interrupted": "the launch was interrupted",
    "timeout": "the launch did not end in time",
    "cut-off": CUT_OFF,
    "steps-too-long": "the denoising stage took less time than its steps together",
}


def is_server(launch: Launch) -> bool:
    """Whether a recorded launch is the life of a server."""
    return launch.served is not None or bool(launch.requests)


def inspect_server(launch: Launch) -> dict[str, Any]:
    """As `engines.inspect.inspect_launch`, with `requests`: each with its number, whether it was of warmup, and its
    metrics."""
    dumps = {one.number: read_dump(one.dump) for one in launch.requests}
    log = examine(launch.log, prompts=prompts_of(launch.requests))
    read = [of_request(one, dumps[one.number][0]) for one in launch.requests]
    measured = [one for one in read if not one.warmup and one.dump is not None]
    last = measured[-1].dump if measured else None
    problems = [_words(one) for one in _problems(launch, log, dumps)]
    return {
        "backend": launch_gate.backend_of(last, log),
        "pipeline": log.pipeline,
        "warmup": warmup_of(launch, log),
        "generation": last.generation if last else None,
        "tag": last.tag if last else None,
        "metrics": {**medians(measured), **of_life(launch, log), **of_loads(launch)},
        "requests": [{"number": one.number, "warmup": one.warmup, "metrics": dict(one.metrics)} for one in read],
        "problems": [*problems, *_unproved(last, log, problems)],
    }


def _problems(launch: Launch, log: LogEvidence, dumps: gate.Dumps) -> Iterator[Problem]:
    early = list(gate.cut_short(launch, log, seconds=None))
    if early:
        yield from early
        return
    yield from gate.of_dumps(launch, dumps)
    yield from gate.cold(log)
    if launch.served is not None:
        yield from gate.unhealthy_after(launch.served, log)


def _unproved(dump: PerfDump | None, log: LogEvidence, problems: list[str]) -> Iterator[str]:
    """The backend, of which only the log tells."""
    ran = launch_gate.backend_of(dump, log)
    if ran == "diffusers" and not log.requested_diffusers:
        shown = log.fallbacks or log.pipeline_lines or ("the perf dump has the stage DiffusersExecutionStage",)
        yield f"ran on the diffusers backend: {shown[0]}"
    elif ran != "diffusers" and not log.pipeline and not problems:
        yield NATIVE_UNPROVED


def _words(p: Problem) -> str:
    if p.code == "warmup":
        return warmup_unproved(p.warmup or "none")
    if p.code in SERVER_WORDS:
        return SERVER_WORDS[p.code](p)
    if p.code == "failure-in-log":
        return "the log shows a failure" if p.failure is None else f"the log shows a failure: {in_words(p.failure)}"
    of = "" if p.request is None else f"request {p.request}: "
    return f"{of}{_OTHERS.get(p.code) or p.message}"
