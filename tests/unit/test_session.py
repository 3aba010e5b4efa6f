"""What a process knows of a run before it measures: how long cases will take."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sgdiff.data import LaunchRecord
from pytest_sgdiff.session import launch_s
from tests import factories


@pytest.mark.parametrize(
    ("launches", "seconds"),
    [
        (
            [LaunchRecord(number=n, wall_s=wall, metrics={"e2e": 9e9}) for n, wall in enumerate((300.0, 100.0, 200.0))],
            200,
        ),
        ([LaunchRecord(number=0, metrics={"e2e": 12_000.0, "denoise": 10_000.0})], 132),
        ([LaunchRecord(number=0, metrics={"denoise": 10_000.0})], 130),
        ([LaunchRecord(number=0, metrics={"peak_memory": 3.0})], None),
    ],
    ids=["recorded", "published", "published denoising", "neither"],
)
def test_a_launch_is_expected_to_take_what_the_baseline_says(launches: list[LaunchRecord], seconds: float) -> None:
    baseline = factories.baseline()
    assert launch_s(replace(baseline, measurement=replace(baseline.measurement, launches=tuple(launches)))) == seconds
