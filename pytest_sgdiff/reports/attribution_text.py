"""The words for an `Attribution`: where a change lies, and what differs beside it. The one place that has them.

Nothing here says why: what stands behind `beside` differs between the two sides, and no more is known.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_sgdiff.data import Attribution, Beside, CaseResult, CommitsLack, EngineCommits, LongPause
from pytest_sgdiff.reports import numbers

PAUSE_PAGE = "docs/noise.md, 'What pauses for half a second before the first step?'"

_SHOWN = ("regressed", "improved", "inconclusive")
_LACKS: dict[CommitsLack, str] = {
    "no-checkout": "the engine runs from no checkout that is here",
    "unknown-commit": "the engine's checkout does not have both",
}
_TITLES = 3


def line(result: CaseResult) -> str:
    """`DenoisingStage +75.6 ms of +76.8 ms e2e; core +75.6 ms; steps 0 to 19 of 20; beside: torch 2.11.0 then, 2.12.0
    now`: where the change of a case lies, in one line; empty for a case that shows no change."""
    found = result.attribution
    if found is None or result.outcome not in _SHOWN or result.recorded:
        return ""
    beside = [*map(_beside, found.beside), *_versions(found)]
    if found.commits is not None:
        beside.append(commits(found.commits))
    where = "; ".join(_where(found)) or "no stage or step shows the change"
    return numbers.clean(f"{where}; beside it: {'; '.join(beside)}" if beside else where)


def titles(found: Attribution | None) -> list[str]:
    """The engine's commits between both sides, a line each."""
    told = found.commits if found is not None else None
    if told is None or not told.titles:
        return []
    more = (told.count or 0) - len(told.titles)
    return [*told.titles, *([f"and {more} more"] if more > 0 else [])]


def commits(found: EngineCommits) -> str:
    """`engine 1a2b3c4d..5e6f7a8b, 12 commits: 5e6f7a8b Fuse the norms, and 11 more`"""
    span = f"engine {found.then[:10]}..{found.now[:10]}"
    if found.lack is not None:
        return f"{span} ({_LACKS[found.lack]})"
    count = "" if found.count is None else f", {numbers.plural(found.count, 'commit')}"
    back = ", which does not contain the first" if found.back else ""
    shown = ", ".join(found.titles[:_TITLES])
    more = (found.count or 0) - min(_TITLES, len(found.titles))
    rest = f", and {more} more" if more > 0 and shown else ""
    return f"{span}{count}{back}{': ' if shown else ''}{shown}{rest}"


def pause(found: LongPause, *, paired: bool) -> str:
    """What is said of long pauses in some launches; `paired`: the other side is the base engine of an A/B run."""
    other = "base engine" if paired else "baseline"
    return (
        f"{found.launches} of {numbers.plural(found.of, 'launch')} and {found.then_launches} of {found.then_of} of the "
        f"{other} pause beside their steps for up to {numbers.quantity(found.longest_ms, 'ms')}; full collections of "
        f"Python's garbage collector took as long where they were looked for ({PAUSE_PAGE})"
    )


def _where(found: Attribution) -> Iterator[str]:
    if found.stage is not None:
        total = ""
        if found.total_then_ms is not None and found.total_now_ms is not None:
            total = f" of {_change(found.total_then_ms, found.total_now_ms)} e2e"
        yield f"{found.stage.stage} {_change(found.stage.then_ms, found.stage.now_ms)}{total}"
    if found.parts:
        yield ", ".join(f"{part.part} {_change(part.then_ms, part.now_ms)}" for part in found.parts)
    steps = found.steps
    if steps is not None:
        span = f"step {steps.first}" if steps.first == steps.last else f"steps {steps.first} to {steps.last}"
        yield f"{span} of {steps.of} {_change(steps.then_ms, steps.now_ms)}"


def _change(then: float | None, now: float | None) -> str:
    change = (now or 0.0) - (then or 0.0)
    shown = numbers.quantity(abs(change), "ms")
    return f"{'+' if change >= 0 else '-'}{shown}"


def _beside(one: Beside) -> str:
    name = {"sm-clock": "SM clock", "memory": "peak memory", "power-limit": "power limit"}[one.code]
    if one.code == "memory":
        like = max(one.then, one.now)
        then, now = (numbers.quantity(value, "MiB", like=like) for value in (one.then, one.now))
    else:
        unit = "MHz" if one.code == "sm-clock" else "W"
        then, now = (f"{value:.0f} {unit}" for value in (one.then, one.now))
    return f"{name} {then} then, {now} now ({numbers.signed(one.now / one.then - 1)})"


def _versions(found: Attribution) -> Iterator[str]:
    for one in found.versions:
        then, now = (" or ".join(side) or "none" for side in (one.then, one.now))
        yield f"{one.name} {then} then, {now} now"
