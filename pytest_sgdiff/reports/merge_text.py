"""The words for what `sgdiff merge` finds: conflicts, and what is missing. The one place that has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from pytest_sgdiff.data import Conflict, ConflictCode, Merged, Selection, Shard, ShardGap
from pytest_sgdiff.printable import printable
from pytest_sgdiff.reports.numbers import plural

SHOWN = 10
"""Names that a line shows; the rest is counted."""


class Reported(Protocol):
    """The shards of a recording, as `pytest_sgdiff.recordings.shards` reads them."""

    @property
    def selection(self) -> Selection: ...
    @property
    def reports(self) -> Mapping[int, object]: ...
    @property
    def unreported(self) -> Sequence[int]: ...
    @property
    def unfinished(self) -> Sequence[int]: ...


def conflict(found: Conflict) -> str:
    """`a/shard-1-of-4.json and b/shard-1-of-4.json: shard 1/4 ran twice (…): …`"""
    return printable(f"{found.paths[0]} and {found.paths[1]}: {_WORDS[found.code](found)}")


def gap(found: ShardGap) -> str:
    """Why a test has no result of its shard."""
    if not found.began:
        return f"shard {found.shard}, which has this case, never reported"
    if found.of is not None:
        return f"shard {found.shard} recorded {plural(found.of, 'launch')} of this case, and {found.launches} are here"
    if found.unmeasured is None:
        return f"shard {found.shard}, which has this case, was killed before it ended"
    return f"shard {found.shard} did not measure this case: {found.unmeasured.why}"


def lines(merged: Merged, out: str) -> Iterator[str]:
    """Everything about a merged recording, the most important last."""
    idle_ones = [str(lost.shard) for lost in merged.unreported if not lost.tests]
    for lost in merged.unreported:
        names = [one.case or one.test for one in lost.tests]
        if names or len(idle_ones) == 1:
            what = f"not measured: {_some(names)}" if names else "it had no case"
            yield f"shard {lost.shard} never reported; {what}"
    # A report may say that there are a million.
    if len(idle_ones) > 1:
        yield f"{plural(len(idle_ones), 'shard')} never reported; they had no case: {_some(idle_ones)}"
    for shard in merged.unfinished:
        yield f"shard {shard} did not end: it was killed, or its recording was copied while it ran"
    for one in merged.gaps:
        yield f"{'not measured' if one.gap.of is None else 'incomplete'}: {one.test} ({gap(one.gap)})"
    yield from (f"{folder}: no recording is there" for folder in merged.absent)
    if merged.of is not None:
        yield from (f"{folder}: holds launches, and no report of a shard" for folder in merged.plain)
    yield from (f"{file}: cannot be read; the launch is joined as it is, and does not count" for file in merged.damaged)
    if merged.strays:
        yield f"left out, since no shard had to measure them: {_some(merged.strays)}"
    if merged.left_out:
        yield f"left out, since they are no launches: {_some(merged.left_out)}"
    what = f"{plural(merged.cases, 'case')}, {plural(merged.launches, 'launch')}"
    what += f", {plural(merged.profiled, 'profiled launch')}" if merged.profiled else ""
    shards = "" if merged.of is None else f"{len(merged.reported)} of {plural(merged.of, 'shard')}, "
    yield f"{out}: {shards}{what}{', there already' if merged.there_already else ''}"
    if merged.of is None:
        yield "no recording is that of a shard (--sgdiff-shard), so nobody knows here what is missing"


def idle(shard: Shard, tests: int) -> str:
    """What a shard says for which no case is left."""
    return f"shard {shard} has no case: other shards measure the {plural(tests, 'selected case')}"


def shards(reported: Reported) -> str:
    """`3 of 4 shards reported, shard 3 never did`: of a recording that is judged."""
    missing, killed = (
        f", {'shard' if len(numbers) == 1 else 'shards'} {_some([*map(str, numbers)])} {what}" if numbers else ""
        for numbers, what in ((reported.unreported, "never did"), (reported.unfinished, "did not end"))
    )
    return f"{len(reported.reports)} of {plural(reported.selection.of, 'shard')} reported{missing}{killed}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _shards(shards: Sequence[Shard]) -> str:
    return " and ".join(f"shard {shard}" for shard in shards)


def _selection(found: Conflict) -> str:
    here, there = (found.paths[0], found.paths[1]) if found.said[0] else (found.paths[1], found.paths[0])
    return f"{found.case} is selected in {here} and not in {there}; {_SAME}"


_SAME = "run all shards with the same checkout and the same options"

_WORDS: Mapping[ConflictCode, Callable[[Conflict], str]] = {
    "shard-count": lambda c: f"are {_shards(c.shards)}; run all shards with the same N",
    "selection": _selection,
    "definition": lambda c: f"{c.case} is not the same case in both: its file differs; {_SAME}",
    "assignment": lambda c: f"{c.case} belongs to {_shards(c.shards)}: their baselines differ; {_SAME}",
    "selection-file": lambda c: (
        f"are {_shards(c.shards)} of two selections, {c.said[0]} and {c.said[1]}: they name the same tests, and differ "
        f"in something else; {_SAME}, and with one version of this plugin"
    ),
    "job": lambda c: f"are of two jobs: {c.said[0]} and {c.said[1]}; merge the shards of one job",
    "shard-twice": lambda c: (
        f"{_shards(c.shards)} reported twice, and not the same (runs {c.said[0]} and {c.said[1]}); leave one out"
    ),
    "other-shard": lambda c: (
        f"there are launches of {c.case}, which {_shards(c.shards)} measures; remove them, or run that shard again"
    ),
    "other-run": lambda c: (
        f"the launch of {c.case} {f'is of the run {c.said[0]}' if c.said[0] else 'names no run'}, and "
        f"{_shards(c.shards)} was measured by the run {c.said[1]}; remove the launch, or run the shard again"
    ),
    "launch": lambda c: f"are the same launch of {c.case}, and differ; leave one out",
    "renumbered": lambda c: f"are one launch of {c.case} under two numbers; leave one out",
    "two-runs": lambda c: (
        f"are launches of {c.case} of two runs ({c.said[0]} and {c.said[1]}), so they are no one measurement; "
        "leave one out"
    ),
}
