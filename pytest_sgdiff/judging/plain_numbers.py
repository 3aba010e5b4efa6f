"""The rule on plain numbers, as `sgdiff judge FILE` offers it: rows in, verdicts out, no files and no cases. Pure.

    {"id": "wan/denoise", "metric_class": "primary", "unit": "ms", "same_node": true,
     "baseline": [81750, 81802, 81690, 81775, 81731], "candidate": [86080, 86102, 86051, 86120, 86077]}

becomes

    {"id": "wan/denoise", "metric_class": "primary", "verdict": "regressed", "finding": Finding(code="beyond-allow", …),
     "ratio": 1.053, "low": 1.041, "high": 1.066}
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pytest_sgdiff.data import MetricClass
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES

CLASSES = ("primary", "stage", "memory")
KEYS = ("id", "metric_class", "unit", "same_node", "allow", "detect", "baseline", "candidate")
ALIKE = 0.76
"""From this similarity on an unknown key counts as a misspelt one, as `candidat`, `metric-class` or `base_line`."""

LimitOf = Literal["row", "caller", "class"]
"""Who states a limit: the row, whoever asks, of all rows that do not say, or the metric's class."""


class LimitsError(WireError):
    """What a pass of a row rules out is not more than what the row is allowed; both are fractions."""

    def __init__(self, index: int, *, kind: str, allow: tuple[float, LimitOf], detect: tuple[float, LimitOf]) -> None:
        super().__init__(f"[{index}].detect: must be more than the {allow[0]:g} that is allowed, got {detect[0]:g}")
        self.index, self.kind, self.allow, self.detect = index, kind, allow, detect


_UNITS: Mapping[str, Mapping[str, float]] = {
    "time": {"ns": 1e-6, "us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "min": 6e4},
    # The engine writes MiB and calls it MB.
    "memory": {"b": 2.0**-20, "kb": 2.0**-10, "kib": 2.0**-10, "mb": 1.0, "mib": 1.0, "gb": 2.0**10, "gib": 2.0**10},
}
"""Factors to the units of the absolute margins: ms and MiB."""

_NUMBERS_IN_WORDS = {"nan": math.nan, "inf": math.inf, "infinity": math.inf, "-inf": -math.inf, "-infinity": -math.inf}
"""JSON has no NaN; what writes it as text is understood."""


def apply_plain(rows: Any, *, allow: float | None = None, detect: float | None = None) -> list[dict[str, Any]]:
    """Judge every row by the moderated rule, all candidate values as one checkpoint.

    `unit` may be left out or null (ms, for memory MiB) and so may `same_node` (true), `allow` and `detect` (fractions,
    those given here for all rows, else those of the class). null, NaN and infinities are
    values that are missing, and so is a list that is not there; keys of other tools are left alone. In the answer
    `ratio`, `low` and `high` are None where they could not be computed, and every number is finite.
    Raises LimitsError for limits that contradict each other, and WireError naming row and key for anything else that is
    not as described: no rows at all, and a key that is nearly one of those above.
    """
    if not isinstance(rows, list):
        raise WireError(f"must be a list of rows, got {_shown(rows)}")
    if not rows:
        raise WireError("has no rows: nothing was judged")
    return [_judged(row, index, {"allow": allow, "detect": detect}) for index, row in enumerate(rows)]


def _judged(row: Any, index: int, of_all: Mapping[str, float | None]) -> dict[str, Any]:
    where = f"[{index}]"
    if not isinstance(row, Mapping):
        raise WireError(f"{where}: must be an object, got {_shown(row)}")
    _refuse_misspelt(row, where)
    name = row.get("id")
    if not isinstance(name, str | int) or isinstance(name, bool):
        raise WireError(f"{where}.id: must be a text, got {_shown(name)}")
    kind = row.get("metric_class")
    if kind not in CLASSES:
        raise WireError(f"{where}.metric_class: must be one of {', '.join(CLASSES)}, got {_shown(kind)}")
    kind = cast(MetricClass, kind)
    near = True if row.get("same_node") is None else row["same_node"]
    if not isinstance(near, bool):
        raise WireError(f"{where}.same_node: must be true or false, got {_shown(near)}")
    factor = _factor(row.get("unit"), kind, f"{where}.unit")
    baseline, candidate = (_values(row.get(key), factor, f"{where}.{key}") for key in ("baseline", "candidate"))
    stated = {key: _share(row.get(key), f"{where}.{key}") for key in of_all}
    allow, detect = (of_all[key] if stated[key] is None else stated[key] for key in ("allow", "detect"))
    margins = CLASS_MARGINS[kind].allowing(allow, detect)
    if margins.detect <= margins.allow:
        of: list[LimitOf] = [
            "row" if stated[key] is not None else "caller" if of_all[key] is not None else "class" for key in of_all
        ]
        raise LimitsError(index, kind=kind, allow=(margins.allow, of[0]), detect=(margins.detect, of[1]))
    decision = RULES["moderated"].decide(baseline, candidate, margins, same_node=near)
    ratios = {key: getattr(decision, key) for key in ("ratio", "low", "high")}
    return {"id": name, "metric_class": kind, "verdict": decision.outcome, "finding": decision.finding, **ratios}


def _refuse_misspelt(row: Mapping[str, Any], where: str) -> None:
    """Raises WireError for a key that is nearly one that the row lacks: it would be ignored, as those of other tools
    are."""
    lacking = [key for key in KEYS if key not in row]
    for key in row:
        if key not in KEYS and (near := difflib.get_close_matches(key.lower(), lacking, n=1, cutoff=ALIKE)):
            raise WireError(f"{where}.{key}: no such key, did you mean '{near[0]}'?")


def _share(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise WireError(f"{where}: must be a fraction from 0 to below 1, such as 0.1 for 10 %, got {_shown(value)}")
    return float(value)


def _factor(unit: Any, kind: str, where: str) -> float:
    if unit is None:
        return 1.0
    units = _UNITS["memory" if kind == "memory" else "time"]
    factor = units.get(unit.lower()) if isinstance(unit, str) else None
    if factor is None:
        raise WireError(f"{where}: must be one of {', '.join(units)} for {kind} metrics, got {_shown(unit)}")
    return factor


def _values(values: Any, factor: float, where: str) -> Sequence[float | None]:
    if values is None:
        return []
    if not isinstance(values, list):
        raise WireError(f"{where}: must be a list of numbers, got {_shown(values)}")
    found: list[float | None] = []
    for index, value in enumerate(values):
        if isinstance(value, str):
            value = _NUMBERS_IN_WORDS.get(value.lower(), value)
        if isinstance(value, bool) or not isinstance(value, int | float | None):
            raise WireError(f"{where}[{index}]: must be a number or null, got {_shown(value)}")
        found.append(None if value is None else _float(value) * factor)
    return found


def _float(value: float) -> float:
    """A whole number beyond a float's range is no measurement either."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
