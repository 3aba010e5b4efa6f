"""What really ran, from a perf dump, a log, or both, without a case: the content of `sgdiff inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pytest_sgdiff.data import Launch, PerfDump
from pytest_sgdiff.engines.causes import NATIVE_UNPROVED, warmup_unproved
from pytest_sgdiff.engines.gate import backend_of
from pytest_sgdiff.engines.log import LogEvidence, examine
from pytest_sgdiff.engines.perf_dump import read_dump
from pytest_sgdiff.engines.serving.inspect import inspect_server, is_server
from pytest_sgdiff.metrics import metrics_of

_DUMPED = "Metrics dumped to:"
"""What `sglang generate` logs last of a request that ended well (0.5.8 to 0.5.23)."""


def inspect(dump_text: str | None, log: str | None) -> dict[str, Any]:
    """Backend, pipeline, warmup, generation, tag, metrics and problems, as plain builtins.

    A log that is given must prove the backend, and alone that its request ended. Unlike in a judged launch the metrics
    are given whatever the problems are.
    """
    dump, error = read_dump(dump_text)
    evidence = examine(log or "", prompts=prompts_of(dump_text))
    problems = [*_problems(dump, error, evidence)]
    if log is not None and not (error or evidence.failures or evidence.cause):
        problems = [*_unproven(dump, evidence), *problems]
    return {
        "backend": backend_of(dump, evidence),
        "pipeline": evidence.pipeline,
        # Without a log nobody knows.
        "warmup": None if log is None else evidence.warmup,
        "generation": dump.generation if dump else None,
        "tag": dump.tag if dump else None,
        "metrics": metrics_of(dump) if dump else {},
        "problems": problems,
    }


def inspect_launch(launch: Launch) -> dict[str, Any]:
    """As `inspect`, of a recorded launch: how the process ended is a problem, too. That of a server has `requests`."""
    if is_server(launch):
        return inspect_server(launch)
    found = inspect(launch.dump, launch.log or None)
    return {**found, "problems": [*_ended(launch, proven=bool(found["problems"])), *found["problems"]]}


def _ended(launch: Launch, *, proven: bool) -> Iterator[str]:
    if launch.ending == "timeout":
        yield "the launch did not end in time"
    elif launch.ending == "interrupted":
        yield "the launch was interrupted"
    elif launch.returncode:
        yield f"the engine exited with {launch.returncode}"
    if launch.stale_dump:
        yield "the perf dump is older than the launch"
    elif launch.dump is None and not proven:
        yield "the launch left no perf dump"


def prompts_of(dump_text: str | None) -> tuple[str, ...]:
    """The prompts that a dump says were generated from; nothing where it says none or is torn."""
    try:
        meta = json.loads(dump_text or "{}").get("meta") or {}
        prompt = meta.get("prompt")
    except (ValueError, AttributeError, RecursionError):
        return ()
    prompts = prompt if isinstance(prompt, list) else [prompt]
    return tuple(text for text in prompts if isinstance(text, str))


def _unended(log: LogEvidence) -> bool:
    """Whether the log breaks off: it shows neither a failure nor a request that ended."""
    return not log.failures and not log.cause and not any(_DUMPED in line for line in log.lines)


def _unproven(dump: PerfDump | None, log: LogEvidence) -> Iterator[str]:
    """What no case can do without, missing in a log that shows nothing wrong."""
    if not log.lines:
        yield "the log is empty"
    elif dump is None and _unended(log):
        yield "the log ends before the request does: the launch is incomplete, or wrote no perf dump"
    elif backend_of(dump, log) != "diffusers" and not log.pipeline:
        yield NATIVE_UNPROVED


def _problems(dump: PerfDump | None, error: str | None, log: LogEvidence) -> Iterator[str]:
    if error:
        yield error
    if log.failures:
        yield f"the log shows a failure: {log.cause or log.failures[0]}"
    elif log.cause and not any(_DUMPED in line for line in log.lines):
        # A launch that ends before its request, for a rejected flag or a model that is not there, has none of the
        # lines that always mean failure; and a dump beside it is an older launch's.
        yield f"the log shows a failure: {log.cause}"
    if backend_of(dump, log) == "diffusers" and not log.requested_diffusers:
        shown = log.fallbacks or log.pipeline_lines or ("the perf dump has the stage DiffusersExecutionStage",)
        yield f"ran on the diffusers backend: {shown[0]}"
    yield from (f"attention fell back: {line}" for line in log.attention_fallbacks)
    yield from (f"a component runs as a diffusers class: {line}" for line in log.components)
    yield from (f"torch.compile failed: {line}" for line in log.compile_failures)
    if log.warmup == "unproven" and (dump or not _unended(log)):
        yield warmup_unproved(log.warmup_code, log.warmup_asked)
