"""The words for `NoisePrior`s: which priors of the noise between launches were used. The one place that has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_sgdiff.data import CaseResult, NoisePrior
from pytest_sgdiff.judging.rules.prior import ENOUGH
from pytest_sgdiff.reports.numbers import plural


def words(noise: Sequence[NoisePrior]) -> str:
    """`default prior (3 of 8 baselines needed): CV 0.80 % primary, 3.00 % stage, 0.20 % memory; session drift 0.25 %`:
    the priors of the classes of metrics in one line; empty for none."""
    if noise and not any(one.fitted for one in noise):
        first = noise[0]
        drift = "" if first.session_cv is None else f"; {_drift(first.session_cv)}"
        return f"{_source(first)}: CV {', '.join(f'{_percent(one.cv)} {one.metric_class}' for one in noise)}{drift}"
    by_source: dict[str, list[str]] = {}
    for one in noise:
        cv = "" if one.fitted else f": CV {_percent(one.cv)}"
        drift = "" if one.session_cv is None else f", {_drift(one.session_cv)}"
        by_source.setdefault(f"{_source(one)}{cv}{drift}", []).append(one.metric_class)
    return "; ".join(f"{' and '.join(kinds)}: {source}" for source, kinds in by_source.items())


def of_all(results: Iterable[CaseResult]) -> list[str]:
    """The priors of several cases, each line once."""
    return list(dict.fromkeys(words(result.noise) for result in results if result.noise))


def _source(n: NoisePrior) -> str:
    if n.fitted:
        source = f"prior of {plural(n.baselines or 0, 'baseline')}: CV {_percent(n.cv)}"
        source += f", counted as {n.weight:.1f} degrees of freedom"
    else:
        source = "default prior" + ("" if n.baselines is None else f" ({n.baselines} of {ENOUGH} baselines needed)")
    return source + (f", drift of {plural(n.nights, 'night')}" if n.nights else "")


def _drift(session_cv: float) -> str:
    return f"session drift {_percent(session_cv)}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.2f} %"
