"""What really ran, from a perf dump, a log, or both, without a case: the content of `sgdiff inspect`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

from pytest_sgdiff.data import Launch, PerfDump
from pytest_sgdiff.engines.gate import backend_of
from pytest_sgdiff.engines.image_in_denoising import told_apart
from pytest_sgdiff.engines.inspection import Inspection, LaunchFlaw
from pytest_sgdiff.engines.log import LogEvidence, examine
from pytest_sgdiff.engines.perf_dump import read_dump
from pytest_sgdiff.engines.serving.inspect import inspect_server, is_server
from pytest_sgdiff.metrics import metrics_of

_DUMPED = "Metrics dumped to:"
"""What `sglang generate` logs last of a request that ended well (0.5.8 to 0.5.23)."""


def inspect(dump_text: str | None, log: str | None) -> Inspection:
    """Backend, pipeline, warmup, generation, tag, metrics and problems.

    A log that is given must prove the backend, and alone that its request ended. Unlike in a judged launch the metrics
    are given whatever the problems are.
    """
    dump, error = read_dump(dump_text)
    evidence = examine(log or "", prompts=prompts_of(dump_text))
    problems = [*_problems(dump, error, evidence)]
    if log is not None and not (error or evidence.failures or evidence.failure):
        problems = [*_unproven(dump, evidence), *problems]
    return Inspection(
        backend=backend_of(dump, evidence),
        pipeline=evidence.pipeline,
        # Without a log nobody knows.
        warmup=None if log is None else evidence.warmup,
        generation=dump.generation if dump else None,
        tag=dump.tag if dump else None,
        metrics=metrics_of(told_apart(dump, evidence)) if dump else {},
        problems=tuple(problems),
    )


def inspect_launch(launch: Launch) -> Inspection:
    """As `inspect`, of a recorded launch: how the process ended is a problem, too. That of a server has `requests`."""
    if is_server(launch):
        return inspect_server(launch)
    found = inspect(launch.dump, launch.log or None)
    return replace(found, problems=(*_ended(launch, proven=bool(found.problems)), *found.problems))


def _ended(launch: Launch, *, proven: bool) -> Iterator[LaunchFlaw]:
    if launch.ending == "timeout":
        yield LaunchFlaw(code="timeout")
    elif launch.ending == "interrupted":
        yield LaunchFlaw(code="interrupted")
    elif launch.returncode:
        yield LaunchFlaw(code="exit-code", number=launch.returncode)
    if launch.stale_dump:
        yield LaunchFlaw(code="stale-dump")
    elif launch.dump is None and not proven:
        yield LaunchFlaw(code="no-dump")


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
    return not log.failures and not log.failure and not any(_DUMPED in line for line in log.lines)


def _unproven(dump: PerfDump | None, log: LogEvidence) -> Iterator[LaunchFlaw]:
    """What no case can do without, missing in a log that shows nothing wrong."""
    if not log.lines:
        yield LaunchFlaw(code="empty-log")
    elif dump is None and _unended(log):
        yield LaunchFlaw(code="cut-off")
    elif backend_of(dump, log) != "diffusers" and not log.pipeline:
        yield LaunchFlaw(code="native-unproved")


def _problems(dump: PerfDump | None, error: str | None, log: LogEvidence) -> Iterator[LaunchFlaw]:
    if error:
        yield LaunchFlaw(code="bad-dump", line=error)
    # A launch that ends before its request, for a rejected flag or a model that is not there, has none of the lines
    # that always mean failure; and a dump beside it is an older launch's.
    if log.failures or (log.failure and not any(_DUMPED in line for line in log.lines)):
        yield LaunchFlaw(code="failure", failure=log.failure, line=log.failures[0] if log.failures else "")
    if backend_of(dump, log) == "diffusers" and not log.requested_diffusers:
        lines = log.fallbacks or log.pipeline_lines
        yield LaunchFlaw(code="diffusers-ran", line=lines[0] if lines else "")
    yield from (LaunchFlaw(code="attention-fell-back", line=line) for line in log.attention_fallbacks)
    yield from (LaunchFlaw(code="diffusers-component", line=line) for line in log.components)
    yield from (LaunchFlaw(code="compile-failed", line=line) for line in log.compile_failures)
    if log.warmup == "unproven" and (dump or not _unended(log)):
        yield LaunchFlaw(code="warmup", warmup=log.warmup_code, asked=log.warmup_asked)
