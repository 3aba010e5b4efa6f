"""The words for a `LaunchFlaw` of `sgdiff inspect`: what is wrong with a launch, whatever case it is of. The one place
that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_sgdiff.data import Disturbance, Problem, ProblemCode
from pytest_sgdiff.engines.inspection import FlawCode, LaunchFlaw
from pytest_sgdiff.reports import disturbance_text
from pytest_sgdiff.reports.failure_text import CUT_OFF, NATIVE_UNPROVED, in_words, warmup_unproved
from pytest_sgdiff.reports.server_text import SERVER_WORDS


def words(flaw: LaunchFlaw) -> str:
    """`the log shows a failure: port 30005 was already in use`: one flaw in one line."""
    return _WORDS[flaw.code](flaw)


def disturbed(by: Disturbance) -> str:
    """`disturbed: GPU-5d1e8f00: …`"""
    return f"disturbed: {disturbance_text.words(by)}"


_OF_A_LIFE: Mapping[ProblemCode, str] = {
    "interrupted": "the launch was interrupted",
    "timeout": "the launch did not end in time",
    "cut-off": CUT_OFF,
    "steps-too-long": "the denoising stage took less time than its steps together",
}


def _of_server(p: Problem | None) -> str:
    if p is None:
        return ""
    if p.code == "warmup":
        return warmup_unproved(p.warmup or "none")
    if p.code in SERVER_WORDS:
        return SERVER_WORDS[p.code](p)
    if p.code == "failure-in-log":
        return "the log shows a failure" if p.failure is None else f"the log shows a failure: {in_words(p.failure)}"
    of = "" if p.request is None else f"request {p.request}: "
    return f"{of}{_OF_A_LIFE.get(p.code) or p.message}"


_WORDS: Mapping[FlawCode, Callable[[LaunchFlaw], str]] = {
    "timeout": lambda f: "the launch did not end in time",
    "interrupted": lambda f: "the launch was interrupted",
    "exit-code": lambda f: f"the engine exited with {f.number}",
    "stale-dump": lambda f: "the perf dump is older than the launch",
    "no-dump": lambda f: "the launch left no perf dump",
    "empty-log": lambda f: "the log is empty",
    "cut-off": lambda f: "the log ends before the request does: the launch is incomplete, or wrote no perf dump",
    "native-unproved": lambda f: NATIVE_UNPROVED,
    "warmup": lambda f: "" if f.warmup is None else warmup_unproved(f.warmup, f.asked),
    "bad-dump": lambda f: f.line,
    "failure": lambda f: f"the log shows a failure: {f.line if f.failure is None else in_words(f.failure)}",
    "diffusers-ran": lambda f: (
        f"ran on the diffusers backend: {f.line or 'the perf dump has the stage DiffusersExecutionStage'}"
    ),
    "attention-fell-back": lambda f: f"attention fell back: {f.line}",
    "diffusers-component": lambda f: f"a component runs as a diffusers class: {f.line}",
    "problem": lambda f: _of_server(f.problem),
    "compile-failed": lambda f: f"torch.compile failed: {f.line}",
}
