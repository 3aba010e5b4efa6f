"""The page of a whole history, `sgdiff trend --html`: each series drawn from run to run, with its levels, changes,
versions and commits. One file that loads nothing and has no script; the template escapes every text by itself."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pytest_sgdiff import __version__
from pytest_sgdiff.data import ChangePoint, HistoryPoint, Trend
from pytest_sgdiff.metrics import cost, unit
from pytest_sgdiff.printable import printable_values
from pytest_sgdiff.reports import metric_text, numbers, trend_text
from pytest_sgdiff.reports.html import environment, library
from pytest_sgdiff.reports.html.svg import Anchor, Line, Mark, Path, Plot, Scale, Text, curve, domain, value_axis

WIDTH, HEIGHT = 760, 214
LEFT, RIGHT, TOP, BOTTOM = 70, 750, 36, 184
ROW = 12
"""Height of a row of labels above the points: of versions, and of changes below these."""
LABEL = 52
"""Width of a change's label."""
MOST_MARKS = 240
"""Runs above which a series is drawn as the range and median of neighbouring runs: a pixel holds no more."""
MOST_VERSIONS = 12
"""Versions above which they are not marked: nightly builds have another one each day. The points still name them."""
DATES = 5
"""Dates below a picture."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One line of the page. `ended`: the case has other settings now."""

    case: str
    machine: str
    workload: str
    points: tuple[HistoryPoint, ...]
    trend: Trend
    ended: bool = False


def render(shown: Sequence[Series], *, source: str) -> str:
    """The page, slowdowns first. `source` names the history. Raises ModuleNotFoundError, naming the extra, where Jinja2
    is not installed."""
    library()
    views = [_view(f"series-{i + 1}", one) for i, one in enumerate(sorted(printable_values(list(shown)), key=_order))]
    slower = sum(view["state"] == "slower" for view in views)
    current = [one for one in shown if not one.ended]
    together = trend_text.together(
        (one.case, one.trend.changes[-1]) for one in current if one.trend.changes and not one.trend.changes[-1].settings
    )
    page = (
        environment()
        .get_template("trend.html.j2")
        .render(
            title=f"{slower} of {numbers.plural(len(views), 'series')} slower" if views else "No runs in the history",
            source=numbers.clean(source),
            views=views,
            together=list(printable_values(list(together))),
            version=__version__,
        )
    )
    return f"{page}\n"


def pictures(one: Series) -> list[Plot]:
    """The series drawn, the latest settings first: runs with other settings have a picture of their own, since their
    figures would flatten these."""
    jumps = [change.index for change in one.trend.changes if change.settings]
    edges = [0, *jumps, len(one.points)]
    return [_picture(one, first, end) for first, end in pairwise(edges)][::-1]


def _order(one: Series) -> tuple[bool, bool, bool, str, str]:
    return (one.ended, not one.trend.worse, not one.trend.changes, one.case, one.trend.metric)


def _view(anchor: str, one: Series) -> dict[str, Any]:
    trend = one.trend
    state = "earlier" if one.ended else "slower" if trend.worse else "changed" if trend.changes else "steady"
    return {
        "anchor": anchor,
        "series": one,
        "state": state,
        "badge": {"slower": "regressed", "changed": "recorded", "steady": "pass"}.get(state, "inconclusive"),
        "metric": metric_text.metric_name(trend.metric),
        "latest": numbers.quantity(trend.latest, unit(trend.metric)),
        "step": numbers.signed(trend.step) if trend.step is not None else "",
        "best": numbers.signed(trend.above_best) if trend.above_best else "",
        "since": trend.changes[-1].at if trend.changes else "",
        "text": trend_text.state(trend),
        "changes": [trend_text.change(change) for change in reversed(trend.changes)],
        "pictures": pictures(one),
    }


def _picture(one: Series, first: int, end: int) -> Plot:
    """The runs `first` to `end` of a series."""
    points, metric = one.points[first:end], one.trend.metric
    inner = [change for change in one.trend.changes if first < change.index < end]
    edges = [first, *(change.index for change in inner), end]
    low, high = domain([point.value for point in points])
    y = Scale(low=low, high=high, start=BOTTOM, end=TOP + ROW)
    x = Scale(low=0, high=max(1, len(points) - 1), start=LEFT + 8, end=RIGHT - 8)
    lines, texts = value_axis(y, unit(metric), left=LEFT, right=RIGHT)
    _mark_versions(points, x, lines, texts)
    free: list[float] = [LEFT - 2 * LABEL] * 2
    for change in inner:
        place = x.at(change.index - first - 0.5)
        # Labels of two changes that are near each other stand in two rows.
        row = 0 if place - free[0] >= LABEL else 1
        free[row] = place
        kind = "change slower" if cost(metric, change.after / change.before) > 1 else "change faster"
        lines.append(Line(x1=place, y1=TOP + ROW / 2, x2=place, y2=BOTTOM, kind=kind))
        texts.append(Text(x=place, y=TOP - row * ROW, text=numbers.signed(change.change), anchor="middle"))
    for level, (start, stop) in zip(_levels(one, first), pairwise(edges), strict=False):
        ends = x.at(start - first - 0.5), x.at(stop - first - 0.5)
        lines.append(Line(x1=ends[0], y1=y.at(level), x2=ends[1], y2=y.at(level), kind="level"))
    paths, marks = _runs(points, metric, x, y, marked={change.index - first for change in inner})
    for i in sorted({round(n * (len(points) - 1) / (DATES - 1)) for n in range(DATES)}):
        anchor: Anchor = "start" if i == 0 and len(points) > 1 else "end" if i == len(points) - 1 else "middle"
        texts.append(Text(x=x.at(i), y=BOTTOM + 18, text=points[i].at[:10], anchor=anchor))
    return Plot(
        title=f"{metric_text.metric_name(metric)}, {points[0].at[:10]} to {points[-1].at[:10]}",
        description="; ".join(
            [
                f"{numbers.plural(len(points), 'run')} from {points[0].at[:10]} to {points[-1].at[:10]}",
                *(f"{numbers.signed(change.change)} from {change.at[:10]} on" for change in inner),
            ]
        ),
        width=WIDTH,
        height=HEIGHT,
        lines=lines,
        paths=paths,
        marks=marks,
        texts=texts,
    )


def _levels(one: Series, first: int) -> list[float]:
    """The levels from run `first` on."""
    changes: Sequence[ChangePoint] = one.trend.changes
    if not changes:
        return [one.trend.level] if one.trend.level is not None else []
    before = changes[0].before if first == 0 else next(c.after for c in changes if c.index == first)
    return [before, *(change.after for change in changes if change.index > first)]


def _mark_versions(points: Sequence[HistoryPoint], x: Scale, lines: list[Line], texts: list[Text]) -> None:
    changed = [i for i in range(1, len(points)) if points[i].engine_version != points[i - 1].engine_version]
    if len(changed) > MOST_VERSIONS:
        return
    for i in changed:
        place = x.at(i - 0.5)
        lines.append(Line(x1=place, y1=ROW + 4, x2=place, y2=BOTTOM, kind="version"))
        texts.append(Text(x=place, y=ROW, text=_short(points[i].engine_version or ""), anchor="middle"))


def _short(version: str) -> str:
    return version if len(version) <= 16 else f"{version[:15]}…"


def _runs(
    points: Sequence[HistoryPoint], metric: str, x: Scale, y: Scale, *, marked: set[int]
) -> tuple[list[Path], list[Mark]]:
    """The runs as points, or where they are too many as ranges of neighbours, with those marked that begin a level."""
    last = len(points) - 1
    if len(points) <= MOST_MARKS:
        path = Path(d=curve((x.at(i), y.at(point.value)) for i, point in enumerate(points)), kind="trend")
        shown: Sequence[int] = range(len(points))
        paths = [path]
    else:
        low, middle, high = [], [], []
        for n in range(MOST_MARKS):
            start, end = n * len(points) // MOST_MARKS, (n + 1) * len(points) // MOST_MARKS
            values = [point.value for point in points[start:end]]
            place = x.at((start + end - 1) / 2)
            low.append((place, y.at(min(values))))
            middle.append((place, y.at(statistics.median(values))))
            high.append((place, y.at(max(values))))
        paths = [
            Path(d=f"{curve([*low, *reversed(high)])}Z", kind="range"),
            Path(d=curve(middle), kind="trend"),
        ]
        shown = sorted({*marked, last})
    marks = [
        Mark(
            x=x.at(i),
            y=y.at(points[i].value),
            kind="now" if i == last else "baseline",
            label=_label(points[i], metric),
        )
        for i in shown
    ]
    return paths, marks


def _label(point: HistoryPoint, metric: str) -> str:
    named = [f"sglang {point.engine_version}"] if point.engine_version else []
    named += [f"commit {point.commit}"] if point.commit else []
    return ", ".join([f"{point.at}: {numbers.quantity(point.value, unit(metric))}", *named])
