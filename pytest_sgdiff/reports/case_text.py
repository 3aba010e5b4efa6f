"""The wording of cases and runs that all reports share: what happened to a case, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_sgdiff.data import OUTCOMES, CaseResult, Estimator, Gap, Outcome, Run, Verdict
from pytest_sgdiff.metrics import DENOISE, DENOISE_CORE
from pytest_sgdiff.reports import (
    accept_text,
    evidence,
    finding_text,
    metric_text,
    next_text,
    numbers,
    quality_text,
    reason_text,
)

_BAD_FIRST: tuple[Outcome, ...] = ("regressed", "invalid", "no-baseline", "inconclusive", "improved", "pass")

RECORDED = "recorded"

CREEP = 0.01
"""Slower than the best ever recorded by this fraction is worth saying."""


def resolution(result: CaseResult) -> str:
    """The minimum detectable slowdown of each metric, by the case's launches and this baseline; empty if none is known.

    `denoise (sum of steps) 4.9 %, e2e 5.0 %, TextEncodingStage 27.3 % (14.5 ms), peak memory 4.3 %`
    """
    known = [v for v in by_importance(result.verdicts) if v.detectable is not None]
    return ", ".join(f"{metric_text.metric_name(v.metric)} {metric_text.detectable(v)}" for v in known)


def by_importance(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The primary metric first, all others in the order in which the engine ran them."""
    return sorted(verdicts, key=lambda verdict: not verdict.primary)


def primary(result: CaseResult) -> Verdict | None:
    """The verdict on the case's primary metric, if there is one."""
    return next((verdict for verdict in result.verdicts if verdict.primary), None)


def decisive(result: CaseResult) -> Verdict | None:
    """The verdict to name first: of those that share the case's outcome the primary one, else one of time, else the
    largest change.

    What leaves a case inconclusive is only what would have held up a pass.
    """
    if result.recorded:
        return primary(result)
    same = [verdict for verdict in result.verdicts if verdict.outcome == result.outcome]
    if result.outcome == "inconclusive":
        same = [verdict for verdict in same if verdict.primary or verdict.deciding or verdict.suspect] or same

    def rank(verdict: Verdict) -> tuple[bool, bool, float]:
        # Who asks whether the engine got slower wants to know that first.
        return verdict.primary, verdict.metric_class != "memory", abs((verdict.ratio or 1) - 1)

    return max(same, key=rank, default=primary(result))


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
        return numbers.quantity(evidence.centre(result, DENOISE), "ms")
    return numbers.quantity(verdict.now, verdict.unit)


def phrase(result: CaseResult) -> str:
    """What to know of a case in half a line: the decisive change, or the reason where there is none; and what of it is
    accepted until when."""
    return ", ".join(filter(None, (_phrase(result), accept_text.until(result))))


def _phrase(result: CaseResult) -> str:
    verdict = decisive(result)
    if (
        result.recorded
        or verdict is None
        or result.reason_code == "picture-changed"
        or not metric_text.change(verdict)
        or result.outcome in {"invalid", "no-baseline"}
    ):
        return numbers.clean(reason_text.reason(result))
    words = f"{metric_text.metric_name(verdict.metric)} {metric_text.change(verdict)}"
    held_up = _held_up(result) if verdict.metric == DENOISE_CORE else _always(result, verdict)
    if result.outcome == "pass" and verdict.excluded is not None:
        excluded = metric_text.excluded(verdict, full=True)
        return ", ".join(filter(None, (words, excluded, against_best(result), held_up)))
    if result.outcome == "inconclusive":
        interval = metric_text.interval(verdict)
        # Without one the reason tells the change, if there is any to tell.
        if not interval:
            return numbers.clean(reason_text.reason(result))
        words = f"{words} ({interval})"
    return ", ".join(filter(None, (words, held_up, "another picture" if _drew(result) else "")))


def _drew(result: CaseResult) -> str:
    """That a case that was judged by its times drew another picture, too."""
    if result.outcome != "regressed" or result.quality is None or not result.quality.other_picture:
        return ""
    return numbers.clean(quality_text.words(result.quality, paired=result.paired))


def _held_up(result: CaseResult) -> str:
    """What the core of the steps leaves out: `held up in 3 of 5 launches (steps took 53 to 82 ms instead of 50)`."""
    found = next((verdict for verdict in result.verdicts if verdict.finding.code == "held-up"), None)
    return "" if found is None else finding_text.why(found, paired=result.paired)


def _always(result: CaseResult, verdict: Verdict) -> str:
    """Which steps every launch takes longer for, and what they took."""
    return finding_text.why(verdict, paired=result.paired) if verdict.finding.code == "held-up-always" else ""


def pictures(result: CaseResult) -> str:
    """What became of the pictures of a case, in one line; empty where nothing is to be said, where the headline says
    it, or where a warning does."""
    quality = result.quality
    if quality is None or (result.outcome == "regressed" and quality.other_picture):
        return ""
    warned = any(one.code == "not-compared" for one in result.warnings)
    return "" if warned else numbers.clean(quality_text.words(quality, paired=result.paired))


def against_best(result: CaseResult) -> str:
    """`+2.8 % against best`: how far the primary metric is from the best centre ever recorded, which shows creep that
    re-recorded baselines hide; empty below 1 %, or where no better one is known."""
    verdict = primary(result)
    if verdict is None or verdict.best_ratio is None or verdict.best_ratio < 1 + CREEP:
        return ""
    return f"{numbers.signed(verdict.best_ratio - 1)} against best"


def remainder(result: CaseResult) -> str:
    """`_remainder`, with what is accepted until when."""
    return ", ".join(filter(None, (_remainder(result), accept_text.until(result))))


def _remainder(result: CaseResult) -> str:
    """What to know of a case beside its decisive change and interval: `also e2e +7.7 %, peak memory +5.2 %`,
    `slowdowns above 1.9 % ruled out`, `4 % slower is neither excluded nor proven`, or else the phrase."""
    verdict = decisive(result)
    if result.recorded or verdict is None or verdict.outcome != result.outcome:
        return _phrase(result)
    if result.reason_code == "picture-changed":
        return _phrase(result)
    if result.outcome == "regressed":
        others = [v for v in result.verdicts if v.outcome == "regressed" and v is not verdict]
        named = ", ".join(f"{metric_text.metric_name(v.metric)} {metric_text.change(v)}" for v in others)
        return f"also {named}" if others else ""
    if result.outcome == "pass" and verdict.excluded is not None:
        return ", ".join(filter(None, (metric_text.excluded(verdict, full=True), against_best(result))))
    told = result.outcome == "inconclusive" and metric_text.interval(verdict)
    return numbers.clean(finding_text.why(verdict, paired=result.paired)) if told else _phrase(result)


def headline(result: CaseResult) -> str:
    """The first line of a failure message without its place: what got worse, by how much, against what."""
    verdict = decisive(result)
    if result.outcome != "regressed" or verdict is None or verdict.outcome != "regressed":
        return numbers.clean(reason_text.reason(result))
    if result.reason_code == "picture-changed":
        return numbers.clean(reason_text.reason(result))
    if not metric_text.change(verdict):
        why = finding_text.why(verdict, paired=result.paired)
        return f"{metric_text.subject(verdict.metric)} regressed: {numbers.clean(why)}"
    always = _always(result, verdict)
    words = f"{metric_text.subject(verdict.metric)} is {metric_text.direction(verdict)} than {baseline_name(result)}"
    words = f"{words}: {always}" if always else words
    return f"{words}; {_drew(result)}" if _drew(result) else words


def estimators(sides: str, metrics: Sequence[tuple[str, Estimator]], *, of_change: str = "") -> list[str]:
    """Which estimator the figures of a table are of, in one line; nothing for an empty table. `metrics` are its rows by
    name, `of_change` what the column of changes is."""
    medians = [name for name, by in metrics if by == "median"]
    words = f"{sides} are geometric means over the launches, high outliers pulled in{of_change}"
    if metrics and len(medians) == len(metrics):
        return [f"{sides} are medians over the launches"]
    return [words + (f"; medians for {', '.join(medians)}" if medians else "")] if metrics else []


def estimator_legend(result: CaseResult) -> list[str]:
    """`estimators` of the tables of a case: what is judged, and what is only reported."""
    rows = [(metric_text.metric_name(v.metric), v.estimator) for v in by_importance(result.verdicts)]
    rows += [(metric_text.metric_name(seen.metric), seen.estimator) for seen in evidence.reported(result)]
    if result.recorded and result.baseline_recorded is None:
        return estimators("the figures", rows)
    return estimators(f"{base_word(result)} and now", rows, of_change=f"; change is now over {base_word(result)}")


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


def actions(result: CaseResult) -> list[tuple[str, str]]:
    """What to do next, as pairs of a word and a command or sentence: reproduce, settle, accept, files."""
    label = {"inconclusive": "settle", "invalid": "fix"}.get(result.outcome, "next")
    rows = [("reproduce", result.command)] if result.command else []
    rows += [(label, numbers.clean(next_text.words(result.next_step)))] if result.next_step else []
    return [*rows, ("files", result.folder)] if result.folder else rows


def worst_first(results: Sequence[CaseResult]) -> list[CaseResult]:
    """By outcome, regressions first; the largest slowdown first among equals."""

    def key(result: CaseResult) -> tuple[float, float]:
        verdict = decisive(result)
        ratio = verdict.ratio if verdict is not None and verdict.ratio is not None else 0.0
        # What is accepted does not fail, and is no pass either.
        rank = _BAD_FIRST.index("inconclusive") + 0.5 if result.accepted else _BAD_FIRST.index(result.outcome)
        return rank, -ratio

    return sorted(results, key=key)


def outcome_word(result: CaseResult) -> str:
    """The outcome as people read it: what was recorded is `recorded`, for nothing in it was held to a limit, and what
    would fail without an acceptance is `accepted`."""
    if result.accepted:
        return accept_text.ACCEPTED
    return RECORDED if result.recorded else result.outcome


GAPS: Mapping[Gap, tuple[str, str]] = {
    "engine-version": ("needs another engine version", "need another engine version"),
    "gpus": ("needs other GPUs", "need other GPUs"),
    "token": ("needs a token", "need a token"),
    "assets": ("needs an input file", "need an input file"),
    "skipped": ("was skipped", "were skipped"),
    "dropped": ("was dropped by a conftest.py or a plugin", "were dropped by a conftest.py or a plugin"),
    "passed": ("passed without a measurement", "passed without a measurement"),
    "failed": ("failed before a measurement", "failed before a measurement"),
    "worker-died": ("lost its worker", "lost their worker"),
    "interrupted": ("was interrupted", "were interrupted"),
    "not-run": ("did not run", "did not run"),
    "recorded": ("has a baseline already", "have a baseline already"),
}
"""Why cases were not measured, of one case and of several."""


def gap(reason: Gap, count: int) -> str:
    """`3 need other GPUs`"""
    return f"{count} {GAPS[reason][count != 1]}"


def unmeasured(run: Run) -> str:
    """What was not measured, for a title: `nothing was measured`, `5 of 6 cases not measured`, of a run that Ctrl-C or
    a signal ended behind `interrupted: `; empty where every case has a result."""
    words = f"{len(run.unmeasured)} of {numbers.plural(run.selected, 'case')} not measured" if run.unmeasured else ""
    if run.measured == 0:
        words = "nothing was measured"
    return f"interrupted: {words}" if words and run.interrupted else words


def tally(run: Run) -> list[tuple[str, int]]:
    """How many cases stand under each word that occurs, the recorded ones first, then in the order of `OUTCOMES`, and
    last those of which a slowdown is accepted."""
    words = [outcome_word(result) for result in run.results]
    return [(word, words.count(word)) for word in (RECORDED, *OUTCOMES, accept_text.ACCEPTED) if word in words]


def counts(run: Run) -> list[tuple[Outcome, int]]:
    """How many cases had each outcome that occurred, in the order of `OUTCOMES`."""
    seen = [result.outcome for result in run.results]
    return [(outcome, seen.count(outcome)) for outcome in OUTCOMES if outcome in seen]
