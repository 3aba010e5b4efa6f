"""Warnings from the steps of real launches, and of profiles that are made to hold one thing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from pytest_sgdiff.data import Disturbance, LaunchRecord
from pytest_sgdiff.judging.step_profile import step_findings
from pytest_sgdiff.metrics import step_stages

ROOT = Path(__file__).parents[2]
RECORDINGS = ROOT / "examples" / "recordings" / "h200"
REAL = json.loads((ROOT / "tests" / "data" / "h200_host_launches.json").read_text(encoding="utf-8"))
WOBBLE = (1.0, 1.006, 0.995, 1.003, 0.998)
"""What makes five launches differ."""


def recorded(case):
    """Launches of a recording, as far as their dumps tell."""
    out = []
    for number, path in enumerate(sorted((RECORDINGS / case).glob("*/perf.json"))):
        dump = json.loads(path.read_text(encoding="utf-8"))
        metrics = {f"stage:{stage['name']}": stage["duration_ms"] for stage in dump["steps"]}
        steps = tuple(step["duration_ms"] for step in dump["denoise_steps_ms"])
        out.append(LaunchRecord(number=number, metrics=metrics, steps_ms=steps))
    return out


def real(side):
    return [
        LaunchRecord(number=i, metrics=entry["metrics"], steps_ms=tuple(entry["steps_ms"]))
        for i, entry in enumerate(REAL[side])
    ]


def launches(steps, count=5, **stages):
    """`count` launches with these steps, each a little faster or slower; `stages` are durations."""
    metrics = {f"stage:{name}": ms for name, ms in stages.items()}
    return [
        LaunchRecord(number=i, metrics=metrics, steps_ms=tuple(ms * WOBBLE[i % len(WOBBLE)] for ms in steps))
        for i in range(count)
    ]


def changed(steps, factor, *at):
    return [ms * factor if i in at else ms for i, ms in enumerate(steps)]


FLAT = [100.0] * 30


def told(found):
    """The findings on single steps as rows: code, stage, first, last, ms now, ms in the baseline, launches."""
    return [(f.code, f.stage, f.first, f.last, round(f.now_ms), round(f.then_ms), f.launches) for f in found]


# ------------------------------------------------------------------------------------------------- real launches


def test_unchanged_launches_of_a_host_that_holds_up_the_gpu_warn_of_nothing():
    # Runs of 50 % longer steps come and go there, in other places of each launch.
    assert step_findings(real("baseline"), real("gate")) == ()


def test_a_slower_engine_that_is_slower_in_every_step_has_no_profile_to_tell():
    slower = recorded("tiny_wan_slower")
    assert len(slower) == 5
    assert step_findings(real("baseline"), slower) == ()


def test_real_steps_of_which_one_is_made_to_spike():
    gate = [
        LaunchRecord(number=e.number, metrics=e.metrics, steps_ms=tuple(changed(e.steps_ms, 2.0, 12)))
        for e in real("gate")
    ]
    assert told(step_findings(real("baseline"), gate)) == [("spike", "", 12, 12, 98, 51, 5)]


# ------------------------------------------------------------------------------------------------- one thing each


def test_equal_profiles_warn_of_nothing():
    assert step_findings(launches(FLAT), launches(FLAT)) == ()


def test_first_steps_are_named_with_what_they_took():
    found = step_findings(launches(FLAT), launches(changed(FLAT, 1.4, 0, 1)))
    assert told(found) == [("first-steps", "", 0, 1, 280, 200, 5)]
    assert found[0].change == pytest.approx(0.4, abs=1e-3)


def test_first_steps_that_lose_less_than_a_stages_limit_are_not_told():
    assert step_findings(launches(FLAT), launches(changed(FLAT, 1.15, 0, 1))) == ()


def test_time_that_moves_between_the_first_two_steps_is_nothing():
    moved = [180.0, 20.0, *FLAT[2:]]
    assert step_findings(launches(FLAT), launches(moved)) == ()


def test_a_throttled_tail_is_named_by_its_steps():
    (found,) = step_findings(launches(FLAT), launches(changed(FLAT, 1.24, *range(20, 30))))
    assert (found.code, found.first, found.last) == ("tail-drift", 20, 29)
    assert found.change == pytest.approx(0.24, abs=1e-3)


def test_a_tail_that_was_there_before_is_no_drift():
    drifting = changed(FLAT, 1.3, *range(20, 30))
    assert step_findings(launches(drifting), launches(drifting)) == ()


@pytest.mark.parametrize("count", [3, 5])
def test_a_spike_in_every_launch_is_named_by_its_step(count):
    found = step_findings(launches(FLAT), launches(changed(FLAT, 1.5, 17), count))
    assert told(found) == [("spike", "", 17, 17, 149, 100, count)]


@pytest.mark.parametrize("count", [1, 2])
def test_a_spike_in_fewer_than_three_launches_is_not_told(count):
    assert step_findings(launches(FLAT), launches(changed(FLAT, 1.5, 17), count)) == ()


def test_a_spike_that_one_launch_lacks_is_sporadic():
    spiking = launches(changed(FLAT, 2.0, 17), 4)
    assert step_findings(launches(FLAT), [*spiking, *launches(FLAT, 1)]) == ()


def test_a_spike_of_less_than_20_ms_costs_too_little_to_tell():
    quick = [10.0] * 30
    assert step_findings(launches(quick), launches(changed(quick, 2.5, 17))) == ()


def test_a_launch_that_is_slower_in_every_step_does_not_spike_in_each():
    assert step_findings(launches(FLAT), launches([ms * 1.4 for ms in FLAT])) == ()


def test_a_cache_that_skips_steps_by_design_is_compared_step_by_step():
    cached = [100.0 if i % 3 == 0 else 30.0 for i in range(30)]
    assert step_findings(launches(cached), launches(cached)) == ()
    found = step_findings(launches(cached), launches(changed(cached, 3.0, 13)))
    assert told(found) == [("spike", "", 13, 13, 90, 30, 5)]


# ------------------------------------------------------------------------------------------------- nothing to compare


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (launches(FLAT), launches(FLAT[:-1])),
        (launches(()), launches(())),
        (launches(FLAT), launches(())),
        (launches(FLAT, 2), launches(changed(FLAT, 3.0, 17))),
        (launches(FLAT), []),
        (launches(FLAT), launches(changed(FLAT, math.nan, 17))),
        (launches(FLAT), launches(changed(FLAT, 0.0, 17))),
    ],
    ids=["another step count", "no steps", "none now", "two baseline launches", "no launches", "NaN", "zero"],
)
def test_profiles_that_cannot_be_compared_warn_of_nothing(then, now):
    assert step_findings(then, now) == ()


def test_launches_that_were_replaced_do_not_count():
    disturbed = [
        LaunchRecord(number=9, steps_ms=entry.steps_ms, disturbances=(Disturbance(code="heat"),))
        for entry in launches([5.0] * 30, 1)
    ]
    spiking = launches(changed(FLAT, 1.5, 17))
    assert step_findings([*launches(FLAT), *disturbed], [*spiking, *disturbed]) == step_findings(
        launches(FLAT), spiking
    )


# ------------------------------------------------------------------------------------------------- two stages


TWO = [100.0] * 20 + [400.0] * 5
STAGES = {"LTX2DenoisingStage": 2030.0, "LTX2RefinementStage": 2030.0}


def test_two_stages_are_split_where_the_first_stages_time_is_used_up():
    assert step_stages(launches(TWO, **STAGES)) == (20,)


def test_a_pause_leaves_room_for_steps_but_the_other_launches_tell():
    paused = LaunchRecord(
        number=9, metrics={"stage:ADenoisingStage": 2900.0, "stage:BDenoisingStage": 2030.0}, steps_ms=tuple(TWO)
    )
    told = launches(TWO, 1, ADenoisingStage=2010.0, BDenoisingStage=2010.0)
    assert step_stages([paused]) == (22,)
    assert step_stages([paused, *told]) == step_stages([*told, paused]) == (20,)


def test_three_stages_have_two_step_stages():
    three = [100.0] * 10 + [50.0] * 4 + [300.0] * 3
    stages = {"ADenoisingStage": 1010.0, "BDenoisingStage": 205.0, "CRefinementStage": 915.0}
    assert step_stages(launches(three, 1, **stages)) == (10, 14)


def test_one_stage_has_no_boundary_and_other_stages_do_not_matter():
    assert step_stages(launches(FLAT, DenoisingStage=3050.0, WanBeforeDenoisingStage=80.0, DecodingStage=40.0)) == ()


def test_steps_that_do_not_fit_their_stages_are_not_split_and_not_judged():
    short = {"ADenoisingStage": 50.0, "BDenoisingStage": 60.0}
    assert step_stages(launches(TWO, **short)) is None
    assert step_findings(launches(TWO, **short), launches(changed(TWO, 2.0, 7), **short)) == ()


def test_first_steps_of_the_second_stage_are_told_as_such():
    slow = launches(changed(TWO, 1.4, 20, 21), LTX2DenoisingStage=2030.0, LTX2RefinementStage=2360.0)
    found = step_findings(launches(TWO, **STAGES), slow)
    assert told(found) == [("first-steps", "LTX2RefinementStage", 20, 21, 1120, 800, 5)]


def test_the_step_to_another_stage_is_neither_drift_nor_spike():
    assert step_findings(launches(TWO, **STAGES), launches(TWO, **STAGES)) == ()
    spiking = launches(changed(TWO, 1.5, 11), LTX2DenoisingStage=2080.0, LTX2RefinementStage=2030.0)
    found = step_findings(launches(TWO, **STAGES), spiking)
    assert told(found) == [("spike", "LTX2DenoisingStage", 11, 11, 149, 100, 5)]
