"""The charts of the HTML report: what a case's launches, stages and steps look like against its baseline."""

from __future__ import annotations

import statistics
from collections.abc import Sequence, Set

from pytest_sgdiff.data import CaseResult, LaunchRecord, Verdict
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.metrics import (
    DENOISE,
    DENOISE_CORE,
    DENOISE_EXCESS,
    DENOISE_STEPS,
    PAUSE,
    STAGE,
    Compared,
    cost,
    denoising_of,
)
from pytest_sgdiff.reports import case_text, evidence, metric_text, numbers, reason_text
from pytest_sgdiff.reports.figures import beyond_precision
from pytest_sgdiff.reports.html.svg import Box, Line, Mark, Path, Plot, Scale, Text, curve, domain, value_axis

WIDTH = 360
LEFT = 62
RIGHT = 350
TOP = 10

# Stages below this share of the longest one are listed in the table only; as bars they would be nothing to see.
_SMALLEST_BAR = 0.0005


def forest(verdict: Verdict, *, reach: float) -> Plot | None:
    """The change with its 95 % interval, what is allowed, on an axis of ±`reach` around no change."""
    if verdict.ratio is None:
        return None
    scale = Scale(low=-reach, high=reach, start=6, end=174)
    change = verdict.ratio - 1
    low, high = (verdict.low or verdict.ratio) - 1, (verdict.high or verdict.ratio) - 1
    lines = [Line(x1=scale.at(0), y1=1, x2=scale.at(0), y2=21, kind="zero")]
    if verdict.allow is not None and verdict.allow < reach:
        x = scale.at(cost(verdict.metric, 1 + verdict.allow) - 1)
        lines.append(Line(x1=x, y1=1, x2=x, y2=21, kind="limit"))
    lines.append(Line(x1=scale.at(low), y1=11, x2=scale.at(high), y2=11, kind=f"whisker {verdict.outcome}"))
    shape = "right" if change > reach else "left" if change < -reach else "dot"
    mark = Mark(x=scale.at(change), y=11, kind=f"now {verdict.outcome}", shape=shape)  # type: ignore[arg-type]
    boxes = []
    if verdict.allow:
        x = scale.at(-verdict.allow)
        boxes = [Box(x=x, y=1, width=scale.at(verdict.allow) - x, height=20, kind="ignore")]
    limit = "" if verdict.allow is None else f", {numbers.percent(verdict.allow)} allowed"
    sure = f", 95 % interval {metric_text.interval(verdict)}" if metric_text.interval(verdict) else ""
    words = f"{metric_text.metric_name(verdict.metric)} {metric_text.change(verdict)}{sure}{limit}"
    return Plot(title="", description=words, width=180, height=22, boxes=boxes, lines=lines, marks=[mark])


def launches(result: CaseResult, verdict: Verdict) -> Plot | None:
    """Every launch as a point: the baseline's, then this run's, against the baseline's spread and margins."""
    before, after = (
        [(launch, value) for launch, value in side if value is not None] for side in evidence.judged(result, verdict)
    )
    if not after:
        return None
    centre, limit, base = verdict.baseline, None, case_text.base_word(result)
    if centre is not None and verdict.allow is not None and verdict.metric_class != "pause":
        limit = centre * cost(verdict.metric, 1 + verdict.allow)
    spread = (centre or 0.0) * (verdict.spread or 0.0) if verdict.metric_class != "pause" else 0.0
    shown = [value for _, value in (*before, *after)]
    shown += [] if centre is None else [centre - spread, centre + spread, *([limit] if limit is not None else [])]
    low, high = domain(shown)
    y = Scale(low=low, high=high, start=132, end=TOP)
    lines, texts = value_axis(y, verdict.unit, left=LEFT, right=RIGHT)
    boxes = []
    if centre is not None:
        if spread:
            top = y.at(centre + spread)
            boxes = [Box(x=LEFT, y=top, width=RIGHT - LEFT, height=y.at(centre - spread) - top, kind="spread")]
        lines.append(Line(x1=LEFT, y1=y.at(centre), x2=RIGHT, y2=y.at(centre), kind="centre"))
    if limit is not None:
        lines.append(Line(x1=LEFT, y1=y.at(limit), x2=RIGHT, y2=y.at(limit), kind="limit"))
        texts.append(Text(x=LEFT + 3, y=y.at(limit) - 3, text=f"allowed {_above(verdict)}"))
    # Half a place of air on either side, and one place between the baseline and this run.
    places = len(before) + len(after) + 1
    x = Scale(low=-0.5, high=places - 0.5, start=LEFT, end=RIGHT)
    marks = [
        Mark(x=x.at(i), y=y.at(value), kind="baseline", label=_told(launch, value, verdict, f"{base} launch"))
        for i, (launch, value) in enumerate(before)
    ]
    marks += [
        Mark(
            x=x.at(len(before) + 1 + i),
            y=y.at(value),
            kind="excluded" if not launch.counts else f"now {verdict.outcome}",
            shape="dot" if launch.counts else "cross",
            label=_told(launch, value, verdict, "launch"),
        )
        for i, (launch, value) in enumerate(after)
    ]
    if before:
        lines.append(Line(x1=x.at(len(before)), y1=TOP, x2=x.at(len(before)), y2=132, kind="grid"))
        texts.append(Text(x=x.at((len(before) - 1) / 2), y=148, text=base, anchor="middle"))
    texts.append(Text(x=x.at(len(before) + 1 + (len(after) - 1) / 2), y=148, text="now", anchor="middle"))
    words = f"{_range(base, [v for _, v in before], verdict)}{_range('now', [v for _, v in after], verdict)}"
    words += "" if limit is None else f"Allowed up to {numbers.quantity(limit, verdict.unit)}."
    title = f"{metric_text.metric_name(verdict.metric)}, launch by launch"
    return Plot(
        title=title,
        description=words.strip(),
        width=WIDTH,
        height=154,
        boxes=boxes,
        lines=lines,
        marks=marks,
        texts=texts,
    )


def _above(verdict: Verdict) -> str:
    """`+4 %`; `> 100 %` needs no sign."""
    limit = cost(verdict.metric, 1 + (verdict.allow or 0)) - 1
    sign = "" if beyond_precision(abs(limit)) else "+" if limit >= 0 else "-"
    return f"{sign}{numbers.percent(abs(limit))}"


def _told(launch: LaunchRecord, value: float, verdict: Verdict, noun: str) -> str:
    words = f"{noun} {launch.number}: {numbers.quantity(value, verdict.unit)}"
    return words if launch.counts else f"{words}, discarded: {numbers.clean(reason_text.discarded(launch))}"


def _range(name: str, values: Sequence[float], verdict: Verdict) -> str:
    if not values:
        return ""
    low, high = numbers.quantity(min(values), verdict.unit), numbers.quantity(max(values), verdict.unit)
    return f"{name.capitalize()}: {numbers.plural(len(values), 'launch')}, {low} to {high}. "


def stages(result: CaseResult) -> Plot | None:
    """The stages of a launch in order, the baseline's centre beside this run's: what was judged as it was judged."""
    sides = (result.baseline_records, evidence.counted(result))
    denoising = set(denoising_of(launch for side in sides for launch in side))
    by_steps = _net_of_pauses(result, denoising)
    before, after = stage_centres(result, denoising, by_steps=by_steps)
    longest = max((*before.values(), *after.values()), default=0.0)
    names = [n for n in after if max(after[n], before.get(n, 0.0)) >= longest * _SMALLEST_BAR]
    if not names or longest <= 0:
        return None
    x = Scale(low=0, high=longest, start=0, end=WIDTH)
    boxes, texts, words = [], [], []
    for row, name in enumerate(names):
        top = row * 34
        old, new = before.get(name), after[name]
        shown = _stage_name(name, denoising)
        like = max(new, old or 0.0)
        now = numbers.quantity(new, "ms", like=like)
        told = now if old is None else f"{numbers.quantity(old, 'ms', like=like)} → {now}"
        texts.append(Text(x=0, y=top + 12, text=shown, kind="name"))
        texts.append(Text(x=WIDTH, y=top + 12, text=told, kind="figure", anchor="end"))
        if old is not None:
            boxes.append(Box(x=0, y=top + 17, width=max(1.0, x.at(old)), height=5, kind="baseline"))
        boxes.append(Box(x=0, y=top + 23, width=max(1.0, x.at(new)), height=5, kind="now"))
        words.append(f"{shown} {told}")
    return Plot(
        title=f"Stages, {case_text.base_word(result)} → now",
        description="; ".join(words),
        width=WIDTH,
        height=len(names) * 34,
        boxes=boxes,
        texts=texts,
    )


def _net_of_pauses(result: CaseResult, denoising: Set[str]) -> bool:
    """Whether the steps stood for denoising: its stage holds pauses, which would contradict such a verdict."""
    launches = (*result.baseline_records, *evidence.counted(result))
    metrics = {verdict.metric for verdict in result.verdicts}
    apart = not metrics.isdisjoint({DENOISE_STEPS, DENOISE_CORE, PAUSE}) and metrics.isdisjoint({DENOISE, *denoising})
    return apart and all(DENOISE_STEPS in launch.metrics for launch in launches)


def stage_centres(
    result: CaseResult, denoising: Set[str], *, by_steps: bool
) -> tuple[dict[str, float], dict[str, float]]:
    """Stage -> centre, of the baseline and of this run: those of its verdict, for the table beside it shows them."""
    now, then = evidence.counted(result), result.baseline_records
    by_core = any(verdict.metric == DENOISE_CORE for verdict in result.verdicts)
    names = dict.fromkeys(
        (DENOISE_CORE if by_core else DENOISE_STEPS) if by_steps and n in denoising else n
        for launch in (*now, *then)
        for n in launch.metrics
        if n.startswith(STAGE) or (n == DENOISE and not denoising)
    )
    judged: dict[str, Verdict] = {verdict.metric: verdict for verdict in result.verdicts}
    before: dict[str, float] = {}
    after: dict[str, float] = {}
    for name in names:
        shown = judged.get(name) or evidence.seen(name, then, now)
        before |= {} if shown.baseline is None else {name: shown.baseline}
        after |= {} if shown.now is None else {name: shown.now}
    return before, after


def _stage_name(name: str, denoising: Set[str]) -> str:
    """The stage that the steps stand for by its own name; the steps of several stages are not told apart."""
    if name in (DENOISE_STEPS, DENOISE_CORE) and len(denoising) == 1:
        return f"{metric_text.metric_name(*denoising)} ({'sum' if name == DENOISE_STEPS else 'core'} of steps)"
    return metric_text.metric_name(name)


def steps(result: CaseResult) -> Plot | None:
    """The step profile: per step the median over the launches, with this run's range behind it, and where the steps
    have a core, that core with the excess above it."""
    after = [launch.steps_ms for launch in evidence.counted(result) if launch.steps_ms]
    before = [launch.steps_ms for launch in result.baseline_records if launch.steps_ms]
    if not after:
        return None
    count = min(map(len, after))
    new = [statistics.median(column) for column in zip(*after, strict=False)]
    old = [statistics.median(column) for column in zip(*before, strict=False)]
    core = _core_profile(result)
    y_low, y_high = domain([*new, *old, *core])
    y = Scale(low=y_low, high=y_high, start=132, end=TOP)
    x = Scale(low=0, high=max(1, count - 1, len(old) - 1), start=LEFT + 4, end=RIGHT)
    lines, texts = value_axis(y, "ms", left=LEFT, right=RIGHT)
    paths = []
    if len(after) > 1:
        edges = [(min(column), max(column)) for column in zip(*after, strict=False)]
        upper = [(x.at(i), y.at(high)) for i, (_, high) in enumerate(edges)]
        lower = [(x.at(i), y.at(low)) for i, (low, _) in reversed(list(enumerate(edges)))]
        paths.append(Path(d=curve([*upper, *lower]) + "Z", kind="range"))
    if old:
        paths.append(
            Path(
                d=curve((x.at(i), y.at(v)) for i, v in enumerate(old)),
                kind="baseline",
                label=case_text.base_word(result),
            )
        )
    paths.append(Path(d=curve((x.at(i), y.at(v)) for i, v in enumerate(new)), kind="now", label="now"))
    if core:
        level = [(x.at(i), y.at(v)) for i, v in enumerate(core)]
        most = [max(column) for column in zip(*after, strict=False)]
        above = [(x.at(i), y.at(max(v, core[i]))) for i, v in reversed(list(enumerate(most)))]
        paths.append(Path(d=curve([*level, *above]) + "Z", kind="excess", label="excess"))
        paths.append(Path(d=curve(level), kind="core", label="core"))
    texts += [Text(x=LEFT + 4, y=148, text="step 0"), Text(x=RIGHT, y=148, text=f"step {count - 1}", anchor="end")]
    usual = numbers.quantity(statistics.median(new), "ms")
    words = f"{numbers.plural(count, 'step')}, the median one {usual}"
    words += f"; in the {case_text.base_word(result)} {numbers.quantity(statistics.median(old), 'ms')}" if old else ""
    words += _core_words(result)
    return Plot(
        title="Step profile (median over launches)",
        description=words,
        width=WIDTH,
        height=154,
        lines=lines,
        paths=paths,
        texts=texts,
    )


def _core_profile(result: CaseResult) -> list[float]:
    """What each step takes in the core, the median over this run's launches; nothing where denoising was not judged by
    it."""
    if all(verdict.metric != DENOISE_EXCESS for verdict in result.verdicts):
        return []
    found = Compared(then=counted(result.baseline_records), now=tuple(evidence.counted(result))).core
    return [] if found is None else [statistics.median(c) for c in zip(*(o.profile for o in found.now), strict=True)]


def _core_words(result: CaseResult) -> str:
    """Core and excess in this run, for who does not see the curve."""
    found = {verdict.metric: verdict for verdict in result.verdicts}
    if DENOISE_EXCESS not in found:
        return ""
    parts = []
    for metric in (DENOISE_CORE, DENOISE_EXCESS):
        values = [v for v in found[metric].now_values if v is not None] if metric in found else []
        if values:
            low, high = (numbers.quantity(edge, "ms", like=max(values)) for edge in (min(values), max(values)))
            parts.append(f"; {metric_text.metric_name(metric)} {low if low == high else f'{low} to {high}'}")
    return "".join(parts)
