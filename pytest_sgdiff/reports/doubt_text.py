"""The words for what asks for more launches in a baseline (`Doubt`), for what the steps show (`StepFinding`), and for a
stage that nobody has (`UnknownStage`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Doubt, StepFinding, UnknownStage
from pytest_sgdiff.reports import figures


def seen(d: Doubt) -> str:
    """`denoise: launches vary by 1.5 %`: what is wrong, without what helps."""
    return f"{metrics.title(d.metric)}: {_SEEN[d.code](d)}"


def advice(d: Doubt) -> str:
    """What is wrong, and what helps."""
    return f"{seen(d)}: {_HELPS[d.code](d)}"


def step(f: StepFinding, *, paired: bool = False) -> str:
    """What the steps show beyond their sum, in one line; `paired` as for `finding_text.why`."""
    return _STEPS[f.code](f, "the base engine" if paired else "the baseline")


def unknown_stage(u: UnknownStage) -> str:
    """`metrics.gate names the stage DecodeStage, which no launch has, did you mean DecodingStage?`"""
    near = f", did you mean {u.near}?" if u.near else f"; they have {', '.join(u.known) or 'none'}"
    return f"{u.key} names the stage {u.name}, which no launch has{near}"


def _above(d: Doubt) -> str:
    return figures.measured(d.size or 0.0)


def _ms(value: float | None) -> str:
    return figures.fixed(value or 0.0, 0)


def _pauses(d: Doubt) -> str:
    low, high = _ms(d.low), _ms(d.high)
    one = d.count == 1
    if d.metric == metrics.DENOISE_EXCESS:
        do = "is held up" if one else "are held up"
    else:
        do = "pauses" if one else "pause"
    return f"{d.count} of {d.of} launches {do} for {low if one else f'{low} to {high}'} ms"


def _kind(d: Doubt) -> str:
    return "hold-ups" if d.metric == metrics.DENOISE_EXCESS else "pauses"


def _pin(d: Doubt) -> str:
    more = f"record {d.needed} to see how often each occurs; " if d.needed else ""
    cause = "find what differs between its launches (an autotuned kernel choice, a second pass) and pin it"
    return f"{more}the gate can hardly judge such a case; {cause}"


_SEEN: Mapping[str, Callable[[Doubt], str]] = {
    "two-modes": lambda d: f"two modes, near {_ms(d.low)} and {_ms(d.high)} {d.unit}",
    "outlier": lambda d: f"launch {d.launch} is an outlier, {_above(d)} above the median",
    "varies": lambda d: f"launches vary by {figures.precision(d.size)}",
    "outliers": lambda d: f"{d.count} of {d.of} launches are {_above(d)} or more above the median",
    "pauses": _pauses,
}

_HELPS: Mapping[str, Callable[[Doubt], str]] = {
    "two-modes": _pin,
    "outlier": lambda d: f"record {d.needed} launches, which tolerate one outlier",
    "varies": lambda d: f"record {d.needed}, {d.of} are too few above {figures.precision(d.limit)}",
    "outliers": lambda d: (
        "the gate may miss slowdowns of the stated size, or find unchanged code inconclusive; "
        "check whether the host delays the GPU"
    ),
    "pauses": lambda d: f"record {d.needed} to distinguish rare {_kind(d)} from new ones",
}


def _of(f: StepFinding) -> str:
    return f" of {f.stage}" if f.stage else ""


def _change(fraction: float | None) -> str:
    return f"{figures.measured(abs(fraction or 0.0))} {'slower' if (fraction or 0.0) > 0 else 'faster'}"


_STEPS: Mapping[str, Callable[[StepFinding, str], str]] = {
    "first-steps": lambda f, base: (
        f"first steps{_of(f)} ({f.first} and {f.last}): {_ms(f.now_ms)} ms, {_ms(f.then_ms)} ms in {base}, "
        f"{_change(f.change)}"
    ),
    "tail-drift": lambda f, base: (
        f"tail drift{_of(f)}: steps {f.first} to {f.last}, the last third, are {_change(f.change)} against the "
        f"middle third than in {base}: check whether the GPU throttles"
    ),
    "spike": lambda f, base: (
        f"spike at step {f.first}{_of(f)}: {_ms(f.now_ms)} ms or more in each of {f.launches} launches, "
        f"{_ms(f.then_ms)} ms in {base}"
    ),
}
