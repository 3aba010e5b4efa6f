"""What of a measurement is judged: the gate of a case expanded into pairs of series, one value per launch. Pure.

What a gate name means, and what is judged in place of the launches' own values, says the metric's entry
(`pytest_sgdiff.metrics`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Baseline, Finding, LaunchRecord, Measurement, MetricChoice, MetricClass, UnknownStage
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.judging.rules import CLASS_MARGINS, Margins
from pytest_sgdiff.metrics import Compared, Derived, Values, denoising_of, request_ms, stages_of
from pytest_sgdiff.step_core import Cores

STAGE_SHARE = 0.01
"""A stage matters only by a share of the request: its `limit_abs` is at least this times the baseline's e2e."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One metric of baseline and candidate, and how it is to be judged.

    Of values of which more is better the inverse stands here, so that more is always worse. `stop` is why it cannot be
    judged (then the values are for show). `net` tells that pauses were taken out.
    """

    metric: str
    metric_class: MetricClass
    unit: str
    baseline: Values
    now: Values
    margins: Margins
    primary: bool = False
    deciding: bool = True
    net: bool = False
    stop: Finding | None = None
    beyond: Cores | None = None
    whole: Margins | None = None


def series_of(now: Measurement, baseline: Baseline, choice: MetricChoice) -> tuple[Series, ...]:
    """The series that the choice of a case gates, the primary metric first and pauses behind it. A metric that neither
    side has is left out, but not a stage that the case names."""
    request = _Request(now, baseline, choice)
    gated = tuple(dict.fromkeys((choice.primary, *metrics.gated(choice))))
    unique: dict[str, Series] = {}
    for s in (s for name in gated for s in request.expand(name)):
        # Published numbers cover a few metrics; that others were not published is nothing to report.
        if s.baseline or s.primary or not request.reference:
            unique.setdefault(s.metric, s)
    if not request.reference and any(map(_has_denoising, gated)):
        unique |= {s.metric: s for s in request.torn()}
    return tuple(sorted(unique.values(), key=lambda s: (not s.primary, s.metric_class != "pause")))


def own_series(baseline: Baseline, choice: MetricChoice) -> tuple[Series, ...]:
    """The series of a baseline beside itself: what it says of its own noise, and what it will find."""
    return series_of(baseline.measurement, baseline, choice)


def _has_denoising(gate: str) -> bool:
    """Whether a gate name means all of denoising: its sum, or every stage."""
    metric = metrics.entry(gate)
    return metrics.group(gate) is not None or (metric is not None and metric.sums is not None)


def unknown_stages(launches: Sequence[LaunchRecord], choice: MetricChoice) -> tuple[UnknownStage, ...]:
    """The stages of the choice that no launch has: misspelt, or of another pipeline. Nothing is ever judged
    by them."""
    from difflib import get_close_matches

    there = counted(launches)
    asked: dict[str, str] = {}
    for key, names in (
        ("metrics.primary", (choice.primary,)),
        ("metrics.gate", metrics.gated(choice)),
        ("metrics.limits", choice.limits),
    ):
        for name in names:
            if (metric := metrics.entry(name)) is not None and metric.family:
                asked.setdefault(name, key)
    found = []
    for name, key in asked.items():
        family = metrics.entry(name)
        known = () if family is None else tuple(map(metrics.parameter, family.members(there)))
        word = metrics.parameter(name)
        if word not in known:
            near = next(iter(get_close_matches(word, known, n=1)), "")
            found.append(UnknownStage(key=key, name=word, near=near, known=known))
    return tuple(found)


def new_stages(now: Measurement, baseline: Baseline) -> tuple[str, ...]:
    """Stages that the candidate has and the baseline lacks: worth a mention, but there is nothing to judge them by."""
    known = stages_of(counted(baseline.measurement.launches))
    return tuple(metrics.parameter(name) for name in stages_of(counted(now.launches)) if name not in known)


class _Request:
    """Both sides' launches of one case, and what can be derived from them."""

    def __init__(self, now: Measurement, baseline: Baseline, choice: MetricChoice) -> None:
        self.choice = choice
        self.reference = baseline.kind == "reference"
        self.then = counted(baseline.measurement.launches)
        self.now = counted(now.launches)
        self.sides = Compared(then=self.then, now=self.now, primary=choice.primary)
        apart = not self.reference and self.sides.apart
        whole = [v for launch in self.then if (v := request_ms(launch, net=apart)) is not None]
        self.e2e_ms = statistics.median(whole) if whole else None

    def expand(self, name: str) -> Iterator[Series]:
        """The series behind one gate name."""
        if (family := metrics.group(name)) is not None:
            for member in family.members(self.then):
                if metrics.sum_of(member) is None and member != self.choice.primary:
                    yield self._series(member)
            return
        metric = metrics.entry(name)
        derived = () if self.reference or metric is None or metric.derive is None else metric.derive(self.sides, name)
        if derived:
            for place, one in enumerate(derived):
                yield self._series(one.metric, gate=one.metric if place else name, derived=one)
        elif any(name in launch.metrics for launch in (*self.then, *self.now)) or name == self.choice.primary:
            yield self._series(name)
        elif metric is not None and metric.family:
            # Misspelt, or of another pipeline or version of the engine.
            yield replace(self._series(name), deciding=True, stop=Finding(code="stage-unknown"))

    def torn(self) -> list[Series]:
        """Denoising stages that some launch lacks although the baseline has them: denoising is not the same then, and
        no figure of it tells what became of them."""
        launches = (*self.then, *self.now)
        torn = [name for name in denoising_of(self.then) if any(name not in launch.metrics for launch in launches)]
        return [replace(self._series(name), deciding=True) for name in torn]

    def _series(self, metric: str, *, gate: str | None = None, derived: Derived | None = None) -> Series:
        """`metric` as launches tell it, or as it was derived of them. `gate` is its name in the case, where that is
        another."""
        gate = gate or metric
        primary = gate == self.choice.primary
        kind = "primary" if primary else metrics.metric_class(metric)
        if derived is None:
            then, now = self.sides.each(lambda launch: launch.metrics.get(metric))
        else:
            then, now = derived.then, derived.now
        absent = all(v is None for v in then)
        gone = all(v is None for v in now) and not absent
        stop = Finding(code="stage-gone", of=len(now)) if gone else None
        was, is_now = (metrics.places(metric, side) for side in (self.then, self.now))
        if elsewhere := bool(was and is_now and was != is_now):
            stop = Finding(code="other-checkpoint", then=was, now=is_now)
        return Series(
            metric=metric,
            metric_class=kind,
            unit=metrics.unit(metric),
            # A metric that no launch has is not one with missing values: there is nothing to compare with.
            baseline=() if absent else metrics.costs(metric, then),
            now=metrics.costs(metric, now),
            margins=self._margins(kind, gate, metric),
            primary=primary,
            deciding=not self.reference and (kind != "stage" or gone) and not elsewhere,
            net=derived is not None and derived.net,
            stop=stop,
            beyond=None if derived is None else derived.beyond,
            whole=self._margins("primary", metrics.DENOISE, metrics.DENOISE) if derived and derived.beyond else None,
        )

    def _margins(self, kind: MetricClass, gate: str, name: str) -> Margins:
        """The class's margins, with the limit that the case states; `ignore` moves in proportion."""
        margins, metric, limits = CLASS_MARGINS[kind], metrics.entry(gate), self.choice.limits
        stated = limits.get(gate, limits.get(metric.group) if metric is not None else None)
        if self.reference:
            return replace(margins, limit=math.inf if stated is None else stated, limit_abs=0.0)
        if stated is not None:
            margins = replace(margins, limit=stated, ignore=margins.ignore * stated / margins.limit)
        unit = metrics.unit(name)
        if unit not in ("ms", "MiB") or metrics.more_is_better(name):
            # Absolute margins are of these units.
            return replace(margins, ignore_abs=0.0, limit_abs=0.0, noise_abs=0.0)
        if unit != "ms" or self.e2e_ms is None:
            return margins
        if kind == "stage":
            return replace(margins, limit_abs=max(margins.limit_abs, STAGE_SHARE * self.e2e_ms))
        if kind == "pause":
            # How often launches pause decides, not for how long: the pause that matters is in `limit_abs`, and one as
            # long as the request without it is of another kind.
            least = max(margins.limit_abs, margins.limit * self.e2e_ms)
            return replace(margins, limit_abs=least, extreme_abs=self.e2e_ms or math.inf)
        return margins
