"""The words for a `NextStep`: the sentence or command that the message of a case ends with. The one place that has
them."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping

from pytest_sgdiff.data import Cause, NextCode, NextStep
from pytest_sgdiff.metrics import title

FIXES: Mapping[Cause, str] = {
    "memory": "give the case more GPUs or less work; `sgdiff gpus` shows which other processes hold GPU memory",
    "host-memory": "give the host, or the container, more memory: the engine loads models through it, and offloading "
    "keeps weights there",
    "disk": "make room on that disk: the engine writes to its caches, the folder of temporary files and the recording",
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
    "component": "read in the log, above that line, why the engine could not load its own class: often weights that a "
    "newer transformers saved under other names; to measure it as it is, name it under `expect.fallback` of the case",
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
    "blank": "look for NaN in the model: a wrong precision, scale or kernel; a case that is to draw one colour says "
    "`quality: off`",
    "damaged": "look into the file in the recording (--sgdiff-keep-outputs keeps it), and for what ended the engine's "
    "encoder early",
    "exit-code": "launch it again without the plugin that takes exit codes from pytest (one that waits for any child "
    "process); if you know how a recorded launch ended, write `returncode` into its launch.json",
}
"""What helps against a launch that does not count."""


def words(step: NextStep | None) -> str:
    """`record a baseline: pytest --sgdiff-update …`: what to do; empty if there is nothing to do."""
    return "" if step is None else _WORDS[step.code](step)


def _command(s: NextStep) -> str:
    """The command; where a replayed recording is too short for a baseline, why it must launch."""
    if s.have is None:
        return s.command
    return f"on the machine (a baseline needs {s.launches} launches, this recording has {s.have}): {s.command}"


def _restore(s: NextStep) -> str:
    """The shell's commands that bring back the environment of the baseline."""
    export = [f"{one.name}={shlex.quote(one.then)}" for one in s.changed if one.then is not None]
    unset = [one.name for one in s.changed if one.then is None]
    shell = [f"{word} {' '.join(names)}" for word, names in (("unset", unset), ("export", export)) if names]
    return (
        f"run it with the variables of the baseline: `{'; '.join(shell)}`, or set the intended values under `env` of "
        f"the case; if the change is intended, record a baseline: {_command(s)}"
    )


def _removal(s: NextStep) -> str:
    lost = " and ".join(map(title, s.metrics))
    return f"if {lost} {'is' if len(s.metrics) == 1 else 'are'} removed for good: {_command(s)}"


def _more(s: NextStep) -> str:
    fewer = "" if s.fewer is None else f", or let the case ask for {s.fewer} (launches.baseline)"
    return f"record {s.launches} launches on the machine: {s.command}{fewer}"


_WORDS: Mapping[NextCode, Callable[[NextStep], str]] = {
    "record": lambda s: f"record a baseline: {_command(s)}",
    "restore-environment": _restore,
    "accept": lambda s: f"if it is intended: {_command(s)}",
    "accept-picture": lambda s: (
        "see both pictures in the HTML report (--sgdiff-report=report.html); if the case may change them, say under "
        f"its `quality` how much; if the new ones are right: {_command(s)}"
    ),
    "accept-removal": _removal,
    "keep-gain": lambda s: f"to keep the gain: {_command(s)}",
    "own-baseline": lambda s: f"a published number cannot decide this, a baseline of your own can: {_command(s)}",
    "few-launches": lambda s: f"too few launches in the baseline: {_command(s)}",
    "incomplete-baseline": lambda s: f"launches of the baseline lack {', '.join(map(title, s.metrics))}: {_command(s)}",
    "record-more": _more,
    "odd-picture": lambda s: (
        "see both pictures in the HTML report (--sgdiff-report=report.html); if launches of the case may differ so "
        f"much, say under its `quality` how much; if not, find out why one did, and record again: {_command(s)}"
    ),
    "repeat": lambda s: (
        "run it again on a quiet machine; if it stays inconclusive, record more launches (launches.baseline)"
    ),
    "repeat-pairs": lambda s: "run it again on a quiet machine",
    "wait-for-quiet": lambda s: "run it again when the machine is quiet; `sgdiff gpus` shows who uses its GPUs",
    "more-checkpoints": lambda s: (
        f"give the case {s.launches} launches (launches.checkpoints): fewer detect only a gross slowdown"
    ),
    "correct-gate": lambda s: "correct `metrics.gate` of the case: `sgdiff inspect` lists the stages of a perf dump",
    "larger-case": lambda s: (
        "make the case larger (more frames, larger images, all layers), or give the engine CPUs of its own"
    ),
    "fix": lambda s: "" if s.cause is None else FIXES[s.cause],
    "name-recording": lambda s: (
        "name the folder of a run, as --sgdiff-out wrote it: the launches of a case lie in it in a folder of its name"
    ),
    "run-shard": lambda s: f"run that shard again ({s.command}), and merge the recordings anew",
    "read-log": lambda s: "read the engine's log, or launch it by hand with the command line that reproduces this",
    "stated": lambda s: s.fix,
    "see-differences": lambda s: f"see what differs: {_command(s)}",
    "see-pictures": lambda s: (
        "see both pictures in the HTML report (--sgdiff-report=report.html); if the case may change them, say under "
        "its `quality` how much"
    ),
}
