"""Numbers of any size as people read them: precision above 100 % has none, and nothing prints three hundred digits."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest

from pytest_sgdiff.compare.compare import compare
from pytest_sgdiff.compare.sides import Side
from pytest_sgdiff.data import (
    Baseline,
    Case,
    HistoryPoint,
    LaunchRecord,
    Location,
    Machine,
    Measurement,
    MetricChoice,
    Recorded,
    Workload,
)
from pytest_sgdiff.judging.judge import judge
from pytest_sgdiff.judging.rules import CLASS_MARGINS, RULES
from pytest_sgdiff.reports import metric_text, numbers
from pytest_sgdiff.reports.comparison import RENDERERS
from pytest_sgdiff.reports.csv import CsvReport
from pytest_sgdiff.reports.figures import bare_change, change, fixed, measured, precision
from pytest_sgdiff.reports.finding_text import words
from pytest_sgdiff.reports.html import HtmlReport, charts
from pytest_sgdiff.reports.json import JsonReport
from pytest_sgdiff.reports.markdown import MarkdownReport
from pytest_sgdiff.reports.text import TextReport
from tests import factories


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [
        (0.0, "0 %"),
        (0.04, "4 %"),
        (0.0189, "1.9 %"),
        (0.426, "42.6 %"),
        (1.0, "100 %"),
        (1.0004, "100 %"),
        (1.001, "> 100 %"),
        (62.34, "> 100 %"),
        (1e300, "> 100 %"),
        (None, "> 100 %"),
    ],
)
def test_precision_above_a_hundred_per_cent_has_no_digits(fraction: float | None, shown: str) -> None:
    assert precision(fraction) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(1.17, "+117 %"), (62.34, "+6234 %"), (-0.5, "-50.0 %"), (0.0001, "0.0 %"), (1e300, "+1e+302 %")],
)
def test_a_change_that_was_measured_is_shown_as_it_is(fraction: float, shown: str) -> None:
    assert change(fraction) == shown
    assert f"{bare_change(fraction)} %" == shown


def test_no_number_is_longer_than_can_be_read() -> None:
    assert [fixed(v, 2) for v in (12.345, -0.5, 1e308, -1e308)] == ["12.35", "-0.50", "1e+308", "-1e+308"]
    assert [measured(v) for v in (-0.00001, 2.5, 1e200)] == ["0 %", "250 %", "1e+202 %"]
    assert numbers.quantity(1e308, "ms") == "1e+305 s"
    assert numbers.quantity(3.0, "ms", like=1e308) == "0.003 s"
    assert numbers.quantity(1e308, "MiB") == "9.77e+304 GiB"
    assert numbers.duration(1e300) == "1e+300 s"


def test_limits_and_exclusions_of_short_stages_say_what_they_are_in_ms() -> None:
    """15 ms are 6,250 % of a stage of 0.24 ms."""
    stage = factories.verdict("stage:TextEncodingStage", baseline=0.24, now=0.25, allow=62.5)
    worse = replace(stage, outcome="regressed", now=40.0, ratio=40.0 / 0.24)
    assert metric_text.verdict_phrase(worse) == "REGRESSED, > 100 % (15.0 ms) allowed"
    open_ = replace(stage, outcome="inconclusive")
    assert metric_text.verdict_phrase(open_) == "inconclusive, > 100 % (15.0 ms) allowed"
    passed = replace(stage, excluded=62.34)
    assert metric_text.verdict_phrase(passed) == "pass, > 100 % (15.0 ms) ruled out"
    assert metric_text.spread(replace(stage, spread=1.4)) == "±> 100 %"
    assert metric_text.change(worse) == "+16567 %"
    plot = charts.forest(worse, reach=0.25)
    assert plot is not None
    assert plot.description.endswith(", > 100 % allowed")


@pytest.mark.parametrize(
    "values",
    [([1.0, 300.0, 0.3, 5.0, 80.0], [2.0, 90.0, 1.0]), ([6.0, 6.1, 6.2], [700.0, 720.0, 705.0])],
    ids=["scattered", "far beyond"],
)
def test_no_rule_promises_a_precision_of_thousands_of_per_cent(values: tuple[list[float], list[float]]) -> None:
    for kind, name in itertools.product(("primary", "stage"), ("moderated", "paired")):
        why = words(RULES[name].decide(*values, CLASS_MARGINS[kind], same_node=True).finding, kind)
        promised = re.findall(r"(\d+(?:\.\d+)?) % (?:ruled out|slower is n)", why)
        assert all(float(one) <= 100 for one in promised), why


MACHINE = Machine(kind="gpu", product="NVIDIA H200", count=1)
HUGE, TINY, USUAL = [1e308, 1.5e308, 1.7e308], [5e-324, 1e-300, 2.0], [100.0, 101.0, 99.5]


def rows(values: list[float]) -> tuple[LaunchRecord, ...]:
    return tuple(
        LaunchRecord(
            number=i,
            wall_s=v,
            steps_ms=(v / 4, v / 4),
            metrics={
                "denoise": v,
                "denoise_steps": v * 0.97,
                "e2e": v,
                "stage:DenoisingStage": v,
                "stage:TextEncodingStage": v / 10,
                "peak_memory": v,
            },
        )
        for i, v in enumerate(values)
    )


@pytest.mark.parametrize("then", [HUGE, TINY, USUAL], ids=["huge", "tiny", "usual"])
@pytest.mark.parametrize("now", [HUGE, TINY, USUAL, [6300.0]], ids=["huge", "tiny", "usual", "one"])
def test_numbers_at_the_ends_of_what_floats_hold_are_shown_by_every_report(then: list[float], now: list[float]) -> None:
    case = Case(
        name="wan",
        location=Location(path="cases/wan.yaml", line=3, column=1),
        model="m",
        metrics=MetricChoice(gate=("denoise", "e2e", "stages", "peak_memory")),
    )
    sides = [
        Measurement(case="wan", machine=MACHINE, workload=Workload(digest="d"), launches=rows(side))
        for side in (then, now)
    ]
    baseline = Baseline(measurement=sides[0], recorded=Recorded(at="2026-11-23", command="x"))
    result = factories.result(
        launches=rows(now),
        baseline_records=rows(then),
        verdicts=judge(sides[1], baseline, case.metrics, looks=(5,)),
        elapsed_s=1e300,
    )
    points = tuple(HistoryPoint(at=f"2026-11-0{i + 1}", value=value) for i, value in enumerate(then))
    run = replace(factories.run(result, elapsed_s=1e300), history={result.case: {"denoise_steps": points}})
    for report in (TextReport(), MarkdownReport(), HtmlReport(), CsvReport()):
        assert not re.search(r"\d{20}", re.sub(r"sha256-\S+", "", report.render(run))), report.suffix
    assert "Infinity" not in JsonReport().render(run)
    for render in RENDERERS.values():
        compared = render(compare(Side(label="a", launches=rows(then)), Side(label="b", launches=rows(now))))
        assert "inf" not in compared.lower().replace("infer", "")


@pytest.mark.parametrize("render", ["text", "markdown"])
def test_a_comparison_has_no_long_numbers(render: str) -> None:
    shown = RENDERERS[render](compare(Side(label="a", launches=rows(USUAL)), Side(label="b", launches=rows(HUGE))))
    assert not re.search(r"\d{20}", shown)
