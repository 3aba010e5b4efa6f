"""The chart of a case's history."""

from __future__ import annotations

from pytest_sgdiff.data import ChangePoint, Trend
from pytest_sgdiff.reports.html import HtmlReport
from pytest_sgdiff.reports.html.timeline import timeline
from tests import factories


def test_the_history_marks_this_run_and_the_change_of_the_engine() -> None:
    result = factories.regressed()
    verdict = next(v for v in result.verdicts if v.primary)
    plot = timeline(verdict, factories.history(12), now=86080.0, today="2026-11-23T02:00:11Z", engine="0.5.17")
    assert plot is not None
    assert [mark.kind for mark in plot.marks].count("baseline") == 12
    assert plot.marks[-1].label == "2026-11-23: 86.08 s, engine 0.5.17"
    assert [text.text for text in plot.texts if text.anchor == "middle"] == ["0.5.17"]
    assert plot.description == "13 runs from 2026-11-01 to 2026-11-23: 81.75 s to 86.08 s"
    assert timeline(verdict, {}, now=86080.0, today="2026-11-23", engine=None) is None


def test_a_run_already_in_the_history_is_not_drawn_twice() -> None:
    verdict, past = factories.verdict(), factories.history(3)
    plot = timeline(verdict, past, now=86080.0, today=past["denoise"][-1].at, engine="0.5.17")
    assert plot is not None
    assert len(plot.marks) == 3


def change(at: str, *, after: float) -> ChangePoint:
    return ChangePoint(at=at, index=6, before=100.0, after=after, pvalue=1e-5)


def test_changes_are_marked_before_the_run_that_shows_them() -> None:
    verdict, past, today = factories.verdict(), factories.history(12), "2026-11-23T02:00:11Z"
    found = (change("2026-11-07T02:40:00Z", after=103.0), change(today, after=98.0))
    plot = timeline(verdict, past, now=86080.0, today=today, engine="0.5.17", changes=found)
    assert plot is not None
    drawn = {line.kind: line.x1 for line in plot.lines if line.kind.startswith("change")}
    assert plot.marks[5].x < drawn["change slower"] < plot.marks[6].x
    assert plot.marks[11].x < drawn["change faster"] < plot.marks[12].x
    # The engine's version changed there as well: its label stands above the change.
    labels = {text.text: text for text in plot.texts if text.anchor == "middle"}
    assert labels["+3.0 %"].x == labels["0.5.17"].x
    assert labels["+3.0 %"].y > labels["0.5.17"].y
    assert plot.description.endswith("; +3.0 % from 2026-11-07 on; -2.0 % from 2026-11-23 on")


def test_the_page_marks_the_changes_of_the_metric_that_it_draws() -> None:
    result, at = factories.regressed(), "2026-11-07T02:40:00Z"

    def page(metric: str) -> str:
        one = Trend(case=result.case, metric=metric, runs=13, latest=1.0, changes=(change(at, after=103.0),))
        return HtmlReport().render(factories.run(result, history={result.case: factories.history(12)}, trends=(one,)))

    assert '<line class="change slower"' in page("denoise")
    assert '<line class="change slower"' not in page("peak_memory")


def test_the_last_point_holds_pauses_as_those_before_do() -> None:
    e2e = factories.verdict("e2e", primary=True, now=900.0)
    launches = (factories.record(metrics={"e2e": 1550.0, "denoise": 1400.0, "denoise_steps": 1000.0}),)
    result = factories.result(launches=launches, verdicts=(e2e,))
    page = HtmlReport().render(factories.run(result, history={result.case: factories.history(3, metric="e2e")}))
    assert "2026-11-23: 1.550 s, engine" in page
    assert "2026-11-23: 900 ms, engine" not in page
