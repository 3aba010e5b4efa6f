"""The warnings of a run, each text once: what an engine does to all cases alike would bury what is said of one."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff.data import CaseResult
from pytest_sgdiff.reports import numbers, warning_text

NAMED = 5
"""So many of the other cases are named; of more the count is given."""


def warnings(results: Sequence[CaseResult]) -> list[tuple[CaseResult, str]]:
    """Every warning beside the first of `results` that has it: `no seed`, `no seed (also of wan_a, wan_b)`."""
    having: dict[str, list[CaseResult]] = {}
    for result in results:
        for warning in dict.fromkeys(warning_text.of_case(result)):
            having.setdefault(numbers.clean(warning), []).append(result)
    return [(first, _with_others(text, [other.case for other in others])) for text, (first, *others) in having.items()]


def _with_others(text: str, others: Sequence[str]) -> str:
    if not others:
        return text
    names, more = ", ".join(others[:NAMED]), len(others) - NAMED
    return f"{text} (also of {names}{f' and {more} more' if more > 0 else ''})"
