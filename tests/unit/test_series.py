"""What of a measurement is judged, at the values where it turns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Baseline, LaunchRecord, Machine, Measurement, MetricChoice, Recorded, Workload
from pytest_sgdiff.judging.rules import CLASS_MARGINS
from pytest_sgdiff.judging.series import Series, series_of
from pytest_sgdiff.metrics import pause_ms
from tests.factories import record

H200 = Machine(kind="gpu", product="NVIDIA H200", count=1)
STAGES = {"stage:TextEncodingStage": 50.0, "stage:DenoisingStage": 1000.0, "stage:DecodingStage": 40.0}


def row(*, covered: float = 0.99, **changes: float) -> dict[str, float]:
    """A launch of 1.1 s whose steps cover that share of its denoising stage."""
    steps = 1000.0 * covered
    return {
        "e2e": 1100.0,
        "denoise": 1000.0,
        "denoise_steps": steps,
        "denoise_gap": 1000.0 - steps,
        **STAGES,
        **changes,
    }


def measurement(*rows: dict[str, float]) -> Measurement:
    launches = tuple(LaunchRecord(number=number, metrics=metrics) for number, metrics in enumerate(rows))
    return Measurement(case="wan", machine=H200, workload=Workload(digest="d"), launches=launches)


def series(then: list[dict[str, float]], now: list[dict[str, float]], **metrics: object) -> dict[str, Series]:
    baseline = Baseline(measurement=measurement(*then), recorded=Recorded(at="2026-11-23T17:18:01Z", command="pytest"))
    choice = MetricChoice(**metrics)  # type: ignore[arg-type]
    return {one.metric: one for one in series_of(measurement(*now), baseline, choice)}


@pytest.mark.parametrize(
    ("then", "now", "apart"),
    [
        ([0.95, 0.95, 0.95], [0.95], True),
        ([0.949, 0.949, 0.949], [0.949], False),
        ([0.94, 0.94, 0.94], [0.94], False),
        ([0.6, 0.6, 0.6], [0.6], False),
        # Others may pause: one launch that shows it is enough.
        ([0.6, 0.6, 0.6], [0.95], True),
        ([0.6, 0.95, 0.6], [0.6], True),
        ([0.6, 0.949, 0.6], [0.6], False),
    ],
)
def test_steps_stand_for_denoising_where_they_cover_it_in_some_launch(
    then: list[float], now: list[float], apart: bool
) -> None:
    found = series([row(covered=share) for share in then], [row(covered=share) for share in now])
    assert ("denoise_steps" in found, "pause" in found, "denoise" in found) == (apart, apart, not apart)
    assert found["e2e"].net is apart


def test_a_pause_is_what_lies_outside_steps_and_stages() -> None:
    record = LaunchRecord(number=0, metrics=row(covered=0.99))
    assert pause_ms(record) == pytest.approx(10.0 + 10.0)
    for changes, expected in (
        # Clocks disagree: neither part is ever negative.
        ({"denoise_steps": 1001.0}, 10.0),
        ({"e2e": 1089.0}, 10.0),
        ({"e2e": 1150.0}, 10.0 + 60.0),
    ):
        assert pause_ms(LaunchRecord(number=0, metrics=row(**changes))) == pytest.approx(expected)
    without = {name: value for name, value in row().items() if not name.startswith("stage:")}
    assert pause_ms(LaunchRecord(number=0, metrics=without)) == pytest.approx(10.0)
    assert pause_ms(LaunchRecord(number=0, metrics={"e2e": 1100.0, "denoise": 1000.0})) is None
    assert pause_ms(LaunchRecord(number=0, metrics={"denoise": 1000.0, "denoise_steps": 990.0})) == pytest.approx(10.0)


def test_the_pause_that_matters_is_a_share_of_the_request_and_one_as_long_as_it_is_extreme() -> None:
    margins = series([row()] * 3, [row()])["pause"].margins
    assert (margins.allow_abs, margins.extreme_abs) == pytest.approx((0.04 * 1080.0, 1080.0))
    small = {name: value / 10 for name, value in row().items()}
    assert series([small] * 3, [small])["pause"].margins.allow_abs == 20.0


def test_a_stage_matters_only_by_a_share_of_the_request() -> None:
    long = {name: value * 10 for name, value in row().items()}
    found = series([long] * 3, [long])
    assert found["stage:TextEncodingStage"].margins.allow_abs == pytest.approx(0.01 * 10_800.0)
    assert series([row()] * 3, [row()])["stage:TextEncodingStage"].margins.allow_abs == 15.0


PRIMARY, OF_STAGES = CLASS_MARGINS["primary"], CLASS_MARGINS["stage"]
TEXT = "stage:TextEncodingStage"


def test_what_is_allowed_replaces_that_of_the_class_and_what_a_pass_rules_out_keeps_its_distance() -> None:
    found = series([row()] * 3, [row()], allow={"denoise": 0.02, "stages": 0.5, "stage:DecodingStage": 0.1})
    steps, text, decoding = (found[name].margins for name in ("denoise_steps", TEXT, "stage:DecodingStage"))
    assert (steps.allow, steps.detect) == pytest.approx((0.02, 0.02 + PRIMARY.detect - PRIMARY.allow))
    assert (text.allow, text.detect) == pytest.approx((0.5, 0.5 + OF_STAGES.detect - OF_STAGES.allow))
    assert decoding.allow == 0.1


def test_what_a_pass_rules_out_can_be_stated() -> None:
    found = series([row()] * 3, [row()], allow=0.1, detect={"denoise": 0.3})
    assert (found["denoise_steps"].margins.allow, found["denoise_steps"].margins.detect) == (0.1, 0.3)
    assert found["e2e"].margins.detect == pytest.approx(0.1 + PRIMARY.detect - PRIMARY.allow)


@pytest.mark.parametrize(("stated", "stage"), [(0.1, OF_STAGES.allow), (0.2, 0.2)])
def test_one_figure_for_the_case_is_one_of_the_request(stated: float, stage: float) -> None:
    """Stages take it where it is more than theirs, pauses are part of the request, and memory is no slowdown."""
    found = series([row()] * 3, [row()], allow=stated)
    assert {found[name].margins.allow for name in ("denoise_steps", "e2e")} == {stated}
    assert found[TEXT].margins.allow == stage
    assert found["pause"].margins.allow_abs == pytest.approx(stated * 1080.0)
    memory = series([row(peak_memory=3000.0)] * 3, [row(peak_memory=3000.0)], allow=stated)["peak_memory"].margins
    assert memory == CLASS_MARGINS["memory"]


def test_what_denoising_may_take_the_request_may_take_too() -> None:
    """10 % of denoising, and what is usual of the rest."""
    e2e = series([row()] * 3, [row()], allow={"denoise": 0.1})["e2e"].margins
    whole = row()["e2e"] - 20
    assert e2e.allow_abs == pytest.approx(0.1 * row()["denoise"] + PRIMARY.allow * (whole - row()["denoise"]), abs=0.5)
    assert e2e.detect_abs - e2e.allow_abs == pytest.approx((PRIMARY.detect - PRIMARY.allow) * whole)


def test_what_is_stated_of_the_request_is_what_counts_of_it() -> None:
    e2e = series([row()] * 3, [row()], allow={"denoise": 0.1, "e2e": 0.03})["e2e"].margins
    assert (e2e.allow, e2e.allow_abs) == (0.03, PRIMARY.allow_abs)


def test_what_is_allowed_of_a_stage_is_allowed_of_denoising_and_of_the_request() -> None:
    found = series([row()] * 3, [row()], allow={"stage:DenoisingStage": 0.2})
    assert found["denoise_steps"].margins.allow_abs == pytest.approx(0.2 * row()["denoise"])
    assert found["e2e"].margins.allow_abs > 0.2 * row()["denoise"]


def test_what_is_not_gated_is_not_judged() -> None:
    found = series([row()] * 3, [row()], gate=(TEXT,))
    assert list(found) == [TEXT]
    assert (found[TEXT].primary, found[TEXT].deciding, found[TEXT].metric_class) == (False, True, "stage")


def test_the_primary_metric_is_one_of_those_that_are_gated() -> None:
    found = series([row()] * 3, [row()], gate=("e2e", "peak_memory"))
    assert [name for name, one in found.items() if one.primary] == ["e2e"]
    assert "denoise_steps" not in found


def test_denoising_stages_are_judged_by_their_steps_and_never_twice() -> None:
    assert "stage:DenoisingStage" not in series([row()] * 3, [row()])
    primary = series([row()] * 3, [row()], primary="stage:DecodingStage")
    assert [name for name in primary if name == "stage:DecodingStage"] == ["stage:DecodingStage"]
    assert next(iter(primary)) == "stage:DecodingStage"
    assert primary["stage:DecodingStage"].metric_class == "primary"


def test_a_primary_denoising_stage_is_judged_by_the_steps_where_it_is_the_only_one() -> None:
    alone = series([row()] * 3, [row()], primary="stage:DenoisingStage")["stage:DenoisingStage"]
    assert (alone.net, alone.now) == (True, (990.0,))
    two = row(**{"stage:DenoisingStage": 700.0, "stage:LTX2RefinementStage": 300.0})
    first = series([two] * 3, [two], primary="stage:DenoisingStage")["stage:DenoisingStage"]
    assert (first.net, first.now) == (False, (700.0,))


def test_a_peak_is_read_where_its_generation_has_it_and_an_unknown_one_is_not_guessed() -> None:
    peak = metrics.entry("peak_memory")
    assert peak is not None
    assert peak.place is not None
    there = "after_forward.peak_allocated_mb"
    places = [peak.place(record(generation=generation)) for generation in ("A", "B", "C1", "Z")]
    assert places == ["no checkpoint", there, there, None]
    # A server's largest peak is that of all its requests so far.
    newest = record(generation="C2")
    assert peak.place(newest) == "runtime_peak.peak_allocated_mb"
    assert peak.place(replace(newest, metrics={**newest.metrics, "client_e2e": 1.0})) == there


def test_where_denoising_alone_is_gated_a_pause_of_the_rest_of_the_request_is_none() -> None:
    slow = row(e2e=1600.0)
    found = series([row()] * 3, [slow], gate=("denoise",))["pause"]
    assert found.now == found.baseline[:1] == pytest.approx((10.0,))
    assert series([row()] * 3, [slow])["pause"].now[0] > 500
