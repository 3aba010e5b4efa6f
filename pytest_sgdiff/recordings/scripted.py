"""Launches that a script recorded, not this tool: a folder with a perf dump, logs and what the script noted.

    perf.json    the dump
    *.log        engine.log, or stdout.log and stderr.log; put one after the other
    meta.json    argv|cmd, rc|returncode, start|start_utc|started_at, end, wall_s, env, env_extra,
                 gpu {name, uuid, driver, count}, versions {sglang, torch}, host {cpus}, before {power_limit_w},
                 foreign {pid, what, seen_before, seen_after}
    gpu.csv      time, sm_mhz, mem_mhz, power_w, temperature_c, throttle_mask, util_gpu_pct, memory_used_mib

Everything may be absent, and what is not listed is ignored. Other processes that gpu.csv names are not taken for
foreign: they may be the launch's own children, or launches of the same recording. Only `foreign` says that somebody
else was there.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from pytest_sgdiff.data import Environment, GpuProcess, GpuSeries, Launch, Machine, Watch
from pytest_sgdiff.files.data_files import names
from pytest_sgdiff.launch.log_text import read_log
from pytest_sgdiff.recordings.scripted_notes import NotedGpu, NotedProcess, Notes, read_notes, text_of
from pytest_sgdiff.redact import redact, redact_env

META, SERIES, DUMP = "meta.json", "gpu.csv", "perf.json"
SYNC_STAGES = "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING"

SAMPLES_KEPT = 120
"""Samples of a series: enough to see every phase of a launch, and small enough to travel with each result."""

_ENGINE_PREFIXES = ("SGLANG_", "FLASHINFER_", "HF_", "TORCH", "PYTORCH_", "TRITON_", "NCCL_P2P", "CUDA_VISIBLE")
"""Scripts note the whole environment; what the engine or torch reads of it is kept."""


def scripted_launch(folder: Path, *, case: str, number: int, below: Path) -> Launch:
    """The launch in a folder without launch.json. Without meta.json a launch that left a dump is taken to have exited
    with 0, and one that left none to be cut off. Raises RecordingError naming file, line and cure."""
    meta = read_notes(folder / META, below=below)
    env = {**meta.env, **(meta.env_extra or {})}
    dump = text_of(folder / DUMP, below=below)
    log = "".join(
        text if text.endswith("\n") else text + "\n"
        for path in _logs(folder, below)
        if (text := text_of(path, below=below, read=read_log))
    )
    return Launch(
        case=case,
        number=number,
        argv=meta.argv,
        env=redact_env({name: value for name, value in env.items() if name.startswith(_ENGINE_PREFIXES)}),
        started_at=meta.start,
        wall_s=meta.wall_s,
        returncode=0 if meta.rc is None and dump is not None else meta.rc,
        log=redact(log, env),
        dump=dump,
        machine=_machine(meta),
        environment=_environment(meta, env),
        watch=_watch(meta, text_of(folder / SERIES, below=below)),
        folder=str(folder),
        session=_session(meta.start),
    )


def _session(start: str | None) -> str | None:
    """Scripts do not name their runs: the day stands for one. Launches without a time have no provenance."""
    at = _time(start)
    return None if at is None else f"script of {at.date().isoformat()}"


def _logs(folder: Path, below: Path) -> Iterable[Path]:
    first = ("engine.log", "stdout.log", "stderr.log")
    logs = [folder / name for name in names(folder, below=below) if name.endswith(".log")]
    return sorted(logs, key=lambda p: (first.index(p.name) if p.name in first else len(first), p.name))


def _machine(meta: Notes) -> Machine | None:
    if meta.gpu is None or meta.gpu.name is None:
        return None
    return Machine(kind="gpu", product=meta.gpu.name, count=meta.gpu.count)


def _environment(meta: Notes, env: Mapping[str, str]) -> Environment:
    gpu = meta.gpu or NotedGpu()
    limit = (meta.before or {}).get("power_limit_w")
    cpus = (meta.host or {}).get("cpus")
    return Environment(
        gpu_uuids=(gpu.uuid,) if gpu.uuid else (),
        driver=gpu.driver,
        cuda=_word(meta.versions.get("torch.version.cuda")),
        power_limit_w=float(limit) if isinstance(limit, int | float) else None,
        persistence=None if gpu.persistence is None else bool(gpu.persistence),
        cpu_count=cpus if isinstance(cpus, int) else None,
        engine_version=_word(meta.versions.get("sglang")),
        torch_version=_word(meta.versions.get("torch")),
        sync_stages=env.get(SYNC_STAGES, "").lower() in ("1", "true"),
    )


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# ----------------------------------------------------------------------------------------------- what else ran there


def _watch(meta: Notes, series: str | None) -> Watch | None:
    """None if nobody looked, which is not the same as nothing seen."""
    uuid = (meta.gpu.uuid if meta.gpu else None) or ""
    foreign = tuple(_foreign(meta, uuid))
    if series is None:
        return Watch(foreign=foreign) if foreign else None
    return Watch(gpus=(_series(series, uuid, _time(meta.start), _time(meta.end)),), foreign=foreign)


def _foreign(meta: Notes, uuid: str) -> Iterable[GpuProcess]:
    if meta.foreign is None:
        if meta.contend:  # the script started a contender and noted no more of it
            yield GpuProcess(gpu_uuid=uuid, pid=0, name="a contending process that the recording script started")
        return
    seen: tuple[tuple[Literal["start", "end"], tuple[NotedProcess, ...]], ...] = (
        ("start", meta.foreign.seen_before),
        ("end", meta.foreign.seen_after),
    )
    for when, processes in seen:
        for process in processes:
            name = (process.cmdline or meta.foreign.what or "").strip() or None
            yield GpuProcess(gpu_uuid=uuid, pid=process.pid, name=name, used_mb=process.used_mib, when=when)
    if not meta.foreign.seen_before and not meta.foreign.seen_after:
        yield GpuProcess(gpu_uuid=uuid, pid=meta.foreign.pid, name=meta.foreign.what)


def _series(text: str, uuid: str, start: datetime | None, end: datetime | None) -> GpuSeries:
    """The samples of the launch's own time, thinned out."""
    rows = [(at, row) for row in csv.DictReader(text.splitlines()) if (at := _time(row.get("time"))) is not None]
    rows = [(at, row) for at, row in rows if None not in row.values()]  # a killed sampler leaves a line unfinished
    rows = [(at, row) for at, row in rows if (start is None or at >= start) and (end is None or at <= end)]
    if not rows:
        return GpuSeries(gpu_uuid=uuid)
    zero = start or rows[0][0]
    chunks = _chunks(rows)
    # The busiest of each chunk: a short launch is at work in few samples, and only those say how fast the clocks were.
    kept = [max(chunk, key=lambda sample: _number(sample[1].get("util_gpu_pct"), int) or 0) for chunk in chunks]

    def whole(column: str) -> tuple[int | None, ...]:
        return tuple(_number(row.get(column), int) for _, row in kept)

    return GpuSeries(
        gpu_uuid=uuid,
        at_s=tuple(round((at - zero).total_seconds(), 1) for at, _ in kept),
        sm_mhz=whole("sm_mhz"),
        mem_mhz=whole("mem_mhz"),
        power_w=tuple(_number(row.get("power_w"), float) for _, row in kept),
        temperature_c=whole("temperature_c"),
        util_pct=whole("util_gpu_pct"),
        memory_mb=whole("memory_used_mib"),
        # A reason that showed in one of the samples left out must not be lost.
        reasons=tuple(_any_of([_number(row.get("throttle_mask"), int) for _, row in chunk]) for chunk in chunks),
    )


Row = tuple[datetime, dict[str, Any]]


def _chunks(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """At most SAMPLES_KEPT runs of rows, of equal length but for the last."""
    size = -(-len(rows) // SAMPLES_KEPT)
    return [rows[i : i + size] for i in range(0, len(rows), size)]


def _any_of(masks: Sequence[int | None]) -> int | None:
    known = [mask for mask in masks if mask is not None]
    together = 0
    for mask in known:
        together |= mask
    return together if known else None


def _number(text: Any, kind: Callable[[str], float]) -> Any:
    try:
        number = kind(text)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _time(text: str | None) -> datetime | None:
    try:
        at = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)
