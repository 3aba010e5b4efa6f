"""Families of pictures and meshes on the real engine, from cases of `cases/` made small, and a fault of each."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import pytest

from pytest_sgdiff.engines.log import examine
from pytest_sgdiff.recordings import store as recordings
from tests.engine.conftest import FamilyCheckpoint
from tests.engine.family_run import SHARED, EachFamily, RecordedFamily, gated, of_families, primary, problems
from tests.engine.shipped import small

pytestmark = pytest.mark.engine

NAMES = ("firered", "hunyuan3d", "flux", "qwen-image", "z-image", "sd3")


class TestEachFamily(EachFamily):
    """Recorded, and gated."""


@of_families("firered")
def test_a_larger_image_encoder_regresses(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    slow = family_checkpoint(recorded_family.family, "larger encoder", "--image-layers", "400")
    _, case = gated(recorded_family, tmp_path, slow, gate="stage:ImageEncodingStage")
    assert case["outcome"] == "regressed"


@of_families("firered")
def test_a_folder_of_another_name_is_not_known(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    model = family_checkpoint(recorded_family.family, "baseline", folder="my-edit-model")
    # A case that says what it expects is not even launched.
    told = recorded_family.project.copy_to(tmp_path / "told")
    told.write_case(small(recorded_family.family, model))
    refused = told.pytest(SHARED)
    assert refused.returncode == 1
    assert "[model-not-recognised]" in refused.output
    # The engine refuses where the case asks for the native backend, and takes the other one where it does not.
    blind: dict[str, Any] = {"expect": {"stages": ["DenoisingStage"]}}
    _, died = gated(recorded_family, tmp_path / "asked", model, **blind)
    assert (died["outcome"], died["problems"][0]["code"]) == ("invalid", "exit-code")
    project, fell_back = gated(recorded_family, tmp_path / "fallback", model, backend=None, **blind)
    assert fell_back["outcome"] == "invalid"
    (launch,) = recordings.read_launches(project.folder / "gated", "tiny")
    assert "Falling back to diffusers backend." in "".join(examine(launch.log).fallbacks)
    # With its model id it is known again.
    args = {
        **json.loads(small(recorded_family.family, model))["cases"]["tiny"]["args"],
        "model-id": recorded_family.family.folder,
    }
    project, _ = gated(recorded_family, tmp_path / "named", model, args=args)
    (launch,) = recordings.read_launches(project.folder / "gated", "tiny")
    assert examine(launch.log).pipelines == ("QwenImageEditPlusPipeline",)


@of_families("hunyuan3d")
def test_a_request_that_fails_beside_the_file_of_its_warmup_is_invalid(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    """The one step of the warmup draws a shape, which it saves under the final name; six steps draw none."""
    model = family_checkpoint(recorded_family.family, "no surface", "--offset=-2.5")
    project, case = gated(recorded_family, tmp_path, model)
    assert case["outcome"] == "invalid"
    (launch,) = recordings.read_launches(project.folder / "gated", "tiny")
    assert launch.outputs is not None
    assert [file.name.rpartition(".")[2] for file in launch.outputs] == ["obj"]
    assert (launch.returncode, launch.dump) == (0, None)


@of_families("flux")
def test_a_text_encoder_of_flux_that_falls_back_is_invalid(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    model = family_checkpoint(recorded_family.family, "foreign names", "--foreign-names")
    _, case = gated(recorded_family, tmp_path, model)
    assert problems(case) == [("component-fell-back", "component")]


@of_families("z-image")
def test_a_transformer_that_falls_back_and_fails_is_invalid(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    model = family_checkpoint(recorded_family.family, "foreign names", "--foreign-names")
    _, case = gated(recorded_family, tmp_path, model)
    assert case["outcome"] == "invalid"
    assert ("failure-in-log", None) in problems(case)


@of_families("qwen-image", "sd3")
def test_a_transformer_of_more_layers_regresses(
    recorded_family: RecordedFamily, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    _, case = gated(recorded_family, tmp_path, family_checkpoint(recorded_family.family, "slower", "--layers", "48"))
    assert case["outcome"] == "regressed"
    assert primary(case)["ratio"] > 2
