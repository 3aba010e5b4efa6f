"""Two sides compared: what `sgdiff compare OLD NEW` says. Pure.

The rule of the gate decides, with however many launches each side has. A side of one launch or two cannot show its own
spread: there the prior stands for it, and beside each verdict stands what so few launches can show at all. Fixed
tolerances, those of upstream's compare_perf.py, judge only where they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_sgdiff.compare.sides import GPUS, Fact, Side
from pytest_sgdiff.data import (
    Baseline,
    ComparisonCode,
    Environment,
    Estimator,
    Finding,
    LaunchRecord,
    Machine,
    Measurement,
    MetricChoice,
    MetricClass,
    Outcome,
    Recorded,
    Verdict,
    Workload,
)
from pytest_sgdiff.judging.comparable import same_node
from pytest_sgdiff.judging.estimator import centres, middle, over
from pytest_sgdiff.judging.judge import verdicts_on
from pytest_sgdiff.judging.power import prospect
from pytest_sgdiff.judging.rules import CLASS_MARGINS, FewLaunchesPauseRule, FewLaunchesRule, Rule
from pytest_sgdiff.judging.rules.moderated import BASELINE_LAUNCHES, SMALL_BASELINE
from pytest_sgdiff.judging.rules.three_way import CONFIRM_LAUNCHES, GROSS_LAUNCHES
from pytest_sgdiff.judging.series import series_of
from pytest_sgdiff.metrics import (
    DENOISE,
    DENOISE_CORE,
    DENOISE_GAP,
    DENOISE_STEPS,
    E2E,
    costs,
    everything,
    metric_class,
    pause_ms,
    places,
    stages_of,
    sum_of,
    total,
    unit,
)

Status = Literal["slower", "faster", "not-slower", "cannot-tell", "similar", "not-judged"]
"""`similar` is within a fixed tolerance, which says nothing of noise; `not-judged` is for the reader only."""

Result = Literal["slower", "not-slower", "cannot-tell", "similar", "not-comparable"]

Tolerances = Mapping[str, tuple[float, float]]
"""Metric class -> fraction, and ms or MiB; a difference must be larger than both."""

UPSTREAM: Tolerances = {"primary": (0.02, 0.0), "stage": (0.10, 120.0), "memory": (0.02, 128.0)}
"""Primary and stage as upstream's compare_perf.py has them for e2e and stages, memory as upstream's
PerformanceValidator (runtime_peak_vram)."""

TOLERANCES: Mapping[str, Tolerances] = {"upstream": UPSTREAM}

FEW_RULES: Mapping[MetricClass, Rule] = {
    "primary": FewLaunchesRule(),
    "stage": FewLaunchesRule(),
    # No host holds up an allocation: launches of one engine take the same memory.
    "memory": FewLaunchesRule(steady=True),
    "pause": FewLaunchesPauseRule(),
}

NO_MACHINE = Machine(kind="gpu", product="not recorded", count=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One metric: centres in `unit` by `estimator`, change as their ratio, the 95 % interval by the rule. `net` is
    without pauses. Of a row that is not `deciding` nothing hangs on what cannot be told. `suspect`: slower by more than
    noise, but not shown. All fractions: `noise` is by how much launches differ anyway, where they are too few to
    say so; `shows` the smallest slowdown that these launches show, None for none of any size; `more` the one that
    `Comparison.needed` launches of each side find."""

    metric: str
    metric_class: MetricClass
    unit: str
    old: float | None
    new: float | None
    ratio: float | None
    status: Status
    finding: Finding
    net: bool = False
    deciding: bool = True
    suspect: bool = False
    low: float | None = None
    high: float | None = None
    noise: float | None = None
    shows: float | None = None
    more: float | None = None
    estimator: Estimator = "mean"


@dataclass(frozen=True, kw_only=True, slots=True)
class Unlike:
    """A fact that is not the same on both sides, so that their numbers are of different work."""

    name: str
    old: Fact
    new: Fact


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A flag of the engine or a variable that is not the same on both sides: another way of doing the same work. None
    where it is not set, empty where it is set without a value; `reports/comparison.py` has the words."""

    kind: Literal["flag", "variable"]
    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What came of it. `differences` are reasons why the sides are not comparable; unless `anyway`, rows are empty
    then. `ways` are the flags and variables that differ. `by` is what decided: the rule of the
    gate; the same with its prior for launches that are too few; the rule for published numbers, which shows differences
    only; or fixed tolerances. `needed` launches of each side
    would show more (None: there are that many).
    `left_out` are the other cases of the two recordings that were not compared, a line each with the reason."""

    old: Side
    new: Side
    by: Literal["rule", "prior", "reference", "tolerance"]
    rows: tuple[Row, ...] = ()
    differences: tuple[Unlike, ...] = ()
    ways: tuple[Way, ...] = ()
    anyway: bool = False
    needed: int | None = None
    left_out: tuple[str, ...] = ()

    @property
    def untold(self) -> tuple[str, ...]:
        """What may differ unseen, for one of the sides does not tell it: a perf dump names neither GPUs nor sizes."""
        return tuple(dict.fromkeys((*self.old.untold, *self.new.untold)))

    @property
    def result(self) -> Result:
        """What holds of all metrics together: the worst that one of them says. A stage that cannot be told holds up
        nothing, as in a gated case, unless it is slower by more than noise."""
        if self.differences and not self.anyway:
            return "not-comparable"
        if any(row.status == "slower" for row in self.rows):
            return "slower"
        if self.by == "tolerance":
            return "similar"
        if self.by == "reference":
            return "cannot-tell"
        judged = [row for row in self.rows if row.status != "not-judged"]
        held_up = any(row.status == "cannot-tell" and (row.deciding or row.suspect) for row in judged)
        return "cannot-tell" if held_up or not judged else "not-slower"

    @property
    def exit_code(self) -> int:
        """0, also where nothing can be told, 1 if anything is slower, 2 if the sides are not comparable."""
        return {"slower": 1, "not-comparable": 2}.get(self.result, 0)

    @property
    def shown(self) -> tuple[Row, ...]:
        """For each class of metric the row that says what these launches can show of it: the primary one, the longest
        stage, memory."""
        found: dict[MetricClass, Row] = {}
        for row in self.rows:
            if (
                row.status == "not-judged"
                or row.metric_class == "pause"
                or (row.shows or row.noise or row.more) is None
            ):
                continue
            known = found.get(row.metric_class)
            if known is None or (row.metric_class == "stage" and (row.old or 0.0) > (known.old or 0.0)):
                found[row.metric_class] = row
        return tuple(found.values())


def compare(old: Side, new: Side, *, anyway: bool = False, tolerances: Tolerances | None = None) -> Comparison:
    """Compare two sides. Other models, GPUs, sizes, stage timers or backends are not compared unless `anyway`.

    `tolerances` judge in place of the rule, of however many launches.
    """
    both = [name for name in old.facts if name in new.facts]
    differences = tuple(
        Unlike(name=name, old=old.facts[name], new=new.facts[name])
        for name in both
        # The machine tells how many GPUs there are of which kind.
        if old.facts[name] != new.facts[name] and not (name == GPUS and "machine" in both)
    )
    fewest = min(len(old.launches), len(new.launches))
    published = old.published or new.published
    by: Literal["rule", "prior", "reference"] = (
        "reference" if published else "prior" if fewest < GROSS_LAUNCHES else "rule"
    )
    rows: tuple[Row, ...] = ()
    if anyway or not differences:
        rows = tuple(_ruled(old, new, by=by) if tolerances is None else _tolerated(old, new, tolerances))
    return Comparison(
        old=old,
        new=new,
        by=by if tolerances is None else "tolerance",
        rows=rows,
        differences=differences,
        ways=(*_ways("flag", old.flags, new.flags), *_ways("variable", old.variables, new.variables)),
        anyway=anyway,
        needed=CONFIRM_LAUNCHES if tolerances is None and not published and fewest < CONFIRM_LAUNCHES else None,
    )


def alike(launches: Sequence[LaunchRecord]) -> Comparison:
    """What so many launches show against as many others on the same GPU: they are compared with themselves."""
    here = Environment(host="here")
    side = Side(label="", launches=tuple(replace(launch, environment=here) for launch in launches))
    return compare(side, side)


def stands_out(launch: LaunchRecord) -> float | None:
    """The milliseconds that a launch spent outside its steps and stages, if that is a pause that matters; else None."""
    pause, whole = pause_ms(launch), launch.metrics.get("e2e", 0.0)
    margins = CLASS_MARGINS["pause"]
    if pause is None or pause <= max(margins.allow_abs, margins.allow * (whole - pause)):
        return None
    return pause


def _ways(
    kind: Literal["flag", "variable"], old: Mapping[str, str] | None, new: Mapping[str, str] | None
) -> Iterator[Way]:
    if old is None or new is None:
        return
    for name in dict.fromkeys((*old, *new)):
        if old.get(name) != new.get(name):
            yield Way(kind=kind, name=name, old=old.get(name), new=new.get(name))


_STATUS: Mapping[Outcome, Status] = {
    "regressed": "slower",
    "improved": "faster",
    "pass": "not-slower",
    "inconclusive": "cannot-tell",
    "no-baseline": "not-judged",
}


def _ruled(old: Side, new: Side, *, by: Literal["rule", "prior", "reference"]) -> Iterator[Row]:
    workload = Workload(digest="")
    machine = old.machine or NO_MACHINE
    before, now = (
        Measurement(case="", machine=machine, workload=workload, launches=side.launches) for side in (old, new)
    )
    kind: Literal["recorded", "reference"] = "reference" if by == "reference" else "recorded"
    baseline = Baseline(measurement=before, recorded=Recorded(at="", command=""), kind=kind)
    near = same_node(new.launches, baseline)
    found = series_of(now, baseline, MetricChoice(gate=everything()))
    rules = FEW_RULES if by == "prior" else None
    verdicts, series = (
        verdicts_on(found, now, baseline, looks=(len(new.launches),), rules=rules),
        {s.metric: s for s in found},
    )
    fewest = min(len(old.launches), len(new.launches))
    for verdict in verdicts:
        more = None
        if by != "reference" and fewest < CONFIRM_LAUNCHES:
            more = prospect(series[verdict.metric], CONFIRM_LAUNCHES, same_node=near)
        status, finding = _STATUS.get(verdict.outcome, "not-judged"), verdict.finding
        if finding.code == "no-baseline":
            finding = Finding(code="new-only")
        if finding.code == "other-checkpoint":
            status = "not-judged"
        suspect = verdict.suspect
        if by == "prior" and not verdict.net and finding.code in ("small-baseline-gross", "few-launches-beyond"):
            length = _paused(verdict, old.launches, new.launches)
            if length is not None:
                status, suspect = "cannot-tell", False
                finding = Finding(code="change-is-a-pause", longest=length)
        yield Row(
            metric=verdict.metric,
            metric_class=verdict.metric_class,
            unit=verdict.unit,
            old=verdict.baseline,
            new=verdict.now,
            ratio=verdict.ratio,
            status=status,
            finding=finding,
            net=verdict.net,
            deciding=verdict.deciding,
            suspect=suspect,
            low=verdict.low,
            high=verdict.high,
            noise=verdict.finding.size if verdict.finding.code in _OF_FEW else None,
            shows=None if by == "reference" else _shows(verdict, old, new),
            more=more,
            estimator=verdict.estimator,
        )
    yield from _others(old, new, verdicts)


_OF_FEW: frozenset[ComparisonCode] = frozenset({"few-launches", "few-launches-beyond", "few-launches-slower"})


def _shows(verdict: Verdict, old: Side, new: Side) -> float | None:
    """The smallest slowdown that launches so many show of a metric."""
    if verdict.metric_class == "memory" and verdict.finding.code in _OF_FEW:
        return verdict.finding.size
    if len(old.launches) >= BASELINE_LAUNCHES or len(new.launches) < GROSS_LAUNCHES or verdict.metric_class == "pause":
        return verdict.detectable
    return max(SMALL_BASELINE, verdict.allow or 0.0)


def _others(old: Side, new: Side, verdicts: Sequence[Verdict]) -> Iterator[Row]:
    """What the launches hold and no verdict shows: stages of one side only, and what is judged by its parts."""
    shown = {verdict.metric for verdict in verdicts}
    apart = not shown.isdisjoint({DENOISE_STEPS, DENOISE_CORE})
    for name, (sides, estimator) in _centres(old, new).items():
        # The steps and the pause say what these hold.
        if name in shown or (apart and name in (DENOISE, DENOISE_GAP, DENOISE_STEPS)):
            continue
        before, after = sides
        if before is None or after is None:
            finding = Finding(code="new-only" if before is None else "old-only")
        elif sum_of(name) is not None:
            finding = Finding(code="by-its-steps" if apart else "other-figure")
        else:
            finding = Finding(code="other-figure")
        kind = metric_class(name)
        yield Row(
            metric=name,
            metric_class=kind,
            unit=unit(name),
            old=before,
            new=after,
            ratio=over(after, before) if kind != "pause" else None,
            status="not-judged",
            finding=finding,
            estimator=estimator,
        )


def _paused(verdict: Verdict, old: Sequence[LaunchRecord], new: Sequence[LaunchRecord]) -> float | None:
    """How many ms of a difference lie outside the steps and stages, if that is most of it; else None.

    A pause comes and goes: a few launches do not say whether the engine has one.
    """
    if verdict.metric not in (E2E, DENOISE) or verdict.baseline is None or verdict.now is None:
        return None
    then, now = (middle([_outside(launch, verdict.metric) for launch in side]) for side in (old, new))
    if then is None or now is None:
        return None
    change, pause = verdict.now - verdict.baseline, now - then
    return abs(pause) if pause * change > 0 and abs(pause) >= abs(change) / 2 else None


def _outside(launch: LaunchRecord, metric: str) -> float | None:
    if metric == DENOISE:
        return launch.metrics.get(DENOISE_GAP)
    known = pause_ms(launch)
    e2e = launch.metrics.get(E2E)
    stages = total(launch.metrics[name] for name in stages_of((launch,)))
    return known if known is not None or e2e is None or not stages else max(0.0, e2e - stages)


def _tolerated(old: Side, new: Side, tolerances: Tolerances) -> Iterator[Row]:
    figures = _centres(old, new)
    before, now = ({name: v for name, (sides, _) in figures.items() if (v := sides[i]) is not None} for i in (0, 1))
    generations = {launch.generation for side in (old, new) for launch in side.launches if launch.generation}
    for name in (*now, *(name for name in before if name not in now)):
        kind, a, b = metric_class(name), before.get(name), now.get(name)
        status, finding = _held(tolerances.get(kind), *costs(name, (a, b)))
        if kind == "memory" and len(generations) > 1:
            status, finding = (
                "not-judged",
                Finding(code="other-checkpoint", then=_place(name, old), now=_place(name, new)),
            )
        yield Row(
            metric=name,
            metric_class=kind,
            unit=unit(name),
            old=a,
            new=b,
            ratio=over(b, a) if kind != "pause" else None,
            status=status,
            finding=finding,
            estimator=figures[name][1],
        )


def _place(name: str, side: Side) -> tuple[str, ...]:
    return places(name, side.launches) or ("an unknown place",)


def _centres(*sides: Side) -> dict[str, tuple[tuple[float | None, ...], Estimator]]:
    """Both sides' centres of every metric that one of them has, and the estimator of both."""
    names = dict.fromkeys(name for side in sides for launch in side.launches for name in launch.metrics)
    return {
        name: centres(metric_class(name), *([launch.metrics.get(name) for launch in side.launches] for side in sides))
        for name in names
    }


def _held(tolerance: tuple[float, float] | None, old: float | None, new: float | None) -> tuple[Status, Finding]:
    if old is None or new is None:
        return "not-judged", Finding(code="new-only" if old is None else "old-only")
    if tolerance is None:
        return "not-judged", Finding(code="no-tolerance")
    fraction, absolute = tolerance
    margin = max(old * fraction, absolute)
    beyond = Finding(code="tolerance-beyond", allow=fraction, floor=absolute or None)
    if new > old + margin:
        return "slower", beyond
    if new < old - margin:
        return "faster", beyond
    return "similar", Finding(code="tolerance-within", allow=fraction, floor=absolute or None)
