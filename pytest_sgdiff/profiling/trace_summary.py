"""A trace summed up: the self time of operators, kernels and Python functions, by stage and denoising step.

The self time of an operator is its own time without what it calls. Where kernels ran on a device, it is the time of
those that it launched: kernels name the operator by its `External id`.

Stages and steps are windows of time. Newer engines (0.5.23) annotate stages; in older traces the frames of the
functions that run a stage and a step stand for them (pipeline_executor.py, denoising.py). The profiler of denoising
steps alone annotates each step by its number (`ProfilerStep#3`), and begins with step 1.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any

from pytest_sgdiff.data import Part, ProfileReach, ProfileRow, ProfileSummary
from pytest_sgdiff.profiling.trace_events import Event, TraceError, events

if TYPE_CHECKING:
    import numpy as np

    Floats = np.ndarray[Any, np.dtype[np.float64]]
    Numbers = np.ndarray[Any, np.dtype[np.int64]]

CALLS_LIMIT = 6_000_000
"""Events that are kept, of 32 bytes each: a trace of TRACE_LIMIT bytes has as many."""
KEYS_LIMIT = 20_000
"""Different operators, kernels and functions; those beyond count as one. A real trace has some hundred."""
WINDOWS_LIMIT = 10_000
ROWS_KEPT = 2000
"""Rows of each part that a summary keeps; the others are in its rest."""
ROWS_BESIDE = 150
"""Rows of each part that are kept beside a baseline, which people review."""
HELD = 10.0
"""A call that takes more than this times the median of its row was held up by something else."""
_SAME_END_US = 0.01
"""Ends of calls are sums of two rounded numbers: so far apart they are the same moment."""

_DEVICE = frozenset(("kernel", "gpu_memcpy", "gpu_memset"))
_STAGE = re.compile(r"STAGE (\S{1,80})")
_RUNS_STAGE = re.compile(r".*pipeline_executor\.py\(\d+\): _run_stage_with_executor_hooks")
_CALLS_STAGE = re.compile(r".*pipelines_core/stages/base\.py\(\d+\): __call__")
_FORWARD = re.compile(r".*pipelines_core/stages/(?:\w+/)*(\w{1,80})\.py\(\d+\): forward")
_RUNS_STEP = re.compile(r".*: _run_denoising_step")
_ENDS_STEP = re.compile(r".*: step_profile")
_STEP = re.compile(r"ProfilerStep#(\d{1,6})")
_LINE = re.compile(r"\(\d+\)(?=: )")
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_INSTANCE = re.compile(r"(?<=^nn\.Module: )(.*?)_\d+$")
_NO_OPERATOR = "(launched by no operator)"
_OTHERS = "(others)"

Window = tuple[float, float, str]


@dataclass(kw_only=True)
class _Calls:
    """Calls in columns: their key, thread, start and time in µs, and their `External id` (-1: none)."""

    key: array[int] = field(default_factory=lambda: array("q"))
    thread: array[int] = field(default_factory=lambda: array("l"))
    start: array[float] = field(default_factory=lambda: array("d"))
    took: array[float] = field(default_factory=lambda: array("d"))
    external: array[int] = field(default_factory=lambda: array("q"))

    def add(self, key: int, thread: int, event: Event) -> None:
        self.key.append(key)
        self.thread.append(thread)
        self.start.append(event.start)
        self.took.append(event.took)
        self.external.append(-1 if event.external is None else event.external)


class _Collected:
    """What of a trace is kept while it is read."""

    def __init__(self) -> None:
        self.cpu, self.device = _Calls(), _Calls()
        self.keys: dict[tuple[Part, str, str], int] = {}
        self.threads: dict[object, int] = {}
        self.windows: dict[str, list[Window]] = {}

    def add(self, event: Event) -> None:
        if event.category == "cpu_op":
            self._call(self.cpu, "operator", event.name, event.shape, event)
        elif event.category == "python_function":
            self._window("runs-stage", _RUNS_STAGE, event)
            self._window("calls-stage", _CALLS_STAGE, event)
            self._window("forward", _FORWARD, event)
            self._window("runs-step", _RUNS_STEP, event)
            self._window("ends-step", _ENDS_STEP, event)
            self._call(self.cpu, "python", _function(event.name), "", event)
        elif event.category in _DEVICE:
            self._call(self.device, "kernel", event.name, "", event)
        elif event.category == "user_annotation":
            self._window("stage", _STAGE, event)
            self._window("step", _STEP, event)

    def _call(self, calls: _Calls, part: Part, name: str, shape: str, event: Event) -> None:
        if len(self.cpu.key) + len(self.device.key) >= CALLS_LIMIT:
            raise TraceError("too-large", f"it has more than {CALLS_LIMIT} calls")
        named = (part, name, shape)
        if named not in self.keys and len(self.keys) >= KEYS_LIMIT:
            named = (part, _OTHERS, "")
        key = self.keys.setdefault(named, len(self.keys))
        thread = self.threads.setdefault(event.thread, len(self.threads)) if len(self.threads) < KEYS_LIMIT else 0
        calls.add(key, thread, event)

    def _window(self, kind: str, pattern: re.Pattern[str], event: Event) -> None:
        found = pattern.fullmatch(event.name)
        windows = self.windows.setdefault(kind, [])
        if found is not None and len(windows) < WINDOWS_LIMIT:
            windows.append((event.start, event.start + event.took, found[1] if found.groups() else ""))


def summary_of(
    file: IO[bytes], *, reach: ProfileReach | None = None, stages: Sequence[str] = (), engine_version: str | None = None
) -> ProfileSummary | None:
    """The trace in a file, summed up; None if it holds no call of any operator. `stages` are the stages of the profiled
    request in their order, as its perf dump has them: they name the windows of older traces. Without a `reach` the
    trace tells it: the profiler of steps marks each.

    Raises TraceError, as `events`.
    """
    import numpy as np

    found = _Collected()
    for event in events(file):
        found.add(event)
    names = {key: named for named, key in found.keys.items()}
    cpu = _columns(found.cpu)
    parts = np.array([named[0] == "operator" for named in found.keys], dtype=bool)
    if not len(cpu.key) or not parts[cpu.key].any():
        return None
    stage_windows, step_windows = _stages(found.windows, stages), _steps(found.windows)
    own = _self_times(cpu)
    cpu_stage, cpu_step = _place(cpu.start, stage_windows), _place(cpu.start, step_windows)
    is_operator = parts[cpu.key]
    steps = tuple(int(name) for _, _, name in step_windows)
    labels = ["", *dict.fromkeys(name for _, _, name in stage_windows)]
    stage_of = np.array([0, *(labels.index(name) for _, _, name in stage_windows)])
    table = _Table(names=names, labels=labels, steps=len(steps))
    device = _columns(found.device)
    if len(device.key):
        launcher = _launchers(cpu, is_operator, device)
        known = launcher >= 0
        none = table.key_of(("operator", _NO_OPERATOR, ""))
        op_key = np.where(known, cpu.key[launcher], none)
        # Kernels of a CUDA graph have no operator: the moment at which they ran stands for it.
        stage = np.where(known, cpu_stage[launcher], _place(device.start, stage_windows))
        step = np.where(known, cpu_step[launcher], _place(device.start, step_windows))
        table.add(op_key, stage_of[stage], step, device.took)
        table.add(device.key, stage_of[stage], step, device.took)
    else:
        chosen = is_operator
        table.add(cpu.key[chosen], stage_of[cpu_stage[chosen]], cpu_step[chosen], own[chosen], clip=True)
    # Threads that run no operator wait for something all the time.
    rest = ~is_operator & np.isin(cpu.thread, np.unique(cpu.thread[is_operator]))
    table.add(cpu.key[rest], stage_of[cpu_stage[rest]], cpu_step[rest], own[rest], clip=True)
    rows, rest_ms = table.rows()
    took: dict[str, float] = {}
    for start, end, name in stage_windows:
        took[name] = round(took.get(name, 0.0) + (end - start) / 1000, 3)
    return ProfileSummary(
        reach=reach or ("steps" if found.windows.get("step") else "stages"),
        clock="device" if len(device.key) else "cpu",
        rows=rows,
        steps=steps,
        stages_ms=took,
        rest_ms=rest_ms,
        engine_version=engine_version,
    )


@dataclass(frozen=True, kw_only=True)
class _Columns:
    key: Numbers
    thread: Numbers
    start: Floats
    took: Floats
    external: Numbers


def _columns(calls: _Calls) -> _Columns:
    import numpy as np

    return _Columns(
        key=np.frombuffer(calls.key, dtype=np.int64) if calls.key else np.zeros(0, dtype=np.int64),
        thread=np.array(calls.thread, dtype=np.int64),
        start=np.array(calls.start, dtype=np.float64),
        took=np.array(calls.took, dtype=np.float64),
        external=np.array(calls.external, dtype=np.int64),
    )


def _self_times(calls: _Columns) -> Floats:
    """The time of each call without that of the calls inside it, on its own thread.

    A call of which the profiler saw no end lasts until the end of the trace (built-in methods of PyTorch's dispatcher
    do, in traces of a GPU): it counts until the end of the call that it is in.
    """
    import numpy as np

    # On a tie the longer call is the outer one; of equal ones the first in the file.
    order = np.lexsort((-calls.took, calls.start, calls.thread))
    own = calls.took.copy()
    starts, tooks, threads = calls.start[order].tolist(), calls.took[order].tolist(), calls.thread[order].tolist()
    inner = [0.0] * len(starts)
    kept = list(tooks)
    over = float(np.max(calls.start + calls.took, initial=0.0)) - _SAME_END_US
    outer: list[tuple[float, int]] = []
    before = None
    for place, (start, took, thread) in enumerate(zip(starts, tooks, threads, strict=True)):
        if thread != before:
            outer, before = [], thread
        while outer and outer[-1][0] <= start:
            outer.pop()
        end = start + took
        if outer:
            if end >= over:
                end = min(end, outer[-1][0])
                kept[place] = end - start
            # A clock that jitters lets an inner call end a little later than the outer one.
            inner[outer[-1][1]] += min(end, outer[-1][0]) - start
        outer.append((end, place))
    own[order] = np.array(kept) - np.array(inner)
    return np.maximum(own, 0.0)


def _launchers(cpu: _Columns, is_operator: np.ndarray[Any, np.dtype[np.bool_]], device: _Columns) -> Numbers:
    """The place of the operator that launched each kernel, -1 where none is known."""
    import numpy as np

    places = np.flatnonzero(is_operator & (cpu.external >= 0))
    if not len(places):
        return np.full(len(device.key), -1, dtype=np.int64)
    ids = cpu.external[places]
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids[order], device.external), len(places) - 1)
    found = places[order[at]]
    return np.where(cpu.external[found] == device.external, found, -1)


def _stages(windows: dict[str, list[Window]], names: Sequence[str]) -> list[Window]:
    """The windows of the stages, in order and without any inside another one."""
    kinds = ("stage", "runs-stage", "calls-stage")
    found = next((_apart(windows[kind]) for kind in kinds if windows.get(kind)), [])
    if len(found) == len(names):
        return [(start, end, name) for (start, end, _), name in zip(found, names, strict=True)]
    # Without a dump a stage goes by the file of its code.
    forward = sorted(windows.get("forward", []))
    files = [next((name for at, _, name in forward if start <= at < end), "") for start, end, _ in found]
    return [
        (start, end, name or file or f"stage {number}")
        for number, ((start, end, name), file) in enumerate(zip(found, files, strict=True))
    ]


def _steps(windows: dict[str, list[Window]]) -> list[Window]:
    """The windows of the denoising steps, each named by its number."""
    numbered = _apart(windows.get("step", []))
    found = _apart(windows.get("runs-step", []))
    if not found and (ends := sorted(end for _, end, _ in windows.get("ends-step", []))):
        found = [(start, end, "") for start, end in zip([float("-inf"), *ends[:-1]], ends, strict=True)]
    if not found:
        return numbered
    if not numbered:
        return [(start, end, str(number)) for number, (start, end, _) in enumerate(found)]
    # The profiler of steps begins with the second one: the first of its windows says which that is.
    first = next((int(name) for begin, end, name in numbered if found[0][0] < end), 0)
    return [(start, end, str(first + place)) for place, (start, end, _) in enumerate(found)]


def _apart(windows: Sequence[Window]) -> list[Window]:
    """Windows in order, without those that begin inside an earlier one."""
    kept: list[Window] = []
    for window in sorted(windows, key=lambda one: (one[0], -one[1])):
        if not kept or window[0] >= kept[-1][1]:
            kept.append(window)
    return kept


def _place(start: Floats, windows: Sequence[Window]) -> Numbers:
    """The number of the window in which each call begins, from 1; 0 for none."""
    import numpy as np

    if not windows:
        return np.zeros(len(start), dtype=np.int64)
    begins, ends = (np.array([window[edge] for window in windows]) for edge in (0, 1))
    at = np.searchsorted(begins, start, side="right")
    inside = (at > 0) & (start < ends[np.maximum(at - 1, 0)])
    return np.where(inside, at, 0)


class _Table:
    """Rows by key and stage while they are summed up."""

    def __init__(self, *, names: dict[int, tuple[Part, str, str]], labels: Sequence[str], steps: int) -> None:
        self._names, self._labels, self._steps = names, labels, steps
        self._rows: list[ProfileRow] = []

    def key_of(self, named: tuple[Part, str, str]) -> int:
        """The key of a row that no call has."""
        key = len(self._names)
        self._names[key] = named
        return key

    def add(self, key: Numbers, stage: Numbers, step: Numbers, took: Floats, *, clip: bool = False) -> None:
        """Sum up calls; `clip`: what a call takes beyond HELD times the median of its row stands beside the row."""
        import numpy as np

        if not len(key):
            return
        row, place = np.unique(key * len(self._labels) + stage, return_inverse=True)
        counts = np.bincount(place)
        counted = took
        if clip:
            order = np.lexsort((took, place))
            firsts = np.cumsum(counts) - counts
            middle = took[order][firsts + (counts - 1) // 2]
            # Of rows whose median is nothing nobody knows what is usual.
            counted = np.where(middle[place] > 0, np.minimum(took, HELD * middle[place]), took)
        sums, held = np.bincount(place, counted), np.bincount(place, took - counted)
        by_step = np.bincount(place * (self._steps + 1) + step, counted, minlength=len(row) * (self._steps + 1))
        by_step = by_step.reshape(len(row), self._steps + 1)[:, 1:]
        for number in range(len(row)):
            part, name, shape = self._names[int(row[number]) // len(self._labels)]
            in_steps = by_step[number] if part != "python" and by_step[number].any() else ()
            self._rows.append(
                ProfileRow(
                    part=part,
                    name=name,
                    shape=shape,
                    stage=self._labels[int(row[number]) % len(self._labels)],
                    count=int(counts[number]),
                    self_ms=_ms(sums[number]),
                    held_ms=_ms(held[number]),
                    steps_ms=tuple(map(_ms, in_steps)),
                )
            )

    def rows(self) -> tuple[tuple[ProfileRow, ...], dict[str, float]]:
        """The largest rows of each part, and what the others of it take together (ms)."""
        return _largest(self._rows, {}, ROWS_KEPT)


def trimmed(summary: ProfileSummary) -> ProfileSummary:
    """The summary with ROWS_BESIDE rows of each part."""
    rows, rest_ms = _largest(summary.rows, summary.rest_ms, ROWS_BESIDE)
    return replace(summary, rows=rows, rest_ms=rest_ms)


def _largest(
    rows: Sequence[ProfileRow], rest_ms: Mapping[str, float], most: int
) -> tuple[tuple[ProfileRow, ...], dict[str, float]]:
    kept: list[ProfileRow] = []
    rest = dict(rest_ms)
    for part in ("operator", "kernel", "python"):
        of_part = sorted((row for row in rows if row.part == part), key=lambda row: -row.self_ms)
        kept += [row for row in of_part[:most] if row.self_ms > 0]
        if len(of_part) > most:
            rest[part] = round(rest.get(part, 0.0) + sum(row.self_ms for row in of_part[most:]), 3)
    return tuple(kept), rest


def _ms(us: float) -> float:
    return round(float(us) / 1000, 4)


def _function(name: str) -> str:
    """A function's name without what differs from version to version and from process to process."""
    return _INSTANCE.sub(r"\1", _ADDRESS.sub("", _LINE.sub("", name)))
