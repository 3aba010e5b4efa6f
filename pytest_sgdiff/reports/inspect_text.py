"""The words for a `LaunchFlaw` of `sgdiff inspect`: what is wrong with a launch, whatever case it is of. The one place
that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_sgdiff.data import Disturbance
from pytest_sgdiff.engines.inspect import FlawCode, LaunchFlaw
from pytest_sgdiff.reports import disturbance_text
from pytest_sgdiff.reports.failure_text import NATIVE_UNPROVED, in_words, warmup_unproved


def words(flaw: LaunchFlaw) -> str:
    """`the log shows a failure: port 30005 was already in use`: one flaw in one line."""
    return _WORDS[flaw.code](flaw)


def disturbed(by: Disturbance) -> str:
    """`disturbed: GPU-5d1e8f00: …`"""
    return f"disturbed: {disturbance_text.words(by)}"


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
    "compile-failed": lambda f: f"torch.compile failed: {f.line}",
}
