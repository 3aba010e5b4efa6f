"""Why a launch does not count: what every launch must have proved before one of its numbers is used.

Exit code 0 proves nothing (a failed request exits with 0), nor does a perf dump (a fallback to the diffusers backend
writes one that looks in order), nor the line "(with warmup excluded)" (printed although nothing was warmed up).
"""

from __future__ import annotations

import math
import signal
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Backend, Case, Expected, Launch, PerfDump, Problem, ProblemCode
from pytest_sgdiff.engines import conditioning
from pytest_sgdiff.engines.attention import deciding_uses, denoiser_asked, unsatisfied
from pytest_sgdiff.engines.failures import FRAME
from pytest_sgdiff.engines.flags.lookup import given
from pytest_sgdiff.engines.log import LogEvidence
from pytest_sgdiff.engines.perf_dump import CLOCK_NOISE, CLOCK_NOISE_MS

DIFFUSERS_PIPELINE = "DiffusersPipeline"
"""The pipeline class of the diffusers backend."""

DIFFUSERS_STAGE = "DiffusersExecutionStage"
"""The one stage of the diffusers backend, and of no native pipeline (sglang 0.5.8 to 0.5.23)."""

_MOST_LINES = 8
_LONGEST = 300
_LAST_LINES = 100

# Stages whose loop takes num-inference-steps steps; distilled and two-stage pipelines have schedules of their own.
_PLAIN_DENOISING = frozenset({"DenoisingStage", "LTX2AVDenoisingStage"})


def cut_off(launch: Launch, log: LogEvidence) -> bool:
    """Whether it is a recording of a killed run: that the engine proved nothing either is no fault of its own."""
    return launch.returncode is None and launch.dump is None and not log.failures


def backend_of(dump: PerfDump | None, log: LogEvidence) -> Backend | None:
    """The backend that ran, None where nothing proves it. One sign of the diffusers backend outweighs all others."""
    stages = {stage.name for stage in dump.stages} if dump else set()
    if DIFFUSERS_STAGE in stages or log.fallbacks or log.pipeline == DIFFUSERS_PIPELINE:
        return "diffusers"
    return "sglang" if log.pipeline or any(map(metrics.is_stage, stages)) else None


def problems(
    launch: Launch, case: Case, log: LogEvidence, dump: PerfDump | None, dump_error: str | None
) -> Iterator[Problem]:
    """Every reason why the launch does not count, the most telling first."""
    if launch.ending == "timeout":
        yield problem(
            "timeout",
            "timeout",
            dict.fromkeys((*log.failures, *log.shown)) or last_lines(log),
            cause=log.lacked or "time",
            seconds=case.timeout_s,
            failure=log.failure,
        )
        return
    if launch.ending == "interrupted":
        yield problem("launch-failed", "interrupted", last_lines(log))
        return
    if launch.returncode:
        yield _exit(launch.returncode, log)
        return
    if cut_off(launch, log):
        yield problem("launch-failed", "cut-off", last_lines(log), cause="cut-off")
        return
    yield from _failed_request(launch, log)
    yield from _dump(launch, log, dump, dump_error)
    if launch.returncode is None and launch.dump is not None:
        yield problem("invalid", "no-exit-code", (), cause="exit-code")
    yield from _outputs(launch, case)
    yield from backend_problems(case.runs_on, dump, log)
    yield from expected(case, dump, log)
    if case.runs_on == "sglang" or case.expect.attention:
        yield from attention(case, log)
    yield from steps(case, dump)
    yield from steps_beyond_their_stage(dump)
    if case.warmup == "request" and log.warmup != "proven":
        asked = (log.warmup_asked,) if log.warmup_asked else ()
        yield problem("invalid", "warmup", log.warmup_lines, cause="warmup", warmup=log.warmup_code, found=asked)
    if conditioning.to_be_off(case):
        yield from cached(launch, log)
    if log.compile_failures and given(case, "enable-torch-compile"):
        yield problem("invalid", "compile-failed", log.compile_failures)


def backend_problems(wanted: Backend, dump: PerfDump | None, log: LogEvidence) -> Iterator[Problem]:
    """The backend gate: positive proof of the backend that the case declares, and no sign of the other."""
    ran = backend_of(dump, log)
    evidence = (*log.fallbacks, *log.pipeline_lines, *_stage_lines(dump))
    if wanted == "sglang":
        if ran == "diffusers":
            yield problem("invalid", "diffusers-ran", evidence, cause="backend", asked=log.requested_diffusers)
        elif not log.pipeline:
            yield problem("invalid", "native-unproved", evidence)
    elif ran == "sglang":
        yield problem("invalid", "native-ran", evidence)
    elif ran is None:
        yield problem("invalid", "diffusers-unproved", evidence)


def failed_dump(error: str) -> Problem:
    """A dump that cannot be a measurement."""
    return problem("invalid", "bad-dump", (), message=error)


def _exit(returncode: int, log: LogEvidence) -> Problem:
    # The lines that say what failed, then how it ended.
    lines = dict.fromkeys((*log.failures, *log.shown, *last_lines(log)))
    cause = log.lacked or (None if log.failure or -returncode != signal.SIGKILL else "killed")
    code: ProblemCode = "signal" if returncode < 0 else "exit-code"
    return problem("launch-failed", code, lines, cause=cause, number=abs(returncode), failure=log.failure)


def _failed_request(launch: Launch, log: LogEvidence) -> Iterator[Problem]:
    if log.failures:
        lines = dict.fromkeys((*log.failures, *log.shown))
        how = launch.returncode
        yield problem("launch-failed", "failure-in-log", lines, cause=log.lacked, number=how, failure=log.failure)


def _dump(launch: Launch, log: LogEvidence, dump: PerfDump | None, dump_error: str | None) -> Iterator[Problem]:
    if dump_error is not None:
        yield failed_dump(dump_error)
    elif dump is None:
        code: ProblemCode = "stale-dump" if launch.stale_dump else "no-dump"
        yield problem("launch-failed", code, () if log.failures else last_lines(log), number=launch.returncode)


def _outputs(launch: Launch, case: Case) -> Iterator[Problem]:
    """The files that the engine must have left; None in a launch means that they were not looked for."""
    if launch.outputs is None or given(case, "save-output") is False or given(case, "no-save-output"):
        return
    if not launch.outputs:
        yield problem("invalid", "no-output", ())
    for file in launch.outputs:
        if file.size_bytes == 0:
            yield problem("invalid", "empty-output", (), found=(file.name,))


def expected(case: Case, dump: PerfDump | None, log: LogEvidence) -> Iterator[Problem]:
    """Everything that the case expects is to be seen; that nothing speaks against it is not enough."""
    expect = case.expect
    if expect.pipeline and not log.pipelines:
        yield _unproved("pipeline-unproved", "pipeline", (expect.pipeline,))
    elif expect.pipeline and set(log.pipelines) != {expect.pipeline}:
        yield _contradicted("other-pipeline", "pipeline", (expect.pipeline,), log.pipeline_lines, found=log.pipelines)
    if dump and expect.stages:
        took = {stage.name: stage.duration_ms for stage in dump.stages}
        missing = tuple(name for name in expect.stages if name not in took)
        idle = tuple(name for name in expect.stages if took.get(name) == 0)
        if missing:
            there = (f"stages of the dump: {', '.join(took) or 'none'}",)
            yield _contradicted("stages-missing", "stage", missing, there, found=tuple(took))
        if idle:
            yield _unproved("stages-idle", "stage", idle)
    sizes: tuple[tuple[str, Expected, int | None], ...] = (
        ("width", "width", expect.output.width),
        ("height", "height", expect.output.height),
        ("num_frames", "frames", expect.output.frames),
    )
    for name, about, wanted in sizes:
        if wanted is not None:
            yield from _size(name, about, wanted, log)


def _size(name: str, about: Expected, wanted: int, log: LogEvidence) -> Iterator[Problem]:
    """Every block of the log that tells the size must tell the one that is expected."""
    logged = tuple(value for value in log.sampling.get(name, ()) if value.isdecimal() and int(value) > 0)
    if not logged:
        yield _unproved("size-unproved", about, (str(wanted),), logged=bool(log.sampling))
    elif any(int(value) != wanted for value in logged):
        lines = [f"Sampling params: {name}: {value}" for value in logged]
        yield _contradicted("other-size", about, (str(wanted),), lines, found=logged)


def attention(case: Case, log: LogEvidence) -> Iterator[Problem]:
    """The attention backend asked for must be the one used. `expect` wants proof, a flag only no contradiction."""
    asked = case.expect.attention or denoiser_asked(case)
    if asked is None:
        return
    uses = deciding_uses(log.attention)
    others = unsatisfied(asked, uses)
    if others:
        used = tuple(dict.fromkeys(use.backend for use in uses))
        lines = (*log.attention_fallbacks, *(use.line for use in others))
        yield _contradicted("other-attention", "attention", (asked,), lines, found=used)
    elif log.attention_fallbacks:
        yield _contradicted("attention-fell-back", "attention", (asked,), log.attention_fallbacks)
    elif not uses and case.expect.attention:
        yield _unproved("attention-unproved", "attention", (asked,))
    denoisers = tuple(line for line in log.components if "transformer" in line)
    if denoisers:
        yield _contradicted("component-attention", "attention", (asked,), denoisers)


def cached(launch: Launch, log: LogEvidence) -> Iterator[Problem]:
    """Encoders whose work the warmup, a copy of the measured request, had done: their times say nothing of them."""
    hits = conditioning.hits(log.lines)
    if hits:
        yield problem("invalid", "cache-hit", hits, cause="conditioning-cache")
    elif conditioning.used(log.server_args, launch.argv):
        yield problem("invalid", "cache-on", conditioning.quoted(log.server_args), cause="conditioning-cache")


def steps(case: Case, dump: PerfDump | None) -> Iterator[Problem]:
    """As many denoising steps as asked for, give or take one: some schedules drop the last."""
    wanted = given(case, "num-inference-steps")
    if dump is None or not dump.steps_ms or not isinstance(wanted, int) or isinstance(wanted, bool):
        return
    denoising = [stage.name for stage in dump.stages if metrics.is_denoising(stage.name)]
    if len(denoising) == 1 and denoising[0] in _PLAIN_DENOISING and abs(len(dump.steps_ms) - wanted) > 1:
        yield problem("invalid", "step-count", (), number=len(dump.steps_ms), wanted=(str(wanted),))


def steps_beyond_their_stage(dump: PerfDump | None) -> Iterator[Problem]:
    """The steps of a plain loop are timed within its stage: together they fit into it, clock noise aside."""
    stages = [stage for stage in dump.stages if metrics.is_denoising(stage.name)] if dump else []
    if dump is None or len(stages) != 1 or stages[0].name not in _PLAIN_DENOISING:
        return
    together, took = math.fsum(dump.steps_ms), stages[0].duration_ms
    if together > took + max(CLOCK_NOISE_MS, CLOCK_NOISE * took):
        yield problem("invalid", "steps-too-long", (), found=(stages[0].name,), took_ms=took, steps_ms=together)


def _stage_lines(dump: PerfDump | None) -> tuple[str, ...]:
    stages = dump.stages if dump else ()
    return tuple(
        f"perf dump: {stage.name} {stage.duration_ms:.1f} ms" for stage in stages if stage.name == DIFFUSERS_STAGE
    )


def last_lines(log: LogEvidence) -> tuple[str, ...]:
    """What the launch said last, frames of a crash aside: they say where, and not what."""
    return tuple(line for line in log.lines[-_LAST_LINES:] if not FRAME.match(line))[-_MOST_LINES:]


def _unproved(code: ProblemCode, about: Expected, wanted: tuple[str, ...], *, logged: bool = True) -> Problem:
    return problem("invalid", code, (), cause="unproved", about=about, wanted=wanted, logged=logged)


def _contradicted(
    code: ProblemCode,
    about: Expected,
    wanted: tuple[str, ...],
    evidence: Iterable[str],
    *,
    found: tuple[str, ...] = (),
) -> Problem:
    return problem("invalid", code, evidence, cause="contradicted", about=about, wanted=wanted, found=found)


def problem(
    kind: Literal["launch-failed", "timeout", "invalid"], code: ProblemCode, evidence: Iterable[str], **figures: Any
) -> Problem:
    lines = [line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…" for line in evidence]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES // 2], f"… {len(lines) - _MOST_LINES} more lines …", *lines[-_MOST_LINES // 2 :]]
    return Problem(kind=kind, code=code, evidence=tuple(lines), **figures)
