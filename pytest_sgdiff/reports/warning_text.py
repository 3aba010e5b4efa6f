"""The words for a `Warned`: what is worth a warning about a case. The one place that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pytest_sgdiff import metrics
from pytest_sgdiff.data import CaseResult, Changed, Verdict, Warned, WarningCode
from pytest_sgdiff.reports import (
    attribution_text,
    cluster_text,
    doubt_text,
    finding_text,
    quality_text,
)


def of_case(result: CaseResult) -> tuple[str, ...]:
    """All warnings of a case, a line each."""
    return tuple(words(one, result) for one in result.warnings)


def words(w: Warned, result: CaseResult) -> str:
    """`auto-tuned by the engine: offload: on`: one warning about the case of the result."""
    return _WORDS[w.code](w, result)


def inherited_otherwise(changed: Sequence[Changed]) -> tuple[str, ...]:
    """A line on the variables that the launches inherited otherwise than those of the baseline, and one on what they
    inherited that the baseline does not report of."""
    known, untold = ([one for one in changed if one.recorded is told] for told in (True, False))
    return (*([_otherwise(known)] if known else []), *([_unrecorded(untold)] if untold else []))


def _otherwise(changed: Sequence[Changed]) -> str:
    told = [
        f"{one.name}={one.now} now, not set in the baseline"
        if one.then is None
        else f"{one.name}={one.then} in the baseline, {'not set' if one.now is None else one.now} now"
        for one in changed
    ]
    return f"inherited from the shell, changed: {'; '.join(told)}"


def _unrecorded(changed: Sequence[Changed]) -> str:
    return (
        f"inherited from the shell, but not set by the case: {_set(changed)}; the baseline does not record "
        "what its launches inherited. If it is intended, set it under `env` of the case"
    )


def _work(w: Warned, result: CaseResult) -> str:
    return (
        f"inherited from the shell, and part of the workload: {_set(w.changed)}; set it under `env` of the case, "
        "so that every shell measures the same"
    )


def _set(changed: Sequence[Changed]) -> str:
    return ", ".join(f"{one.name}={one.now}" for one in changed)


def _of_verdict(say: str) -> Callable[[Warned, CaseResult], str]:
    def told(w: Warned, result: CaseResult) -> str:
        verdict: Verdict | None = next((one for one in result.verdicts if one.metric == w.metric), None)
        why = "" if verdict is None else finding_text.why(verdict, paired=result.paired)
        return f"{metrics.title(w.metric)}{say}: {why}"

    return told


def _new_stages(w: Warned, result: CaseResult) -> str:
    since = "unknown to the base engine" if result.paired else "new since the baseline was recorded"
    return f"{since}, and not judged: {', '.join(w.names)}"


def _more(w: Warned, result: CaseResult) -> str:
    launches = f"{w.launches} launch{'es' if (w.launches or 0) > 1 else ''}"
    return f"{launches} more than the usual {w.usual}, because of {'; '.join(map(doubt_text.seen, w.doubts))}"


def _stage(w: Warned, result: CaseResult) -> str:
    return "" if w.stage is None else f"{w.location}: {doubt_text.unknown_stage(w.stage)}"


_WORDS: Mapping[WarningCode, Callable[[Warned, CaseResult], str]] = {
    "auto-tuned": lambda w, result: f"auto-tuned by the engine: {'; '.join(w.names)}",
    "could-stay": lambda w, result: (
        f"the engine offloads {', '.join(w.names)}, which the GPU has room for as this request shows"
        + (f": try {' and '.join(f'{flag} false' for flag in w.flags)}" if w.flags else "")
    ),
    "behind-rate": lambda w, result: (
        f"under load {', '.join(w.names)} more requests are due than the server answers: they wait for one another, so "
        "its latencies grow with `load_requests`; lower the rate, or judge its throughput alone"
    ),
    "inherited-otherwise": lambda w, result: _otherwise(w.changed),
    "inherited-unrecorded": lambda w, result: _unrecorded(w.changed),
    "inherited-work": _work,
    "pauses": _of_verdict(""),
    "long-pause": lambda w, result: "" if w.pause is None else attribution_text.pause(w.pause, paired=result.paired),
    "not-judged": _of_verdict(" was not judged"),
    "new-stages": _new_stages,
    "steps": lambda w, result: "" if w.step is None else doubt_text.step(w.step, paired=result.paired),
    "baseline-doubt": lambda w, result: f"baseline: {'; '.join(map(doubt_text.advice, w.doubts))}",
    "recording-doubt": lambda w, result: "; ".join(map(doubt_text.advice, w.doubts)),
    "more-launches": _more,
    "unknown-machine": lambda w, result: (
        f"the recording does not say on which machine it was made: the baseline is that of {w.machine}"
    ),
    "unknown-stage": _stage,
    "lost-launches": lambda w, result: f"launched again: {cluster_text.lost(w.losses)}",
    "not-compared": lambda w, result: "" if w.quality is None else quality_text.words(w.quality, paired=result.paired),
    "noisy-pictures": lambda w, result: (
        "" if w.quality is None else quality_text.noisy(w.quality, paired=result.paired, recorded=result.recorded)
    ),
    "blank-frames": lambda w, result: f"{w.frames} of {w.of} frames of {', '.join(w.names)} show nothing",
    "advice": lambda w, result: "" if w.advice is None else f"{w.advice.message} [{w.advice.slug}]",
}
