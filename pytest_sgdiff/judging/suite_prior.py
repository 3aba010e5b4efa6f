"""What the baselines of a whole suite say of the noise between launches: one prior per class of metric. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_sgdiff.data import Baseline, MetricChoice, MetricClass, NoisePrior
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.judging.estimator import middle as median
from pytest_sgdiff.judging.rules import CLASS_MARGINS, Prior
from pytest_sgdiff.judging.rules.prior import WEIGHT, fit_night_cv, fit_prior, fit_session_cv
from pytest_sgdiff.judging.rules.sample import variation
from pytest_sgdiff.judging.series import Series, own_series
from pytest_sgdiff.metrics import by_steadiness

FITTED: tuple[MetricClass, ...] = ("primary", "stage", "memory")
"""Pauses have no spread to expect: their rule counts them."""
NIGHTS = 8
"""Earlier runs of a case from which its own drift between nights is taken."""


def suite_priors(baselines: Iterable[Baseline]) -> dict[MetricClass, Prior]:
    """The prior of each class from the suite's baselines on one machine; its default where they are too few.

    A case speaks once for each class - by its steadiest measure of denoising, its longest other stage, and its memory -
    for two metrics of one case share their noise, and noise counted twice looks precise.
    """
    series: dict[MetricClass, list[tuple[Series, Sequence[str]]]] = {kind: [] for kind in FITTED}
    for baseline in baselines:
        if baseline.kind != "recorded":
            continue
        launches = counted(baseline.measurement.launches)
        sessions = [launch.session or "" for launch in launches]
        for kind, chosen in _chosen(baseline).items():
            series[kind].append((chosen, sessions))
    return {kind: _fitted(kind, series[kind]) for kind in FITTED}


def with_nights(
    priors: Mapping[MetricClass, Prior], nights: Mapping[str, Sequence[tuple[float, int]]], baseline: Baseline | None
) -> Mapping[MetricClass, Prior]:
    """The priors of one case, with the drift between nights of its primary metrics as its own history shows it.

    `nights`: by metric, the centre of each earlier run's launches and how many there were, oldest first. The steadiest
    metric speaks, from NIGHTS runs on; the drift expected beforehand counts as WEIGHT degrees of freedom beside it.
    """
    metric = next((name for name in by_steadiness() if len(nights.get(name, ())) >= NIGHTS), None)
    prior = priors.get("primary")
    if metric is None or prior is None:
        return priors
    launches = () if baseline is None else counted(baseline.measurement.launches)
    own = variation([launch.metrics.get(metric) for launch in launches])
    usual = CLASS_MARGINS["primary"].cv0 if prior.cv0 is None else prior.cv0
    drift, freedom = fit_night_cv(nights[metric], usual if own is None else own)
    squares = WEIGHT * prior.session_cv**2 + freedom * drift**2
    refined = replace(
        prior,
        session_cv=math.sqrt(squares / (WEIGHT + freedom)),
        nights=len(nights[metric]),
    )
    return {**priors, "primary": refined}


def used(priors: Mapping[MetricClass, Prior], *, paired: bool = False) -> tuple[NoisePrior, ...]:
    """Which priors were used, as results and reports say it: noise within a session and, but for pairs, which share
    theirs, drift between sessions."""
    return tuple(
        NoisePrior(
            metric_class=kind,
            cv=CLASS_MARGINS[kind].cv0 if prior.cv0 is None else prior.cv0,
            fitted=prior.cv0 is not None,
            weight=prior.weight,
            baselines=prior.baselines,
            session_cv=None if paired else prior.session_cv,
            nights=prior.nights,
        )
        for kind, prior in priors.items()
    )


def _fitted(kind: MetricClass, series: Sequence[tuple[Series, Sequence[str]]]) -> Prior:
    by_session = []
    for s, sessions in series:
        values: dict[str, list[float | None]] = {}
        for session, value in zip(sessions, s.baseline, strict=True):
            values.setdefault(session, []).append(value)
        by_session.append(values)
    drift = fit_session_cv(by_session)
    return fit_prior([s.baseline for s, _ in series], cv0=CLASS_MARGINS[kind].cv0, session_cv=drift)


def _chosen(baseline: Baseline) -> dict[MetricClass, Series]:
    """The series by which the case speaks for each class; values that are near the floor say nothing of it."""
    found: dict[MetricClass, Series] = {}
    for s in own_series(baseline, MetricChoice()):
        middle = median(s.baseline)
        if s.metric_class not in FITTED or middle is None or middle <= s.margins.allow_abs:
            continue
        known = found.get(s.metric_class)
        if known is None or (s.metric_class == "stage" and middle > (median(known.baseline) or 0.0)):
            found[s.metric_class] = s
    return found
