"""What a history shows, in words: `data.Trend` and `data.ChangePoint` as the terminal, reports and `sgdiff trend` print
them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pytest_sgdiff.data import ChangePoint, Trend
from pytest_sgdiff.metrics import unit
from pytest_sgdiff.reports import metric_text, numbers

CREEP = 0.01
"""Creep is worth a word beside the levels from 1 % more than these show."""


def line(trend: Trend) -> str:
    """What a history shows of a metric, to stand behind the name of its case:

    `denoise: 42 runs, 83.40 s in the latest 12, +8.0 % against the 30 before, +8.0 % against the best level; +8.0 %
    from 2026-11-20T02:00:11Z on, sglang 0.5.17 (before: sglang 0.5.16; p 1e-05)`
    """
    head = ", ".join([numbers.plural(trend.runs, "run"), *_state(trend)])
    return "; ".join([f"{metric_text.metric_name(trend.metric)}: {head}", *map(change, trend.changes)])


def state(trend: Trend) -> str:
    """Where the metric is now: its latest run, level and creep."""
    latest = f"latest {numbers.quantity(trend.latest, unit(trend.metric))}"
    return ", ".join([numbers.plural(trend.runs, "run"), latest, *_state(trend)])


def change(found: ChangePoint) -> str:
    """`+8.0 % from 2026-11-20 on, sglang 0.5.17, commit 1a2b3c4d5e6f (before: sglang 0.5.16; p 1e-05)`"""
    words = f"{numbers.signed(found.change)} from {found.at} on"
    words += "".join(f", {name}" for name in _versions(found.engine_version, found.commit))
    before = ", ".join(_versions(found.last_engine, found.last_commit))
    changed = (found.last_engine, found.last_commit) != (found.engine_version, found.commit)
    words += f" (before: {before}; " if before and changed else " ("
    words += f"{_chance(found.pvalue)})"
    if found.settings:
        words += ": so large a change is one of settings, which this history does not hold; no slowdown is counted"
    return words


def together(found: Iterable[tuple[str, ChangePoint]]) -> Iterator[str]:
    """Changes of several cases (with their names) in one run: `3 cases changed from 2026-11-20 on: a +6.8 %, …`.
    What they share is likelier the cause than any of them: engine, machine, driver or harness."""
    runs: dict[str, dict[str, ChangePoint]] = {}
    for case, one in found:
        runs.setdefault(one.at, {}).setdefault(case, one)
    for at, cases in sorted(runs.items()):
        if len(cases) > 1:
            named = ", ".join(f"{case} {numbers.signed(one.change)}" for case, one in cases.items())
            yield f"{len(cases)} cases changed from {at} on: {named}; look for what they share"


def _state(trend: Trend) -> Iterator[str]:
    yield from _level(trend)
    if trend.alone is not None:
        yield f"the latest run {numbers.signed(trend.alone)} on its own: the next run shows whether that is a change"
    if trend.creep is not None and (trend.step is None or _creeps(trend)):
        # Of medians of three runs, which the latest one need not resemble.
        yield f"the latest three {numbers.signed(trend.creep)} against the best three"


def _level(trend: Trend) -> Iterator[str]:
    if trend.step is not None and trend.level is not None:
        last = trend.changes[-1] if trend.changes else None
        before = f"the {numbers.plural(last.runs_before, 'run')}" if last is not None else "the level"
        latest = f"in the latest {numbers.plural(trend.level_runs, 'run')}"
        yield f"{numbers.quantity(trend.level, unit(trend.metric))} {latest}"
        if last is not None and last.settings:
            yield f"with other settings than {before} before"
            return
        yield f"{numbers.signed(trend.step)} against {before} before"
        if trend.above_best:
            yield f"{numbers.signed(trend.above_best)} against the best level"
        else:
            yield "the best level so far"


def _creeps(trend: Trend) -> bool:
    """Whether the latest runs are worse than the levels say."""
    return trend.worse and (trend.creep or 0.0) >= abs(trend.above_best or 0.0) + CREEP


def _chance(pvalue: float) -> str:
    """A p below the precision of floats says nothing but that it is small."""
    return f"p {pvalue:.1g}" if pvalue >= 1e-15 else "p < 1e-15"


def _versions(engine: str | None, commit: str | None) -> list[str]:
    named = [f"sglang {numbers.clean(engine)}"] if engine else []
    return [*named, f"commit {numbers.clean(commit)}"] if commit else named
