"""Numbers as people read them: every one with its unit, and two that are compared in the same unit.

Times arrive in ms and memory in MiB, as in `pytest_sgdiff.data`. A value that is not known prints as `-`.
"""

from __future__ import annotations

import re

from pytest_sgdiff.reports.figures import LONGEST, bare_change, change, fixed, precision

UNKNOWN = "-"

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Text from an engine's log without terminal escapes and control characters; tabs and newlines stay."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text).replace("\r", "\n"))


def plural(count: int, noun: str) -> str:
    """`1 launch`, `5 launches`, `2 cases`."""
    if noun.endswith("series"):
        return f"{count} {noun}"
    ending = "es" if noun.endswith(("ch", "s", "x")) else "s"
    return f"{count} {noun}" if count == 1 else f"{count} {noun}{ending}"


def quantity(value: float | None, unit: str, *, like: float | None = None) -> str:
    """A value with the unit that reads best; `like` fixes that unit, so that two values compared look alike.

    ms become s from 1,000 on (four significant digits), MiB become GiB from 1,024 on.
    """
    if value is None:
        return UNKNOWN
    scale = abs(value if like is None else like)
    if unit == "ms" and scale >= 1000:
        return f"{_digits(value / 1000, significant=4)} s"
    if unit == "ms":
        return f"{_digits(value, significant=3)} ms"
    if unit.lower() in {"mb", "mib"}:
        return f"{fixed(value / 1024, 2)} GiB" if scale >= 1024 else f"{fixed(value, 0)} MiB"
    return f"{_digits(value, significant=4)} {unit}".rstrip()


def _digits(value: float, *, significant: int) -> str:
    """At least `significant` digits; of a value below one as many decimals as of one."""
    # Of a number with an exponent nobody counts the digits in front of the point.
    whole = len(str(int(abs(value)))) if 1 <= abs(value) < LONGEST else 1
    return fixed(value, max(0, significant - whole))


def percent(fraction: float | None) -> str:
    """0.053 -> `5.3 %`; 0.04 -> `4 %`; `> 100 %` above. For limits, spreads and what can be distinguished: no sign."""
    return precision(fraction)


def signed(fraction: float) -> str:
    """A change, always with one decimal and its sign: `+5.3 %`, `-0.3 %`, `0.0 %`, and `+132 %`."""
    return change(fraction)


def bare(fraction: float) -> str:
    """A change in per cent without the sign `%`, for intervals: `+4.6`."""
    return bare_change(fraction)


def duration(seconds: float) -> str:
    """`1 h 12 min`, `12 min 5 s`, `42 s`, `3.2 s`."""
    if seconds >= LONGEST:
        return f"{fixed(seconds, 0)} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
