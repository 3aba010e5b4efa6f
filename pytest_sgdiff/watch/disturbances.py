"""What of a watch is a disturbance, what only worth a note. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from pytest_sgdiff.data import Disturbance, DisturbanceCode, GpuProcess, GpuSeries, Watch
from pytest_sgdiff.isolation import FORMERLY_ALONE
from pytest_sgdiff.watch.unlisted import HIDDEN_MB, judged_hidden

# NVML's clocks-event reasons (nvml.h). Bit 0x04, SwPowerCap, is normal at full load: an undisturbed H200 shows it all
# the time at 690 of 700 W.
HELD_BACK: Mapping[int, DisturbanceCode] = {
    0x08: "hardware-slowdown",
    0x20: "thermal-slowdown-driver",
    0x40: "thermal-slowdown-hardware",
    0x80: "power-brake",
}
_BY_HEAT = ("thermal-slowdown-driver", "thermal-slowdown-hardware")
# A sample counts as busy, and its clock as one under load, from this utilisation on.
BUSY_PCT = 50
# A clock below this part of the baseline's median explains a slowdown of the same size.
SLOW_CLOCK = 0.9
# Fewest busy samples of which a median says anything.
_FEWEST = 3


def disturbances(watch: Watch, *, baseline: Sequence[Watch | None] = ()) -> tuple[Disturbance, ...]:
    """What disturbed the launch, each with its evidence; empty if nothing that is known did.

    `baseline` are the watches of the baseline's launches: clocks are compared with theirs.
    """
    found = _foreign(watch.foreign)
    for series in watch.gpus:
        found += _held_back(series)
        slow = _slow_clock(series, baseline)
        if slow is not None:
            found.append(slow)
    for event in watch.gpu_events:
        # The counter of heat says in ms what the samples show already.
        if event.kind == "xid" or not any(one.code in _BY_HEAT for one in found):
            found.append(Disturbance(code=_EVENTS[event.kind], gpu_uuid=event.gpu_uuid, event=event))
    if _was_to_be_alone(watch) and watch.co_runners:
        found.append(Disturbance(code="not-alone", cases=watch.co_runners))
    hidden = judged_hidden(watch)
    found += [
        Disturbance(code="hidden-memory", gpu_uuid=uuid, memory_mb=mb) for uuid, mb in hidden.items() if mb > HIDDEN_MB
    ]
    return tuple(found)


_EVENTS: Mapping[str, DisturbanceCode] = {"xid": "xid", "heat": "heat", "other": "other-event"}


def sm_clock_mhz(series: GpuSeries) -> float | None:
    """The median SM clock under load; None with fewer than three busy samples."""
    clocks = [
        clock
        for clock, util in zip(series.column(series.sm_mhz), series.column(series.util_pct), strict=True)
        if clock is not None and util is not None and util >= BUSY_PCT
    ]
    return statistics.median(clocks) if len(clocks) >= _FEWEST else None


def _was_to_be_alone(watch: Watch) -> bool:
    """Recordings of an older form tell it by their mode alone, and for the later looks of `confirm` not at all."""
    return watch.isolation in FORMERLY_ALONE if watch.to_be_alone is None else watch.to_be_alone


def _foreign(foreign: Sequence[GpuProcess]) -> list[Disturbance]:
    """Each process once, however often it was seen on the GPU."""
    seen: dict[tuple[str, int], list[GpuProcess]] = {}
    for process in foreign:
        seen.setdefault((process.gpu_uuid, process.pid), []).append(process)
    return [
        Disturbance(code="foreign-process", gpu_uuid=uuid, processes=tuple(sightings))
        for (uuid, _), sightings in seen.items()
    ]


def _held_back(series: GpuSeries) -> Iterator[Disturbance]:
    told = [reasons for reasons in series.reasons if reasons is not None]
    hot = max((t for t in series.temperature_c if t is not None), default=None)
    for bit, code in HELD_BACK.items():
        count = sum(bool(reasons & bit) for reasons in told)
        if count:
            yield Disturbance(
                code=code, gpu_uuid=series.gpu_uuid, reason=bit, count=count, of=len(told), temperature_c=hot
            )


def _slow_clock(series: GpuSeries, baseline: Sequence[Watch | None]) -> Disturbance | None:
    now = sm_clock_mhz(series)
    before = [
        clock
        for watch in baseline
        if watch is not None
        for other in watch.gpus
        if (clock := sm_clock_mhz(other)) is not None
    ]
    if now is None or not before:
        return None
    usual = statistics.median(before)
    if now >= SLOW_CLOCK * usual:
        return None
    return Disturbance(code="slow-clock", gpu_uuid=series.gpu_uuid, mhz=now, usual_mhz=usual)
