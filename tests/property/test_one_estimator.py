"""What is shown is what is judged: every change follows from the two figures that stand beside it."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_sgdiff.baselines.review import review
from pytest_sgdiff.compare.compare import compare
from pytest_sgdiff.compare.sides import Side
from pytest_sgdiff.data import (
    Baseline,
    Case,
    CaseResult,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    MetricChoice,
    Recorded,
    Verdict,
    Workload,
)
from pytest_sgdiff.judging.estimator import centre, centres
from pytest_sgdiff.judging.judge import judge
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES, FewLaunchesRule, ModeratedRule, PairedRule, Prior
from pytest_sgdiff.reports import evidence
from pytest_sgdiff.reports.comparison import render_json, render_text
from pytest_sgdiff.reports.csv import CsvReport
from pytest_sgdiff.reports.html import charts
from pytest_sgdiff.reports.json import JsonReport
from pytest_sgdiff.reports.text import stage_table
from tests import factories
from tests.examples import examples

QUICK = examples(120, derandomize=True)
SIZES = st.sampled_from([5e-324, 1e-3, 0.4, 3.0, 50.7, 1e3, 1e5, 1e12, 1.7e308])
CLASSES = st.sampled_from(["primary", "stage", "memory"])
MACHINE = Machine(kind="gpu", product="NVIDIA H200", count=1)
CASE = Case(
    name="wan",
    location=Location(path="cases/wan.yaml", line=3, column=1),
    model="m",
    metrics=MetricChoice(gate=("denoise", "stages", "peak_memory")),
)


@st.composite
def launches(draw, *, smallest=1, largest=8):
    """Launches of one size, tight or scattered, with outliers on either side."""
    size, spread = draw(SIZES), draw(st.sampled_from([0.0, 0.004, 0.05, 0.5]))
    outliers = st.sampled_from([1.0, 1.0, 1.0, 0.5, 1.6, 40.0])
    drawn = draw(st.lists(st.tuples(st.floats(-1.5, 1.5), outliers), min_size=smallest, max_size=largest))
    return [min(max(size * math.exp(spread * x) * by, 5e-324), 1.7e308) for x, by in drawn]


def rules():
    prior = Prior(cv0=0.02, weight=12.0)
    few = [FewLaunchesRule(), FewLaunchesRule(steady=True)]
    return [*RULES.values(), ModeratedRule(prior), PairedRule(prior), *few]


@QUICK
@given(launches(), launches(), CLASSES, st.booleans())
def test_the_change_of_every_rule_is_that_of_the_centres_it_gives(then, now, kind, near):
    for rule in rules():
        found = rule.decide(then, now, CLASS_MARGINS[kind], same_node=near)
        if found.ratio is None:
            assert (found.baseline, found.now) == (None, None)
        else:
            assert found.now == pytest.approx(found.ratio * found.baseline, rel=1e-12)
            assert found.baseline <= max(then) * (1 + 1e-9)


@QUICK
@given(launches(), launches(), CLASSES, st.booleans())
def test_few_launches_never_say_more_than_the_rule_of_the_gate(then, now, kind, near):
    few, gate = (
        rule.decide(then, now, CLASS_MARGINS[kind], same_node=near) for rule in (FewLaunchesRule(), RULES["moderated"])
    )
    if min(len(then), len(now)) >= 3:
        assert few == gate
    elif few.outcome == "pass":
        assert gate.outcome in ("pass", "improved") or few.finding.code == "below-floor"
    else:
        assert few.outcome == gate.outcome
        assert few.finding.code == gate.finding.code or few.finding.code in ("few-launches", "few-launches-beyond")


@QUICK
@given(launches(smallest=2))
def test_a_recorded_centre_is_the_one_that_it_is_judged_by(values):
    """What `--sgdiff-update` shows of a new baseline stands in the next run's column of the baseline."""
    found = RULES["moderated"].decide(values, [values[0]], CLASS_MARGINS["primary"], same_node=True)
    if found.baseline is not None:
        assert centre(values, "primary") == pytest.approx(found.baseline, rel=1e-9)


@QUICK
@given(launches(), CLASSES)
def test_a_centre_lies_among_the_launches(values, kind):
    assert min(values) * (1 - 1e-9) <= centre(values, kind) <= max(values) * (1 + 1e-9)


def test_one_outlier_counts_and_its_size_does_not():
    quiet = [100.0, 100.4, 99.8, 100.1]
    assert centre([*quiet, 1e3], "primary") == centre([*quiet, 1e6], "primary") == pytest.approx(100.65, abs=0.02)
    assert centre([*quiet, 10.0], "primary") < 70  # no launch is too fast by accident


def test_equal_launches_have_their_own_value_as_centre():
    assert [centre([900.0] * n, "primary") for n in (1, 2, 5)] == [900.0] * 3
    assert centres("stage", [0.0, 2.0, 4.0], [3.0]) == ((2.0, 3.0), "median")
    assert centres("pause", [2.0, 3.0, 40.0], []) == ((3.0, None), "median")
    assert centre([None, math.nan], "primary") is None


STEPS = st.sampled_from([24.0, 50.7, 1024.0])


@st.composite
def sides(draw):
    """Both sides of a case: denoising, a stage that is sometimes zero, and memory; of one launch or several."""
    size, zero = draw(STEPS), draw(st.booleans())

    def side(slowdown):
        noise = draw(st.lists(st.sampled_from([0.0, 0.003, -0.004, 0.01, 0.3, 0.9]), min_size=1, max_size=6))
        return tuple(
            LaunchRecord(
                number=i,
                metrics={
                    "denoise": size * (1 + n) * (1 + slowdown),
                    "e2e": 2 * size * (1 + n / 2) * (1 + slowdown),
                    "stage:DenoisingStage": size * (1 + n) * (1 + slowdown),
                    "stage:TextEncodingStage": 0.0 if zero and i == 0 else 36.8 * (1 + 3 * n),
                    "peak_memory": 3000.0 * (1 + n / 10),
                },
            )
            for i, n in enumerate(noise)
        )

    return side(0.0), side(draw(st.sampled_from([-0.3, 0.0, 0.02, 1.17, 60.0])))


def measured(rows):
    return Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=rows)


def baseline_of(rows, kind="recorded"):
    return Baseline(measurement=measured(rows), recorded=Recorded(at="2026-11-23", command="x"), kind=kind, source="s")


def judged(then, now, *, kind="recorded", paired=False):
    return judge(measured(now), baseline_of(then, kind), CASE.metrics, looks=(5,), paired=paired)


@QUICK
@given(sides(), st.sampled_from(["recorded", "reference"]), st.booleans())
def test_the_change_of_every_verdict_is_that_of_the_figures_beside_it(both, kind, paired):
    for v in judged(*both, kind=kind, paired=paired and kind == "recorded"):
        consistent(v)


@QUICK
@given(sides())
def test_so_it_is_of_a_new_baseline_beside_the_one_that_it_replaces(both):
    then, now = both
    fresh = replace(baseline_of(now), recorded=Recorded(at="2026-11-24", command="x"))
    result = review(fresh, baseline_of(then), CASE.metrics, looks=(5,), location=CASE.location)
    for v in result.verdicts:
        consistent(v)


def consistent(v: Verdict) -> None:
    if v.ratio is not None:
        assert v.estimator == "mean"
        assert v.now / v.baseline == pytest.approx(v.ratio, rel=1e-9)
    if v.low is not None and v.high is not None:
        assert v.low <= v.ratio <= v.high


def result_of(then, now) -> CaseResult:
    return factories.result(
        launches=now, baseline_records=then, verdicts=judged(then, now), warnings=(), location=CASE.location
    )


@QUICK
@given(sides())
def test_every_report_shows_two_figures_of_which_the_change_is_that_of(both):
    then, now = both
    result = result_of(then, now)
    run = factories.run(result)
    document = json.loads(JsonReport().render(run))
    for verdict in document["cases"][0]["verdicts"]:
        if verdict["ratio"] is not None:
            assert verdict["now"] / verdict["baseline"] == pytest.approx(verdict["ratio"], rel=1e-9)
    for row in csv.DictReader(io.StringIO(CsvReport().render(run))):
        if row["ratio"]:
            assert float(row["now"]) / float(row["baseline"]) == pytest.approx(float(row["ratio"]), rel=1e-6)
    for line in stage_table(result)[1:]:
        follows(line)
    shown = {v.metric: v for v in (*result.verdicts, *evidence.reported(result))}
    for metric, (old, new) in bars(result).items():
        if metric in shown:
            assert (old, new) == (shown[metric].baseline, shown[metric].now)


def bars(result: CaseResult) -> dict[str, tuple[float | None, float | None]]:
    before, after = charts.stage_centres(result, {"stage:DenoisingStage"}, by_steps=False)
    return {name: (before.get(name), after[name]) for name in after}


@QUICK
@given(sides())
def test_so_does_a_comparison(both):
    old, new = (Side(label=name, launches=rows) for name, rows in zip(("old", "new"), both, strict=True))
    comparison = compare(old, new)
    for row in json.loads(render_json(comparison))["rows"]:
        if row["ratio"] is not None:
            assert row["new"] / row["old"] == pytest.approx(row["ratio"], rel=1e-9)
    for line in render_text(comparison).splitlines():
        follows(line)


FIGURE = r"(\d+(?:\.\d+)?) (ms|s|MiB|GiB)"


def follows(line: str) -> None:
    """A row's change in per cent, within what rounding its two figures may do to it."""
    found = re.search(rf"{FIGURE} (?: *±\S+ %| +> 100 %| +±> 100 %)? *{FIGURE}  +([+-]?\d+(?:\.\d+)?) %", line)
    if found is None:
        return
    old, now, change = float(found[1]), float(found[3]), float(found[5])
    assert found[2] == found[4]
    places = [0.5 * 10.0 ** -len(found[i].partition(".")[2]) for i in (1, 3)]
    low = (now - places[1]) / (old + places[0]) - 1
    high = (now + places[1]) / max(old - places[0], 1e-9) - 1
    half = 0.5 if "." not in found[5] else 0.05
    assert 100 * low - half - 1e-6 <= change <= 100 * high + half + 1e-6, line


def test_the_row_that_contradicted_itself_is_noticed():
    with pytest.raises(AssertionError):
        follows("  TextEncodingStage  50.7 ms  ±12 %  36.8 ms  -8.9 %  -25.4 .. +8.0 %  pass")
    follows("  TextEncodingStage  50.7 ms  ±12 %  36.8 ms  -27.4 %  -25.4 .. +8.0 %  pass")
