"""The words for what of upstream's files was left out. The one place that has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pytest_sgdiff.reports.numbers import plural
from pytest_sgdiff.upstream.refusals import Path, Refusal, Why


def message(refusal: Refusal) -> str:
    """`scenarios.x.expected_e2e_ms: zero or null, so not measured: dropped`."""
    return f"{key(refusal.path)}: {_WORDS[refusal.why](refusal)}"


def key(path: Path) -> str:
    """`results[3].latency_s`, as people write a path."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(the file)"


def summary(refusals: Sequence[Refusal]) -> tuple[str, ...]:
    """How many scenarios or rows were not imported at all, by reason: `47 need --gpus N`."""
    counts = [(why, sum(refusal.why is why for refusal in refusals)) for why in _SUMMED]
    return tuple(_SUMMED[why](count) for why, count in counts if count)


def _found(refusal: Refusal) -> str:
    return ", ".join(refusal.found)


def _in_scenarios(refusal: Refusal) -> str:
    return f" in {plural(int(refusal.found[0]), 'scenario')}" if refusal.found else ""


_WORDS: Mapping[Why, Callable[[Refusal], str]] = {
    Why.NO_METRIC: lambda r: "no metric here has this meaning: dropped" + _in_scenarios(r),
    Why.EMPTY: lambda _: "zero or null, so not measured: dropped",
    Why.NOT_A_NUMBER: lambda r: f"is no number that was measured: {_found(r)}: dropped",
    Why.WRONG_KIND: lambda r: f"must be {r.found[0]}, got {r.found[1]}: dropped",
    Why.MISSING: lambda _: "is missing: not imported",
    Why.FAILED: lambda r: f"the case failed in that night: {_found(r)}",
    Why.OTHER_FRAMEWORK: lambda r: f"measured with {_found(r)}, not with SGLang: not imported",
    Why.NO_TIME: lambda r: f"must be a time with its time zone, got {_found(r)}: not imported",
    Why.NO_NAME: lambda r: f"must be a name of letters, digits, '_', '.' and '-', got {_found(r)}: not imported",
    Why.NOT_THE_MEDIAN: lambda r: f"is {r.found[0]}, the median of its samples is {r.found[1]}: not imported",
    Why.OTHER_RUN: lambda r: (
        f"the steps are {r.found[0]} ms together, longer than the {r.found[1]} ms of denoising around them: dropped, "
        "they come from another run"
    ),
    Why.SAMPLED: lambda r: f"has {r.found[0]} of {r.found[1]} steps: dropped, their sum is not that of all steps",
    Why.NUMBERLESS: lambda _: "holds no number: not imported",
    Why.NO_GPUS: lambda _: "the number of GPUs is unknown (give --gpus): not imported",
    Why.NO_SUCH_SCENARIO: lambda _: "overrides a scenario that the file does not have: not imported",
    Why.LACKS: lambda r: f"upstream checks {_found(r)}, and the baseline has no number for it: not exported",
    Why.AS_ZERO: lambda r: (
        f"upstream's loader demands {_found(r)}, and the baseline has no denoising steps: written as 0.0, as upstream "
        "writes what was not measured"
    ),
    Why.NO_BASE: lambda r: f"overrides the scenario {_found(r)}, which is not among the exported ones: not exported",
}

_SUMMED: Mapping[Why, Callable[[int], str]] = {
    Why.NO_GPUS: lambda n: f"{n} need{'s' * (n == 1)} --gpus N",
    Why.NUMBERLESS: lambda n: f"{n} {'holds' if n == 1 else 'hold'} no number",
    Why.FAILED: lambda n: f"{plural(n, 'night')} failed",
    Why.OTHER_FRAMEWORK: lambda n: f"{plural(n, 'result')} of other frameworks",
    Why.LACKS: lambda n: f"{plural(n, 'baseline')} not exported",
}
