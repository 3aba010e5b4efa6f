"""The warnings of a run, each text once: what an engine does to all cases alike would bury what is said of one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pytest_sgdiff.data import CaseResult, WarningCode
from pytest_sgdiff.reports import numbers, warning_text

NAMED = 5
"""So many of the other cases are named; of more the count is given."""


UNCHECKED: frozenset[WarningCode] = frozenset({"not-compared", "noisy-pictures"})
"""Warnings that something was not looked at: whoever reads only whether the run is green must know it."""


def warnings(
    results: Sequence[CaseResult], *, only: Collection[WarningCode] | None = None
) -> list[tuple[CaseResult, str]]:
    """Every warning, or `only` those of some codes, beside the first of `results` that has it: `no seed`, `no seed
    (also of wan_a, wan_b)`."""
    having: dict[str, list[CaseResult]] = {}
    for result in results:
        kept = [one for one in result.warnings if only is None or one.code in only]
        for warning in dict.fromkeys(warning_text.words(one, result) for one in kept):
            having.setdefault(numbers.clean(warning), []).append(result)
    return [(first, _with_others(text, [other.case for other in others])) for text, (first, *others) in having.items()]


def _with_others(text: str, others: Sequence[str]) -> str:
    if not others:
        return text
    names, more = ", ".join(others[:NAMED]), len(others) - NAMED
    return f"{text} (also of {names}{f' and {more} more' if more > 0 else ''})"
