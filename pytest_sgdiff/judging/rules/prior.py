"""What is believed of the noise between launches before a case's own launches are seen, and how to learn it.

Five launches cannot tell their own variance: a moderated t-test (limma; Smyth 2004, doi:10.2202/1544-6115.1027) adds
to it what other cases of the suite show. Until a suite has enough baselines of its own the defaults hold, which were
chosen by simulation (docs/decision-evidence.md).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pytest_sgdiff.judging.estimator import clipped, logs, spread
from pytest_sgdiff.judging.rules.sample import invalid

WEIGHT = 8.0
"""Degrees of freedom that the default prior is worth."""
SESSION_CV = 0.003
"""Drift between sessions of one node, as a coefficient of variation: no number of launches averages it away. From the
public nights of SGLang's own nightly, whose cases vary by 0.5 % in the middle, launches included
(benchmarks/decision_history.py)."""
WEIGHT_CAP = 30.0
"""A suite's own prior is never worth more than this: cases differ in what they have not shown yet."""
ENOUGH = 8
"""Baselines of a class, each of three launches or more, from which its prior is fitted."""
MAD_EFFICIENCY = 0.37
"""What a value is worth to the MAD of a normal sample, beside the standard deviation."""
FLOOR = 0.0005
"""Smallest CV taken from a baseline: clocks and allocators are quantised, and equal values prove no precision."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prior:
    """`cv0`: expected CV between launches, None for the metric class's own. `weight`: degrees of freedom it is worth.
    `session_cv`: drift between sessions. `baselines`: of how many it is fitted or, without a `cv0`, how many were too
    few for that, None if nobody counted. `nights`: the earlier runs that refined `session_cv`."""

    cv0: float | None = None
    weight: float = WEIGHT
    session_cv: float = SESSION_CV
    baselines: int | None = None
    nights: int = 0


DEFAULT = Prior()


def fit_prior(baselines: Sequence[Sequence[float | None]], *, cv0: float, session_cv: float = SESSION_CV) -> Prior:
    """The prior of one metric class from the suite's own baselines, one sequence of launches per case and metric.

    Smyth's moment estimator on log variances, capped at WEIGHT_CAP degrees of freedom. `cv0` is the class's default,
    used for clipping outliers and kept, with the default weight, while fewer than ENOUGH baselines of three launches
    are at hand. Of two baselines of one case give only one: the same noise counted twice looks precise.
    """
    samples = [clipped(logs(b), cv0) for b in baselines if len(b) >= 3 and not invalid(b, zeros=False)]
    if len(samples) < ENOUGH:
        return Prior(session_cv=session_cv, baselines=len(samples))
    from scipy.special import digamma, polygamma

    centred, expected = [], 0.0
    for sample in samples:
        half = (len(sample) - 1) / 2
        variance = max(statistics.variance(sample), FLOOR**2)
        centred.append(math.log(variance) - float(digamma(half)) + math.log(half))
        expected += float(polygamma(1, half)) / len(samples)
    between = statistics.variance(centred) - expected
    # Baselines that differ by no more than their few launches explain count as often as the cap allows.
    alike = between <= float(polygamma(1, WEIGHT_CAP / 2))
    weight = WEIGHT_CAP if alike else 2 * _trigamma_inverse(between)
    log_variance = statistics.fmean(centred) + float(digamma(weight / 2)) - math.log(weight / 2)
    fitted = max(math.exp(log_variance / 2), FLOOR)
    return Prior(cv0=fitted, weight=weight, session_cv=session_cv, baselines=len(samples))


def fit_session_cv(baselines: Sequence[Mapping[str, Sequence[float | None]]]) -> float:
    """Drift between sessions from baselines recorded in two or more: session id -> launches, one mapping per case.

    Variance of a case's session means beyond what its launches explain, averaged over the cases; SESSION_CV while
    fewer than ENOUGH cases have two sessions of two launches or more.
    """
    excess = []
    for sessions in baselines:
        samples = [logs(v) for v in sessions.values() if len(v) >= 2 and not invalid(v, zeros=False)]
        if len(samples) >= 2:
            noise = statistics.fmean(statistics.variance(s) / len(s) for s in samples)
            excess.append(statistics.variance([statistics.fmean(s) for s in samples]) - noise)
    if len(excess) < ENOUGH:
        return SESSION_CV
    return math.sqrt(max(0.0, statistics.fmean(excess)))


def fit_night_cv(nights: Sequence[tuple[float, int]], launch_cv: float) -> tuple[float, float]:
    """Drift from night to night of one case, as a coefficient of variation, and the degrees of freedom of it.

    `nights` are the centre of each night's launches and how many there were, oldest first; `launch_cv` is by how much
    launches of one night vary, which is taken out. From the median of the differences between consecutive nights:
    a jump is a change of code, and no noise.
    """
    logs = [math.log(value) for value, _ in nights]
    steps = [after - before for before, after in pairwise(logs)]
    total = spread([*steps, *(-x for x in steps)]) ** 2 / 2
    within = launch_cv**2 * statistics.fmean(1 / launches for _, launches in nights)
    return math.sqrt(max(0.0, total - within)), MAD_EFFICIENCY * len(steps)


def _trigamma_inverse(value: float) -> float:
    """x of WEIGHT_CAP / 2 at most with trigamma(x) = value; bracketed for every value above that of the cap that a
    variance of log variances can take."""
    from scipy.optimize import brentq
    from scipy.special import polygamma

    return float(brentq(lambda x: float(polygamma(1, x)) - value, 1e-3, WEIGHT_CAP / 2))
