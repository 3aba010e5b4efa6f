"""Tables for a terminal: cells in columns, two spaces apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_sgdiff.reports import numbers


def table(rows: Sequence[Sequence[str]], *, aligns: str) -> list[str]:
    """Rows as lines; `aligns` has one `<` or `>` per column."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [joined(row, widths=widths, aligns=aligns) for row in rows]


def filled_table(rows: Iterable[Sequence[str]]) -> list[str]:
    """The first row is the head. Cells stand on the left, and columns without any content are left out."""
    found = list(rows)
    if not found:
        return []
    used = [i for i in range(len(found[0])) if any(row[i] not in ("", numbers.UNKNOWN) for row in found[1:])]
    return table([[row[i] for i in used] for row in found], aligns="<" * len(used))


def joined(cells: Sequence[str], *, widths: Sequence[int], aligns: str) -> str:
    """One row, its columns so wide; `aligns` as of `table`."""
    padded = (f"{cell:{align}{width}}" for cell, width, align in zip(cells, widths, aligns, strict=True))
    return "  ".join(padded).rstrip()
