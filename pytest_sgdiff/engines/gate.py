"""Why a launch does not count: what every launch must have proved before one of its numbers is used.

Exit code 0 proves nothing (a failed request exits with 0), nor does a perf dump (a fallback to the diffusers backend
writes one that looks in order), nor the line "(with warmup excluded)" (printed although nothing was warmed up).
"""

from __future__ import annotations

import math
import signal
from collections.abc import Iterable, Iterator

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Backend, Case, Expected, Launch, PerfDump, Problem, ProblemCode
from pytest_sgdiff.engines import conditioning, outputs
from pytest_sgdiff.engines.attention import deciding_uses, denoiser_asked, unsatisfied
from pytest_sgdiff.engines.flags.lookup import given
from pytest_sgdiff.engines.log import LogEvidence
from pytest_sgdiff.engines.perf_dump import CLOCK_NOISE, CLOCK_NOISE_MS
from pytest_sgdiff.engines.problems import last_lines as _last
from pytest_sgdiff.engines.problems import problem as _problem

DIFFUSERS_PIPELINE = "DiffusersPipeline"
"""The pipeline class of the diffusers backend."""

DIFFUSERS_STAGE = "DiffusersExecutionStage"
"""The one stage of the diffusers backend, and of no native pipeline (sglang 0.5.8 to 0.5.23)."""

_DEVICE_MODE = "ltx2-two-stage-device-mode"
_DEVICE_MODE_KEY = "ltx2_two_stage_device_mode"
_DEVICE_MODE_VARIABLE = "SGLANG_LTX2_TWO_STAGE_DEVICE_MODE"

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
        yield _problem(
            "timeout",
            "timeout",
            dict.fromkeys((*log.failures, *log.shown)) or _last(log),
            cause=log.lacked or "time",
            seconds=case.timeout_s,
            failure=log.failure,
        )
        return
    if launch.ending == "interrupted":
        yield _problem("launch-failed", "interrupted", _last(log))
        return
    if launch.returncode:
        yield _exit(launch.returncode, log)
        return
    if cut_off(launch, log):
        yield _problem("launch-failed", "cut-off", _last(log), cause="cut-off")
        return
    yield from _failed_request(launch, log)
    yield from _dump(launch, log, dump, dump_error)
    if launch.returncode is None and launch.dump is not None:
        yield _problem("invalid", "no-exit-code", (), cause="exit-code")
    yield from _outputs(launch, case, log)
    yield from work_problems(launch, case, log, dump)
    if case.warmup == "request" and log.warmup != "proven":
        asked = (log.warmup_asked,) if log.warmup_asked else ()
        yield _problem("invalid", "warmup", log.warmup_lines, cause="warmup", warmup=log.warmup_code, found=asked)
    yield from setting_problems(launch, case, log)


def work_problems(launch: Launch, case: Case, log: LogEvidence, dump: PerfDump | None) -> Iterator[Problem]:
    """The work that a dump is of, a launch's or that of one request of a server: the backend, what the case expects,
    and the steps that it asks for."""
    yield from backend_problems(case.runs_on, dump, log)
    yield from _expected(launch, case, dump, log)
    if case.runs_on == "sglang" or case.expect.attention:
        yield from _attention(case, log)
    if case.runs_on == "sglang":
        yield from _components(case, log)
        yield from _device_mode(launch, case, log)
    yield from _steps(case, dump)
    yield from _steps_beyond_their_stage(dump)


def setting_problems(launch: Launch, case: Case, log: LogEvidence) -> Iterator[Problem]:
    """How the engine was set up: without the cache of encodings, and compiled, where the case asks for that."""
    if conditioning.to_be_off(case):
        yield from _cached(launch, log)
    if log.compile_failures and given(case, "enable-torch-compile"):
        yield _problem("invalid", "compile-failed", log.compile_failures)


def backend_problems(wanted: Backend, dump: PerfDump | None, log: LogEvidence) -> Iterator[Problem]:
    """The backend gate: positive proof of the backend that the case declares, and no sign of the other."""
    ran = backend_of(dump, log)
    evidence = (*log.fallbacks, *log.pipeline_lines, *_stage_lines(dump))
    if wanted == "sglang":
        if ran == "diffusers":
            yield _problem("invalid", "diffusers-ran", evidence, cause="backend", asked=log.requested_diffusers)
        elif not log.pipeline:
            yield _problem("invalid", "native-unproved", evidence)
    elif ran == "sglang":
        yield _problem("invalid", "native-ran", evidence)
    elif ran is None:
        yield _problem("invalid", "diffusers-unproved", evidence)


def failed_dump(error: str) -> Problem:
    """A dump that cannot be a measurement."""
    return _problem("invalid", "bad-dump", (), message=error)


def _exit(returncode: int, log: LogEvidence) -> Problem:
    # The lines that say what failed, then how it ended.
    lines = dict.fromkeys((*log.failures, *log.shown, *_last(log)))
    cause = log.lacked or (None if log.failure or -returncode != signal.SIGKILL else "killed")
    code: ProblemCode = "signal" if returncode < 0 else "exit-code"
    return _problem("launch-failed", code, lines, cause=cause, number=abs(returncode), failure=log.failure)


def _failed_request(launch: Launch, log: LogEvidence) -> Iterator[Problem]:
    if log.failures:
        lines = dict.fromkeys((*log.failures, *log.shown))
        how = launch.returncode
        yield _problem("launch-failed", "failure-in-log", lines, cause=log.lacked, number=how, failure=log.failure)


def _dump(launch: Launch, log: LogEvidence, dump: PerfDump | None, dump_error: str | None) -> Iterator[Problem]:
    if dump_error is not None:
        yield failed_dump(dump_error)
    elif dump is None:
        code: ProblemCode = "stale-dump" if launch.stale_dump else "no-dump"
        yield _problem("launch-failed", code, () if log.failures else _last(log), number=launch.returncode)


def _outputs(launch: Launch, case: Case, log: LogEvidence) -> Iterator[Problem]:
    """The files that the engine must have left; None in a launch means that they were not looked for."""
    if launch.outputs is None or not outputs.saves(case):
        return
    if not launch.outputs:
        yield _problem("invalid", "no-output", ())
    for file in launch.outputs:
        if file.size_bytes == 0:
            yield _problem("invalid", "empty-output", (), found=(file.name,))
    older = outputs.of_warmup(launch, log)
    if older:
        times = [f"{file.name}: written at {file.modified_at}" for file in older]
        times.append(f"the measured request began at {log.request_began}")
        yield _problem("invalid", "output-of-warmup", times, found=tuple(file.name for file in older))


def _expected(launch: Launch, case: Case, dump: PerfDump | None, log: LogEvidence) -> Iterator[Problem]:
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
    of_image = outputs.takes_size_of_image(case, log)
    for name, about, wanted in sizes:
        if wanted is None:
            continue
        others = [*outputs.other_sizes(launch, about, wanted)] if about != "frames" else []
        if others:
            lines = [f"{file.name}: {file.width}x{file.height}" for file, _ in others]
            found = tuple(dict.fromkeys(str(size) for _, size in others))
            yield _contradicted("other-size", about, (str(wanted),), lines, found=found)
        elif about == "frames" or not of_image:
            yield from _size(name, about, wanted, log)
        elif not outputs.sizes_known(launch):
            yield _unproved("size-of-image", about, (str(wanted),))


def _size(name: str, about: Expected, wanted: int, log: LogEvidence) -> Iterator[Problem]:
    """Every block of the log that tells the size must tell the one that is expected."""
    logged = tuple(value for value in log.sampling.get(name, ()) if value.isdecimal() and int(value) > 0)
    if not logged:
        yield _unproved("size-unproved", about, (str(wanted),), logged=bool(log.sampling))
    elif any(int(value) != wanted for value in logged):
        lines = [f"Sampling params: {name}: {value}" for value in logged]
        yield _contradicted("other-size", about, (str(wanted),), lines, found=logged)


def _attention(case: Case, log: LogEvidence) -> Iterator[Problem]:
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


def _components(case: Case, log: LogEvidence) -> Iterator[Problem]:
    """A component of which the engine could not load its own class runs as one of another library: other code, at
    another speed, while pipeline, stages and dump look the same. One of which the engine has no class is none of
    these."""
    found = tuple(name for name in log.fell_back if name not in case.expect.fallback)
    if found:
        yield _problem(
            "invalid", "component-fell-back", log.fell_back_lines, cause="component", about="component", found=found
        )


def _device_mode(launch: Launch, case: Case, log: LogEvidence) -> Iterator[Problem]:
    """Whether both stages of LTX-2 stay on the GPU: another amount of work and memory, which neither stages nor dump
    show. A mode that the engine chose by itself is none that the case asked for."""
    ran = log.server_args.get(_DEVICE_MODE_KEY)
    asked = given(case, _DEVICE_MODE) or case.env.get(_DEVICE_MODE_VARIABLE) or None
    if not isinstance(ran, str) or not (asked or f"--{_DEVICE_MODE}" in launch.argv):
        return
    # Deprecated from 0.5.14 on, where it means the other.
    same = {"snapshot": "original"}
    if asked is None or same.get(str(asked).lower(), str(asked).lower()) != same.get(ran.lower(), ran.lower()):
        wanted = () if asked is None else (str(asked),)
        line = f'server_args: "{_DEVICE_MODE_KEY}": "{ran}"'
        yield _contradicted("other-device-mode", "device-mode", wanted, (line,), found=(ran,))


def _cached(launch: Launch, log: LogEvidence) -> Iterator[Problem]:
    """Encoders whose work the warmup, a copy of the measured request, had done: their times say nothing of them."""
    hits = conditioning.hits(log.lines)
    if hits:
        yield _problem("invalid", "cache-hit", hits, cause="conditioning-cache")
    elif conditioning.used(log.server_args, launch.argv):
        yield _problem("invalid", "cache-on", conditioning.quoted(log.server_args), cause="conditioning-cache")


def _steps(case: Case, dump: PerfDump | None) -> Iterator[Problem]:
    """As many denoising steps as asked for, give or take one: some schedules drop the last."""
    wanted = given(case, "num-inference-steps")
    if dump is None or not dump.steps_ms or not isinstance(wanted, int) or isinstance(wanted, bool):
        return
    denoising = [stage.name for stage in dump.stages if metrics.is_denoising(stage.name)]
    if len(denoising) == 1 and denoising[0] in _PLAIN_DENOISING and abs(len(dump.steps_ms) - wanted) > 1:
        yield _problem("invalid", "step-count", (), number=len(dump.steps_ms), wanted=(str(wanted),))


def _steps_beyond_their_stage(dump: PerfDump | None) -> Iterator[Problem]:
    """The steps of a plain loop are timed within its stage: together they fit into it, clock noise aside."""
    stages = [stage for stage in dump.stages if metrics.is_denoising(stage.name)] if dump else []
    if dump is None or len(stages) != 1 or stages[0].name not in _PLAIN_DENOISING:
        return
    together, took = math.fsum(dump.steps_ms), stages[0].duration_ms
    if together > took + max(CLOCK_NOISE_MS, CLOCK_NOISE * took):
        yield _problem("invalid", "steps-too-long", (), found=(stages[0].name,), took_ms=took, steps_ms=together)


def _stage_lines(dump: PerfDump | None) -> tuple[str, ...]:
    stages = dump.stages if dump else ()
    return tuple(
        f"perf dump: {stage.name} {stage.duration_ms:.1f} ms" for stage in stages if stage.name == DIFFUSERS_STAGE
    )


def _unproved(code: ProblemCode, about: Expected, wanted: tuple[str, ...], *, logged: bool = True) -> Problem:
    return _problem("invalid", code, (), cause="unproved", about=about, wanted=wanted, logged=logged)


def _contradicted(
    code: ProblemCode,
    about: Expected,
    wanted: tuple[str, ...],
    evidence: Iterable[str],
    *,
    found: tuple[str, ...] = (),
) -> Problem:
    return _problem("invalid", code, evidence, cause="contradicted", about=about, wanted=wanted, found=found)
