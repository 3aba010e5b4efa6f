"""The chart of a case's history in the HTML report: its primary metric from run to run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from pytest_sgdiff.data import ChangePoint, HistoryPoint, Verdict
from pytest_sgdiff.reports import metric_text, numbers
from pytest_sgdiff.reports.html.charts import LEFT, RIGHT, TOP, WIDTH
from pytest_sgdiff.reports.html.svg import Line, Mark, Path, Plot, Scale, Text, curve, domain, value_axis

BOTTOM = 132
ROW = 12
"""Height of a row of labels above the points: of versions, and of changes below these, for the two often coincide."""


def timeline(
    verdict: Verdict | None,
    history: Mapping[str, Sequence[HistoryPoint]],
    *,
    now: float | None,
    today: str,
    engine: str | None,
    changes: Sequence[ChangePoint] = (),
) -> Plot | None:
    """The metric over earlier runs and this one, whose figure is `now`: pauses included, as in the history, even where
    the verdict is net of them. Marked are `changes`, the change points that the report tells of, and where the engine's
    version changed. None without earlier runs."""
    if verdict is None or now is None or not history.get(verdict.metric):
        return None
    points = [*history[verdict.metric], HistoryPoint(at=today, value=now, engine_version=engine)]
    if points[-2].at == today:
        del points[-2]
    low, high = domain([point.value for point in points])
    y = Scale(low=low, high=high, start=BOTTOM, end=TOP + (2 if changes else 1) * ROW)
    x = Scale(low=0, high=max(1, len(points) - 1), start=LEFT + 6, end=RIGHT - 6)
    lines, texts = value_axis(y, verdict.unit, left=LEFT, right=RIGHT)
    for i, (earlier, later) in enumerate(pairwise(points)):
        if earlier.engine_version != later.engine_version:
            lines.append(Line(x1=x.at(i + 0.5), y1=TOP + 5, x2=x.at(i + 0.5), y2=BOTTOM, kind="version"))
            texts.append(Text(x=x.at(i + 0.5), y=TOP, text=later.engine_version or "", anchor="middle"))
    told = ""
    for change in changes:
        # Before the first run in which the figure is another one.
        place = x.at(next(i for i, point in enumerate(points) if point.at == change.at) - 0.5)
        size = numbers.signed(change.change)
        kind = "change slower" if change.change > 0 else "change faster"
        lines.append(Line(x1=place, y1=TOP + ROW + 5, x2=place, y2=BOTTOM, kind=kind))
        texts.append(Text(x=place, y=TOP + ROW, text=size, anchor="middle"))
        told += f"; {size} from {change.at[:10]} on"
    marks = [
        Mark(
            x=x.at(i),
            y=y.at(point.value),
            kind=f"now {verdict.outcome}" if i == len(points) - 1 else "baseline",
            label=f"{point.at[:10]}: {numbers.quantity(point.value, verdict.unit)}, engine {point.engine_version}",
        )
        for i, point in enumerate(points)
    ]
    path = Path(d=curve((x.at(i), y.at(point.value)) for i, point in enumerate(points)), kind="trend")
    texts += [Text(x=LEFT, y=148, text=points[0].at[:10]), Text(x=RIGHT, y=148, text=today[:10], anchor="end")]
    first, last = (numbers.quantity(point.value, verdict.unit) for point in (points[0], points[-1]))
    runs = f"{numbers.plural(len(points), 'run')} from {points[0].at[:10]} to {today[:10]}: {first} to {last}"
    return Plot(
        title=f"{metric_text.metric_name(verdict.metric)} over time",
        description=f"{runs}{told}",
        width=WIDTH,
        height=154,
        lines=lines,
        paths=[path],
        marks=marks,
        texts=texts,
    )
