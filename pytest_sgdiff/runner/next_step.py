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

CURES: Mapping[Cause, str] = {
    "memory": "give the case more GPUs or less work; `sgdiff gpus` shows who else holds their memory",
    "host-memory": "give the host, or the container, more memory: a model is loaded through it, and offloading keeps "
    "weights there",
    "collective": "read in the log what each rank did last: one of them stopped, and the others waited for it; a "
    "longer timeout only waits longer (`NCCL_DEBUG: INFO` in the case's `env` says more)",
    "killed": "look who sent SIGKILL: mostly the kernel, because the host or the container ran out of memory (`dmesg` "
    "and the pod's last state say so)",
    "unproved": "let the engine log it (`log-level: info`, nothing that filters its output), or take it out of the "
    "case's `expect`",
    "contradicted": "make the case expect what it asks for, or find out why the engine did something else",
    "port": "run it again: every launch gets ports of its own, and somebody else had collected this one",
    "backend": "the engine has no native pipeline for this model, or could not load it (its log says "
    "which); if diffusers is meant, the case says `backend: diffusers`",
    "warmup": "make the case ask for what runs (`warmup:`); the log must show that a warmup ended",
    "conditioning-cache": "launch it again with the command that the plugin writes, which turns the cache off; if the "
    "cache is meant, the case says `disable-conditioning-cache: false` under `args`",
    "time": "read at which stage the log stops; if the case may take that long, raise its `timeout`",
    "other-work": "launch the case as it is now, or judge the recording with the case file that it was made with",
    "mixture": "give the launches of each job a folder of their own, and judge or record one folder at a time",
    "cut-off": "launch it again, or take its folder out of the recording: pytest was killed while it ran, or files of "
    "it are missing",
    "exit-code": "launch it again without what takes exit codes from pytest (a plugin that waits for any child); "
    "if it is known how a recorded launch ended, write `returncode` into its launch.json",
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
        return f"{undo}, or put what is meant under `env` of the case; if the change is meant, record one: {command}"
    if outcome == "no-baseline":
        return f"record one: {command}"
    if outcome == "regressed":
        return f"if it is meant: {command}"
    if outcome == "improved":
        return f"to hold the gain: {command}"
    if outcome == "inconclusive" and disturbed:
        # More launches in the baseline do not make the machine quiet.
        return "run it again when the machine is quiet; `sgdiff gpus` shows who holds or uses its GPUs"
    if outcome == "inconclusive" and settled_by:
        return settled_by
    if outcome == "inconclusive" and looks < CONFIRM_LAUNCHES:
        return (
            f"let the case take {CONFIRM_LAUNCHES} launches (launches.looks): fewer prove nothing but a gross slowdown"
        )
    if outcome == "inconclusive":
        return "run it again on a quiet machine; if it stays so, record more launches (launches.baseline)"
    if outcome == "invalid":
        by_hand = "read the engine's log, or launch it by hand with the command line that reproduces this"
        return by_hand if cause is None else CURES[cause]
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
        return f"a published number settles nothing, a baseline of your own does: {command}"
    if lost := [title(v.metric) for v in gone(verdicts)]:
        return f"if {' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} gone for good: {command}"
    # The case asks for three launches or more, so the file is of another plan, or was edited.
    if len(counted(baseline.measurement.launches)) < BASELINE_LAUNCHES:
        return f"too few launches in the baseline: {command}"
    opened = [v for v in verdicts if v.outcome == "inconclusive" and v.deciding]
    if any(v.baseline is None and v.now is None for v in opened):
        return "correct `metrics.gate` of the case: `sgdiff inspect` lists the stages of a perf dump"
    if any(v.finding.code == "host-decides" for v in opened):
        # More launches show more of the host.
        return "make the case larger (more frames, larger images, all layers), or give the engine CPUs of its own"
    lacking = [title(v.metric) for v in opened if None in v.baseline_values]
    return f"launches of the baseline lack {', '.join(lacking)}: {command}" if lacking else ""
