"""What of a launch's watch is worth a line and no disturbance: in the row of the HTML report, in JSON, and with -v."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff.data import GpuSeries, LaunchRecord, Watch
from pytest_sgdiff.data.displays import who_draws
from pytest_sgdiff.reports.evidence import busy
from pytest_sgdiff.reports.numbers import plural
from pytest_sgdiff.watch.unlisted import judged_hidden

POWER_CAP = 0x04
"""NVML_CLOCKS_EVENT_REASON_SW_POWER_CAP."""


def notes(watch: Watch) -> tuple[str, ...]:
    """What of a watch is worth a line but is no disturbance: the power cap, CPUs that a hypervisor withheld, a display,
    and what could not be checked."""
    several = len(watch.gpus) > 1
    capped = [(series.gpu_uuid, *counts) for series in watch.gpus if (counts := _at_power_cap(series))]
    power = (_power_cap(uuid if several else "", count, of) for uuid, count, of in capped)
    return (*power, *([_withheld([watch.stolen_s])] if watch.stolen_s else ()), *_beside(watch))


def notes_of_all(launches: Sequence[LaunchRecord]) -> list[str]:
    """The notes of all launches, what several share in one line:
    `launches 0, 1: GPU-...: at its power cap in 14 of 15 samples, normal at full load`."""
    capped: dict[str, list[tuple[int, int, int]]] = {}
    others: dict[str, list[int]] = {}
    stolen = {launch.number: s for launch in launches if launch.watch is not None and (s := launch.watch.stolen_s)}
    for launch in launches:
        for series in launch.watch.gpus if launch.watch else ():
            if told := _at_power_cap(series):
                capped.setdefault(series.gpu_uuid, []).append((launch.number, *told))
        for note in _beside(launch.watch) if launch.watch else ():
            others.setdefault(note, []).append(launch.number)
    lines: list[tuple[tuple[int, ...], str]] = []
    for uuid, rows in capped.items():
        launched, counts, of = zip(*rows, strict=True)
        lines.append((launched, _power_cap(uuid, sum(counts), sum(of))))
    if stolen:
        lines.append((tuple(stolen), _withheld(list(stolen.values()))))
    lines += [(tuple(of), note) for note, of in others.items()]
    return [f"launch{'es' * (len(of) > 1)} {', '.join(map(str, of))}: {note}" for of, note in lines]


def _at_power_cap(series: GpuSeries) -> tuple[int, int] | None:
    """In how many samples under load the GPU was at its power cap, and of how many; None if it never was."""
    told = [r for r, busy in zip(series.column(series.reasons), busy(series), strict=True) if busy and r is not None]
    capped = sum(bool(reasons & POWER_CAP) for reasons in told)
    return (capped, len(told)) if capped else None


def _power_cap(uuid: str, count: int, of: int) -> str:
    which = f"{uuid}: " if uuid else ""
    return f"{which}at its power cap in {count} of {plural(of, 'sample')}, normal at full load"


def _withheld(seconds: Sequence[float]) -> str:
    least, most = f"{min(seconds):.2f}", f"{max(seconds):.2f}"
    return f"the hypervisor withheld CPU time for {least if least == most else f'{least} to {most}'} s in total"


def _beside(watch: Watch) -> list[str]:
    found: list[str] = []
    if watch.hidden_mb and not judged_hidden(watch):
        found.append(f"up to {watch.hidden_mb} MiB more in use on a GPU than the listed processes use")
    if watch.drawing:
        found.append(f"a display was drawn on the GPUs: {who_draws(watch.drawing)}")
    if watch.unknown:
        found.append(f"not reported by the driver, so not checked: {', '.join(watch.unknown)}")
    if watch.pids == "calibrated":
        found.append(
            "the driver lists processes with PIDs of another namespace: those of the first half minute count as ours"
        )
    return found
