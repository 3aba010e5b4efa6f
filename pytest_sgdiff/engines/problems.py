"""How a problem is made: with as much of its evidence as people read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

from pytest_sgdiff.data import Problem, ProblemCode
from pytest_sgdiff.engines.failures import FRAME
from pytest_sgdiff.engines.log import LogEvidence

_MOST_LINES = 8
_LONGEST = 300
_LAST_LINES = 100


def last_lines(log: LogEvidence) -> tuple[str, ...]:
    """What the launch said last, frames of a crash aside: they say where, and not what."""
    return tuple(line for line in log.lines[-_LAST_LINES:] if not FRAME.match(line))[-_MOST_LINES:]


def problem(
    kind: Literal["launch-failed", "timeout", "invalid"], code: ProblemCode, evidence: Iterable[str], **figures: Any
) -> Problem:
    lines = [line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…" for line in evidence]
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES // 2], _left_out(len(lines) - _MOST_LINES), *lines[-_MOST_LINES // 2 :]]
    return Problem(kind=kind, code=code, evidence=tuple(lines), **figures)


def _left_out(count: int) -> str:
    return f"… {count} more line{'' if count == 1 else 's'} …"
