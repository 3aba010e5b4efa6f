"""The words for what became of the claims of SGLang's performance guide."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from pytest_sgdiff.reports import metric_text, numbers
from pytest_sgdiff.reports.figures import fixed
from pytest_sgdiff.reports.tune_gains_text import as_share
from pytest_sgdiff.reports.tune_names import SHOWN_AT_MOST, Shown, plain_name, shown_in
from pytest_sgdiff.tuning.claims import Claim, ClaimCode, ClaimResult, Compared, Telling
from pytest_sgdiff.tuning.ratios import Ratio
from pytest_sgdiff.tuning.report import TuneReport


def guide(report: TuneReport) -> str:
    """What `claims` are called: a time is that of the ranking."""
    return f"what SGLang's performance guide says, and what was found by {metric_text.metric_name(report.metric)}"


def claims(report: TuneReport) -> list[str]:
    """What became of the guide's claims; those that nothing was measured of in one line, by their names."""
    shown = shown_in(report.variants)
    untried = ", ".join(one.claim.name for one in report.claims if one.code == "untried")
    told = [claim(one, shown) for one in report.claims if one.code != "untried"]
    return [*told, *([f"not tried, as no two measured variants differ in this alone: {untried}"] if untried else [])]


def claim(one: ClaimResult, shown: Shown = plain_name) -> str:
    """`held: CFG parallel is often faster …: cfg2 takes 18.4 % less than ulysses2 (-20.1 to -16.6 %) [guide, …]`."""
    says = one.claim.says + (f" (taken as: {one.claim.reading})" if one.claim.reading else "")
    apart = len({pair.code for pair in one.pairs}) > 1
    pairs = "; ".join(
        f"{_pair(pair, one.claim, shown)}{f': {_PAIRS[pair.code]}' if apart else ''}"
        for pair in one.pairs[:SHOWN_AT_MOST]
    )
    more = len(one.pairs) - SHOWN_AT_MOST
    pairs += f"; and {numbers.plural(more, 'pair')} more" if more > 0 else ""
    return f"{_CLAIMS[one.code]}: {says}{f': {pairs}' if pairs else ''} [{one.claim.source}]"


_CLAIMS: Mapping[ClaimCode, str] = {
    "held": "held here",
    "less": "did not hold here, less is gained",
    "more": "more is gained here",
    "open": "neither confirmed nor refuted",
    "mixed": "held for some variants, and not for others",
    "untried": "not tried",
}


_PAIRS: Mapping[ClaimCode, str] = {
    "held": "as claimed",
    "less": "less than claimed",
    "more": "more than claimed",
    "open": "too unsure to say",
    "mixed": "",
    "untried": "",
}
"""What a pair of variants says by itself, where others say something else."""


def _pair(pair: Compared, of: Claim, shown: Shown) -> str:
    needs = "needs" if of.quantity == "memory" else "takes"
    found = pair.ratio
    interval = _bounds(found, lambda one: numbers.bare(one - 1), " %")
    more = "less" if found.value < 1 else "more"
    share = as_share(abs(found.value - 1))
    alike = share == as_share(0.0)
    how = f"as much {of.quantity} as" if alike else f"{share} {more} {of.quantity} than"
    return f"{shown(pair.this)} {needs} {how} {shown(pair.that)}{interval}{_TELLING[of.told_as](found)}"


def _as_long(found: Ratio) -> str:
    return f", {_times(found.value)} times as long{_bounds(found, _times)}"


def _as_fast(found: Ratio) -> str:
    low, high = (1 / one if one else math.inf for one in (found.high, found.low))
    return f", {_times(1 / found.value)} times as fast{_bounds(Ratio(value=found.value, low=low, high=high), _times)}"


_TELLING: Mapping[Telling, Callable[[Ratio], str]] = {"": lambda _: "", "as-fast": _as_fast, "as-long": _as_long}


def _times(factor: float) -> str:
    return fixed(factor, 2)


def _bounds(found: Ratio, shown: Callable[[float], str], unit: str = "") -> str:
    """`(1.40 to 1.47)`; `(at least 1.40)` where nothing bounds the upper end, `(at most 1.47)` where nothing the lower
    one; empty without an interval."""
    low, high = found.low > 0, math.isfinite(found.high)
    if found.low == found.high or not (low or high):
        return ""
    if low and high:
        return f" ({shown(found.low)} to {shown(found.high)}{unit})"
    return f" (at least {shown(found.low)}{unit})" if low else f" (at most {shown(found.high)}{unit})"
