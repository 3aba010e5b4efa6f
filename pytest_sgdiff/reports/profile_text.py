"""The words for what the engine's profiler shows of a case. The one place that has them."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_sgdiff.data import Part, ProfileCode, Profiled, ProfileRow, RowChange
from pytest_sgdiff.reports import numbers, problem_text

LISTED = 5
"""Rows of a profile that has nothing to be compared with."""

_CODES: Mapping[ProfileCode, str] = {
    "compared": "one launch of each with the engine's profiler, not judged",
    "alone": "one launch with the engine's profiler, kept beside the baseline",
    "unsupported-server": (
        "none: a server is not profiled; give a case of its own (`engine: sglang-generate`) the same model, flags and "
        "request, and profile that"
    ),
    "unsupported-cluster": (
        "none: a launch on a node of a cluster is not profiled; run the case on that machine with --sgdiff-gpus"
    ),
    "unsupported-engine": (
        "none: an engine of a plugin is not profiled; profile it by its own means, and compare two traces with "
        "`sgdiff profile`"
    ),
    "interrupted": "none: interrupted; the verdict stands",
    "launch-failed": "none: the launch with the profiler failed",
    "no-trace": "none: the engine wrote no trace",
    "torn": "none: the trace is damaged",
    "too-large": "none: the trace is larger than what is read; profile the case with fewer steps",
    "empty": "none: the trace holds no operator",
    "no-baseline-profile": (
        "of this engine alone, for none was recorded with the baseline: record it with "
        "--sgdiff-update --sgdiff-profile=all, or compare two engines with --sgdiff-against"
    ),
    "bad-baseline-profile": "of this engine alone, for the one beside the baseline cannot be read",
    "other-work": "of this engine alone, for the one beside the baseline is of a different workload",
    "other-reach": "of this engine alone, for the other one is of other steps, or of another device",
    "base-failed": "of this engine alone, for the base engine has none",
}
_PARTS: Mapping[Part, str] = {
    "operator": "operator",
    "kernel": "kernel",
    "python": "Python function",
}
NAME_CHARS = 100

Rows = list[tuple[str, ...]]


def head(told: Profiled | None) -> str:
    """What came of the profile, in a line; empty where it was not asked for."""
    if told is None:
        return ""
    words = _CODES[told.code]
    if why := reason(told):
        words += f": {why}"
    change = told.change
    if change is not None:
        clock = "the device" if change.clock == "device" else "the CPU"
        like = max(change.then_ms, change.now_ms)
        then, now = (numbers.quantity(ms, "ms", like=like) for ms in (change.then_ms, change.now_ms))
        words += f"; operators took {then} of {clock}'s time then, {now} now"
        words += "" if change.typical is None else f", a typical call {numbers.signed(change.typical - 1)}"
        words += f"; the operators of {change.stage} changed most" if change.stage else ""
        if not any(row.part != "python" for row in change.rows):
            words += "; no operator changed by half a percent of all time"
    if told.dropped_bytes is not None:
        words += f"; the trace has {told.dropped_bytes / 2**20:.0f} MiB, too many to be kept"
    return numbers.clean(words)


def reason(told: Profiled) -> str:
    """What the launch or the system says of a profile that failed."""
    return problem_text.message(told.problem) if told.problem is not None else " ".join(told.why.split())


def rows(told: Profiled | None, *, base: str) -> Rows:
    """A row for each operator, kernel and function, the largest change of its kind first; the first row is the head.
    Empty where there is none. `base` is the word for the other side."""
    if told is None:
        return []
    if told.change is not None:
        found = [_changed(row) for row in told.change.rows]
        return (
            [("operator, kernel or function", "stage", "steps", "calls", base, "now", "change"), *found]
            if found
            else []
        )
    if told.now is None or told.code == "alone":
        return []
    largest = [row for row in told.now.rows if row.part == "operator"][:LISTED]
    return [("operator", "stage", "calls", "now"), *map(_alone, largest)]


def aligns(rows: Rows) -> str:
    """How the columns of `rows` stand: numbers on the right."""
    return "<<<>>>>" if len(rows[0]) == len("<<<>>>>") else "<<>>"


def _changed(row: RowChange) -> tuple[str, ...]:
    like = max(row.then_ms or 0.0, row.now_ms or 0.0)
    then, now = (numbers.quantity(ms, "ms", like=like) for ms in (row.then_ms, row.now_ms))
    steps = "" if row.first is None else str(row.first) if row.first == row.last else f"{row.first} to {row.last}"
    calls = f"{row.then_count} -> {row.now_count}"
    if row.then_ms is None or row.now_ms is None or row.then_count == row.now_count:
        calls = str(row.now_count or row.then_count)
    change = f"{'+' if row.change_ms >= 0 else '-'}{numbers.quantity(abs(row.change_ms), 'ms', like=like)}"
    return named(row), row.stage, steps, calls, then, now, change


def _alone(row: ProfileRow) -> tuple[str, ...]:
    return named(row), row.stage, str(row.count), numbers.quantity(row.self_ms, "ms")


def named(row: RowChange | ProfileRow) -> str:
    """`aten::addmm [256] [128, 256]`, `kernel sm90_xmma_gemm…`: a row by its name and shape."""
    name = f"{row.name} {row.shape}".rstrip() if row.part == "operator" else f"{_PARTS[row.part]} {row.name}"
    # Of a path in Python the end tells more.
    if len(name) <= NAME_CHARS:
        return numbers.clean(name)
    return numbers.clean(f"{name[: NAME_CHARS - 1]}…" if row.part != "python" else f"…{name[1 - NAME_CHARS :]}")
