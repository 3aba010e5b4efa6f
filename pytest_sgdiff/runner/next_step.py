"""What to do about the outcome of a case: the one sentence or command that its message ends with. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from pytest_sgdiff.data import Baseline, Cause, Changed, Outcome, Verdict
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.judging.inherited import is_work
from pytest_sgdiff.judging.judge import gone
from pytest_sgdiff.judging.rules.moderated import BASELINE_LAUNCHES
from pytest_sgdiff.judging.rules.three_way import CONFIRM_LAUNCHES
from pytest_sgdiff.metrics import title

FIXES: Mapping[Cause, str] = {
    "memory": "give the case more GPUs or less work; `sgdiff gpus` shows which other processes hold GPU memory",
    "host-memory": "give the host, or the container, more memory: the engine loads models through it, and offloading "
    "keeps weights there",
    "collective": "check in the log what each rank did last: one of them stopped, and the others waited for it; a "
    "longer timeout only waits longer (`NCCL_DEBUG: INFO` in the case's `env` logs more)",
    "killed": "find out what sent SIGKILL: usually the kernel, because the host or the container ran out of memory "
    "(`dmesg` and the pod's last state show it)",
    "unproved": "make the engine log it (`log-level: info`, no filter on its output), or remove it from the case's "
    "`expect`",
    "contradicted": "make `expect` match what the case asks for, or find out why the engine did something else",
    "port": "run it again: every launch gets its own ports, and another process had already taken this one",
    "backend": "the engine has no native pipeline for this model, or could not load it (see its log); to measure "
    "diffusers, set `backend: diffusers` in the case",
    "warmup": "set `warmup` of the case to what the engine runs; the log must show a completed warmup",
    "conditioning-cache": "launch it again with the command that the plugin writes, which turns the cache off; to "
    "measure with the cache, set `disable-conditioning-cache: false` under `args` of the case",
    "time": "check at which stage the log stops; if the case may take that long, raise its `timeout`",
    "readiness": "check in the log what the server waits for; if loading and warmup may take that long, raise the "
    "case's `timeout`",
    "request": "send the request to a server of your own, or read what its log says of it",
    "foreign-server": "end the process that listens there, and run it again: `ss -ltnp` names it",
    "other-task": "give the case what such a model needs (an image, or `num-frames`), or the model that it means",
    "chosen": "set `enable-breakable-cuda-graph` under `args` of the case, so that every launch does the same",
    "other-work": "launch the case as it is now, or judge the recording with the case file that it was made with",
    "mixture": "put the launches of each job into a folder of their own, and judge or record one folder at a time",
    "cut-off": "launch it again, or remove its folder from the recording: pytest was killed while it ran, or files of "
    "it are missing",
    "exit-code": "launch it again without the plugin that takes exit codes from pytest (one that waits for any child "
    "process); if you know how a recorded launch ended, write `returncode` into its launch.json",
}
"""What helps against a launch that does not count."""


def next_step(
    outcome: Outcome,
    command: str,
    *,
    cause: Cause | None = None,
    disturbed: bool = False,
    settled_by: str = "",
    looks: int = CONFIRM_LAUNCHES,
    changed: Sequence[Changed] = (),
) -> str:
    """What to do about the outcome, with the `command` that records a baseline; empty if there is nothing to do.

    `cause` is that of an invalid launch; `disturbed` tells that the machine, not noise, left the case inconclusive,
    `settled_by` what settles it where no repetition does; `looks` is how many launches the case takes at most;
    `changed` are the variables that its launches inherited otherwise than the baseline's.
    """
    if outcome == "no-baseline" and (undo := _undone(changed)):
        return (
            f"{undo}, or set the intended values under `env` of the case; if the change is intended, record a "
            f"baseline: {command}"
        )
    if outcome == "no-baseline":
        return f"record a baseline: {command}"
    if outcome == "regressed":
        return f"if it is intended: {command}"
    if outcome == "improved":
        return f"to keep the gain: {command}"
    if outcome == "inconclusive" and disturbed:
        # More launches in the baseline do not make the machine quiet.
        return "run it again when the machine is quiet; `sgdiff gpus` shows who uses its GPUs"
    if outcome == "inconclusive" and settled_by:
        return settled_by
    if outcome == "inconclusive" and looks < CONFIRM_LAUNCHES:
        return f"give the case {CONFIRM_LAUNCHES} launches (launches.checkpoints): fewer detect only a gross slowdown"
    if outcome == "inconclusive":
        return "run it again on a quiet machine; if it stays inconclusive, record more launches (launches.baseline)"
    if outcome == "invalid":
        by_hand = "read the engine's log, or launch it by hand with the command line that reproduces this"
        return by_hand if cause is None else FIXES[cause]
    return ""


def _undone(changed: Sequence[Changed]) -> str:
    """The shell's commands that bring back the environment of the baseline, as far as it is part of the workload."""
    work = [one for one in changed if one.recorded and is_work(one.name)]
    export = [f"{one.name}={shlex.quote(one.then)}" for one in work if one.then is not None]
    unset = [one.name for one in work if one.then is None]
    told = [f"{word} {' '.join(names)}" for word, names in (("unset", unset), ("export", export)) if names]
    return f"run it with the variables of the baseline: `{'; '.join(told)}`" if told else ""


def settles(verdicts: Sequence[Verdict], baseline: Baseline, command: str) -> str:
    """What settles a case that no repetition settles: mostly a new baseline, by `command`; empty where one may."""
    if baseline.kind == "reference":
        return f"a published number cannot decide this, a baseline of your own can: {command}"
    if lost := [title(v.metric) for v in gone(verdicts)]:
        return f"if {' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} removed for good: {command}"
    # The case asks for three launches or more, so the file is of another plan, or was edited.
    if len(counted(baseline.measurement.launches)) < BASELINE_LAUNCHES:
        return f"too few launches in the baseline: {command}"
    opened = [v for v in verdicts if v.outcome == "inconclusive" and v.deciding]
    if any(v.baseline is None and v.now is None for v in opened):
        return "correct `metrics.gate` of the case: `sgdiff inspect` lists the stages of a perf dump"
    lacking = [title(v.metric) for v in opened if None in v.baseline_values]
    return f"launches of the baseline lack {', '.join(lacking)}: {command}" if lacking else ""
