"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_sgdiff.reports import numbers


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows with their columns aligned; columns without any content are left out."""
    found = [list(row) for row in rows]
    if not found:
        return []
    used = [i for i in range(len(found[0])) if any(row[i] not in ("", numbers.UNKNOWN) for row in found[1:])]
    widths = {i: max(len(row[i]) for row in found) for i in used}
    return ["  ".join(row[i].ljust(widths[i]) for i in used).rstrip() for row in found]
