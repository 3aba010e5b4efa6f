"""Two sides compared: what `sgdiff compare OLD NEW` says. Pure.

With three launches or more on both sides the rule of the gate decides. Fewer cannot be told from noise: then the
differences are held against fixed tolerances, which are those of upstream's compare_perf.py where it has one (e2e 2 %,
a stage 10 % and 120 ms).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.compare.sides import GPUS, Side
from pytest_sgdiff.data import Baseline, Estimator, Machine, Measurement, MetricChoice, Recorded, Verdict, Workload
from pytest_sgdiff.judging.estimator import centres, over
from pytest_sgdiff.judging.judge import judge
from pytest_sgdiff.metrics import DENOISE_GAP, costs, everything, metric_class, steadier, unit
from pytest_sgdiff.reports.figures import fixed, measured
from pytest_sgdiff.reports.finding_text import why

Status = Literal["slower", "faster", "similar", "undecided", "unknown"]

FEWEST_FOR_A_RULE = 3
"""Launches of each side without which the rule has no spread to go by (docs/decision.md, "The rule for one metric")."""

TOLERANCES = {"primary": (0.02, 0.0), "stage": (0.10, 120.0), "memory": (0.02, 128.0)}
"""Metric class -> fraction, and ms or MiB; a difference must be larger than both. Primary and stage as upstream's
compare_perf.py has them for e2e and stages, memory as upstream's PerformanceValidator (runtime_peak_vram)."""

NO_MACHINE = Machine(kind="gpu", product="not told", count=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric: centres in `unit` by `estimator`, change as their ratio, the 95 % interval by the rule."""

    metric: str
    unit: str
    old: float | None
    new: float | None
    ratio: float | None
    status: Status
    why: str
    low: float | None = None
    high: float | None = None
    estimator: Estimator = "mean"


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What came of it. `differences` are reasons why the sides are not comparable; unless `anyway`, rows are empty
    then. `ways` are other flags that differ: two ways of doing the same work. `by` is what decided.
    `left_out` are the other cases of the two recordings that were not compared, a line each with the reason."""

    old: Side
    new: Side
    by: Literal["rule", "tolerance"]
    rows: tuple[Row, ...] = ()
    differences: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
    anyway: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def untold(self) -> tuple[str, ...]:
        """What may differ unseen, for one of the sides does not tell it: a perf dump names neither GPUs nor sizes."""
        return tuple(dict.fromkeys((*self.old.untold, *self.new.untold)))

    @property
    def exit_code(self) -> int:
        """0, 1 if anything is slower, 2 if the sides are not comparable."""
        if self.differences and not self.anyway:
            return 2
        return 1 if any(row.status == "slower" for row in self.rows) else 0


def compare(old: Side, new: Side, *, anyway: bool = False) -> Comparison:
    """Compare two sides. Other models, GPUs, sizes, stage timers or backends are not compared unless `anyway`."""
    both = [name for name in old.facts if name in new.facts]
    differences = tuple(
        f"{name}: {old.facts[name]} against {new.facts[name]}"
        for name in both
        # The machine tells how many GPUs there are of which kind.
        if old.facts[name] != new.facts[name] and not (name == GPUS and "machine" in both)
    )
    ruled = min(len(old.launches), len(new.launches)) >= FEWEST_FOR_A_RULE
    rows: tuple[Row, ...] = ()
    if anyway or not differences:
        rows = tuple(_ruled(old, new) if ruled else _tolerated(old, new))
    return Comparison(
        old=old,
        new=new,
        by="rule" if ruled else "tolerance",
        rows=rows,
        differences=differences,
        ways=(*_ways(old.flags, new.flags), *_ways(old.variables, new.variables, mark="")),
        anyway=anyway,
    )


def _ways(old: Mapping[str, str] | None, new: Mapping[str, str] | None, *, mark: str = "--") -> Iterator[str]:
    if old is None or new is None:
        return
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield f"{mark}{name}: {_given(old, name)} in the old, {_given(new, name)} in the new"


def _given(flags: Mapping[str, str], name: str) -> str:
    return (flags[name] or "set") if name in flags else "not set"


_STATUS: dict[str, Status] = {
    "regressed": "slower",
    "improved": "faster",
    "pass": "similar",
    "inconclusive": "undecided",
    "no-baseline": "unknown",
}


def _ruled(old: Side, new: Side) -> Iterator[Row]:
    workload = Workload(digest="")
    machine = old.machine or NO_MACHINE
    before, now = (
        Measurement(case="", machine=machine, workload=workload, launches=side.launches) for side in (old, new)
    )
    baseline = Baseline(measurement=before, recorded=Recorded(at="", command=""))
    yield from map(_row, judge(now, baseline, MetricChoice(gate=everything()), looks=len(new.launches)))


def _row(verdict: Verdict) -> Row:
    return Row(
        metric=verdict.metric,
        unit=verdict.unit,
        old=verdict.baseline,
        new=verdict.now,
        ratio=verdict.ratio,
        status=_STATUS[verdict.outcome],
        why=why(verdict),
        low=verdict.low,
        high=verdict.high,
        estimator=verdict.estimator,
    )


def _tolerated(old: Side, new: Side) -> Iterator[Row]:
    figures = _centres(old, new)
    before, now = ({name: v for name, (sides, _) in figures.items() if (v := sides[i]) is not None} for i in (0, 1))
    generations = {launch.generation for side in (old, new) for launch in side.launches if launch.generation}
    for name in (*now, *(name for name in before if name not in now)):
        kind, a, b = metric_class(name), before.get(name), now.get(name)
        ratio = over(b, a) if kind != "pause" else None
        status, why = _status(kind, *costs(name, (a, b)))
        if kind == "memory" and len(generations) > 1:
            status, why = "unknown", "the engines take the peak at different places"
        if status == "slower" and kind == "primary" and steadier(name):
            why += _pause(before, now, a, b)
        by = figures[name][1]
        yield Row(metric=name, unit=unit(name), old=a, new=b, ratio=ratio, status=status, why=why, estimator=by)


def _centres(*sides: Side) -> dict[str, tuple[tuple[float | None, ...], Estimator]]:
    """Both sides' centres of every metric that one of them has, and the estimator of both."""
    names = dict.fromkeys(name for side in sides for launch in side.launches for name in launch.metrics)
    return {
        name: centres(metric_class(name), *([launch.metrics.get(name) for launch in side.launches] for side in sides))
        for name in names
    }


def _pause(before: dict[str, float], now: dict[str, float], old: float | None, new: float | None) -> str:
    """How much of a slowdown lies between the steps, if that is most of it: rare pauses are no slower engine."""
    pause = now.get(DENOISE_GAP, 0.0) - before.get(DENOISE_GAP, 0.0)
    if old is None or new is None or pause < (new - old) / 2:
        return ""
    return f", {fixed(pause, 0)} ms of it a pause: launch again"


def _status(kind: str, old: float | None, new: float | None) -> tuple[Status, str]:
    if old is None or new is None:
        return "unknown", f"only in the {'new' if old is None else 'old'}"
    if kind == "pause":
        return "similar", "not held against a tolerance"
    fraction, absolute = TOLERANCES[kind]
    margin = max(old * fraction, absolute)
    told = measured(fraction) + (f" and {absolute:.0f} {'MiB' if kind == 'memory' else 'ms'}" if absolute else "")
    if new > old + margin:
        return "slower", f"more than {told}"
    if new < old - margin:
        return "faster", f"more than {told}"
    return "similar", f"within {told}"
