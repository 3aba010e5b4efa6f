"""The page of a search for the fastest flags, `sgdiff tune --report x.html`: the ranking, time against memory as a
picture, what was left out, and the command line. One file that loads nothing and has no script; the template escapes
every text by itself."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff import __version__
from pytest_sgdiff.data import Standing
from pytest_sgdiff.reports import (
    metric_text,
    numbers,
    tune_claims_text,
    tune_names,
    tune_ranking_text,
    tune_space_text,
    tune_step_text,
    tune_text,
)
from pytest_sgdiff.reports.html import environment, library
from pytest_sgdiff.reports.html.svg import Anchor, Line, Mark, Path, Plot, Scale, Text, curve, domain, ticks, value_axis
from pytest_sgdiff.tuning.report import TuneReport

WIDTH, HEIGHT = 760, 340
LEFT, RIGHT, TOP, BOTTOM = 78, 745, 20, 296
NAMED = 12
"""Variants that are named in the picture: those of the front, up to so many. All others say their name when one points
at them."""
CHARACTER = 6.2
"""Width of a letter of a label."""


def render(report: TuneReport) -> str:
    """The page. Raises ModuleNotFoundError, naming the extra, where Jinja2 is not installed."""
    library()
    page = (
        environment()
        .get_template("tune.html.j2")
        .render(
            title=tune_text.headline(report),
            code=report.tuned.code,
            badge={"decided": "pass", "equal": "pass", "nothing": "regressed"}.get(report.tuned.code, "inconclusive"),
            facts=tune_text.facts(report),
            notes=tune_text.notes(report),
            commands=tune_text.commands(report),
            ranking=_columns(tune_ranking_text.ranking(report)),
            legend=tune_ranking_text.legend(report),
            settings=[
                (
                    tune_names.name_of(one),
                    tune_space_text.changes(report.base, one.variant),
                    tune_space_text.sources(one.variant),
                )
                for one in report.variants
            ],
            comparisons=tune_text.comparisons(report, verbose=True),
            picture=picture(report),
            fronts=[
                (caption, _columns(rows))
                for caption, rows in (
                    (tune_ranking_text.FRONT, tune_ranking_text.front_rows(report)),
                    (tune_ranking_text.lossless_front(report), tune_ranking_text.lossless_rows(report)),
                )
                if rows
            ],
            guide=tune_claims_text.guide(report),
            claims=tune_claims_text.claims(report),
            given_up=tune_text.given_up(report),
            left_out=tune_space_text.left_out(report, verbose=True),
            version=__version__,
        )
    )
    return f"{page}\n"


def _columns(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows without columns that have no content."""
    if not rows:
        return []
    used = [i for i in range(len(rows[0])) if any(row[i] not in ("", numbers.UNKNOWN) for row in rows[1:])]
    return [[row[i] for i in used] for row in rows]


def picture(report: TuneReport) -> Plot | None:
    """Time against the peak of memory, a point for each variant of which both are known, and the front as a line. None
    where there are fewer than two."""
    known = [one for one in report.tuned.standings if one.ms is not None and one.memory_mib is not None]
    if len(known) < 2:
        return None
    times = [value for one in known for value in (one.ms, one.low, one.high) if value is not None]
    sizes = [one.memory_mib or 0.0 for one in known]
    limit = report.tuned.memory_mib
    # A limit far beyond all variants would press them into a corner.
    near = limit is not None and limit <= 2 * max(sizes)
    low_y, high_y = domain(times)
    low_x, high_x = domain([*sizes, *([limit] if near and limit is not None else [])])
    y = Scale(low=low_y, high=high_y, start=BOTTOM, end=TOP)
    x = Scale(low=low_x, high=high_x, start=LEFT, end=RIGHT)
    lines, texts = value_axis(y, "ms", left=LEFT, right=RIGHT)
    _memory_axis(x, lines, texts)
    paths = []
    if near and limit is not None:
        lines.append(Line(x1=x.at(limit), y1=TOP, x2=x.at(limit), y2=BOTTOM, kind="limit"))
    by_name = {one.variant: one for one in known}
    front = [by_name[name] for name in report.front if name in by_name]
    if len(front) > 1:
        paths.append(Path(d=curve(_steps(front, x, y)), kind="trend"))
    marks = []
    # What is to be seen is drawn over the rest.
    for one in sorted(known, key=lambda one: (one.variant == report.best, one.variant in report.front)):
        place = x.at(one.memory_mib or 0.0)
        if one.low is not None and one.high is not None:
            lines.append(Line(x1=place, y1=y.at(one.low), x2=place, y2=y.at(one.high), kind="centre"))
        marks.append(Mark(x=place, y=y.at(one.ms or 0.0), kind=_kind(one, report), label=_label(one, report)))
    for one in front[:NAMED]:
        texts.append(_name(one, tune_names.shown_name(report, one.variant), x, y))
    return Plot(
        title=f"{metric_text.metric_name(report.metric)} against peak memory; the line is the front",
        description="; ".join(_label(one, report) for one in known),
        width=WIDTH,
        height=HEIGHT,
        lines=lines,
        paths=paths,
        marks=marks,
        texts=texts,
    )


def _memory_axis(x: Scale, lines: list[Line], texts: list[Text]) -> None:
    size, unit = (1024.0, "GiB") if x.high >= 1024 else (1.0, "MiB")
    shown = ticks(x.low / size, x.high / size, count=8)
    whole = all(value == round(value) for value in shown)
    for value in shown:
        place = x.at(value * size)
        lines.append(Line(x1=place, y1=TOP, x2=place, y2=BOTTOM, kind="grid"))
        texts.append(Text(x=place, y=BOTTOM + 18, text=f"{value:.{0 if whole else 1}f} {unit}", anchor="middle"))


def _steps(front: Sequence[Standing], x: Scale, y: Scale) -> list[tuple[float, float]]:
    """The front as stairs: with so much memory a variant is as quick as the one that fits."""
    points: list[tuple[float, float]] = []
    for one in sorted(front, key=lambda one: one.memory_mib or 0.0):
        place = x.at(one.memory_mib or 0.0), y.at(one.ms or 0.0)
        if points:
            points.append((place[0], points[-1][1]))
        points.append(place)
    return points


def _kind(one: Standing, report: TuneReport) -> str:
    if one.given_up:
        return "regressed"
    if one.variant == report.best:
        return "improved"
    return "now" if one.variant in report.front else "baseline"


def _label(one: Standing, report: TuneReport) -> str:
    name = tune_names.shown_name(report, one.variant)
    told = f"{name}: {numbers.quantity(one.ms, 'ms')}, {numbers.quantity(one.memory_mib, 'MiB')}"
    shown = tune_names.shown_in(report.variants)
    why = tune_step_text.dropped(one.dropped, shown) if one.dropped is not None and one.given_up else ""
    return ", ".join(filter(None, (told, "recommended" if one.variant == report.best else "", why)))


def _name(one: Standing, name: str, x: Scale, y: Scale) -> Text:
    place = x.at(one.memory_mib or 0.0)
    shown = name if len(name) <= 40 else f"{name[:39]}…"
    # On the side where there is room.
    anchor: Anchor = "end" if place + 8 + CHARACTER * len(shown) > WIDTH else "start"
    return Text(
        x=place + (-8 if anchor == "end" else 8), y=y.at(one.ms or 0.0) - 7, text=shown, kind="name", anchor=anchor
    )
