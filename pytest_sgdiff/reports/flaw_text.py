"""The words for a `Flaw` of a baseline file. The one place that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pytest_sgdiff.baselines.flaws import Code, Flaw
from pytest_sgdiff.judging.power import Power
from pytest_sgdiff.metrics import title
from pytest_sgdiff.reports import difference_text, doubt_text
from pytest_sgdiff.reports.numbers import percent, plural, quantity

AGAIN = "record it again with --sgdiff-update"
_GIT = f"restore the file with git, or {AGAIN}"


def line(f: Flaw) -> str:
    """`baselines/nvidia-h200-x1/wan.json:12: warning: …`: a flaw behind its place."""
    place = f.path if f.line is None else f"{f.path}:{f.line}"
    return f"{place}: {'warning: ' if f.level == 'warning' else ''}{words(f)}"


def words(f: Flaw) -> str:
    """What is wrong, and what helps."""
    return _WORDS[f.code](f)


def _names(f: Flaw) -> str:
    return ", ".join(f.names)


def _assets(f: Flaw) -> str:
    found = [f"{flag} is new" for flag in f.new]
    found += [f"{flag} was removed" for flag in f.gone]
    found += [f"{flag} is another file" for flag in f.other]
    return f"the case has other input files now: {', '.join(found)}; {AGAIN}"


def _stage(f: Flaw) -> str:
    return "" if f.stage is None else f"{f.location}: {doubt_text.unknown_stage(f.stage)}"


def _finds(f: Flaw) -> str:
    told = ", ".join(f"{title(p.metric)} {_size(p)}" for p in f.powers)
    return f"minimum detectable slowdown in {plural(f.of or 0, 'launch')}: {told}"


def _weak(f: Flaw) -> str:
    what = ", ".join(f"{title(p.metric)} {_size(p)}{_against(p)}" for p in f.powers)
    return f"the minimum detectable slowdown is far beyond the limit: {what}; {_helps(f.powers, f.of or 0)}"


def _size(power: Power) -> str:
    if power.detectable is None:
        return "none"
    size = percent(power.detectable)
    known = power.metric_class == "stage" and power.centre is not None and power.detectable <= 1
    return f"{size} ({quantity(power.detectable * power.centre, power.unit)})" if known and power.centre else size


def _against(power: Power) -> str:
    spread = "" if power.spread is None else f", launches vary by {percent(power.spread)}"
    return f" ({percent(power.allow)} allowed{spread})"


def _helps(weak: Sequence[Power], launches: int) -> str:
    if launches < 3:
        return "give the case more launches (launches.checkpoints)"
    return f"{AGAIN} on a quiet machine, with more launches (launches.baseline), or allow more (metrics.allow)"


_WORDS: Mapping[Code, Callable[[Flaw], str]] = {
    "unreadable": lambda f: f.why,
    "stray": lambda f: "is not a baseline: delete it",
    "stray-picture": lambda f: "is no picture of the baseline beside it: delete it",
    "noisy-pictures": lambda f: (
        "its own launches differ by more than the `quality` of the case allows: an unchanged engine may fail"
    ),
    "misplaced": lambda f: f"is the baseline of {f.name}: move it there, or record this one again",
    "no-case": lambda f: f"no case is called {f.name} (any more): delete the file, or rename it with its case",
    "few-launches": lambda f: f"has {f.number} of {f.of} launches: extend it with --sgdiff-update=extend",
    "no-times": lambda f: f"holds neither {' nor '.join(f.names)}, so it cannot judge any time: {AGAIN}",
    "missing-values": lambda f: f"{f.name} is missing in launch {_names(f)}",
    "negative-gap": lambda f: (
        f"every denoise_gap is below zero, {f.value:g} ms at most: the steps cannot take longer than the loop "
        f"around them; {AGAIN}"
    ),
    "no-provenance": lambda f: "has no provenance: `recorded` must say when and in which sessions",
    "no-moment": lambda f: f"recorded.at is not an ISO date-time: '{f.name}': write it as 2026-11-23T17:20:54Z",
    "no-command": lambda f: f"recorded.command is empty: write the command that recorded it, or {AGAIN}",
    "no-digest": lambda f: f"workload.digest is empty, so nothing can be compared with it: {AGAIN}",
    "edited-workload": lambda f: (
        f"workload.digest is not that of workload.fields: one of them was edited by hand; {_GIT}"
    ),
    "edited-best": lambda f: (
        f"best.{f.name} is {f.value:g}, worse than {f.expected:g}, the median of its own launches: {_GIT}"
    ),
    "lacking-sessions": lambda f: f"recorded.sessions lacks {_names(f)}, but there are launches of it: {_GIT}",
    "launch-twice": lambda f: f"launches[{f.number}] is launches[{f.of}] again, started at {f.name}: {AGAIN}",
    "launch-without-provenance": lambda f: f"launch {f.number} has no provenance: started_at and session are required",
    "impossible-step": lambda f: f"launch {f.number}: steps_ms[{_names(f)}] must be greater than zero: {AGAIN}",
    "impossible-wall": lambda f: f"launch {f.number}: wall_s must be greater than zero, got {f.value!r}: {AGAIN}",
    "no-engine": lambda f: "has no provenance: `engine` must be the version of sglang",
    "other-work": lambda f: (
        f"the case asks for a different workload now: {'; '.join(map(difference_text.of_case, f.differences))}; {AGAIN}"
    ),
    "assets": _assets,
    "timers": lambda f: f"the case sets {f.name} to {_names(f)}, but its launches ran with another value; {AGAIN}",
    "unknown-primary": _stage,
    "unknown-stage": _stage,
    "no-primary": lambda f: f"holds no {title(f.name)}, the primary metric of the case; {AGAIN}",
    "no-metric": lambda f: f"holds no {title(f.name)}, which the case gates; {AGAIN}",
    "engine": lambda f: f"of sglang {f.name}, and the case requires {_names(f)}; {AGAIN}",
    "gpu": lambda f: f"of {f.name}, and the case runs on {_names(f)} only (requires.gpu)",
    "unknown-machine": lambda f: "of an unknown machine: only recordings without a machine are compared with it",
    "other-count": lambda f: f"of {plural(f.number or 0, 'GPU')}, the case uses {f.of}: nothing is compared with it",
    "weak": _weak,
    "finds": _finds,
}
