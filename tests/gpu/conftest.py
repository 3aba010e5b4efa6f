"""The real engine on one NVIDIA GPU: see docs/gpu-testing.md for what must be there and how long it takes.

| variable | default | meaning |
| --- | --- | --- |
| `SGDIFF_ENGINE_CMD` | `sglang` | the engine's command |
| `SGDIFF_ENGINE_PYTHON` | the Python beside it, or `python3` | a command line that has the engine's packages |
| `SGDIFF_ENGINE_CHECKPOINTS` | a temporary folder | where the checkpoints are made, and found again |
| `SGDIFF_GPU_LAUNCHES` | 10 | launches of the baseline |
| `SGDIFF_GPU_PICTURE` | 1536 | width and height of FireRed's pictures, on two GPUs |
"""

from __future__ import annotations

import os
import pathlib
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator

import pytest

from tests.gpu.twogpus import visible_gpus
from tests.gpu.wan import case_text
from tests.realproject import ROOT, Project, Ran

Checkpoint = Callable[[str], pathlib.Path]

KINDS = {
    "baseline": ("wan", "--ffn", "8960"),
    # A quarter more in every feed-forward: some 8 % more time per step.
    "slower": ("wan", "--ffn", "11264"),
    "foreign": ("stable-diffusion",),
}
# GPU-bound on an H200 at the sizes of tests/gpu/twogpus.py.
FAMILIES = {
    "firered": (
        "FireRed-Image-Edit-1.0",
        "--heads",
        "12",
        "--head-dim",
        "128",
        "--layers",
        "10",
        "--text-dim",
        "256",
        "--text-layers",
        "4",
        "--vae-dim",
        "32",
    ),
    "ltx-2": (
        "LTX-2",
        "--heads",
        "32",
        "--head-dim",
        "128",
        "--layers",
        "8",
        "--text-dim",
        "256",
        "--text-layers",
        "4",
        "--vae-dim",
        "32",
    ),
}
SIZE = ("--heads", "12", "--layers", "10", "--text-dim", "1024", "--text-layers", "4", "--vae-dim", "32")

BUSY = """
import sys, torch
a = torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16)
print("busy", flush=True)
while True:
    for _ in range(100):
        a @ a
    torch.cuda.synchronize()
"""


@pytest.fixture(scope="session")
def engine() -> str:
    """The engine's command. Its absence is an error: these tests were asked for."""
    command = os.environ.get("SGDIFF_ENGINE_CMD", "sglang")
    if shutil.which(shlex.split(command)[0]) is None:
        raise FileNotFoundError(f"no engine: {command} is not there; set SGDIFF_ENGINE_CMD (docs/gpu-testing.md)")
    return command


@pytest.fixture(scope="session")
def engine_python(engine: str) -> list[str]:
    """A command that runs Python with the engine's packages."""
    beside = pathlib.Path(shutil.which(shlex.split(engine)[0]) or "").with_name("python")
    return shlex.split(os.environ.get("SGDIFF_ENGINE_PYTHON", str(beside) if beside.exists() else "python3"))


def made_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Where checkpoints are made."""
    named = os.environ.get("SGDIFF_ENGINE_CHECKPOINTS")
    return pathlib.Path(named).absolute() if named else tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="session")
def checkpoint(engine_python: list[str], tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """A function (kind of checkpoint) -> its folder; made on the first call."""
    made = made_folder(tmp_path_factory)

    def make(kind: str) -> pathlib.Path:
        if kind in FAMILIES:
            name, *size = FAMILIES[kind]
            program = str(ROOT / "tests" / "engine" / "make_checkpoint.py")
            subprocess.run([*engine_python, program, kind, str(made / name), "--cuda", *size], check=True)
            return made / name
        folder = made / f"gpu-{kind}" / "Wan2.1-T2V-1.3B-Diffusers"
        size = SIZE if KINDS[kind][0] == "wan" else ()
        program = str(ROOT / "tests" / "engine" / "make_checkpoint.py")
        subprocess.run(
            [*engine_python, program, KINDS[kind][0], str(folder), "--cuda", *KINDS[kind][1:], *size], check=True
        )
        return folder

    return make


@pytest.fixture(scope="session")
def recorded(engine: str, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Ran]:
    """A project whose baseline was recorded on this GPU, and that run.

    One launch goes before it: the first one on a machine compiles kernels, and takes twice as long.
    """
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "pytest.ini").write_text("[pytest]\n")
    project = Project(folder=folder, engine=engine, gpus="1")
    project.write_case(case_text(checkpoint("baseline")))
    project.pytest("--sgdiff-out=first")
    return project, project.pytest("--sgdiff-update", "--sgdiff-out=recorded")


@pytest.fixture
def project_with(
    recorded: tuple[Project, Ran], checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> Callable[[str], Project]:
    """A function (kind of checkpoint) -> a copy of the recorded project whose engine has that checkpoint now."""

    def copy(kind: str) -> Project:
        project = recorded[0].copy_to(tmp_path / kind)
        project.write_case(case_text(checkpoint(kind)))
        return project

    return copy


@pytest.fixture(scope="session")
def two_gpus() -> list[str]:
    """The UUIDs of the machine's two GPUs in PCI order. Where there are fewer, the tests are not for the machine."""
    uuids = visible_gpus()
    if len(uuids) < 2:
        pytest.skip(f"needs two GPUs, and this machine has {len(uuids)}")
    return uuids[:2]


@pytest.fixture(scope="session")
def new_project(
    engine: str, two_gpus: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Project]:
    """A function (name, case file) -> a project that may lease two GPUs."""

    def make(name: str, text: str) -> Project:
        folder = tmp_path_factory.mktemp(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        project = Project(folder=folder, engine=engine, gpus=",".join(two_gpus))
        project.write_case(text)
        return project

    return make


@pytest.fixture
def busy_gpu(engine_python: list[str]) -> Iterator[Callable[..., int]]:
    """A function that starts another program that computes on the GPU of that number, and returns its process id."""
    started: list[subprocess.Popen[str]] = []

    def start(number: int = 0) -> int:
        environment = {**os.environ, "CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(number)}
        process = subprocess.Popen([*engine_python, "-c", BUSY], stdout=subprocess.PIPE, text=True, env=environment)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        return process.pid

    yield start
    for process in started:
        process.kill()
        process.communicate()
