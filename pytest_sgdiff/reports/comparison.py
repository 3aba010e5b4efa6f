"""A comparison as text, as Markdown in the shape of upstream's compare_perf.py, and as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from pytest_sgdiff.compare.compare import Comparison, Row, Status, Unlike, Way
from pytest_sgdiff.compare.sides import Note, NoteCode, Side, fact_text
from pytest_sgdiff.metrics import STAGE, title
from pytest_sgdiff.printable import printable_json, printable_values
from pytest_sgdiff.reports import inspect_text
from pytest_sgdiff.reports.aligned import table
from pytest_sgdiff.reports.case_text import estimators
from pytest_sgdiff.reports.failure_text import CUT_OFF
from pytest_sgdiff.reports.figures import fixed, precision
from pytest_sgdiff.reports.finding_text import OLD, against, words
from pytest_sgdiff.reports.numbers import UNKNOWN, bare, plural, quantity, signed

FIX = "compare equal workloads, or add --anyway"

_STATUS: Mapping[Status, str] = MappingProxyType(
    {
        "slower": "slower",
        "faster": "faster",
        "not-slower": "not slower",
        "cannot-tell": "cannot tell",
        "similar": "similar",
        "not-judged": "not judged",
    }
)
_ICONS: Mapping[Status, str] = MappingProxyType(
    {
        "slower": "❌ (Slower)",
        "faster": "✅ (Faster)",
        "not-slower": "➖ (Not slower)",
        "cannot-tell": "❔ (Cannot tell)",
        "similar": "➖ (Similar)",
        "not-judged": "-",
    }
)
_STAGE_ICONS: Mapping[Status, str] = MappingProxyType(
    {"slower": "🔴", "faster": "🟢", "not-slower": "⚪️", "cannot-tell": "❔", "similar": "⚪️", "not-judged": "-"}
)


def render_text(comparison: Comparison) -> str:
    """Aligned columns for a terminal, the closing line says what the exit code says."""
    comparison = printable_values(comparison)
    lines = [f"old  {_side(comparison.old)}", f"new  {_side(comparison.new)}", *_notes(comparison)]
    if comparison.rows:
        rows = [("metric", "old", "new", "change", "95 % interval", "")]
        rows += [
            (
                title(row.metric),
                quantity(row.old, row.unit, like=_like(row)),
                quantity(row.new, row.unit, like=_like(row)),
                UNKNOWN if row.ratio is None else signed(row.ratio - 1),
                "" if row.low is None or row.high is None else f"{bare(row.low - 1)} .. {bare(row.high - 1)}",
                f"{_status(row)}: {_why(row)}",
            )
            for row in comparison.rows
        ]
        lines += ["", *(f"  {line}" for line in table(rows, aligns="<>>><<"))]
        notes = [*_legend(comparison), *power(comparison)]
        lines += ["", *notes] if notes else []
    return "\n".join([*lines, "", _conclusion(comparison)]) + "\n"


def render_markdown(comparison: Comparison) -> str:
    """The report of upstream's compare_perf.py: summary, stages of more than 100 ms or half a millisecond's change."""
    comparison = printable_values(comparison)
    lines = ["### Performance Comparison Report", ""]
    if not comparison.rows:
        return (
            "\n".join([*lines, *(f"- {_unlike(d)}" for d in comparison.differences), "", _conclusion(comparison)])
            + "\n"
        )
    lines += [
        "#### 1. High-level Summary",
        "| Metric | Baseline | New | Diff | Status |",
        "| :--- | :--- | :--- | :--- | :--- |",
    ]
    lines += [_summary(row) for row in comparison.rows if not row.metric.startswith(STAGE)]
    lines += ["", "#### 2. Stage Breakdown"]
    stages = [_stage(row) for row in comparison.rows if row.metric.startswith(STAGE) and _matters(row)]
    if stages:
        lines += [
            "| Stage Name | Baseline (ms) | New (ms) | Diff (ms) | Diff (%) | Status |",
            "| :--- | :--- | :--- | :--- | :--- | :--- |",
        ]
        lines += stages
    else:
        lines.append("*No significant stage differences found.*")
    details = [f"Baseline: {_side(comparison.old)}", f"New: {_side(comparison.new)}", *_notes(comparison)]
    details += [*_legend(comparison), *power(comparison)]
    lines += ["", "<details>", "<summary>Metadata</summary>", "", *(f"- {detail}" for detail in details), "</details>"]
    return "\n".join([*lines, "", _conclusion(comparison)]) + "\n"


def render_json(comparison: Comparison) -> str:
    """`{old, new, by, result, differences, untold, ways, rows: [row], needed, left_out, exit_code}`; a row has `metric,
    metric_class, unit, old, new, estimator, ratio, low, high, net, status, code, why, suspect,
    noise, shows, more`."""
    document = {
        "old": _plain_side(comparison.old),
        "new": _plain_side(comparison.new),
        "by": comparison.by,
        "result": comparison.result,
        "differences": [_unlike(one) for one in comparison.differences],
        "untold": list(comparison.untold),
        "ways": list(map(way, comparison.ways)),
        "rows": [_plain_row(row) for row in comparison.rows],
        "needed": comparison.needed,
        "left_out": list(comparison.left_out),
        "exit_code": comparison.exit_code,
    }
    return printable_json(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)) + "\n"


_COLUMNS = ("metric", "metric_class", "unit", "old", "new", "estimator", "ratio", "low", "high", "net", "status")

RENDERERS: Mapping[str, Callable[[Comparison], str]] = MappingProxyType(
    {"text": render_text, "markdown": render_markdown, "json": render_json}
)


_POWER = ("noise", "shows", "more")


def _plain_row(row: Row) -> dict[str, object]:
    plain = {name: getattr(row, name) for name in _COLUMNS}
    return {**plain, "code": row.finding.code, "why": _why(row), "suspect": row.suspect, **_plain_power(row)}


def _plain_power(row: Row) -> dict[str, object]:
    return {name: getattr(row, name) for name in _POWER}


def plain_power(comparison: Comparison) -> list[dict[str, object]]:
    """What the launches show of each class of metric: `{metric, metric_class, noise, shows, more}`."""
    return [{"metric": row.metric, "metric_class": row.metric_class, **_plain_power(row)} for row in comparison.shown]


def _plain_side(side: Side) -> dict[str, object]:
    return {
        "label": side.label,
        "launches": len(side.launches),
        "engine": side.engine_version,
        "facts": {name: fact_text(value) for name, value in side.facts.items()},
        "notes": list(map(note, side.notes)),
    }


def _side(side: Side) -> str:
    engine = f", sglang {side.engine_version}" if side.engine_version else ""
    machine = f", {fact_text(side.facts['machine'])}" if "machine" in side.facts else ""
    return f"{side.label} ({plural(len(side.launches), 'launch')}{engine}{machine})"


def note(n: Note) -> str:
    """`launch 2 discarded: its exit code is not known`: what a reader of a side must know."""
    text = _NOTES[n.code](n)
    return text if n.launch is None else f"launch {n.launch}{' discarded' * n.discarded}: {text}"


def way(w: Way) -> str:
    """`--attention-backend: torch_sdpa in the old, fa in the new`"""
    old, new = ("not set" if value is None else value or "set" for value in (w.old, w.new))
    return f"{'--' * (w.kind == 'flag')}{w.name}: {old} in the old, {new} in the new"


_NOTES: Mapping[NoteCode, Callable[[Note], str]] = MappingProxyType(
    {
        "cut-off": lambda n: CUT_OFF,
        "flaw": lambda n: "" if n.flaw is None else inspect_text.words(n.flaw),
        "ending": lambda n: n.ending,
        "exit-code": lambda n: f"exit code {n.number}",
        "no-dump": lambda n: "no perf dump",
        "no-exit-code": lambda n: "its exit code is not known",
        "foreign-process": lambda n: f"another process was on its GPU (pid {', '.join(map(str, n.pids))})",
        "published": lambda n: "published numbers, without spread",
    }
)


def _notes(comparison: Comparison) -> Iterator[str]:
    for name, side in (("old", comparison.old), ("new", comparison.new)):
        yield from (f"{name}: {note(one)}" for one in side.notes)
    if comparison.untold:
        yield f"not recorded by both sides, so it may differ: {', '.join(comparison.untold)}"
    yield from (f"different {one.kind}: {way(one)}" for one in comparison.ways)
    if comparison.anyway:
        for difference in comparison.differences:
            yield f"not the same: {_unlike(difference)}"


def _legend(comparison: Comparison) -> list[str]:
    """Which estimator the figures are of; a single launch of each side has no need of one."""
    if max(len(comparison.old.launches), len(comparison.new.launches)) < 2:
        return []
    return estimators(
        "old and new",
        [(title(row.metric), row.estimator) for row in comparison.rows],
        of_change="; change is new over old",
    )


def _status(row: Row) -> str:
    return "more" if row.status == "slower" and row.metric_class == "memory" else _STATUS[row.status]


def _icon(row: Row) -> str:
    return "❌ (More)" if row.status == "slower" and row.metric_class == "memory" else _ICONS[row.status]


def _why(row: Row) -> str:
    found = words(replace(row.finding, slack=0.0), row.metric_class, base=OLD)
    return f"{found}, net of pauses" if row.net else found


def power(comparison: Comparison) -> Iterator[str]:
    """What so many launches show of each class of metric, and how many would show more."""
    counts = against(len(comparison.new.launches), len(comparison.old.launches))
    noise = _sizes((row, row.noise) for row in comparison.shown if row.shows is None)
    if noise:
        yield (
            f"{counts}: slowdowns below about {noise} cannot be distinguished from noise, larger ones not from a "
            "launch that was held up"
        )
    shown = _sizes((row, row.shows) for row in comparison.shown)
    if shown:
        yield f"{counts}: minimum detectable slowdown about {shown}"
    more = _sizes(
        (row, row.more)
        for row in comparison.shown
        if row.more is not None and (row.shows is None or row.more < row.shows)
    )
    if more and comparison.needed:
        yield f"record {plural(comparison.needed, 'launch')} of each: minimum detectable slowdown about {more}"
    slack = max((row.finding.slack for row in comparison.rows), default=0.0)
    if slack:
        yield f"not known to be the same GPU: both margins {precision(slack)} wider"


def _sizes(rows: Iterable[tuple[Row, float | None]]) -> str:
    """Sizes by metric; above 100 % they say nothing."""
    return ", ".join(f"{precision(size)} ({title(row.metric)})" for row, size in rows if size is not None and size <= 1)


def _conclusion(comparison: Comparison) -> str:
    if comparison.result == "not-comparable":
        return f"not comparable: {'; '.join(map(_unlike, comparison.differences))} ({FIX})"
    slower = [row for row in comparison.rows if row.status == "slower"]
    times, sizes = ([row for row in slower if (row.metric_class == "memory") == memory] for memory in (False, True))
    open_ = [row for row in comparison.rows if row.status == "cannot-tell"]
    suspect = [row for row in open_ if row.suspect]
    parts = [f"slower: {_named(times)}"] if times else []
    parts += [f"uses more: {_named(sizes)}"] if sizes else []
    if not times and any(row.deciding and row.metric_class != "memory" for row in open_):
        parts += ["cannot tell whether anything is slower"]
    elif comparison.result == "cannot-tell":
        parts += [f"cannot tell: {_named(row for row in open_ if row.deciding) or 'nothing was judged'}"]
    elif comparison.result == "similar":
        return "nothing is slower by more than upstream's tolerances, which ignore noise"
    elif not parts:
        return "nothing is slower" + (f"; cannot tell: {_named(open_)}" if open_ else "")
    excess = "beyond what is allowed" if comparison.by == "rule" else "more than noise explains"
    parts += [f"{excess}, needs confirmation: {_named(suspect)}"] if suspect else []
    pauses = [row for row in open_ if row.metric_class == "pause"]
    return "; ".join([*parts, *(_why(row) for row in pauses)])


def _named(rows: Iterable[Row]) -> str:
    return ", ".join(title(row.metric) + ("" if row.ratio is None else f" {signed(row.ratio - 1)}") for row in rows)


def _like(row: Row) -> float | None:
    """Both figures in the unit of the larger one."""
    known = [abs(value) for value in (row.old, row.new) if value is not None]
    return max(known) if known else None


_SUMMARY_NAMES = MappingProxyType({"e2e": "E2E Latency", "denoise": "Denoise"})


def _summary(row: Row) -> str:
    name = _SUMMARY_NAMES.get(row.metric, title(row.metric).capitalize())
    change = "-"
    if row.old is not None and row.new is not None:
        share = "" if row.ratio is None else f" ({bare(row.ratio - 1)}%)"
        change = f"**{fixed(row.new - row.old, 2, sign='+')} {row.unit}{share}**"
    figures = f"{_figure(row.old, row.unit)} | {_figure(row.new, row.unit)}"
    return f"| **{name}** | {figures} | {change} | {_icon(row)} |"


def _stage(row: Row) -> str:
    difference = "-" if row.old is None or row.new is None else fixed(row.new - row.old, 2, sign="+")
    share = "-" if row.ratio is None else f"{bare(row.ratio - 1)}%"
    return (
        f"| {title(row.metric)} | {_figure(row.old)} | {_figure(row.new)} | {difference} | {share} "
        f"| {_STAGE_ICONS[row.status]} |"
    )


def _figure(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{fixed(value, 2)} {unit}".rstrip()


def _matters(row: Row) -> bool:
    """As upstream: half a millisecond of difference, or a stage of 100 ms; and what only one side has."""
    if row.old is None or row.new is None:
        return True
    return abs(row.new - row.old) > 0.5 or max(row.old, row.new) > 100


def _unlike(one: Unlike) -> str:
    return f"{one.name}: {fact_text(one.old)} against {fact_text(one.new)}"
