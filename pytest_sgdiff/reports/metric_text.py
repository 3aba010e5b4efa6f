"""The wording of one metric that all reports share: its name, both sides, the change, what was judged of it."""

from __future__ import annotations

from pytest_sgdiff import metrics
from pytest_sgdiff.data import FindingCode, Verdict
from pytest_sgdiff.reports import finding_text, numbers
from pytest_sgdiff.reports.evidence import Reported

REPORTED = "informational"
"""In place of a verdict, where the case does not gate a metric."""

SHOWN_AS_OUTCOME: frozenset[FindingCode] = frozenset({"first-recording", "not-comparable"})
"""Findings that say all there is to say of a metric without a baseline."""


def sides(verdict: Verdict | Reported) -> tuple[str, str]:
    """Baseline and now in one unit, which the larger of them sets: `0.996 s` and `1.004 s`."""
    like = max((abs(value) for value in (verdict.baseline, verdict.now) if value is not None), default=None)
    baseline, now = (numbers.quantity(value, verdict.unit, like=like) for value in (verdict.baseline, verdict.now))
    return baseline, now


def change(verdict: Verdict | Reported) -> str:
    """Candidate against baseline: `+5.3 %`; the plain difference where no ratio could be computed."""
    if verdict.ratio is not None:
        return numbers.signed(verdict.ratio - 1)
    if verdict.now is None or verdict.baseline is None:
        return ""
    difference = verdict.now - verdict.baseline
    shown = numbers.quantity(abs(difference), verdict.unit)
    # A difference that rounds to nothing has no sign.
    none = shown == numbers.quantity(0.0, verdict.unit)
    return shown if none else f"{'+' if difference > 0 else '-'}{shown}"


def interval(verdict: Verdict) -> str:
    """The 95 % interval of the change, `+4.6 .. +6.0 %`; empty if there is none."""
    if verdict.low is None or verdict.high is None:
        return ""
    return f"{numbers.bare(verdict.low - 1)} .. {numbers.bare(verdict.high - 1)} %"


def spread(verdict: Verdict) -> str:
    """The baseline's launch-to-launch spread (CV), `±0.4 %`; empty if it is not known, or tells nothing: a pause is
    zero in most launches."""
    return "" if verdict.spread is None or verdict.metric_class == "pause" else f"±{numbers.percent(verdict.spread)}"


def metric_name(metric: str) -> str:
    """A metric as people read it: `stage:DecodingStage` is `DecodingStage`, `peak_memory` is `peak memory`."""
    return metrics.title(metric)


def subject(metric: str) -> str:
    """A metric as the subject of a sentence."""
    return metrics.subject(metric)


def direction(verdict: Verdict) -> str:
    """`5.3 % slower`, `6.0 % faster`, `3.1 % higher` (memory), `450 ms longer` (a pause)."""
    more, less = {"memory": ("higher", "lower"), "pause": ("longer", "shorter")}.get(
        verdict.metric_class, ("slower", "faster")
    )
    if metrics.more_is_better(verdict.metric):
        more, less = less, more
    lower = verdict.ratio is not None and verdict.ratio < 1
    if verdict.ratio is None and verdict.now is not None and verdict.baseline is not None:
        lower = verdict.now < verdict.baseline
    return f"{change(verdict).lstrip('+-')} {less if lower else more}"


def excluded(verdict: Verdict, *, full: bool = False) -> str:
    """The smallest slowdown that a pass rules out, `above 1.9 % ruled out`; in full `slowdowns above 1.9 % ruled out`,
    of memory `growth above 1.9 % ruled out`."""
    noun = "growth" if verdict.metric_class == "memory" else "slowdowns"
    if verdict.excluded is None or verdict.excluded <= 0:
        return f"all {noun} ruled out"
    above = "" if verdict.excluded > 1 else "above "  # of more than 100 % the size says so itself
    words = f"{above}{_size(verdict, verdict.excluded)} ruled out"
    return f"{noun} {words}" if full else words


def _size(verdict: Verdict, fraction: float) -> str:
    """A slowdown in per cent; of a stage in ms too, for 30 % of 5 ms is nothing to look into."""
    size, centre = numbers.percent(fraction), verdict.baseline or verdict.now
    if verdict.metric_class != "stage" or centre is None:
        return size
    return f"{size} ({numbers.quantity(fraction * centre, verdict.unit)})"


def remark(verdict: Verdict, *, paired: bool = False) -> str:
    """Why, where the outcome and its number do not say it already."""
    if verdict.outcome == "no-baseline" and verdict.finding.code in SHOWN_AS_OUTCOME:
        return ""
    tells = verdict.outcome in {"regressed", "improved"} or (verdict.outcome == "pass" and verdict.excluded is not None)
    return "" if tells and verdict.metric_class != "pause" else numbers.clean(finding_text.why(verdict, paired=paired))


def verdict_phrase(verdict: Verdict) -> str:
    """The last column of the stage table: the outcome and the one number that qualifies it."""
    if verdict.outcome == "regressed":
        return f"REGRESSED{_allowed(verdict)}{_accepted(verdict)}"
    if verdict.outcome == "pass":
        return f"pass, {excluded(verdict)}" if verdict.excluded is not None else "pass"
    if verdict.outcome == "inconclusive":
        words = "inconclusive" + (", needs confirmation" if verdict.suspect else "")
        words += f"{_allowed(verdict)}{_accepted(verdict)}"
        return words if verdict.deciding else f"{words}, does not decide"
    if verdict.outcome == "no-baseline":
        # What to do about it is reported once for the case.
        said = verdict.finding.code in SHOWN_AS_OUTCOME
        return finding_text.words(verdict.finding, verdict.metric_class) if said else "no baseline"
    return verdict.outcome


def _allowed(verdict: Verdict) -> str:
    """`, 1.5 % allowed`; of a stage in ms where per cent say nothing, `, > 100 % (15.0 ms) allowed`."""
    if verdict.allow is None:
        return ""
    return f", {numbers.percent(verdict.allow) if verdict.allow <= 1 else _size(verdict, verdict.allow)} allowed"


def _accepted(verdict: Verdict) -> str:
    """`, 5 % accepted`, for a time and in place of what is allowed."""
    return "" if verdict.accepted is None else f", {numbers.percent(verdict.accepted)} accepted"


def detectable(verdict: Verdict) -> str:
    """The minimum detectable slowdown or growth, `4.8 %`; empty where none is promised."""
    if verdict.detectable is None:
        return ""
    return _size(verdict, verdict.detectable) if verdict.detectable < 1 else "> 100 %"
