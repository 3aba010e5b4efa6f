"""Change points in a series of runs, found with Apache Otava; creep that no single gate sees. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_sgdiff.data import HistoryPoint
from pytest_sgdiff.errors import MissingExtraError

MAX_PVALUE = 0.001
"""Otava's default for its t-test between the parts before and after a change point."""
MIN_CHANGE = 0.01
"""Changes below 1 % are not worth a line: no gate of ours fails for less than 1.5 %."""
FEWEST_POINTS = 7
"""With fewer runs no split leaves both sides enough points for a test."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangePoint:
    """From this run on the figure is another one: `before` and `after` are means in the metric's unit."""

    at: str
    index: int
    before: float
    after: float
    pvalue: float
    engine_version: str | None = None

    @property
    def change(self) -> float:
        """The change as a fraction; above 0 is slower."""
        return self.after / self.before - 1


def change_points(points: Sequence[HistoryPoint]) -> tuple[ChangePoint, ...]:
    """Change points of one series, oldest first; none if there are fewer than FEWEST_POINTS.

    Raises:
        MissingExtraError: Apache Otava is not installed; the message names the extra.
    """
    if len(points) < FEWEST_POINTS:
        return ()
    try:
        from otava.series import AnalysisOptions, Metric, Series
    except ImportError:
        raise MissingExtraError("change points need Apache Otava: pip install 'pytest-sgdiff[trend]'") from None

    options = AnalysisOptions()
    options.max_pvalue, options.min_magnitude = MAX_PVALUE, MIN_CHANGE
    # Otava takes times as whole numbers; the order is all that it uses.
    series = Series(
        "history", None, list(range(len(points))), {"value": Metric(-1)}, {"value": [p.value for p in points]}, {}
    )
    found = series.analyze(options).change_points["value"]
    return tuple(
        ChangePoint(
            at=points[int(change.index)].at,
            index=int(change.index),
            before=float(change.stats.mean_1),
            after=float(change.stats.mean_2),
            pvalue=float(change.stats.pvalue),
            engine_version=points[int(change.index)].engine_version,
        )
        for change in found
    )


def creep(points: Sequence[HistoryPoint]) -> float | None:
    """How much slower the latest three runs are than the best three in a row, as a fraction; None with fewer than six.

    Medians, so that one run that was disturbed makes neither a best nor a latest figure.
    """
    if len(points) < 6:
        return None
    windows = [sorted(p.value for p in points[i : i + 3])[1] for i in range(len(points) - 2)]
    return windows[-1] / min(windows) - 1
