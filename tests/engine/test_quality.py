"""What the real engine draws, compared: the same picture passes, whatever else draws does not."""

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
from tests.engine.conftest import Checkpoint
from tests.realproject import Project, Ran

pytestmark = pytest.mark.engine

ProjectWith = Callable[[str], Project]
ONE = "--sgdiff-out=kept"


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


def test_the_same_engine_draws_the_same(project_with: ProjectWith) -> None:
    case = gated_once(project_with("baseline"))
    assert (case["quality"]["code"], case["quality"]["similarity"]["mse"]) == ("same", 0)
    assert case["outcome"] != "regressed"


def test_a_shifted_seed_fails(project_with: ProjectWith, engine: str, tmp_path: pathlib.Path) -> None:
    shifted = "sys.argv = ['43' if word == '42' else word for word in sys.argv]"
    case = gated_once(project_with("baseline"), engine=engine_that(tmp_path, engine, shifted))
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
