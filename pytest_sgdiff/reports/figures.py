"""Numbers as text, whatever their size: a figure of three hundred digits is read by nobody. Pure."""

from __future__ import annotations

LONGEST = 1e9
"""From here on a number is written with an exponent."""


def fixed(value: float, decimals: int, *, sign: str = "") -> str:
    """`12.35`; `1e+300` from LONGEST on. `sign` is `+` to show that of positive numbers too."""
    return f"{value:{sign}.{decimals}f}" if abs(value) < LONGEST else f"{value:{sign}.3g}"


def precision(fraction: float | None) -> str:
    """How finely a metric can be judged, without a sign: `4 %`, `1.9 %`, and `> 100 %` for everything above.

    For spreads, limits, and slowdowns that are ruled out or detectable: above 100 % their size says nothing. A change
    as it was measured is a fact of any size, and is no case of this. None is a fraction too large for a float.
    """
    return "> 100 %" if fraction is None or beyond_precision(fraction) else measured(fraction)


def beyond_precision(fraction: float) -> bool:
    """Whether a fraction is so large that its size says nothing."""
    return round(100 * fraction, 1) > 100


def measured(fraction: float) -> str:
    """A fraction as it was measured or stated, in per cent: one decimal below 100 %, none where it would be zero."""
    text = fixed(100 * fraction, 1 if abs(fraction) < 1 else 0).removesuffix(".0")
    return f"{'0' if text == '-0' else text} %"


def change(fraction: float) -> str:
    """A change with its sign, `+5.3 %`, `0.0 %`, `+132 %`."""
    return f"{bare_change(fraction)} %"


def bare_change(fraction: float) -> str:
    """As `change` without the sign `%`, for intervals: `+4.6`."""
    text = fixed(100 * fraction, 1 if abs(fraction) < 1 else 0, sign="+")
    return "0.0" if text in {"+0.0", "-0.0"} else text
