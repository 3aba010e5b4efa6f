"""What a process knows of a run before it measures: how long cases will take."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_sgdiff.data import LaunchRecord
from pytest_sgdiff.plugin.session import Session, launch_s
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


def test_a_worker_is_abandoned_once_its_controller_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = None
    plugins = SimpleNamespace(hasplugin=lambda name: False, get_plugins=set)
    worker: Any = SimpleNamespace(workerinput={"workerid": "gw0"}, hook=None, pluginmanager=plugins)
    serial: Any = SimpleNamespace(hook=None, pluginmanager=plugins, getoption=lambda name, default: default)
    sessions = [Session(config, nothing, None, nothing, claims=Path("claims")) for config in (worker, serial)]
    assert [session.abandoned() for session in sessions] == [False, False]
    monkeypatch.setattr(os, "getppid", lambda: 1)
    # A serial run outlives the shell that started it.
    assert [session.abandoned() for session in sessions] == [True, False]
