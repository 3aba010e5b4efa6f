"""Reads the JSON that `--perf-dump-path` writes, in all its generations, and refuses what cannot be a measurement.

| generation | engine | told by |
| --- | --- | --- |
| A | 0.5.8 | no `memory_checkpoints` |
| B | 0.5.9 to 0.5.18 | `memory_checkpoints` |
| C1 | 0.5.19 | a checkpoint `load_peak` or `runtime_peak`, or the field `peak_host_anon_mb` |
| C2 | 0.5.20 on | a checkpoint `warmup_peak`, which CUDA writes even when nothing was warmed up |

A dump carries no schema version, engine version or GPU (sglang runtime/utils/perf_logger.py, dump_benchmark_report).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn

from pytest_sgdiff.data import PerfDump, Stage
from pytest_sgdiff.metrics import is_stage, plausible

MAX_CHARS = 8_000_000
"""A real dump has 3 kB, with 1000 steps 60 kB; what is a hundred times that is something else."""


CLOCK_NOISE = 0.01
CLOCK_NOISE_MS = 5.0
"""By how much (a fraction, ms) parts may exceed the whole that holds them: they are timed by clocks of their own. In
the 80 real dumps at hand they never do."""


_LINE_TAG = "pipeline_stage_metrics"
"""The tag of a line in the engine's performance log (0.5.8 to 0.5.23)."""


class DumpError(ValueError):
    """A perf dump is torn or holds something that cannot be a measurement; the message names what and where."""


def parse(text: str) -> PerfDump:
    """The dump as data. Dumps that the worker wrote (tag `server_perf_dump`, `meta` without prompt) are as good.

    Raises:
        DumpError: torn JSON (with the position), a missing or non-finite total, a duration that is no number, ...
    """
    if len(text) > MAX_CHARS:
        raise DumpError(f"the perf dump has {len(text)} characters, more than any real one ({MAX_CHARS})")
    top = _object(_load(text), "the perf dump")
    if top.get("tag") == _LINE_TAG:
        top = _of_line(top)
    memory = _memory(top.get("memory_checkpoints"))
    meta = top.get("meta")
    model = meta.get("model") if isinstance(meta, dict) else None
    total, stages, steps = (
        _total(top),
        _stages(top.get("steps", [])),
        _steps(top.get("denoise_steps_ms", [])),
    )
    _holds("stages", [stage.duration_ms for stage in stages if is_stage(stage.name)], total)
    _holds("denoising steps", steps, total)
    return PerfDump(
        generation=_generation(top, memory),
        tag=_text(top.get("tag")) or "",
        timestamp=_text(top.get("timestamp")),
        total_ms=total,
        stages=stages,
        steps_ms=steps,
        memory=memory,
        model=_text(model),
        request_id=_text(top.get("request_id")),
    )


def read_dump(text: str | None) -> tuple[PerfDump | None, str | None]:
    """The parsed dump, or what is wrong with it; neither where there is no text."""
    if text is None:
        return None, None
    try:
        return parse(text), None
    except DumpError as error:
        return None, str(error)


def _of_line(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the engine's performance log as the dump of its request: the same figures by other names. It stands for
    the dump where a request cannot ask for one (meshes, and edited images up to 0.5.19)."""
    stages = [
        {"name": fields.get("name"), "duration_ms": fields.get("execution_time_ms")}
        for at, entry in enumerate(_list(line.get("stages", []), "stages"))
        for fields in [_object(entry, f"stages[{at}]")]
    ]
    steps = [{"step": at, "duration_ms": ms} for at, ms in enumerate(_list(line.get("steps", []), "steps"))]
    memory = {"memory_checkpoints": line.get("memory_snapshots") or {}}
    return {**line, "steps": stages, "denoise_steps_ms": steps, **memory}


def _load(text: str) -> Any:
    if not text.strip():
        raise DumpError("the perf dump is empty")
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        raise DumpError(
            f"the perf dump is incomplete: {error.msg} at line {error.lineno} column {error.colno} "
            f"(character {error.pos} of {len(text)})"
        ) from None
    except RecursionError:
        raise DumpError("the perf dump is nested too deeply") from None
    except DumpError:
        raise
    except ValueError as error:  # a number of more digits than Python converts
        raise DumpError(f"the perf dump does not parse: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise DumpError(f"the perf dump holds {name}, which is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise DumpError(f"the perf dump has the key '{twice}' twice in one object")
    return found


def _generation(top: Mapping[str, Any], memory: Mapping[str, Mapping[str, float]]) -> Literal["A", "B", "C1", "C2"]:
    if "memory_checkpoints" not in top:
        return "A"
    if "warmup_peak" in memory:
        return "C2"
    process_wide = "load_peak" in memory or "runtime_peak" in memory
    return "C1" if process_wide or any("peak_host_anon_mb" in fields for fields in memory.values()) else "B"


def _total(top: Mapping[str, Any]) -> float:
    if "total_duration_ms" not in top:
        raise DumpError("the perf dump has no total_duration_ms")
    total = _number(top["total_duration_ms"], "total_duration_ms")
    if total <= 0:
        raise DumpError(f"total_duration_ms is {total:g}: nothing was measured")
    return total


def _holds(what: str, parts: Sequence[float], total: float) -> None:
    """Stages and steps run one after another within the request (0.5.8 to 0.5.23): together they fit into it."""
    together = math.fsum(parts)
    if together > total + max(CLOCK_NOISE_MS, CLOCK_NOISE * total):
        raise DumpError(f"total_duration_ms is {total:g}, less than its {what} took together ({together:g} ms)")


def _stages(entries: Any) -> tuple[Stage, ...]:
    stages: dict[str, Stage] = {}
    for at, entry in enumerate(_list(entries, "steps")):
        fields = _object(entry, f"steps[{at}]")
        name = fields.get("name")
        if not isinstance(name, str) or not name:
            raise DumpError(f"steps[{at}] has no name")
        if name in stages:
            raise DumpError(f"steps holds the stage '{name}' twice")
        stages[name] = Stage(name=name, duration_ms=_duration(fields, f"steps[{at}] ({name})"))
    return tuple(stages.values())


def _steps(entries: Any) -> tuple[float, ...]:
    """Durations in step order. The engine numbers its steps from 0; excerpts of dumps leave some out."""
    durations = []
    last = -1
    for at, entry in enumerate(_list(entries, "denoise_steps_ms")):
        fields = _object(entry, f"denoise_steps_ms[{at}]")
        number = fields.get("step")
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise DumpError(f"denoise_steps_ms[{at}] has no step number: {_shown(number)}")
        if number <= last:
            raise DumpError(f"denoise_steps_ms[{at}] has the step number {number} after {last}")
        last = number
        durations.append(_duration(fields, f"denoise_steps_ms[{at}]"))
    return tuple(durations)


def _memory(checkpoints: Any) -> dict[str, dict[str, float]]:
    if checkpoints is None:
        return {}
    return {
        name: {
            field: _number(value, f"memory_checkpoints.{name}.{field}")
            for field, value in _object(fields, f"memory_checkpoints.{name}").items()
            if value is not None
        }
        for name, fields in _object(checkpoints, "memory_checkpoints").items()
    }


def _duration(fields: Mapping[str, Any], where: str) -> float:
    if "duration_ms" not in fields:
        raise DumpError(f"{where} has no duration_ms")
    return _number(fields["duration_ms"], f"{where} duration_ms")


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DumpError(f"{where} is no number: {_shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise DumpError(f"{where} is not finite")
    if number < 0:
        raise DumpError(f"{where} is negative: {number:g}")
    if not plausible(number):
        raise DumpError(f"{where} is {number:g}, which is not a possible measurement")
    return number


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise DumpError(f"{where} is no list: {_shown(value)}")
    return value


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DumpError(f"{where} is no JSON object: {_shown(value)}")
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
