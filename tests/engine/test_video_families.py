"""Wan2.2, LTX-2 and LTX-2.3 on the real engine, from cases of `cases/` made small, and a fault of each."""

from __future__ import annotations

import json
import pathlib
import statistics
from dataclasses import replace

import pytest

from pytest_sgdiff.engines.log import examine
from pytest_sgdiff.engines.perf_dump import parse
from pytest_sgdiff.recordings import store as recordings
from tests.engine.conftest import FamilyCheckpoint
from tests.engine.family_run import SHARED, EachFamily, RecordedFamily, gated, of_families, problems
from tests.engine.shipped import FAMILIES, small

pytestmark = pytest.mark.engine

NAMES = ("wan22-t2v", "wan22-ti2v", "wan22-ti2v-image", "ltx2-two-stage", "ltx23-one-stage", "ltx23-two-stage-image")


class TestEachFamily(EachFamily):
    """Recorded, and gated."""


@of_families("wan22-t2v")
def test_a_slower_low_noise_expert_regresses(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    slow = family_checkpoint(recorded_family.family, "slow expert", "--layers-2", "96")
    project, case = gated(recorded_family, tmp_path, slow)
    assert case["outcome"] == "regressed"
    # Two of the eight steps are below the boundary: the median step shows nothing.
    for launch in recordings.read_launches(project.folder / "gated", "tiny"):
        steps = parse(launch.dump or "").steps_ms
        assert min(steps[6:]) > 3 * statistics.median(steps)


@of_families("wan22-ti2v")
def test_an_image_makes_another_workload_of_the_same_flags(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    few = FAMILIES["wan22-ti2v-image"].args
    asked = {"width": 128, "height": 128, "frames": 1}
    text = small(
        replace(recorded_family.family, image=True, args=few, size=asked), family_checkpoint(recorded_family.family)
    )
    project = recorded_family.project.copy_to(tmp_path / "gated")
    project.write_case(text)
    ran = project.pytest(SHARED, "--sgdiff-out=gated")
    assert ran.case is not None
    # It asks for 128x128 and gets some 700 times 1280 pixels in the proportions of the image.
    assert ran.case["outcome"] == "invalid"
    assert problems(ran.case) == [("other-size", "contradicted")] * 2
    (launch,) = recordings.read_launches(project.folder / "gated", "tiny")
    assert launch.outputs is not None
    assert [(file.width, file.height) for file in launch.outputs] == [(960, 928)]
    assert set(examine(launch.log).sampling["width"]) == {"128"}


@of_families("ltx2-two-stage")
def test_a_larger_refinement_regresses(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    """The second stage runs the first one's transformer with a LoRA that is not merged into it: its rank is work."""
    slow = family_checkpoint(recorded_family.family, "larger refinement", "--lora-rank", "16384")
    _, case = gated(recorded_family, tmp_path, slow, gate="stage:LTX2RefinementStage")
    assert case["outcome"] == "regressed"


@of_families("ltx23-two-stage-image")
def test_the_way_its_two_stages_share_the_device_is_seen(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    args = json.loads(small(recorded_family.family, tmp_path))["cases"]["tiny"]["args"]
    args["ltx2-two-stage-device-mode"] = "resident"
    project, case = gated(recorded_family, tmp_path, family_checkpoint(recorded_family.family), args=args)
    assert case["outcome"] == "no-baseline"
    (launch,) = recordings.read_launches(project.folder / "gated", "tiny")
    assert examine(launch.log).server_args["ltx2_two_stage_device_mode"] == "resident"


@of_families("ltx23-one-stage")
def test_a_text_encoder_that_falls_back_is_invalid(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    model = family_checkpoint(recorded_family.family, "foreign names", "--foreign-names")
    _, case = gated(recorded_family, tmp_path, model)
    assert case["outcome"] == "invalid"
    assert problems(case) == [("component-fell-back", "component")]
