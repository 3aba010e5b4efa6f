"""Which marks pytest knows where the case files lie, asked of pytest itself: plugins and conftest.py register some."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sgdiff.files.programs import ask

TIMEOUT_S = 60.0
"""How long pytest may take to read its configuration; it takes half a second."""

_MARK = re.compile(r"^@pytest\.mark\.(\w+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Marks:
    """The `known` marks, None where pytest did not report them; `trouble` says why."""

    known: frozenset[str] | None
    trouble: str = ""


def registered(files: Sequence[Path], here: Path) -> Marks:
    """Every mark that is registered for `pytest FILE...` in the folder `here`. Nothing is collected, let alone run."""
    argv = [sys.executable, "-m", "pytest", "--markers", "--collect-only", "--color=no", "-p", "no:cacheprovider"]
    answer = ask([*argv, *(str(file.absolute()) for file in files)], cwd=here, timeout_s=TIMEOUT_S)
    if answer.code is None:
        return Marks(known=None, trouble=f"pytest did not read its configuration: {answer.why}")
    known = frozenset(_MARK.findall(answer.out))
    if answer.code != 0 or not known:
        said = [line.strip() for line in (answer.err or answer.out).splitlines() if line.strip()]
        return Marks(known=None, trouble=f"pytest exited with {answer.code}: {said[-1] if said else 'no message'}")
    return Marks(known=known)
