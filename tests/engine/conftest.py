"""The real engine on the CPU: its environment, tiny checkpoints, and projects that measure it as a user would.

`SGDIFF_ENGINE_ENV` names the environment (default `.engine`, see build_engine.sh), `SGDIFF_ENGINE_CHECKPOINTS` the
folder of the checkpoints (default: within it). What is missing is built.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Callable

import pytest
from engineproject import ROOT, Project, Ran

HERE = pathlib.Path(__file__).parent


@pytest.fixture(scope="session")
def engine_env() -> pathlib.Path:
    """The folder of an environment whose `bin/sglang` runs the engine on the CPU; built if it is not there."""
    named = os.environ.get("SGDIFF_ENGINE_ENV")
    folder = ROOT / (named or ".engine")
    if not (named and (folder / "bin" / "sglang").exists()):
        subprocess.run(["bash", str(HERE / "build_engine.sh"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def checkpoint(engine_env: pathlib.Path) -> Callable[..., pathlib.Path]:
    """A function (name of a kind of checkpoint) -> its folder; made on the first call."""
    made = pathlib.Path(os.environ.get("SGDIFF_ENGINE_CHECKPOINTS", engine_env / "checkpoints")).absolute()
    kinds = {
        "baseline": ("wan", "--layers", "6"),
        # Some 12 times the work of each step, under the same name: nothing but the engine's speed changes.
        "slower": ("wan", "--layers", "64", "--ffn", "2048"),
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
def recorded(
    engine_env: pathlib.Path, checkpoint: Callable[[str], pathlib.Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, Ran]:
    """A project whose baseline was recorded by `--sgdiff-update`, and that run."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "pytest.ini").write_text("[pytest]\n")
    project = Project(folder=folder, engine=str(engine_env / "bin" / "sglang"))
    project.write_case(checkpoint("baseline"))
    return project, project.pytest("--sgdiff-update")


@pytest.fixture
def project(recorded: tuple[Project, Ran], tmp_path: pathlib.Path) -> Project:
    """A copy of the recorded project."""
    shutil.copytree(recorded[0].folder, tmp_path / "project")
    return Project(folder=tmp_path / "project", engine=recorded[0].engine)
