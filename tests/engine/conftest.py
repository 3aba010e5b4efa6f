"""The real engine on the CPU: its environment, tiny checkpoints, and projects that measure it as a user would.

`SGDIFF_ENGINE_ENV` names the environment (default `.engine`, see build_engine.sh), `SGDIFF_ENGINE_CHECKPOINTS` the
folder of the checkpoints (default: within it). What is missing is built.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
from collections.abc import Callable

import pytest

from tests.realproject import ROOT, Project, Ran

HERE = pathlib.Path(__file__).parent

Checkpoint = Callable[[str], pathlib.Path]
Recorded = tuple[Project, Ran]

CASE = """
cases:
  tiny_wan:
    summary: a Wan 2.1 model of six layers, on the CPU
    model: {model}
    gpus: 0
    # One thread: two of them wait for each other as soon as something else runs on the machine.
    env: {{HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: "1"}}
    args:
      prompt: A curious raccoon
      seed: 42
      width: 128
      height: 128
      num-frames: 5
      num-inference-steps: 8
    expect: {{pipeline: WanPipeline, stages: [DenoisingStage], output: {{width: 128, height: 128, frames: 5}}}}
    # A CPU that does other things is no measuring instrument: only gross slowdowns are to be told.
    metrics: {{primary: denoise, gate: [denoise], allow: {{denoise: 30%}}, detect: {{denoise: 60%}}}}
    launches: {{baseline: 3, checkpoints: [1, 3]}}
    timeout: 15m
"""


@pytest.fixture(scope="session")
def engine_env() -> pathlib.Path:
    """The folder of an environment whose `bin/sglang` runs the engine on the CPU; built if it is not there."""
    named = os.environ.get("SGDIFF_ENGINE_ENV")
    folder = ROOT / (named or ".engine")
    if not (named and (folder / "bin" / "sglang").exists()):
        subprocess.run(["bash", str(HERE / "build_engine.sh"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def checkpoint(engine_env: pathlib.Path) -> Checkpoint:
    """A function (name of a kind of checkpoint) -> its folder; made on the first call."""
    made = pathlib.Path(os.environ.get("SGDIFF_ENGINE_CHECKPOINTS", engine_env / "checkpoints")).absolute()
    kinds = {
        "baseline": ("wan", "--layers", "6"),
        # Some 12 times the work of each step, under the same name: nothing but the engine's speed changes.
        "slower": ("wan", "--layers", "64", "--ffn", "2048"),
        # Twelve times the work of the text encoder, likewise.
        "slower encoder": ("wan", "--layers", "6", "--text-layers", "24"),
        # Loads, and fails inside every request.
        "failing": ("wan", "--words", "32"),
        "foreign": ("stable-diffusion",),
    }

    def make(kind: str) -> pathlib.Path:
        # The model counts by the last part of its path, which is why the kinds differ in the part before it.
        folder = made / kind / "Wan2.1-T2V-1.3B-Diffusers"
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        argv = [str(engine_env / "bin" / "python"), str(HERE / "make_checkpoint.py"), kinds[kind][0], str(folder)]
        subprocess.run([*argv, *kinds[kind][1:]], check=True, env=environment)
        return folder

    return make


@pytest.fixture(scope="session")
def recorded(engine_env: pathlib.Path, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A project whose baseline was recorded by `--sgdiff-update`, and that run."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "pytest.ini").write_text("[pytest]\n")
    project = Project(folder=folder, engine=str(engine_env / "bin" / "sglang"), gpus="none")
    project.write_case(CASE.format(model=checkpoint("baseline")))
    return project, project.pytest("--sgdiff-update")


@pytest.fixture
def project_with(recorded: Recorded, checkpoint: Checkpoint, tmp_path: pathlib.Path) -> Callable[[str], Project]:
    """A function (kind of checkpoint) -> a copy of the recorded project whose engine has that checkpoint now."""

    def copy(kind: str) -> Project:
        project = recorded[0].copy_to(tmp_path / kind)
        project.write_case(CASE.format(model=checkpoint(kind)))
        return project

    return copy


@pytest.fixture(scope="session")
def fallback(recorded: Recorded, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """The project with a model that falls back to diffusers, gated once; the launch is kept in `kept`."""
    project = recorded[0].copy_to(tmp_path_factory.mktemp("fallback") / "project")
    project.write_case(CASE.format(model=checkpoint("foreign")))
    return project, project.pytest("--sgdiff-out=kept")
