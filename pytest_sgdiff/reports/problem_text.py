"""The words for a `Problem`: why a launch does not count. The one place that has them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping

from pytest_sgdiff.data import Problem, ProblemCode
from pytest_sgdiff.reports import difference_text, quality_text
from pytest_sgdiff.reports.failure_text import CUT_OFF, NATIVE_UNPROVED, in_words, warmup_unproved
from pytest_sgdiff.reports.server_text import SERVER_WORDS


def message(p: Problem) -> str:
    """`ran the pipeline FluxPipeline, the case expects WanPipeline`: the problem in one line."""
    return _WORDS[p.code](p)


def _why(p: Problem) -> str:
    return "" if p.failure is None else f": {in_words(p.failure)}"


def _signal(p: Problem) -> str:
    number = p.number or 0
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"the engine was killed by {name}{_why(p)}"


def _logged(p: Problem) -> str:
    how = "the engine exited with 0, but its log shows" if p.number == 0 else "the engine's log shows"
    return f"{how} a failure{_why(p)}"


def _of_request(p: Problem) -> str:
    return "the perf dump" if p.request is None else f"the perf dump of request {p.request}"


def _wanted(p: Problem) -> str:
    return " and ".join(p.wanted)


def _found(p: Problem) -> str:
    return " and ".join(p.found)


def _backend(p: Problem) -> str:
    return f"ran on the diffusers backend {'because it was requested' if p.asked else 'instead of the native one'}"


def _size_unproved(p: Problem) -> str:
    # The engine calls them num_frames.
    name = "num_frames" if p.about == "frames" else p.about
    lacks = f"names no {name}" if p.logged else "has no sampling params"
    return f"nothing proves the {p.about} {_wanted(p)}: the log {lacks}"


def _two(p: Problem) -> str:
    which = " and ".join(map(str, p.launches))
    told = "; ".join(map(difference_text.of_two, p.differences))
    return f"launches {which} of the recording belong to different measurements: {told}"


def _blank(p: Problem) -> str:
    shows = quality_text.BLANK[p.blank or "one-colour"]
    if len(p.found) < _OF_FRAMES:
        return f"the output {_found(p)} shows nothing: {shows}"
    name, frames, of = p.found
    return f"most of the output {name} shows nothing, {frames} of {of} frames: {shows}"


_OF_FRAMES = 3
"""Of a video that shows something `found` has its name, the frames that show nothing, and how many there are."""


_WORDS: Mapping[ProblemCode, Callable[[Problem], str]] = {
    "stated": lambda p: p.message,
    "timeout": lambda p: f"the launch did not end within {p.seconds:g} s{_why(p)}",
    "interrupted": lambda p: "the launch was interrupted",
    "exit-code": lambda p: f"the engine exited with {p.number}{_why(p)}",
    "signal": _signal,
    "cut-off": lambda p: CUT_OFF,
    "failure-in-log": _logged,
    "bad-dump": lambda p: p.message if p.request is None else f"request {p.request}: {p.message}",
    "stale-dump": lambda p: "the engine exited with 0, but the perf dump is older than the launch: it wrote none",
    "no-dump": lambda p: (
        "the engine exited with 0, but wrote no perf dump" if p.number == 0 else "there is no perf dump"
    ),
    "no-exit-code": lambda p: "nothing proves that the engine ended well: its exit code is unknown",
    "no-output": lambda p: "the engine left no output file",
    "empty-output": lambda p: f"the output file {_found(p)} is empty",
    "bad-output": lambda p: f"the output file {_found(p)} is damaged: it cannot be read to its end",
    "blank-output": _blank,
    "output-of-warmup": lambda p: (
        f"the output file {_found(p)} is older than the measured request: its warmup wrote it, and the request none"
    ),
    "diffusers-ran": _backend,
    "native-unproved": lambda p: NATIVE_UNPROVED,
    "native-ran": lambda p: "ran on the native backend, but the case declares `backend: diffusers`",
    "diffusers-unproved": lambda p: "nothing proves the diffusers backend: no sign of it in the log or the dump",
    "pipeline-unproved": lambda p: f"nothing proves the pipeline {_wanted(p)}: the log names no pipeline class",
    "other-pipeline": lambda p: f"ran the pipeline {_found(p)}, the case expects {_wanted(p)}",
    "stages-missing": lambda p: f"the perf dump has no stage {' and no stage '.join(p.wanted)}",
    "stages-idle": lambda p: f"nothing proves that {_wanted(p)} ran: the perf dump says 0 ms",
    "size-unproved": _size_unproved,
    "size-of-image": lambda p: (
        f"nothing proves the {p.about} {_wanted(p)}: this model takes the size of its output from the image, and the "
        "log names what was asked for"
    ),
    "other-size": lambda p: f"the engine generated {p.about} {_found(p)}, the case expects {_wanted(p)}",
    "other-attention": lambda p: f"ran with the attention backend {', '.join(p.found)}, the case asks for {_wanted(p)}",
    "attention-fell-back": lambda p: f"the attention backend {_wanted(p)} was not used everywhere",
    "attention-unproved": lambda p: f"nothing proves the attention backend {_wanted(p)}: the log names none",
    "component-attention": lambda p: (
        f"the transformer runs as a diffusers component, without the attention backend {_wanted(p)}"
    ),
    "component-fell-back": lambda p: (
        f"{_found(p)} did not load as the engine's own class, and ran as one of transformers or diffusers"
    ),
    "other-device-mode": lambda p: (
        f"ran LTX-2's stages with device mode {_found(p)}, the case asks for {_wanted(p) or 'none'}"
    ),
    "cache-hit": lambda p: "the measured request reused the encodings of its warmup from the conditioning cache",
    "cache-on": lambda p: (
        "the engine's conditioning cache was on, so the measured request reused the encodings of its warmup: "
        "the times of the encoders, and the total, do not include their work"
    ),
    "step-count": lambda p: (
        f"{_of_request(p)} has {p.number} denoising steps, num-inference-steps asks for {_wanted(p)}"
    ),
    "steps-too-long": lambda p: f"{_found(p)} took {p.took_ms:g} ms, less than its steps together ({p.steps_ms:g} ms)",
    "warmup": lambda p: warmup_unproved(p.warmup or "none", _found(p)),
    "compile-failed": lambda p: "torch.compile was requested and failed",
    **SERVER_WORDS,
    "other-work": lambda p: (
        f"launched for a different workload: {'; '.join(map(difference_text.of_case, p.differences))}"
    ),
    "two-measurements": _two,
}
