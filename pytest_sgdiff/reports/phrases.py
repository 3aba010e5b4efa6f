"""The wording that all reports share: one way to say what happened to a metric or a case, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_sgdiff.data import OUTCOMES, CaseResult, Outcome, Run, Trend, Verdict
from pytest_sgdiff.reports import evidence, numbers
from pytest_sgdiff.reports.evidence import Reported

_METRIC_NAMES = {
    "denoise_steps": "denoise (sum of steps)",
    "denoise_gap": "denoise gap",
    "peak_memory": "peak memory",
}
_SUBJECTS = {
    "denoise": "denoising",
    "denoise_steps": "denoising",
    "pause": "time outside the denoising steps and stages",
}
_BAD_FIRST: tuple[Outcome, ...] = ("regressed", "invalid", "no-baseline", "inconclusive", "improved", "pass")

CREEP = 0.01
"""Slower than the best ever recorded by this fraction is worth saying."""


REPORTED = "reported, decides nothing"
"""In place of a verdict, where the case does not gate a metric."""


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
    return f"{'+' if difference > 0 else ''}{numbers.quantity(difference, verdict.unit)}"


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
    return _METRIC_NAMES.get(metric, metric.removeprefix("stage:"))


def subject(metric: str) -> str:
    """A metric as the subject of a sentence."""
    return _SUBJECTS.get(metric, metric_name(metric))


def direction(verdict: Verdict) -> str:
    """`5.3 % slower`, `6.0 % faster`, `3.1 % higher` (memory), `450 ms longer` (a pause)."""
    more, less = {"memory": ("higher", "lower"), "pause": ("longer", "shorter")}.get(
        verdict.metric_class, ("slower", "faster")
    )
    text = change(verdict)
    return f"{text.lstrip('+-')} {less if text.startswith('-') else more}"


def excluded(verdict: Verdict, *, slower: str = "") -> str:
    """`1.9 % excluded`: the smallest slowdown that a pass rules out; with `slower` in full, `1.9 % slower excluded`."""
    if verdict.excluded is None or verdict.excluded <= 0:
        return "any slowdown excluded"
    return f"{_size(verdict, verdict.excluded)} {slower}excluded"


def _size(verdict: Verdict, fraction: float) -> str:
    """A slowdown in per cent; of a stage in ms too, for 30 % of 5 ms is nothing to look into."""
    size, centre = numbers.percent(fraction), verdict.baseline or verdict.now
    if verdict.metric_class != "stage" or centre is None:
        return size
    return f"{size} ({numbers.quantity(fraction * centre, verdict.unit)})"


def remark(verdict: Verdict) -> str:
    """Why, where the outcome and its number do not say it already."""
    if verdict.why == verdict_phrase(verdict):
        return ""
    tells = verdict.outcome in {"regressed", "improved"} or (verdict.outcome == "pass" and verdict.excluded is not None)
    return "" if tells and verdict.metric_class != "pause" else numbers.clean(verdict.why)


def verdict_phrase(verdict: Verdict) -> str:
    """The last column of the stage table: the outcome and the one number that qualifies it."""
    if verdict.outcome == "regressed":
        return "REGRESSED" + ("" if verdict.limit is None else f", limit {numbers.percent(verdict.limit)}")
    if verdict.outcome == "pass":
        return f"pass, {excluded(verdict)}" if verdict.excluded is not None else "pass"
    if verdict.outcome == "inconclusive":
        words = "inconclusive" + (", suspect" if verdict.suspect else "")
        words += "" if verdict.limit is None else f", limit {numbers.percent(verdict.limit)}"
        return words if verdict.deciding else f"{words}, does not decide"
    if verdict.outcome == "no-baseline":
        # Its cure, behind the colon, is told once for the case.
        return numbers.clean(verdict.why).partition(":")[0] or "no baseline"
    return verdict.outcome


def detectable(verdict: Verdict) -> str:
    """The slowdown or growth from which the case's launches find it, `4.8 %`; empty where none is promised."""
    if verdict.detectable is None:
        return ""
    return _size(verdict, verdict.detectable) if verdict.detectable < 1 else "> 100 %"


def resolution(result: CaseResult) -> str:
    """The slowdowns that the case's launches find against this baseline, metric by metric; empty if none is known.

    `denoise (sum of steps) 4.9 %, e2e 5.0 %, TextEncodingStage 27.3 % (14.5 ms), peak memory 4.3 %`
    """
    known = [v for v in by_importance(result.verdicts) if v.detectable is not None]
    return ", ".join(f"{metric_name(v.metric)} {detectable(v)}" for v in known)


def by_importance(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The primary metric first, all others in the order in which the engine ran them."""
    return sorted(verdicts, key=lambda verdict: not verdict.primary)


def primary(result: CaseResult) -> Verdict | None:
    """The verdict on the case's primary metric, if there is one."""
    return next((verdict for verdict in result.verdicts if verdict.primary), None)


def decisive(result: CaseResult) -> Verdict | None:
    """The verdict to name first: of those that share the case's outcome the primary one, else the largest change."""
    if result.recorded:
        return primary(result)
    same = [verdict for verdict in result.verdicts if verdict.outcome == result.outcome]
    return max(same, key=lambda verdict: (verdict.primary, abs((verdict.ratio or 1) - 1)), default=primary(result))


def gpus(result: CaseResult) -> str:
    """`GPUs 0,1`, `GPU 0`, `CPU`; `4 GPUs` where only their number is known, as in a replay."""
    if result.gpu_indices:
        noun = "GPU" if len(result.gpu_indices) == 1 else "GPUs"
        return f"{noun} {','.join(str(index) for index in result.gpu_indices)}"
    if result.machine is None:
        return numbers.UNKNOWN
    return "CPU" if result.machine.kind == "cpu" else numbers.plural(result.machine.count, "GPU")


def centre(result: CaseResult) -> str:
    """The centre of the case's primary metric, `83.40 s`; without a verdict on it, of denoising."""
    verdict = primary(result)
    if verdict is None:
        return numbers.quantity(evidence.median(result, "denoise"), "ms")
    return numbers.quantity(verdict.now, verdict.unit)


def phrase(result: CaseResult) -> str:
    """What to know of a case in half a line: the decisive change, or the reason where there is none."""
    verdict = decisive(result)
    if result.recorded or verdict is None or not change(verdict) or result.outcome in {"invalid", "no-baseline"}:
        return numbers.clean(result.reason)
    words = f"{metric_name(verdict.metric)} {change(verdict)}"
    if result.outcome == "pass" and verdict.excluded is not None:
        return ", ".join(filter(None, (words, excluded(verdict, slower="slower "), against_best(result))))
    if result.outcome == "inconclusive":
        return (
            f"{words}, {numbers.clean(result.reason)}" if interval(verdict) == "" else f"{words} ({interval(verdict)})"
        )
    return words


def trend_line(trend: Trend) -> str:
    """What a history shows of a metric, to stand behind the name of its case:

    `denoise: 12 runs, +2.8 % against the best; +2.1 % from 2026-11-20T02:00:11Z on, sglang 0.5.17 (p 1e-05)`
    """
    words = f"{metric_name(trend.metric)}: {trend.runs} runs"
    if trend.creep is not None and (trend.worse or trend.creep >= CREEP):
        words += f", {100 * trend.creep:+.1f} % against the best"
    for change in trend.changes:
        version = f", sglang {numbers.clean(change.engine_version)}" if change.engine_version else ""
        words += f"; {100 * change.change:+.1f} % from {change.at} on{version} (p {change.pvalue:.1g})"
    return words


def against_best(result: CaseResult) -> str:
    """`+2.8 % against best`: how far the primary metric is from the best centre ever recorded, which shows creep that
    re-recorded baselines hide; empty below 1 %, or where no better one is known."""
    verdict = primary(result)
    if verdict is None or verdict.best_ratio is None or verdict.best_ratio < 1 + CREEP:
        return ""
    return f"{100 * (verdict.best_ratio - 1):+.1f} % against best"


def remainder(result: CaseResult) -> str:
    """What to know of a case beside its decisive change: `also e2e +7.7 %, peak memory +5.2 %`, or else the phrase."""
    verdict = decisive(result)
    if result.outcome != "regressed" or verdict is None or verdict.outcome != "regressed":
        return phrase(result)
    others = [v for v in result.verdicts if v.outcome == "regressed" and v is not verdict]
    return f"also {', '.join(f'{metric_name(v.metric)} {change(v)}' for v in others)}" if others else ""


def headline(result: CaseResult) -> str:
    """The first line of a failure message without its place: what got worse, by how much, against what."""
    verdict = decisive(result)
    if result.outcome != "regressed" or verdict is None or verdict.outcome != "regressed":
        return numbers.clean(result.reason)
    if not change(verdict):
        return f"{subject(verdict.metric)} regressed: {numbers.clean(verdict.why)}"
    return f"{subject(verdict.metric)} is {direction(verdict)} than {baseline_name(result)}"


def base_word(result: CaseResult) -> str:
    """What the old side of a comparison is called: `baseline`, in an A/B run `base engine`."""
    return "base engine" if result.paired else "baseline"


def baseline_name(result: CaseResult) -> str:
    """`the baseline of 2026-11-02 (10 launches, sglang 0.5.16)`, `the base engine (sglang 0.5.16, 3 launches)` of an
    A/B run, or `the published reference (SGLang Diffusion performance guide)`, as far as it is known."""
    words = "the published reference" if result.baseline_source else f"the {base_word(result)}"
    # Published numbers do not always tell their date.
    if result.baseline_recorded is not None and result.baseline_recorded.at and not result.paired:
        words += f" of {result.baseline_recorded.at[:10]}"
    launches = numbers.plural(result.baseline_launches, "launch") if result.baseline_launches else ""
    told = numbers.clean(result.baseline_source) or launches
    known = [told] if told else []
    known += [f"sglang {result.baseline_engine}"] if result.baseline_engine else []
    known = known[::-1] if result.paired else known
    return f"{words} ({', '.join(known)})" if known else words


def accept_command(result: CaseResult) -> str:
    """The command that records this case's baseline anew."""
    machine = result.machine
    pool = "none" if machine is not None and machine.kind == "cpu" else str(machine.count if machine else "all")
    return f'pytest --sgdiff-gpus={pool} --sgdiff-update "{result.node_id}"'


def actions(result: CaseResult) -> list[tuple[str, str]]:
    """What to do next, as pairs of a word and a command or sentence: reproduce, settle, accept, files."""
    label = {"inconclusive": "settle", "invalid": "fix"}.get(result.outcome, "next")
    rows = [("reproduce", result.command)] if result.command else []
    rows += [(label, numbers.clean(result.next_step))] if result.next_step else []
    # A new baseline changes nothing in an A/B run.
    renewable = result.outcome in {"regressed", "improved", "no-baseline"} and not result.paired
    if renewable and "--sgdiff-update" not in result.next_step:
        rows.append(("record" if result.outcome == "no-baseline" else "accept", accept_command(result)))
    if result.outcome == "inconclusive" and not result.next_step:
        rows.append(
            (label, f"run it again on a quiet machine, or record a steadier baseline: {accept_command(result)}")
        )
    return [*rows, ("files", result.folder)] if result.folder else rows


def worst_first(results: Sequence[CaseResult]) -> list[CaseResult]:
    """By outcome, regressions first; the largest slowdown first among equals."""

    def key(result: CaseResult) -> tuple[int, float]:
        verdict = decisive(result)
        ratio = verdict.ratio if verdict is not None and verdict.ratio is not None else 0.0
        return _BAD_FIRST.index(result.outcome), -ratio

    return sorted(results, key=key)


def counts(run: Run) -> list[tuple[Outcome, int]]:
    """How many cases had each outcome that occurred, in the order of `OUTCOMES`."""
    seen = [result.outcome for result in run.results]
    return [(outcome, seen.count(outcome)) for outcome in OUTCOMES if outcome in seen]
