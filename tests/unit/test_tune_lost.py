"""What a launch shows by itself of being held up."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.data import Case, LaunchRecord
from pytest_sgdiff.tuning.fit import EVEN
from pytest_sgdiff.tuning.lost import lost_share, uneven_ms
from tests import factories

DATA = Path(__file__).parents[1] / "data"
CASE = Case(name="wan", location=factories.location(), model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers", gpus=1)
# Two launches of one engine on an H200, one after the other. The host held up three steps of the second.
EVEN_STEPS = (
    *(48.5, 49.4, 50.4, 50.4, 50.9, 50.0, 50.6, 50.2, 50.6, 50.4),
    *(50.4, 50.1, 50.8, 51.3, 50.5, 50.8, 51.5, 53.0, 52.1, 50.6),
)
HELD_UP_STEPS = (
    *(48.5, 49.4, 50.4, 51.2, 50.3, 50.5, 51.3, 50.3, 79.3, 72.3),
    *(75.0, 49.3, 50.6, 50.5, 51.7, 50.7, 51.9, 50.6, 51.0, 50.7),
)


def launch(steps_ms: tuple[float, ...], **metrics: float) -> LaunchRecord:
    total = math.fsum(steps_ms)
    known = {"denoise": total + 6.0, "denoise_steps": total, "e2e": total + 10.0, "stage:DenoisingStage": total + 6.0}
    return replace(factories.record(), steps_ms=steps_ms, metrics={**known, **metrics})


def case(args: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None) -> Case:
    return replace(CASE, args=args or {}, env=env or {})


def test_even_steps_lost_nothing_and_steps_that_are_held_up_show_how_much() -> None:
    assert lost_share(launch(EVEN_STEPS), CASE, "denoise") == pytest.approx(0.0, abs=0.0005)
    # It took 7 % longer than the first.
    assert lost_share(launch(HELD_UP_STEPS), CASE, "denoise") == pytest.approx(0.064, abs=0.002)


def test_recorded_launches_that_are_even_are_as_quick_as_their_engine_is() -> None:
    groups = [
        group
        for stem in ("h200_host_launches", "h200_fifth_host_launches")
        for name, group in json.loads((DATA / f"{stem}.json").read_text()).items()
        if name != "about"
    ]
    even, uneven = [], []
    for group in groups:
        quickest = min(math.fsum(one["steps_ms"]) for one in group)
        for one in group:
            steps = tuple(one["steps_ms"])
            total, lost = math.fsum(steps), uneven_ms(steps, ())
            assert lost is not None
            (even if lost <= EVEN * total else uneven).append(total / quickest)
    assert len(even) > len(uneven) > 8
    # Two of the even ones were held up all the same, and two of the others hardly.
    assert sorted(even)[-3] < 1.015
    assert sorted(uneven)[2] > 1.03


def test_a_request_shows_its_pauses_too() -> None:
    whole = math.fsum(EVEN_STEPS) + 10.0
    assert lost_share(launch(EVEN_STEPS), CASE, "e2e") == pytest.approx(0.0, abs=0.0005)
    paused = launch(EVEN_STEPS, e2e=whole + 470.0)
    assert lost_share(paused, CASE, "e2e") == pytest.approx(480 / (whole + 470), rel=0.005)
    assert lost_share(launch(HELD_UP_STEPS), CASE, "e2e") == pytest.approx(0.063, abs=0.002)


def test_steps_are_compared_with_those_of_their_own_stage() -> None:
    two = (*EVEN_STEPS, *(2.7 * ms for ms in EVEN_STEPS[:3]))
    assert uneven_ms(two, (20,)) == pytest.approx(0.0, abs=0.5)
    inner = launch(
        two,
        **{"stage:DenoisingStage": math.fsum(EVEN_STEPS), "stage:RefinementDenoisingStage": math.fsum(two[20:])},
    )
    assert lost_share(inner, CASE, "denoise") == pytest.approx(0.0, abs=0.001)


def test_no_more_is_lost_than_all() -> None:
    """Of a server whose requests are far from one another the medians of the steps may add up to more than that of the
    sums."""
    served = launch((10.0,) * 4 + (100.0,) * 16, denoise_steps=800.0, client_e2e=1700.0)
    assert lost_share(served, CASE, "denoise") == 1.0


@pytest.mark.parametrize(
    ("record", "of", "metric"),
    [
        pytest.param(launch(EVEN_STEPS[:3]), CASE, "denoise", id="few steps"),
        pytest.param(launch(()), CASE, "denoise", id="no steps"),
        pytest.param(launch(EVEN_STEPS), CASE, "stage:DecodingStage", id="another stage"),
        pytest.param(launch(EVEN_STEPS, denoise_steps=2000.0), CASE, "denoise", id="other steps"),
        pytest.param(
            replace(launch(HELD_UP_STEPS), environment=replace(factories.record().environment, sync_stages=False)),
            CASE,
            "denoise",
            id="not synchronised",
        ),
        pytest.param(launch(HELD_UP_STEPS), case({"enable-teacache": True}), "denoise", id="teacache"),
        pytest.param(launch(HELD_UP_STEPS), case(env={"SGLANG_CACHE_DIT_ENABLED": "true"}), "denoise", id="cache-dit"),
        pytest.param(launch(HELD_UP_STEPS), case({"enable-cache-dit": True}), "e2e", id="cache-dit by flag"),
    ],
)
def test_what_is_not_known_is_not_said(record: LaunchRecord, of: Case, metric: str) -> None:
    assert lost_share(record, of, metric) is None


def test_a_flag_that_is_off_makes_no_steps_unlike() -> None:
    off = case({"enable-teacache": False}, {"SGLANG_CACHE_DIT_ENABLED": "false"})
    assert lost_share(launch(HELD_UP_STEPS), off, "denoise") == pytest.approx(0.064, abs=0.002)
