"""What of a watch is a disturbance, what only worth a note. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pytest_sgdiff.data import GpuProcess, GpuSeries, Watch
from pytest_sgdiff.isolation import FORMERLY_ALONE
from pytest_sgdiff.printable import printable
from pytest_sgdiff.watch.unlisted import HIDDEN_MB, judged_hidden

# NVML's clocks-event reasons (nvml.h). Bit 0x04, SwPowerCap, is normal at full load: an undisturbed H200 shows it all
# the time at 690 of 700 W.
HELD_BACK = {
    0x08: "hardware slowdown",
    0x20: "thermal slowdown by the driver",
    0x40: "thermal slowdown by the hardware",
    0x80: "power brake",
}
# A sample counts as busy, and its clock as one under load, from this utilisation on.
BUSY_PCT = 50
# A clock below this part of the baseline's median explains a slowdown of the same size.
SLOW_CLOCK = 0.9
# Fewest busy samples of which a median says anything.
_FEWEST = 3


def disturbances(watch: Watch, *, baseline: Sequence[Watch | None] = ()) -> tuple[str, ...]:
    """What disturbed the launch, each as a sentence with its evidence; empty if nothing that is known did.

    `baseline` are the watches of the baseline's launches: clocks are compared with theirs.
    """
    found = _strangers(watch.foreign)
    for series in watch.gpus:
        found += _held_back(series)
        slow = _slow_clock(series, baseline)
        if slow is not None:
            found.append(slow)
    for event in watch.events:
        if "Xid" in event:
            found.append(f"{event}, an error of the GPU that the driver reported during the launch")
        elif not any("thermal" in text for text in found):
            found.append(event)
    if _was_to_be_alone(watch) and watch.co_runners:
        found.append(f"was to run alone on the host, but {', '.join(watch.co_runners)} ran beside it")
    found += [_hidden(uuid, mb) for uuid, mb in judged_hidden(watch).items() if mb > HIDDEN_MB]
    return tuple(found)


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


def _hidden(uuid: str, mb: int) -> str:
    return f"{uuid}: {mb} MiB in use, and staying, by somebody whom the driver does not list"


def _strangers(foreign: Sequence[GpuProcess]) -> list[str]:
    """Each process once, however often it was seen on the GPU, with the most memory that it was seen with."""
    seen: dict[tuple[str, int], list[GpuProcess]] = {}
    for process in foreign:
        seen.setdefault((process.gpu_uuid, process.pid), []).append(process)
    return [_stranger(sightings) for sightings in seen.values()]


def _stranger(sightings: Sequence[GpuProcess]) -> str:
    told = next((process.name for process in sightings if process.name), "name unknown")
    name = printable(told.rsplit("/", 1)[-1])
    used = sorted({process.used_mb for process in sightings if process.used_mb is not None})
    memory = f", {'up to ' * (len(used) > 1)}{used[-1]} MiB" if used else ""
    when = {"start": "when the launch began", "during": "while the launch ran", "end": "when the launch ended"}
    times = " and ".join(dict.fromkeys(when[process.when] for process in sightings))
    return f"{sightings[0].gpu_uuid}: foreign process {sightings[0].pid} ({name}{memory}) {times}"


def _held_back(series: GpuSeries) -> list[str]:
    told = [reasons for reasons in series.reasons if reasons is not None]
    texts = []
    for bit, name in HELD_BACK.items():
        count = sum(bool(reasons & bit) for reasons in told)
        if count:
            hot = max((t for t in series.temperature_c if t is not None), default=None)
            degrees = "" if hot is None else f", up to {hot} °C"
            texts.append(f"{series.gpu_uuid}: {name} (reason {bit:#04x}) in {count} of {len(told)} samples{degrees}")
    return texts


def _slow_clock(series: GpuSeries, baseline: Sequence[Watch | None]) -> str | None:
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
    lower = f"{1 - now / usual:.0%} below the baseline's {usual:.0f} MHz"
    return f"{series.gpu_uuid}: SM clock {now:.0f} MHz under load, {lower}"
