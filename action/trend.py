"""A history as a table with one small picture for each case, in Markdown: for a job summary and a comment.

    python trend.py HISTORY

Prints nothing for a history without a case of two runs. Exit 1 if the file is no history.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.history.store import Track, tracks
from pytest_sgdiff.history.trend import creep
from pytest_sgdiff.metrics import unit
from pytest_sgdiff.metrics.table import METRICS
from pytest_sgdiff.printable import printable
from pytest_sgdiff.reports.numbers import quantity, signed

RUNS = 30
CASES = 40
BARS = "▁▂▃▄▅▆▇█"
PRIMARY = tuple(metric.name for metric in METRICS if metric.metric_class == "primary")


def main(argv: Sequence[str]) -> int:
    """Print the table; returns the exit code."""
    try:
        found = drawn(tracks(Path(argv[0])))
    except SgdiffError as error:
        print(f"sgdiff: {printable(str(error))}", file=sys.stderr)
        return 1
    if found:
        print(table(found))
    return 0


def drawn(found: Sequence[Track]) -> list[Track]:
    """One line of each case and machine: the latest workload, and the first metric of `METRICS` that it has."""
    latest: dict[tuple[str, str], str] = {}
    for track in sorted(found, key=lambda track: track.points[-1].at):
        latest[track.case, track.machine] = track.workload
    chosen: dict[tuple[str, str], Track] = {}
    for name in reversed(PRIMARY):
        for track in found:
            place = (track.case, track.machine)
            if track.metric == name and track.workload == latest[place] and len(track.points) > 1:
                chosen[place] = track
    return list(chosen.values())


def table(found: Sequence[Track]) -> str:
    """The lines that differ most from their best come first; what no longer fits is counted."""

    def drift(track: Track) -> float:
        return creep(track.points) or 0.0

    rows = []
    for track in sorted(found, key=drift, reverse=True)[:CASES]:
        kept = track.points[-RUNS:]
        moved = creep(track.points)
        cells = (
            f"`{_word(track.case)}`",
            f"`{_word(track.machine)}`",
            f"`{_word(track.metric)}`",
            picture([point.value for point in kept]),
            quantity(kept[-1].value, unit(track.metric)),
            "" if moved is None else signed(moved),
        )
        rows.append("| " + " | ".join(cells) + " |")
    head = f"| case | machine | metric | up to {RUNS} runs | latest | latest three against the best three |"
    more = [f"\n{len(found) - CASES} more cases are in the history."] if len(found) > CASES else []
    return "\n".join(["### Trend", "", head, "| :--- | :--- | :--- | :--- | ---: | ---: |", *rows, *more])


def picture(values: Sequence[float]) -> str:
    """The values as bars. The scale spans 5 % at least, so that noise does not look like a mountain."""
    low, high = min(values), max(values)
    span = max(high - low, 0.05 * low) or 1.0
    return "".join(BARS[min(int((value - low) / span * len(BARS)), len(BARS) - 1)] for value in values)


def _word(text: str) -> str:
    """A name of the history in a code span of a table: it may hold anything."""
    return printable(text).replace("`", "'").replace("|", "/")[:80]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
