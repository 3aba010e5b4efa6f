"""Each family on the real engine, from a case of `cases/` made small: dry run, record, gate, and a fault of its own."""

from __future__ import annotations

import json
import pathlib
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.engines.log import examine
from pytest_sgdiff.engines.perf_dump import parse
from pytest_sgdiff.recordings import store as recordings
from tests.engine.conftest import FamilyCheckpoint
from tests.engine.shipped import FAMILIES, Family, small
from tests.realproject import Project, Ran, write_picture

pytestmark = pytest.mark.engine

SHARED = "--sgdiff-isolation=shared"


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A family, its project with a baseline, and the run that recorded it."""

    name: str
    family: Family
    project: Project
    ran: Ran


def new_project(folder: pathlib.Path, engine: str) -> Project:
    (folder / "pytest.ini").write_text("[pytest]\nsgdiff_assets = assets\n")
    write_picture(folder / "assets" / "input.png")
    return Project(folder=folder, engine=engine, gpus="none")


@pytest.fixture(scope="module", params=[pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in FAMILIES])
def recorded(
    request: pytest.FixtureRequest,
    engine: str,
    family_checkpoint: FamilyCheckpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> Recorded:
    family = FAMILIES[request.param]
    project = new_project(tmp_path_factory.mktemp(request.param), engine)
    project.write_case(small(family, family_checkpoint(family)))
    return Recorded(name=request.param, family=family, project=project, ran=project.pytest("--sgdiff-update", SHARED))


def test_a_dry_run_prints_the_command_line(recorded: Recorded) -> None:
    project = replace(recorded.project, gpus="")
    ran = project.pytest("--sgdiff-dry-run", "-s")
    assert ran.returncode == 0
    assert f"{recorded.family.folder} " in ran.output
    for flag in recorded.family.args:
        assert f"--{flag} " in ran.output


def test_it_is_recorded_natively(recorded: Recorded) -> None:
    assert recorded.ran.case is not None
    assert (recorded.ran.case["outcome"], recorded.ran.case["recorded"]) == ("pass", True)
    (path,) = recorded.project.baselines()
    launches = baselines.load(path).measurement.launches
    assert [launch.warmup for launch in launches] == ["proven"] * 3
    wanted = recorded.family.shipped.expect.pipeline
    assert {launch.pipeline for launch in launches} == ({wanted} if wanted else {launches[0].pipeline})


def test_the_plain_command_passes_the_gate(recorded: Recorded, plain: str) -> None:
    ran = replace(recorded.project, engine=plain).pytest(SHARED, "--sgdiff-out=plain")
    assert ran.case is not None
    # On a machine that does other things the honest answer may be that it cannot be told.
    assert ran.case["outcome"] in {"pass", "improved", "inconclusive"}
    assert ran.case["measured"] is True


def gated(
    recorded: Recorded,
    folder: pathlib.Path,
    model: pathlib.Path,
    *,
    gate: str | None = None,
    **changes: Any,
) -> tuple[Project, Mapping[str, Any]]:
    """One gate of a copy of the project whose engine has that checkpoint, and whose case has those changes."""
    project = recorded.project.copy_to(folder / "gated")
    project.write_case(small(recorded.family, model, gate=gate, **changes))
    ran = project.pytest(SHARED, "--sgdiff-out=gated")
    assert ran.case is not None, ran.output
    return project, ran.case


def problems(case: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    return [(problem["code"], problem["cause"]) for problem in case["problems"]]


def primary(case: Mapping[str, Any]) -> Mapping[str, Any]:
    (verdict,) = [verdict for verdict in case["verdicts"] if verdict["primary"]]
    return verdict


def family(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recorded", [pytest.param(name, marks=pytest.mark.xdist_group(name))], indirect=True)


@family("wan22-t2v")
def test_a_slower_low_noise_expert_regresses(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    slow = family_checkpoint(recorded.family, "slow expert", "--layers-2", "96")
    project, case = gated(recorded, tmp_path, slow)
    assert case["outcome"] == "regressed"
    assert primary(case)["ratio"] > 1.9
    # Two of the eight steps are below the boundary: the median step shows nothing.
    for launch in recordings.read_launches(project.folder / "gated", "tiny"):
        steps = parse(launch.dump or "").steps_ms
        assert min(steps[6:]) > 3 * statistics.median(steps)


@family("wan22-ti2v")
def test_an_image_makes_another_workload_of_the_same_flags(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    few = FAMILIES["wan22-ti2v-image"].args
    asked = {"width": 128, "height": 128, "frames": 1}
    text = small(replace(recorded.family, image=True, args=few, size=asked), family_checkpoint(recorded.family))
    project = recorded.project.copy_to(tmp_path / "gated")
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


@family("firered")
def test_a_larger_image_encoder_regresses(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    slow = family_checkpoint(recorded.family, "larger encoder", "--image-layers", "400")
    _, case = gated(recorded, tmp_path, slow, gate="stage:ImageEncodingStage")
    assert case["outcome"] == "regressed"


@family("firered")
def test_a_folder_of_another_name_is_not_known(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    model = family_checkpoint(recorded.family, "baseline", folder="my-edit-model")
    # A case that says what it expects is not even launched.
    told = recorded.project.copy_to(tmp_path / "told")
    told.write_case(small(recorded.family, model))
    refused = told.pytest(SHARED)
    assert refused.returncode == 1
    assert "[model-not-recognised]" in refused.output
    # The engine refuses where the case asks for the native backend, and takes the other one where it does not.
    blind: dict[str, Any] = {"expect": {"stages": ["DenoisingStage"]}}
    _, died = gated(recorded, tmp_path / "asked", model, **blind)
    assert (died["outcome"], died["problems"][0]["code"]) == ("invalid", "exit-code")
    project, fell_back = gated(recorded, tmp_path / "fallback", model, backend=None, **blind)
    assert fell_back["outcome"] == "invalid"
    (launch,) = recordings.read_launches(project.folder / "gated", "tiny")
    assert "Falling back to diffusers backend." in "".join(examine(launch.log).fallbacks)
    # With its model id it is known again.
    args = {**json.loads(small(recorded.family, model))["cases"]["tiny"]["args"], "model-id": recorded.family.folder}
    project, _ = gated(recorded, tmp_path / "named", model, args=args)
    (launch,) = recordings.read_launches(project.folder / "gated", "tiny")
    assert examine(launch.log).pipelines == ("QwenImageEditPlusPipeline",)


@family("ltx2-two-stage")
def test_a_larger_refinement_regresses(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    """The second stage runs the first one's transformer with a LoRA that is not merged into it: its rank is work."""
    slow = family_checkpoint(recorded.family, "larger refinement", "--lora-rank", "16384")
    _, case = gated(recorded, tmp_path, slow, gate="stage:LTX2RefinementStage")
    assert case["outcome"] == "regressed"


@family("ltx23-two-stage-image")
def test_the_way_its_two_stages_share_the_device_is_seen(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    args = json.loads(small(recorded.family, tmp_path))["cases"]["tiny"]["args"]
    args["ltx2-two-stage-device-mode"] = "resident"
    project, case = gated(recorded, tmp_path, family_checkpoint(recorded.family), args=args)
    assert case["outcome"] == "no-baseline"
    (launch,) = recordings.read_launches(project.folder / "gated", "tiny")
    assert examine(launch.log).server_args["ltx2_two_stage_device_mode"] == "resident"


@family("ltx23-one-stage")
def test_a_text_encoder_that_falls_back_is_invalid(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    model = family_checkpoint(recorded.family, "foreign names", "--foreign-names")
    _, case = gated(recorded, tmp_path, model)
    assert case["outcome"] == "invalid"
    assert problems(case) == [("component-fell-back", "component")]


@family("hunyuan3d")
def test_a_request_that_fails_beside_the_file_of_its_warmup_is_invalid(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    """The one step of the warmup draws a shape, which it saves under the final name; six steps draw none."""
    model = family_checkpoint(recorded.family, "no surface", "--offset=-2.5")
    project, case = gated(recorded, tmp_path, model)
    assert case["outcome"] == "invalid"
    (launch,) = recordings.read_launches(project.folder / "gated", "tiny")
    assert launch.outputs is not None
    assert [file.name.rpartition(".")[2] for file in launch.outputs] == ["obj"]
    assert (launch.returncode, launch.dump) == (0, None)


@family("flux")
def test_a_text_encoder_of_flux_that_falls_back_is_invalid(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    model = family_checkpoint(recorded.family, "foreign names", "--foreign-names")
    _, case = gated(recorded, tmp_path, model)
    assert problems(case) == [("component-fell-back", "component")]


@family("z-image")
def test_a_transformer_that_falls_back_and_fails_is_invalid(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    model = family_checkpoint(recorded.family, "foreign names", "--foreign-names")
    _, case = gated(recorded, tmp_path, model)
    assert case["outcome"] == "invalid"
    assert ("failure-in-log", None) in problems(case)


@pytest.mark.parametrize(
    "recorded",
    [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in ("qwen-image", "sd3")],
    indirect=True,
)
def test_a_transformer_of_more_layers_regresses(
    recorded: Recorded, family_checkpoint: FamilyCheckpoint, tmp_path: pathlib.Path
) -> None:
    _, case = gated(recorded, tmp_path, family_checkpoint(recorded.family, "slower", "--layers", "48"))
    assert case["outcome"] == "regressed"
    assert primary(case)["ratio"] > 2
