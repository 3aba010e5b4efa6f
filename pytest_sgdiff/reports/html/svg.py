"""A small picture as data: what the SVG macro in templates/plot.svg.j2 draws. No chart knowledge, only geometry.

Colours, and with them light and dark, are the style sheet's: a shape says what it *is* (`now`, `baseline`, `limit`).
Why not a plotting library: measured on one chart of fifteen points, plotly is 4.8 MB of script plus 7 KB a chart,
pygal 21 KB and matplotlib 15 KB a chart with fixed colours; this is about 2 KB, and a report of 100 cases has 1,000.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pytest_sgdiff.reports.figures import fixed

_FARTHEST = 1e307

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """Values to pixels, linearly; what lies outside is drawn at the edge."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """The pixel of a value."""
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + min(1.0, max(0.0, share)) * (self.end - self.start), 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle: a bar, or a band behind the data."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A straight line: a rule, a whisker, an axis."""

    x1: float
    y1: float
    x2: float
    y2: float
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Path:
    """A curve as an SVG path."""

    d: str
    kind: str
    label: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A point; `cross` is a launch that does not count."""

    x: float
    y: float
    kind: str
    label: str = ""
    shape: Literal["dot", "cross", "left", "right"] = "dot"


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A label."""

    x: float
    y: float
    text: str
    kind: str = "tick"
    anchor: Anchor = "start"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """A picture. `title` stands above it, `description` is what a screen reader says instead of it."""

    title: str
    description: str
    width: int
    height: int
    boxes: Sequence[Box] = field(default_factory=tuple)
    lines: Sequence[Line] = field(default_factory=tuple)
    paths: Sequence[Path] = field(default_factory=tuple)
    marks: Sequence[Mark] = field(default_factory=tuple)
    texts: Sequence[Text] = field(default_factory=tuple)


def curve(points: Iterable[tuple[float, float]]) -> str:
    """Points as an SVG path of straight pieces."""
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def domain(values: Iterable[float], *, padding: float = 0.08) -> tuple[float, float]:
    """Low and high of an axis that shows all values, with a little air; never empty."""
    known = list(values)
    low, high = min(known), max(known)
    # An axis has to end before floats do.
    low, high = (min(max(edge, -_FARTHEST), _FARTHEST) for edge in (low, high))
    air = (high - low) * padding or abs(high) * 0.01 or 1.0
    return low - air, high + air


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """About `count` round numbers inside the range."""
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first = math.ceil(low / step)
    return [index * step for index in range(first, math.floor(high / step) + 1)]


def value_axis(scale: Scale, unit: str, *, left: float, right: float) -> tuple[list[Line], list[Text]]:
    """Grid lines and labels of a vertical axis whose labels end left of `left`: round numbers of the unit shown, each
    with the decimals that the step between them needs."""
    size, name = _display(unit, like=abs(scale.high))
    shown = ticks(scale.low / size, scale.high / size)
    step = shown[1] - shown[0] if len(shown) > 1 else 1.0
    decimals = next(n for n in range(5) if n == 4 or math.isclose(step, round(step, n), rel_tol=0.01))
    lines, texts = [], []
    for value in shown:
        y = scale.at(value * size)
        lines.append(Line(x1=left, y1=y, x2=right, y2=y, kind="grid"))
        texts.append(Text(x=left - 5, y=y + 4, text=f"{fixed(value, decimals)} {name}", anchor="end"))
    return lines, texts


def _display(unit: str, *, like: float) -> tuple[float, str]:
    """As `numbers.quantity`: ms become s from 1,000 on, MiB become GiB from 1,024 on."""
    if unit == "ms" and like >= 1000:
        return 1000.0, "s"
    if unit.lower() in {"mb", "mib"}:
        return (1024.0, "GiB") if like >= 1024 else (1.0, "MiB")
    return 1.0, unit
