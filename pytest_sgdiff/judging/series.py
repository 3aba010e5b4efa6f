"""What of a measurement is judged: the gate of a case expanded into pairs of series, one value per launch. Pure.

Where both sides carry denoising steps, the request is taken apart: the sum of the steps, which is by far the steadiest
figure (CV 0.3 to 0.8 % on real launches), stands for denoising; what the launch spent outside steps and stages is
`pause`, a metric of its own; and e2e is judged net of it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_sgdiff.data import Baseline, Finding, LaunchRecord, Measurement, MetricChoice, MetricClass, UnknownStage
from pytest_sgdiff.judging.comparable import checkpoints, counted
from pytest_sgdiff.judging.estimator import total
from pytest_sgdiff.judging.rules import CLASS_MARGINS, Margins
from pytest_sgdiff.metrics import STAGE, is_denoising, is_stage, metric_class, unit

STAGE_SHARE = 0.01
"""A stage matters only by a share of the request: its `limit_abs` is at least this times the baseline's e2e."""
COVERED = 0.95
"""Share of the denoising stage that the steps must cover in some launch before they may stand for it; others may pause.
Recorded: 0.98 to 0.99. Launches that are not synchronised can leave work behind the last step, which only the stage
contains."""

Values = tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """One metric of baseline and candidate, and how it is to be judged.

    `stop` is why it cannot be judged (then the values are for show). `net` tells that pauses were taken out.
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


def series_of(now: Measurement, baseline: Baseline, choice: MetricChoice) -> tuple[Series, ...]:
    """The series that the choice of a case gates, the primary metric first. A metric that neither side has is left
    out, but not a stage that the case names."""
    request = _Request(now, baseline, choice)
    gated = tuple(dict.fromkeys((choice.primary, *choice.gate)))
    found = [s for name in gated for s in request.expand(name)]
    if request.reference:
        # Published numbers cover a few metrics; that others were not published is nothing to report.
        found = [s for s in found if s.baseline or s.primary]
    elif {"denoise", "stages"} & set(gated):
        found += request.torn()
    first, others = [s for s in found if s.primary], [s for s in found if not s.primary]
    if request.apart and (any(s.net or s.metric == "denoise_steps" for s in found)):
        first.append(request.pause())
    return tuple({s.metric: s for s in (*first, *others)}.values())


def unknown_stages(launches: Sequence[LaunchRecord], choice: MetricChoice) -> tuple[UnknownStage, ...]:
    """The stages of the choice that no launch has: misspelt, or of another pipeline. Nothing is ever judged
    by them."""
    from difflib import get_close_matches

    known = tuple(name.removeprefix(STAGE) for name in _stages(counted(launches)))
    asked: dict[str, str] = {}
    for key, names in (
        ("metrics.primary", (choice.primary,)),
        ("metrics.gate", choice.gate),
        ("metrics.limits", choice.limits),
    ):
        for name in names:
            if name.startswith(STAGE):
                asked.setdefault(name.removeprefix(STAGE), key)
    return tuple(
        UnknownStage(key=key, name=name, near=next(iter(get_close_matches(name, known, n=1)), ""), known=known)
        for name, key in asked.items()
        if name not in known
    )


def new_stages(now: Measurement, baseline: Baseline) -> tuple[str, ...]:
    """Stages that the candidate has and the baseline lacks: worth a mention, but there is nothing to judge them by."""
    known = _stages(counted(baseline.measurement.launches))
    return tuple(name.removeprefix(STAGE) for name in _stages(counted(now.launches)) if name not in known)


class _Request:
    """Both sides' launches of one case, and what can be derived from them."""

    def __init__(self, now: Measurement, baseline: Baseline, choice: MetricChoice) -> None:
        self.choice = choice
        self.reference = baseline.kind == "reference"
        self.then = counted(baseline.measurement.launches)
        self.now = counted(now.launches)
        self.apart = not self.reference and _separable(self.then, self.now)
        whole = [v for launch in self.then if (v := self._e2e(launch)) is not None]
        self.e2e_ms = statistics.median(whole) if whole else None

    def expand(self, name: str) -> Iterator[Series]:
        """The series behind one gate name."""
        if name == "stages":
            for stage in _stages(self.then):
                if not is_denoising(stage.removeprefix(STAGE)) and stage != self.choice.primary:
                    yield self._stage(stage)
        elif name == "denoise" and self.apart:
            yield self._series("denoise_steps", gate=name)
        elif name == "e2e" and self.apart:
            then, now = (tuple(self._e2e(launch) for launch in side) for side in (self.then, self.now))
            yield replace(self._series(name), baseline=then, now=now, net=True)
        elif name == "peak_memory":
            yield from self._memory()
        elif name.startswith(STAGE):
            if any(name in launch.metrics for launch in (*self.then, *self.now)):
                yield self._stage(name)
            else:
                yield self._unknown_stage(name)
        elif name == self.choice.primary or any(name in launch.metrics for launch in (*self.then, *self.now)):
            yield self._series(name)

    def pause(self) -> Series:
        """Milliseconds per launch outside steps and stages, with the pause that matters in `limit_abs`; one as long as
        the request without it is of another kind.

        Cases do not set it: how often launches pause decides, not for how long.
        """
        usual = CLASS_MARGINS["pause"]
        return Series(
            metric="pause",
            metric_class="pause",
            unit="ms",
            baseline=tuple(pause_ms(launch) for launch in self.then),
            now=tuple(pause_ms(launch) for launch in self.now),
            margins=replace(
                usual,
                limit_abs=max(usual.limit_abs, usual.limit * (self.e2e_ms or 0.0)),
                extreme_abs=self.e2e_ms or math.inf,
            ),
        )

    def torn(self) -> list[Series]:
        """Denoising stages that some launch lacks although the baseline has them: denoising is not the same then, and
        no figure of it tells what became of them."""
        launches = (*self.then, *self.now)
        torn = [name for name in _denoising(self.then) if any(name not in launch.metrics for launch in launches)]
        return [replace(self._series(name), deciding=True) for name in torn]

    def _series(self, metric: str, *, gate: str | None = None) -> Series:
        """`metric` as launches tell it. `gate` is its name in the case, where that is another."""
        gate = gate or metric
        primary = gate == self.choice.primary
        kind = "primary" if primary else metric_class(metric)
        then, now = ([launch.metrics.get(metric) for launch in side] for side in (self.then, self.now))
        absent = all(v is None for v in then)
        gone = all(v is None for v in now) and not absent
        return Series(
            metric=metric,
            metric_class=kind,
            unit=unit(metric),
            # A metric that no launch has is not one with missing values: there is nothing to compare with.
            baseline=() if absent else tuple(then),
            now=tuple(now),
            margins=self._margins(kind, gate),
            primary=primary,
            deciding=not self.reference and (kind != "stage" or gone),
            stop=Finding(code="stage-gone", of=len(now)) if gone else None,
        )

    def _unknown_stage(self, name: str) -> Series:
        """A stage that the case names and nobody has: misspelt, or of another pipeline or version of the engine."""
        series = self._series(name)
        if series.primary:
            return series
        return replace(series, deciding=True, stop=Finding(code="stage-unknown"))

    def _stage(self, name: str) -> Series:
        series = self._series(name)
        if series.primary and self.apart and _sole_denoising(self.then) == name == _sole_denoising(self.now):
            then, now = (tuple(_steps(launch) for launch in side) for side in (self.then, self.now))
            return replace(series, baseline=then, now=now, net=True)
        if series.metric_class == "stage" and self.e2e_ms is not None and not self.reference:
            share = STAGE_SHARE * self.e2e_ms
            margins = replace(series.margins, limit_abs=max(series.margins.limit_abs, share))
            return replace(series, margins=margins)
        return series

    def _memory(self) -> Iterator[Series]:
        if not any("peak_memory" in launch.metrics for launch in (*self.then, *self.now)):
            return
        series = self._series("peak_memory")
        then, now = checkpoints(self.then), checkpoints(self.now)
        if then and now and then != now:
            found = Finding(code="other-checkpoint", then=tuple(then), now=tuple(now))
            series = replace(series, deciding=False, stop=found)
        yield series

    def _margins(self, kind: MetricClass, gate: str) -> Margins:
        """The class's margins, with the limit that the case states; `ignore` moves in proportion."""
        margins, limits = CLASS_MARGINS[kind], self.choice.limits
        stated = limits.get(gate, limits.get("stages") if gate.startswith(STAGE) else None)
        if self.reference:
            return replace(margins, limit=math.inf if stated is None else stated, limit_abs=0.0)
        if stated is None:
            return margins
        return replace(margins, limit=stated, ignore=margins.ignore * stated / margins.limit)

    def _e2e(self, launch: LaunchRecord) -> float | None:
        e2e = launch.metrics.get("e2e")
        if not self.apart or e2e is None:
            return e2e
        pause = pause_ms(launch)
        return None if pause is None else e2e - pause


def pause_ms(launch: LaunchRecord) -> float | None:
    """Milliseconds outside the steps and the stages: denoising beyond its steps, the request beyond its stages.

    Each part is clamped at zero, for clocks disagree by microseconds. None where a part is not known.
    """
    denoise, steps, e2e = (launch.metrics.get(name) for name in ("denoise", "denoise_steps", "e2e"))
    if denoise is None or steps is None:
        return None
    gap = max(0.0, denoise - steps)
    if e2e is None:
        return gap
    stages = total(v for name, v in launch.metrics.items() if name.startswith(STAGE) and is_stage(name))
    return gap + max(0.0, e2e - stages) if stages else gap


def _steps(launch: LaunchRecord) -> float | None:
    return launch.metrics.get("denoise_steps")


def _separable(then: Sequence[LaunchRecord], now: Sequence[LaunchRecord]) -> bool:
    """Whether steps may stand for denoising: every launch has both, and some launch's cover nearly all.

    And whether what lies outside the stages is a pause: in a launch whose denoising stage is missing it is denoising.
    """
    if not then or not now:
        return False
    known = _denoising(then)
    for launch in (*then, *now):
        has = _denoising((launch,))
        if not set(known) <= set(has) or (not has and _stages((launch,))):
            return False
    if any(not _positive(launch, name) for launch in (*then, *now) for name in ("denoise", "denoise_steps")):
        return False
    return max(launch.metrics["denoise_steps"] / launch.metrics["denoise"] for launch in (*then, *now)) >= COVERED


def _positive(launch: LaunchRecord, name: str) -> bool:
    value = launch.metrics.get(name)
    return value is not None and math.isfinite(value) and value > 0


def _stages(launches: Sequence[LaunchRecord]) -> tuple[str, ...]:
    """Metric names of the launches' stages, in the order in which they ran."""
    names = dict.fromkeys(name for launch in launches for name in launch.metrics)
    return tuple(name for name in names if name.startswith(STAGE) and is_stage(name.removeprefix(STAGE)))


def _denoising(launches: Sequence[LaunchRecord]) -> tuple[str, ...]:
    """Those of `_stages` that are part of denoising."""
    return tuple(name for name in _stages(launches) if is_denoising(name.removeprefix(STAGE)))


def _sole_denoising(launches: Sequence[LaunchRecord]) -> str | None:
    """The one denoising stage, None where there are several."""
    names = _denoising(launches)
    return names[0] if len(names) == 1 else None
