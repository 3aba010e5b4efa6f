"""The words for how much faster a variant is than another one.

It is so much *faster* as it takes less time: 13.4 s to 10.9 s is 18 % faster.
"""

from __future__ import annotations

import math

from pytest_sgdiff.reports import numbers
from pytest_sgdiff.reports.tune_names import WRITTEN, shown_name
from pytest_sgdiff.tuning.ratios import Ratio, gain
from pytest_sgdiff.tuning.report import TuneReport


def against(report: TuneReport, fast: str, slow: str) -> str:
    """`18.4 % faster than slow (14.1 to 22.0 %), 5 against 3 launches`; empty where both are the same one, or one of
    them was not measured."""
    return by_how_much(report, fast, slow, than=WRITTEN if slow == report.written else shown_name(report, slow))


def by_how_much(report: TuneReport, fast: str, slow: str, *, than: str = "") -> str:
    """The same, `than` what it is faster."""
    found = gain(report.tuned, fast, slow)
    if found is None:
        return ""
    how = "faster"
    if found.value < 0:
        # What cannot be used may be quicker than the fastest that can.
        how, found = "slower", Ratio(value=-found.value, low=-found.high, high=-found.low)
    how += f" than {than}" if than else ""
    return f"{as_share(found.value)} {how}{in_brackets(found)}, {launch_counts(report, fast, slow)}"


def in_brackets(found: Ratio) -> str:
    """` (14.1 to 22.0 %)`, empty without an interval."""
    return f" ({between})" if (between := span(found)) else ""


def span(found: Ratio) -> str:
    """`14.1 to 22.0 %`, empty without an interval."""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return ""
    return f"{as_share(found.low).removesuffix(' %')} to {as_share(found.high)}"


def launch_counts(report: TuneReport, fast: str, slow: str) -> str:
    """`5 against 3 launches`."""
    had = {one.variant: one.launches for one in report.tuned.standings}
    return f"{had[fast]} against {numbers.plural(had[slow], 'launch')}"


def as_share(fraction: float) -> str:
    """`18.4 %`, without a sign where it is above zero."""
    return numbers.signed(fraction).removeprefix("+")
