"""What `sgdiff compare` puts side by side: perf dumps, a recording's launches, or a baseline. Pure.

A side knows as much as its source tells: a perf dump names the model and no GPU, a recording the whole command line, a
baseline its machine and workload. What a source does not report is no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Literal

from pytest_sgdiff.data import Baseline, Environment, Launch, LaunchRecord, Machine, PerfDump
from pytest_sgdiff.engines.gate import cut_off
from pytest_sgdiff.engines.inspect import inspect, inspect_launch
from pytest_sgdiff.engines.inspection import LaunchFlaw
from pytest_sgdiff.engines.log import examine
from pytest_sgdiff.engines.perf_dump import read_dump
from pytest_sgdiff.engines.serving.inspect import is_server
from pytest_sgdiff.engines.serving.numbers import steps_of
from pytest_sgdiff.errors import RecordingError
from pytest_sgdiff.judging.inherited import inherited
from pytest_sgdiff.judging.workload import is_kept

SIZES = ("width", "height", "num-frames", "num-inference-steps")
"""Flags of the engine that say how large the work is."""

EVERY_LAUNCH = frozenset(
    (
        *("model-path", "num-gpus", *SIZES, "perf-dump-path", "output-path", "output-file-name", "output-file-path"),
        *("master-port", "scheduler-port", "port", "strict-ports"),
        *("host", "input-save-path", "uvicorn-access-log-exclude-prefixes"),
    )
)
"""Flags that say nothing of how the work is done: facts of their own, places and ports, which no two launches share."""


GPUS = "GPUs"
"""The fact that is left where a side does not report its machine."""

TIMERS = "stage timers"

Fact = str | int | bool | Machine
"""A value of a fact: the machine, whether stage timers are synchronised, a count, or a word of the engine's."""


NoteCode = Literal["cut-off", "flaw", "ending", "exit-code", "no-dump", "no-exit-code", "foreign-process", "published"]
"""What is worth a note: why a launch is discarded, what is wrong with one that is not, another process on its GPU, and
numbers that are published and not of launches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What a reader of a side must know; `reports/comparison.py` has the words.

    `launch` is the launch's number, None where it is of the whole side, and `discarded` says that it does not count.
    `ending` is how its process ended, `number` its exit code, `pids` the other processes.
    """

    code: NoteCode
    launch: int | None = None
    discarded: bool = False
    flaw: LaunchFlaw | None = None
    ending: str = ""
    number: int | None = None
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two. `facts` must be equal on both sides where both tell them: model, GPUs, sizes, stage timers,
    backend. `flags` and `variables` (those that the engine reads, inherited or
    the case's own) are how the work is done, None if not reported: to compare two ways is what many come for.
    `published`: its numbers are not of launches, and have no spread.
    `notes` are for the reader: launches that do not count, and why."""

    label: str
    launches: tuple[LaunchRecord, ...]
    machine: Machine | None = None
    engine_version: str | None = None
    facts: Mapping[str, Fact] = field(default_factory=dict)
    flags: Mapping[str, str] | None = None
    variables: Mapping[str, str] | None = None
    published: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def untold(self) -> tuple[str, ...]:
        """What ought to be equal on both sides and is not known of this one."""
        told = {
            GPUS: "machine" in self.facts or GPUS in self.facts,
            # A command line or a workload, which alone tell of timers, leaves out a size that is the model's own.
            "size": TIMERS in self.facts or any(name in self.facts for name in SIZES),
            TIMERS: TIMERS in self.facts,
        }
        return tuple(name for name, known in told.items() if not known)


def dump_side(label: str, text: str) -> Side:
    """One perf dump. Raises RecordingError if it is none."""
    dump, error = read_dump(text)
    if dump is None:
        raise RecordingError(f"{label}: {error}; give a file that --perf-dump-path wrote")
    found = inspect(text, None)
    launch = LaunchRecord(
        number=0,
        metrics=found.metrics,
        steps_ms=dump.steps_ms,
        started_at=dump.timestamp,
        generation=dump.generation,
    )
    return Side(label=label, launches=(launch,), facts=dict(_dump_facts(dump, found.backend)))


def recording_side(label: str, launches: Sequence[Launch]) -> Side:
    """The launches of one recorded case. Those that gave no numbers are left out with a note; there may be none left.

    Raises RecordingError for launches of different work that were recorded as one case.
    """
    kept: list[LaunchRecord] = []
    notes: list[Note] = []
    facts: dict[str, Fact] = {}
    for launch in launches:
        server = is_server(launch)
        read = [read_dump(one.dump)[0] for one in launch.requests if not one.warmup]
        dumps = [one for one in (read if server else [read_dump(launch.dump)[0]]) if one is not None]
        found = inspect_launch(launch) if server else inspect(launch.dump, launch.log or None)
        ended_well = not found.problems if server else launch.returncode == 0 and launch.ending == "exited"
        if not dumps or not ended_well:
            notes.append(replace(_failure(launch, found.problems), launch=launch.number, discarded=True))
            continue
        notes += [Note(code="flaw", launch=launch.number, flaw=flaw) for flaw in found.problems]
        if launch.watch and launch.watch.foreign:
            pids = tuple(dict.fromkeys(process.pid for process in launch.watch.foreign))
            notes.append(Note(code="foreign-process", launch=launch.number, pids=pids))
        own = {**dict(_dump_facts(dumps[-1], found.backend)), **dict(_launch_facts(launch))}
        for name, value in own.items():
            if facts.setdefault(name, value) != value:
                raise RecordingError(
                    f"{label}: its launches differ in {name}: {fact_text(facts[name])} and {fact_text(value)}; "
                    "compare them singly"
                )
        kept.append(
            LaunchRecord(
                number=launch.number,
                metrics=found.metrics,
                steps_ms=steps_of(dumps),
                started_at=launch.started_at,
                environment=launch.environment,
                generation=dumps[-1].generation,
            )
        )
    if not kept:
        return Side(label=label, launches=(), notes=tuple(notes))
    versions = {launch.environment.engine_version for launch in kept}
    return Side(
        label=label,
        launches=tuple(kept),
        machine=launches[0].machine,
        engine_version=versions.pop() if len(versions) == 1 else None,
        facts=facts,
        flags=_ways(launches[0].argv),
        variables=_variables(kept[0].environment, launches[0].env),
        notes=tuple(notes),
    )


def baseline_side(label: str, baseline: Baseline) -> Side:
    """A committed baseline."""
    measurement = baseline.measurement
    workload = dict(_leaves(measurement.workload.fields))
    facts: dict[str, Fact] = {n: workload[n] for n in ("model", "backend", "scenario", *SIZES) if n in workload}
    if "model" in workload:
        facts["model"] = _last_part(workload["model"])
    lengths = {len(launch.steps_ms) for launch in measurement.launches if launch.steps_ms}
    if len(lengths) == 1:
        facts["denoising steps"] = lengths.pop()
    synced = {launch.environment.sync_stages for launch in measurement.launches}
    if baseline.kind == "recorded" and len(synced) == 1:
        facts[TIMERS] = synced.pop()
    facts |= _machine_facts(measurement.machine)
    return Side(
        label=label,
        launches=measurement.launches,
        machine=measurement.machine,
        engine_version=baseline.engine_version,
        facts=facts,
        variables=_variables(measurement.launches[0].environment, _given(measurement.workload.fields)),
        published=baseline.kind == "reference",
        notes=(Note(code="published"),) if baseline.kind == "reference" else (),
    )


def _failure(launch: Launch, flaws: Sequence[LaunchFlaw]) -> Note:
    """Why a launch that does not count does not."""
    if cut_off(launch, examine(launch.log)):
        return Note(code="cut-off")
    if flaws:
        return Note(code="flaw", flaw=flaws[0])
    if launch.ending != "exited":
        return Note(code="ending", ending=launch.ending)
    if launch.returncode:
        return Note(code="exit-code", number=launch.returncode)
    return Note(code="no-dump" if launch.dump is None else "no-exit-code")


def _dump_facts(dump: PerfDump, backend: str | None) -> Iterator[tuple[str, Fact]]:
    if dump.model:
        yield "model", _last_part(dump.model)
    if dump.steps_ms:
        yield "denoising steps", len(dump.steps_ms)
    if backend:
        yield "backend", backend


def _launch_facts(launch: Launch) -> Iterator[tuple[str, Fact]]:
    flags = _flags(launch.argv)
    if "model-path" in flags:
        yield "model", _last_part(flags["model-path"])
    asked = launch.requests[-1].fields if launch.requests else {}
    for name in SIZES:
        if (size := flags.get(name, asked.get(name.replace("-", "_")))) is not None:
            yield name, str(size)
    yield from _machine_facts(launch.machine).items()
    if launch.machine is None and "num-gpus" in flags:
        many = flags["num-gpus"]
        yield GPUS, int(many) if many.isdecimal() else many
    if launch.argv or launch.env:
        yield TIMERS, launch.environment.sync_stages


def _machine_facts(machine: Machine | None) -> dict[str, Fact]:
    if machine is None:
        return {}
    return {"machine": machine, **({GPUS: machine.count} if machine.kind == "gpu" else {})}


def fact_text(value: Fact) -> str:
    """A fact as people read it: `2 x NVIDIA H200`, `synchronised`. The one place that has these words."""
    if isinstance(value, Machine):
        profile = f" (MIG {value.mig_profile})" if value.mig_profile else ""
        return f"{value.count} x {value.product}{profile}"
    if isinstance(value, bool):
        return "synchronised" if value else "not synchronised"
    return str(value)


def _last_part(model: str) -> str:
    """A checkpoint's own name: the same one lies in different folders on different machines."""
    return model.rstrip("/").rpartition("/")[2]


def _flags(argv: Sequence[str]) -> dict[str, str]:
    """`--width 832` and `--width=832` by name; a flag without a value is an empty text."""
    found: dict[str, str] = {}
    for word, following in pairwise((*argv, "--")):
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            found[name.replace("_", "-")] = value if equals else "" if following.startswith("--") else following
    return found


def _ways(argv: Sequence[str]) -> dict[str, str] | None:
    return {name: value for name, value in _flags(argv).items() if name not in EVERY_LAUNCH} if argv else None


def _variables(environment: Environment, given: Mapping[str, str]) -> dict[str, str] | None:
    """What the engine reads of a launch's environment; None where what it inherited was not recorded."""
    if environment.inherited is None:
        return None
    # Baselines keep of what a case sets what is work. Whether timers are synchronised is a fact of its own.
    return {**environment.inherited, **inherited({name: value for name, value in given.items() if is_kept(name)})}


def _given(fields: Mapping[str, Any]) -> dict[str, str]:
    """The variables among a workload's fields."""
    return {name.removeprefix("env."): str(value) for name, value in fields.items() if name.startswith("env.")}


def _leaves(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The readable fields of a workload by the last part of their names."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _leaves(value)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield name.rpartition(".")[2].replace("_", "-"), str(value)
