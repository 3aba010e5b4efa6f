"""The main job on the real engine: record, gate, find a real slowdown or another picture, and refuse what was not
measured."""

from __future__ import annotations

import json
import pathlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines import references
from pytest_sgdiff.recordings import store as recordings
from tests.engine.conftest import Checkpoint
from tests.realproject import Project, Ran

pytestmark = pytest.mark.engine

ProjectWith = Callable[[str], Project]


def test_update_records_a_baseline_of_three_launches(recorded: tuple[Project, Ran]) -> None:
    project, ran = recorded
    assert ran.returncode == 0
    assert ran.case is not None
    assert (ran.case["outcome"], ran.case["recorded"]) == ("pass", True)

    (path,) = project.baselines()
    assert path.name == "tiny_wan.json"
    baseline = baselines.load(path)
    launches = baseline.measurement.launches
    assert baseline.engine_version == "0.5.17"
    assert baseline.measurement.machine.kind == "cpu"
    assert path.parent.name == baseline.measurement.machine.slug
    assert [launch.pipeline for launch in launches] == ["WanPipeline"] * 3
    assert [launch.warmup for launch in launches] == ["proven"] * 3
    assert [launch.generation for launch in launches] == ["B"] * 3
    values = baseline.measurement.values
    assert all(isinstance(value, float) and value > 0 for name in ("denoise", "e2e") for value in values[name])
    assert len(set(values["denoise"])) == 3
    assert "--sgdiff-update" in baseline.recorded.command
    # What a reviewer sees of it: one line per metric.
    assert any(line.strip().startswith('"denoise": [') for line in path.read_text().splitlines())


def test_every_launch_left_a_recording_that_can_be_judged_again(recorded: tuple[Project, Ran]) -> None:
    project, _ = recorded
    (run,) = [folder for folder in (project.folder / ".sgdiff").iterdir() if folder.is_dir()]
    launches = recordings.read_launches(run, "tiny_wan")
    assert [launch.number for launch in launches] == [0, 1, 2]
    for launch in launches:
        assert (launch.ending, launch.returncode, launch.stale_dump) == ("exited", 0, False)
        assert launch.outputs is not None
        assert [output.name.rpartition(".")[2] for output in launch.outputs] == ["mp4"]
        assert "Using pipeline from model_index.json: WanPipeline" in launch.log
        assert launch.dump is not None
        assert json.loads(launch.dump)["tag"] == "cli_generate"
        assert launch.argv[1] == "generate"


@pytest.mark.usefixtures("by_default")
def test_the_same_engine_passes(project_with: ProjectWith) -> None:
    project = project_with("baseline")
    before = project.baselines()
    ran = project.pytest()
    assert ran.returncode == 0
    assert ran.case is not None
    # On a machine that does other things the honest answer may be that it cannot be told.
    assert ran.case["outcome"] in {"pass", "improved", "inconclusive"}
    assert ran.case["measured"] is True
    assert "measured 1 of 1" in ran.output
    assert before == project.baselines()
    assert ran.case["quality"]["code"] == "same"
    assert ran.case["quality"]["similarity"]["mse"] == 0


def test_an_engine_with_more_work_per_step_regresses(project_with: ProjectWith) -> None:
    project = project_with("slower")
    ran = project.pytest()
    assert ran.case is not None
    assert (ran.case["outcome"], ran.returncode) == ("regressed", 1)
    (primary,) = [verdict for verdict in ran.case["verdicts"] if verdict["primary"]]
    assert primary["ratio"] > 3
    assert len(ran.case["launches"]) == 3
    assert "measured 1 of 1" in ran.output
    assert "--sgdiff-update" in ran.output
    assert "Traceback" not in ran.output


def test_a_real_fallback_to_diffusers_is_invalid(fallback: tuple[Project, Ran]) -> None:
    _, ran = fallback
    assert ran.case is not None
    assert (ran.case["outcome"], ran.returncode) == ("invalid", 1)
    evidence = "\n".join(line for problem in ran.case["problems"] for line in problem["evidence"])
    assert "has no native sglang support. Falling back to diffusers backend." in evidence
    assert "DiffusersExecutionStage" in evidence or "DiffusersPipeline" in evidence
    assert "Falling back to diffusers backend." in ran.output
    assert ran.case["verdicts"] == []
    assert ran.case["measured"] is False
    assert all(launch["metrics"] == {} for launch in ran.case["launches"])


@pytest.mark.usefixtures("by_default")
def test_no_baseline_is_recorded_from_a_fallback(project_with: ProjectWith) -> None:
    project = project_with("foreign")
    before = project.baselines()
    ran = project.pytest("--sgdiff-update")
    assert ran.returncode == 1
    assert before == project.baselines()


def test_an_error_inside_a_request_fails_although_the_engine_exits_0(project_with: ProjectWith) -> None:
    project = project_with("failing")
    ran = project.pytest()
    assert ran.case is not None
    assert (ran.case["outcome"], ran.returncode) == ("invalid", 1)
    assert "index out of range in self" in ran.output
    assert ran.case["measured"] is False
    (launch,) = recordings.read_launches(project.folder / pathlib.Path(ran.case["folder"]).parent.parent, "tiny_wan")
    assert (launch.ending, launch.returncode, launch.dump) == ("exited", 0, None)


def test_the_recording_of_the_gate_is_judged_alike_without_the_engine(fallback: tuple[Project, Ran]) -> None:
    project, live = fallback
    replayed = replace(project, gpus="", engine="no-engine-here").pytest("--sgdiff-replay=kept")
    assert live.case is not None
    assert replayed.case is not None
    assert (replayed.returncode, replayed.case["outcome"]) == (1, "invalid")
    assert replayed.case["problems"] == live.case["problems"]


# ---------------------------------------------------------------------------------------------------------- pictures


def engine_that(folder: pathlib.Path, engine: str, line: str) -> str:
    """A command in place of the engine's, which does a line of Python first."""
    path = folder / "sglang"
    python = pathlib.Path(engine).read_text().partition("\n")[0]
    path.write_text(f"{python}\nimport os, sys\n\n{line}\nos.execv({engine!r}, [{engine!r}, *sys.argv[1:]])\n")
    path.chmod(0o755)
    return str(path)


def gated_once(project: Project, **changes: Any) -> dict[str, Any]:
    """One launch against the recorded baseline."""
    project = replace(project, **changes)
    case = project.folder / "cases" / "tiny.yaml"
    case.write_text(case.read_text().replace("checkpoints: [1, 3]", "checkpoints: [1]"))
    ran = project.pytest()
    assert ran.case is not None, ran.output
    return dict(ran.case)


def test_a_baseline_keeps_what_its_launches_drew(recorded: tuple[Project, Ran]) -> None:
    (path,) = recorded[0].baselines()
    reference = references.read(baselines.load(path))
    assert reference is not None
    (output,) = reference.outputs
    assert (output.sample.kind, output.sample.width, output.sample.height) == ("video", 128, 128)
    assert (output.sample.frames, output.sample.shown) == (5, (0, 1, 2, 3, 4))
    # The engine draws the same bits for the same seed on one CPU.
    assert output.noise is not None
    assert (output.noise.mse, reference.launches) == (0, 3)


OTHER_PICTURES = {
    "a shifted seed": "sys.argv = ['43' if word == '42' else word for word in sys.argv]",
    # It leaves out parts of steps: faster, and lossy.
    "Cache-DiT": "os.environ |= {'SGLANG_CACHE_DIT_ENABLED': 'true', 'SGLANG_CACHE_DIT_RDT': '0.5', "
    "'SGLANG_CACHE_DIT_WARMUP': '1'}",
}


@pytest.mark.parametrize("line", OTHER_PICTURES.values(), ids=OTHER_PICTURES)
def test_an_engine_that_draws_another_picture_fails(
    project_with: ProjectWith, engine: str, tmp_path: pathlib.Path, line: str
) -> None:
    case = gated_once(project_with("baseline"), engine=engine_that(tmp_path, engine, line))
    assert case["outcome"] == "regressed"
    assert (case["quality"]["code"], case["quality"]["measure"]) == ("changed", "psnr")


def test_a_model_that_computes_nan_draws_nothing_and_does_not_count(
    project_with: ProjectWith, checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    whole = checkpoint("baseline")
    broken = tmp_path / "nan" / whole.name
    shutil.copytree(whole, broken)
    fill_with_nan(broken / "transformer" / "diffusion_pytorch_model.safetensors", "proj_out.bias")
    project = project_with("baseline")
    file = project.folder / "cases" / "tiny.yaml"
    file.write_text(file.read_text().replace(str(whole), str(broken)))
    case = gated_once(project)
    assert case["outcome"] == "invalid"
    (problem,) = case["problems"]
    assert (problem["code"], problem["cause"], problem["blank"]) == ("blank-output", "blank", "black")


def fill_with_nan(file: pathlib.Path, tensor: str) -> None:
    """Make every number of a tensor of 16 bits NaN. The file is a length, JSON of that length, and the numbers."""
    data = bytearray(file.read_bytes())
    length = int.from_bytes(data[:8], "little")
    begin, end = json.loads(data[8 : 8 + length])[tensor]["data_offsets"]
    data[8 + length + begin : 8 + length + end] = b"\xc0\x7f" * ((end - begin) // 2)
    file.write_bytes(data)
