"""What the GPUs did while a launch ran, as three small curves: clock, power and memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pytest_sgdiff.data import LaunchRecord
from pytest_sgdiff.reports import evidence
from pytest_sgdiff.reports.html.svg import Box, Path, Plot, Scale, curve

WIDTH = 132
HEIGHT = 30

# A sample every 0.2 s of a ten-minute launch is 3,000 per GPU: more than the curve has pixels.
_BUCKETS = 66

Column = Sequence[int | float | None]


def sparks(launch: LaunchRecord) -> list[Plot]:
    """Lowest SM clock, total power and highest memory use of the launch's GPUs over its time; what is unknown is left
    out. Where a GPU was slowed down by heat or power brake the curve has a red ground."""
    gpus = [series for series in launch.watch.gpus if series.at_s] if launch.watch is not None else []
    if not gpus:
        return []
    end = max(at for series in gpus for at in series.at_s)
    slowed = [_buckets(series.at_s, [_slowed(mask) for mask in series.reasons], end, max) for series in gpus]
    ground = _over_gpus(slowed, max)
    drawn = (
        ("SM clock", "MHz", min, min, [series.sm_mhz for series in gpus]),
        ("power", "W", max, sum, [series.power_w for series in gpus]),
        ("memory", "MiB", max, max, [series.memory_mb for series in gpus]),
    )
    plots = []
    for name, unit, within, across, columns in drawn:
        buckets = [_buckets(series.at_s, column, end, within) for series, column in zip(gpus, columns, strict=True)]
        plot = _spark(name, unit, _over_gpus(buckets, across), ground)
        plots += [plot] if plot else []
    return plots


def _slowed(mask: int | None) -> int | None:
    return None if mask is None else int(bool(mask & evidence.SLOWDOWN_REASONS))


def _buckets(
    at_s: Sequence[float], column: Column, end: float, pick: Callable[[Iterable[float]], float]
) -> list[float | None]:
    """The samples' values in `_BUCKETS` equal spans of time, one value each."""
    spans: list[list[float]] = [[] for _ in range(_BUCKETS)]
    for at, value in zip(at_s, column or [None] * len(at_s), strict=True):
        if value is not None:
            # Of a recording that somebody wrote, times may be in any order, and even before its beginning.
            part = min(max(at, 0.0) / end, 1.0) if end > 0 else 0.0
            spans[min(_BUCKETS - 1, int(part * _BUCKETS))].append(value)
    return [pick(span) if span else None for span in spans]


def _over_gpus(
    series: Sequence[Sequence[float | None]], pick: Callable[[Iterable[float]], float]
) -> list[float | None]:
    columns = ([value for value in column if value is not None] for column in zip(*series, strict=True))
    return [pick(column) if column else None for column in columns]


def _spark(name: str, unit: str, values: Sequence[float | None], ground: Sequence[float | None]) -> Plot | None:
    known = [(i, value) for i, value in enumerate(values) if value is not None]
    if not known:
        return None
    highest, lowest = max(value for _, value in known), min(value for _, value in known)
    x = Scale(low=0, high=_BUCKETS - 1, start=1, end=WIDTH - 1)
    y = Scale(low=0, high=highest * 1.05 or 1.0, start=HEIGHT - 2, end=2)
    wide = (WIDTH - 2) / _BUCKETS
    boxes = [Box(x=x.at(i), y=0, width=wide, height=HEIGHT, kind="throttle") for i, slow in enumerate(ground) if slow]
    words = f"{name} {lowest:.0f} to {highest:.0f} {unit}" + (", slowed down meanwhile" if boxes else "")
    path = Path(d=curve((x.at(i), y.at(value)) for i, value in known), kind="spark")
    return Plot(title=name, description=words, width=WIDTH, height=HEIGHT, boxes=boxes, paths=[path])
