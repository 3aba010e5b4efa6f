"""Golden files: the one place of the tests that has the words of a kind of value.

`UPDATE_GOLDEN=1 pytest tests/unit` writes them anew, for review.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

FOLDER = Path(__file__).parent / "unit" / "golden"


def check_golden(kind: str, lines: Iterable[str]) -> None:
    """Assert that the lines are those of the kind's file."""
    path, text = FOLDER / f"{kind}_text.txt", "\n".join(lines) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
