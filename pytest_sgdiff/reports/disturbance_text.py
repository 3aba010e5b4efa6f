"""The words for a `Disturbance`: what disturbed a launch. The one place that has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pytest_sgdiff.data import Disturbance, DisturbanceCode, GpuEvent, GpuProcess
from pytest_sgdiff.printable import printable
from pytest_sgdiff.reports.numbers import plural


def words(d: Disturbance) -> str:
    """`GPU-…: foreign process 5138 (python3, 1002 MiB) when the launch began`: one disturbance with its evidence."""
    return _WORDS[d.code](d)


def all_of(found: Iterable[Disturbance]) -> str:
    """Several in one line, each once."""
    return "; ".join(dict.fromkeys(map(words, found)))


def event(e: GpuEvent) -> str:
    """`GPU-…: Xid 79`: what the driver reported."""
    if e.kind == "xid":
        return f"{e.gpu_uuid or 'a GPU'}: Xid {e.number}"
    return f"{e.gpu_uuid}: held back by heat for {e.ms:.0f} ms" if e.kind == "heat" else e.text


_WHEN = {"start": "when the launch began", "during": "while the launch ran", "end": "when the launch ended"}


def _foreign(d: Disturbance) -> str:
    sightings: Sequence[GpuProcess] = d.processes
    told = next((process.name for process in sightings if process.name), "name unknown")
    name = printable(told.rsplit("/", 1)[-1])
    used = sorted({process.used_mb for process in sightings if process.used_mb is not None})
    memory = f", {'up to ' * (len(used) > 1)}{used[-1]} MiB" if used else ""
    times = " and ".join(dict.fromkeys(_WHEN[process.when] for process in sightings))
    return f"{d.gpu_uuid}: foreign process {sightings[0].pid} ({name}{memory}) {times}"


def _held_back(name: str) -> Callable[[Disturbance], str]:
    def told(d: Disturbance) -> str:
        degrees = "" if d.temperature_c is None else f", up to {d.temperature_c} °C"
        return (
            f"{d.gpu_uuid}: {name} (reason {d.reason or 0:#04x}) in {d.count} of {plural(d.of or 0, 'sample')}{degrees}"
        )

    return told


def _slow_clock(d: Disturbance) -> str:
    now, usual = d.mhz or 0.0, d.usual_mhz or 1.0
    lower = f"{1 - now / usual:.0%} below the baseline's {usual:.0f} MHz"
    return f"{d.gpu_uuid}: SM clock {now:.0f} MHz under load, {lower}"


def _event(d: Disturbance) -> str:
    return "" if d.event is None else event(d.event)


_WORDS: Mapping[DisturbanceCode, Callable[[Disturbance], str]] = {
    "foreign-process": _foreign,
    "hardware-slowdown": _held_back("hardware slowdown"),
    "thermal-slowdown-driver": _held_back("thermal slowdown by the driver"),
    "thermal-slowdown-hardware": _held_back("thermal slowdown by the hardware"),
    "power-brake": _held_back("power brake"),
    "slow-clock": _slow_clock,
    "xid": lambda d: f"{_event(d)}, an error of the GPU that the driver reported during the launch",
    "heat": _event,
    "other-event": _event,
    "not-alone": lambda d: f"needed exclusive use of the host, but {', '.join(d.cases)} ran at the same time",
    "hidden-memory": lambda d: (
        f"{d.gpu_uuid}: {d.memory_mb} MiB stay in use by processes that the driver does not list"
    ),
}
