"""What of a measurement is judged, at the values where it turns."""

from __future__ import annotations

import pytest

from pytest_sgdiff import metrics
from pytest_sgdiff.data import Baseline, LaunchRecord, Machine, Measurement, MetricChoice, Recorded, Workload
from pytest_sgdiff.judging.rules import CLASS_MARGINS
from pytest_sgdiff.judging.series import Series, series_of
from pytest_sgdiff.metrics import pause_ms

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
    assert (margins.limit_abs, margins.extreme_abs) == pytest.approx((0.04 * 1080.0, 1080.0))
    small = {name: value / 10 for name, value in row().items()}
    assert series([small] * 3, [small])["pause"].margins.limit_abs == 20.0


def test_a_stage_matters_only_by_a_share_of_the_request() -> None:
    long = {name: value * 10 for name, value in row().items()}
    found = series([long] * 3, [long])
    assert found["stage:TextEncodingStage"].margins.limit_abs == pytest.approx(0.01 * 10_800.0)
    assert series([row()] * 3, [row()])["stage:TextEncodingStage"].margins.limit_abs == 15.0


def test_a_stated_limit_moves_ignore_in_proportion() -> None:
    usual = CLASS_MARGINS["primary"]
    found = series([row()] * 3, [row()], limits={"denoise": 0.02, "stages": 0.5, "stage:DecodingStage": 0.1})
    steps = found["denoise_steps"].margins
    assert (steps.limit, steps.ignore) == pytest.approx((0.02, usual.ignore * 0.02 / usual.limit))
    assert found["stage:TextEncodingStage"].margins.limit == 0.5
    assert found["stage:DecodingStage"].margins.limit == 0.1
    assert found["e2e"].margins.ignore == usual.ignore


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
    assert list(map(peak.place, ("A", "B", "C1", "Z"))) == ["no checkpoint", there, there, None]
