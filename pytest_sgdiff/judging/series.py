"""What of a measurement is judged: the gate of a case expanded into pairs of series, one value per launch. Pure.

What a gate name means, and what is judged in place of the launches' own values, says the metric's entry
(`pytest_sgdiff.metrics`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Baseline, Finding, LaunchRecord, Measurement, MetricChoice, MetricClass, UnknownStage
from pytest_sgdiff.judging.comparable import counted
from pytest_sgdiff.judging.rules import CLASS_MARGINS, Margins, Whole
from pytest_sgdiff.metrics import Beyond, Compared, Derived, Values, denoising_of, request_ms, stages_of
from pytest_sgdiff.step_core import Cores

STAGE_SHARE = 0.01
"""A stage matters only by a share of the request: its `allow_abs` is at least this times the baseline's e2e."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One metric of baseline and candidate, and how it is to be judged.

    Of values of which more is better the inverse stands here, so that more is always worse. `stop` is why it cannot be
    judged (then the values are for show). `net` tells that pauses were taken out. `beyond` are the cores whose rest the
    series is, and `wholes` what core and excess are part of.
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
    wholes: tuple[Whole, ...] = ()


def series_of(
    now: Measurement, baseline: Baseline, choice: MetricChoice, *, accepted: Mapping[str, float] | None = None
) -> tuple[Series, ...]:
    """The series that the choice of a case gates, the primary metric first and pauses behind it. A metric that neither
    side has is left out, but not a stage that the case names. `accepted` are larger slowdowns by gate name, fractions,
    that somebody accepted in place of what the case allows."""
    request = _Request(now, baseline, choice, accepted or {})
    gated = tuple(dict.fromkeys(filter(None, (metrics.primary_of(choice), *metrics.gated(choice)))))
    unique: dict[str, Series] = {}
    # Pauses of the whole request hold those of denoising.
    for s in (s for name in sorted(gated, key=lambda name: name != metrics.E2E) for s in request.expand(name)):
        # Published numbers cover a few metrics; that others were not published is nothing to report.
        if s.baseline or s.primary or not request.reference:
            known = unique.setdefault(s.metric, s)
            if known is not s:
                unique[s.metric] = replace(known, wholes=(*known.wholes, *s.wholes))
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
        ("metrics.allow", _names(choice.allow)),
        ("metrics.detect", _names(choice.detect)),
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


def _names(stated: float | Mapping[str, float] | None) -> Iterable[str]:
    return stated if isinstance(stated, Mapping) else ()


class _Request:
    """Both sides' launches of one case, and what can be derived from them."""

    def __init__(
        self, now: Measurement, baseline: Baseline, choice: MetricChoice, accepted: Mapping[str, float]
    ) -> None:
        self.choice, self.accepted = choice, accepted
        self.primary = metrics.primary_of(choice)
        self.reference = baseline.kind == "reference"
        self.then = counted(baseline.measurement.launches)
        self.now = counted(now.launches)
        self.sides = Compared(then=self.then, now=self.now, primary=self.primary)
        apart = not self.reference and self.sides.apart
        whole = [v for launch in self.then if (v := request_ms(launch, net=apart)) is not None]
        self.e2e_ms = statistics.median(whole) if whole else None
        # A case that gates nothing but stages is decided by them.
        self.stages_decide = all((one := metrics.entry(name)) is None or one.family for name in metrics.gated(choice))

    def expand(self, name: str) -> Iterator[Series]:
        """The series behind one gate name."""
        if (family := metrics.group(name)) is not None:
            for member in family.members(self.then):
                if metrics.sum_of(member) is None and member != self.primary:
                    yield self._series(member)
            return
        metric = metrics.entry(name)
        derived = () if self.reference or metric is None or metric.derive is None else metric.derive(self.sides, name)
        if derived:
            for place, one in enumerate(derived):
                yield self._series(one.metric, gate=one.metric if place else name, derived=one, part_of=name)
        elif any(name in launch.metrics for launch in (*self.then, *self.now)) or name == self.primary:
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

    def _series(
        self, metric: str, *, gate: str | None = None, derived: Derived | None = None, part_of: str = ""
    ) -> Series:
        """`metric` as launches tell it, or as it was derived of them. `gate` is its name in the case, where that is
        another, and `part_of` the gate that it was derived of."""
        gate = gate or metric
        primary = gate == self.primary
        kind = "primary" if primary else metrics.metric_class(metric)
        if derived is None:
            then, now = self.sides.each(lambda launch: launch.metrics.get(metric))
        else:
            then, now = derived.then, derived.now
        absent = all(v is None for v in then)
        gone = all(v is None for v in now) and not absent
        stop = Finding(code="stage-gone", of=len(now)) if gone else None
        beyond = None if derived is None else derived.beyond
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
            deciding=not self.reference and (kind != "stage" or gone or self.stages_decide) and not elsewhere,
            net=derived is not None and derived.net,
            stop=stop,
            beyond=None if beyond is None else beyond.cores,
            wholes=() if beyond is None else (self._whole(part_of, beyond),),
        )

    def _whole(self, gate: str, beyond: Beyond) -> Whole:
        margins = self._margins("primary", gate, metrics.DENOISE)
        return Whole(then=beyond.then, now=beyond.now, margins=margins)

    def _margins(self, kind: MetricClass, gate: str, name: str) -> Margins:
        """The margins of the case, with what somebody accepted for a time in place of what the case allows, where that
        is more; `detect` keeps its distance. Who accepts that a part takes longer accepts that much of the whole."""
        margins = self._own_margins(kind, gate, name)
        if not self.accepted or kind == "pause":
            return margins
        stated, apart = self._stated(self.accepted, gate, kind), margins.detect - margins.allow
        if stated is not None and margins.allow < stated:
            margins = replace(margins, allow=stated, detect=stated + apart)
        whole = self._usual_ms(gate)
        extra = 0.0 if whole is None or self.reference else self._accepted_ms(gate, margins.allow)
        if not extra or whole is None:
            return margins
        allowed = max(margins.allow * whole, margins.allow_abs) + extra
        margins = _at_least(margins, allowed)
        return replace(margins, detect_abs=max(margins.detect_abs, allowed + apart * whole))

    def _accepted_ms(self, gate: str, usual: float) -> float:
        """How many ms more than the `usual` share a metric may take since that was accepted of its parts."""
        if gate == metrics.CLIENT_E2E:
            inner = self._lent_ms(metrics.E2E, self.accepted.get(metrics.E2E), usual)
            return max(inner, self._accepted_ms(metrics.E2E, usual))
        if gate == metrics.E2E:
            others = [name for name in stages_of(self.then) if metrics.sum_of(name) is None]
            parts = [metrics.DENOISE, *others]
        else:
            parts = list(denoising_of(self.then)) if gate == metrics.DENOISE else []
        return sum(self._lent_ms(name, self._part(self.accepted, name), usual) for name in parts)

    def _lent_ms(self, part: str, share: float | None, usual: float) -> float:
        """What a part gives to what holds it: the ms that it really takes longer, and no more than is accepted. One
        that is not judged itself gives none: nothing would bound it."""
        then, now = self._usual_ms(part), _median_ms(self.now, part)
        if share is None or then is None or now is None or not self._judges(part):
            return 0.0
        return max(0.0, min((share - usual) * then, now - then))

    def _judges(self, part: str) -> bool:
        """Whether the case gates a part, by its own name, as a member of what it is part of, or by all its stages."""
        whole = metrics.sum_of(part)
        stages = denoising_of(self.then) if part == metrics.DENOISE else ()
        return (
            metrics.gates(self.choice, part)
            or (whole is not None and metrics.gates(self.choice, whole.name))
            or (bool(stages) and set(stages) <= set(metrics.gated(self.choice)))
        )

    def _own_margins(self, kind: MetricClass, gate: str, name: str) -> Margins:
        """The class's margins, with what the case states; where that is `allow` alone, `detect` keeps its distance."""
        usual = CLASS_MARGINS[kind]
        allow, detect = (self._stated(figures, gate, kind) for figures in (self.choice.allow, self.choice.detect))
        if self.reference:
            return replace(usual, allow=math.inf if allow is None else allow, allow_abs=0.0)
        if kind == "pause":
            return self._pause_margins(usual)
        apart, margins = usual.detect - usual.allow, usual.allowing(allow, detect)
        unit = metrics.unit(name)
        if unit not in ("ms", "MiB") or metrics.more_is_better(name):
            # Absolute margins are of these units.
            return replace(margins, allow_abs=0.0, detect_abs=0.0, noise_abs=0.0)
        if unit != "ms" or self.e2e_ms is None:
            return margins
        if kind == "stage":
            return _at_least(margins, STAGE_SHARE * self.e2e_ms)
        accepted = None if allow is not None else self._parts_ms(gate, margins.allow)
        if accepted is None:
            return margins
        extra, whole = accepted
        return replace(_at_least(margins, extra), detect_abs=max(margins.detect_abs, extra + apart * whole))

    def _pause_margins(self, usual: Margins) -> Margins:
        """How often launches pause decides, not for how long: the pause that matters is in `allow_abs`, and one as long
        as the request without it is of another kind. A pause is part of the request, which may take as much longer."""
        if self.e2e_ms is None:
            return usual
        stated = self._stated(self.choice.allow, metrics.E2E, "primary") or 0.0
        share = max(usual.allow, stated, self.accepted.get(metrics.PAUSE, 0.0))
        least = max(usual.allow_abs, share * self.e2e_ms)
        return replace(usual, allow=share, allow_abs=least, extreme_abs=max(self.e2e_ms, least) or math.inf)

    def _stated(self, figures: float | Mapping[str, float] | None, gate: str, kind: MetricClass) -> float | None:
        """What the case states for one of its metrics, None where that is nothing.

        One figure for the case is one of the whole request: stages, which are less steady, take it where it is more
        than theirs, and memory is no slowdown.
        """
        if figures is None or isinstance(figures, Mapping):
            metric, whole = metrics.entry(gate), metrics.sum_of(gate)
            names = (gate, "" if metric is None else metric.group, "" if whole is None else whole.name)
            return next((figures[name] for name in names if name in figures), None) if figures else None
        if kind == "stage":
            return figures if figures > CLASS_MARGINS[kind].allow else None
        return figures if kind == "primary" else None

    def _parts_ms(self, gate: str, usual: float) -> tuple[float, float] | None:
        """How many ms more a metric may take since the case allows them to parts of it, and how many it takes in all;
        None where it states nothing of them. What is no part of those is allowed what is usual."""
        stated = self.choice.allow if isinstance(self.choice.allow, Mapping) else {}
        stages = [name for name in stages_of(self.then) if metrics.sum_of(name) is None or gate != metrics.E2E]
        parts = [metrics.DENOISE, *stages] if gate == metrics.E2E else list(denoising_of(self.then))
        whole = self.e2e_ms if gate == metrics.E2E else self._usual_ms(metrics.DENOISE)
        if gate not in (metrics.E2E, metrics.DENOISE) or whole is None:
            return None
        known = [
            (allow, took)
            for name in parts
            if (allow := self._part(stated, name)) is not None and (took := self._usual_ms(name)) is not None
        ]
        if not known:
            return None
        rest = max(0.0, whole - sum(took for _, took in known))
        return sum(allow * took for allow, took in known) + usual * rest, whole

    def _part(self, stated: Mapping[str, float], name: str) -> float | None:
        """What is allowed of a part: as stated, and denoising as its only stage."""
        sole = denoising_of(self.then)
        if name == metrics.DENOISE and name not in stated and len(sole) == 1:
            return stated.get(sole[0])
        metric = metrics.entry(name)
        return stated.get(
            name, stated.get(metric.group) if metric is not None and metrics.sum_of(name) is None else None
        )

    def _usual_ms(self, name: str) -> float | None:
        return _median_ms(self.then, name)


def _median_ms(launches: Sequence[LaunchRecord], name: str) -> float | None:
    values = [launch.metrics[name] for launch in launches if name in launch.metrics]
    return statistics.median(values) if values else None


def _at_least(margins: Margins, ms: float) -> Margins:
    """The margins, with what is allowed in ms raised to `ms`, and what a pass rules out as far beyond it as before."""
    allow_abs = max(margins.allow_abs, ms)
    return replace(margins, allow_abs=allow_abs, detect_abs=margins.detect_abs + allow_abs - margins.allow_abs)
