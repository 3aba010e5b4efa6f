"""The real engine on the CPU: its environment, tiny checkpoints, and projects that measure it as a user would.

`SGDIFF_ENGINE_ENV` names the environment (default `.engine`, see build_engine.sh), `SGDIFF_ENGINE_CHECKPOINTS` the
folder of the checkpoints (default: within it). What is missing is built.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from xdist.scheduler.loadscope import LoadScopeScheduling

from tests.engine.family_run import RecordedFamily, record
from tests.engine.shipped import FAMILIES, Family
from tests.realproject import ROOT, Project, Ran

HERE = pathlib.Path(__file__).parent

Checkpoint = Callable[[str], pathlib.Path]
FamilyCheckpoint = Callable[..., pathlib.Path]
Forked = Callable[[str, str], str]
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


@pytest.fixture(scope="session", autouse=True)
def beside_others() -> Iterator[None]:
    """Launches of two tests may run at the same time, recorded ones too: what is to be told here are gross slowdowns.
    A test that has `by_default` waits for the whole host, as users do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_ADDOPTS", "--sgdiff-isolation=shared")
        yield


@pytest.fixture
def by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave it to the plugin which launches have the host for themselves."""
    monkeypatch.delenv("PYTEST_ADDOPTS")


@pytest.fixture(scope="session")
def engine_env() -> pathlib.Path:
    """The folder of an environment whose `bin/sglang` runs the engine on the CPU; built if it is not there."""
    named = os.environ.get("SGDIFF_ENGINE_ENV")
    folder = ROOT / (named or ".engine")
    if not (named and (folder / "bin" / "sglang").exists()):
        subprocess.run(["bash", str(HERE / "build_engine.sh"), str(folder)], check=True)
    return folder


@pytest.fixture(scope="session")
def plain(engine_env: pathlib.Path) -> str:
    """The engine's own command."""
    return str(engine_env.absolute() / "bin" / "sglang")


@pytest.fixture(scope="session")
def forked(engine_env: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forked]:
    """A function (program, name) -> a command of that name that runs the program in a copy of a process that has
    imported the engine."""
    folder = tmp_path_factory.mktemp("forked")
    with started(engine_env, folder, pythonpath=None) as command:
        yield command


@contextlib.contextmanager
def started(engine_env: pathlib.Path, folder: pathlib.Path, *, pythonpath: str | None) -> Iterator[Forked]:
    """The process that forks (forked.py), while it runs, and its commands, which are written into the folder."""
    python = str(engine_env.absolute() / "bin" / "python")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "SGDIFF_TEST_ROOM": "x" * 100_000}
    environment |= {"PYTHONPATH": pythonpath} if pythonpath else {}
    # A socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="sgdiff-") as short, (folder / "log").open("w") as log:
        address = f"{short}/socket"
        argv = [python, str(HERE / "forked.py"), "serve", address]
        server = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )

        def command(program: str, name: str) -> str:
            written = folder / name
            written.write_text(
                f"#!{python}\nimport sys\n\nsys.path.insert(0, {str(HERE)!r})\nimport forked\n\n"
                f"sys.exit(forked.ask({address!r}, [{program!r}, *sys.argv[1:]]))\n"
            )
            written.chmod(0o755)
            return str(written)

        with server:
            assert server.stdout is not None
            try:
                if "ready\n" not in server.stdout:
                    raise RuntimeError(f"the engine was not imported: {(folder / 'log').read_text()[-2000:]}")
                yield command
            finally:
                # It ends when its stdin does.
                assert server.stdin is not None
                server.stdin.close()


@pytest.fixture(scope="session")
def engine(forked: Forked, plain: str) -> str:
    """The engine's command without its imports."""
    return forked(plain, "sglang")


@pytest.fixture(scope="session")
def checkpoint(engine_env: pathlib.Path, forked: Forked) -> Checkpoint:
    """A function (name of a kind of checkpoint) -> its folder; made on the first call."""
    made = pathlib.Path(os.environ.get("SGDIFF_ENGINE_CHECKPOINTS", engine_env / "checkpoints")).absolute()
    generator = forked(str(HERE / "make_checkpoint.py"), "make_checkpoint")
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
        generate(generator, kinds[kind][0], folder, *kinds[kind][1:])
        return folder

    return make


def generate(generator: str, kind: str, folder: pathlib.Path, *options: str) -> None:
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([generator, kind, str(folder), *options], check=True, env=environment)


@pytest.fixture(scope="session")
def family_checkpoint(engine_env: pathlib.Path, forked: Forked) -> FamilyCheckpoint:
    """A function (family, name of the fault, options of it) -> the folder of its checkpoint; made on the first call."""
    made = pathlib.Path(os.environ.get("SGDIFF_ENGINE_CHECKPOINTS", engine_env / "checkpoints")).absolute()
    generator = forked(str(HERE / "make_checkpoint.py"), "make_checkpoint")

    def make(family: Family, fault: str = "baseline", *options: str, folder: str | None = None) -> pathlib.Path:
        path = made / fault / (folder or family.folder)
        generate(generator, family.kind, path, *options)
        return path

    return make


@pytest.fixture(scope="session")
def recorded(engine: str, checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    """A project whose baseline was recorded by `--sgdiff-update`, with a profile, and that run."""
    folder = tmp_path_factory.mktemp("recorded")
    (folder / "pytest.ini").write_text("[pytest]\n")
    project = Project(folder=folder, engine=engine, gpus="none")
    project.write_case(CASE.format(model=checkpoint("baseline")))
    return project, project.pytest("--sgdiff-update", "--sgdiff-profile=all")


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


WITH_THE_RECORDED_PROJECT = ("test_main_job", "test_profile", "test_ray")
LONGEST = ("recorded", "test_servers[0.5.17]", "test_video_families[wan22-t2v]", "test_image_families[firered]")
"""Groups that are begun first: with one of them left for the end, the other workers would wait for it."""


def group(nodeid: str) -> str:
    """The tests that share a family, a server or the recorded project, which is made once for them, have one name."""
    file = pathlib.PurePath(nodeid.partition("::")[0]).stem
    if file in WITH_THE_RECORDED_PROJECT:
        return "recorded"
    given = nodeid.partition("[")[2].rstrip("]")
    if file == "test_servers":
        given = next((version for version in ("0.5.17", "0.5.23") if version in given), "")
    shares = file in ("test_servers", "test_video_families", "test_image_families") and given
    return f"{file}[{given}]" if shares else file


class Grouped(LoadScopeScheduling):
    """Gives all tests of a group to one worker. The marks of `--dist loadgroup` do nothing with pytest 9.2: xdist 3.8
    changes a private name of an item for them, which is gone there."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


@pytest.hookimpl(tryfirst=True, optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Grouped:
    """Of these tests, however they are started with `-n`."""
    config.option.loadscopereorder = False
    return Grouped(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups first; all others in the order of their files."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(group(item.nodeid), len(LONGEST)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The tests of every family are those of the families that their module names."""
    given = any("recorded_family" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "recorded_family" in metafunc.fixturenames and not given:
        metafunc.parametrize("recorded_family", metafunc.module.NAMES, indirect=True, scope="module")


@pytest.fixture(scope="module")
def recorded_family(
    request: pytest.FixtureRequest,
    engine: str,
    family_checkpoint: FamilyCheckpoint,
    tmp_path_factory: pytest.TempPathFactory,
) -> RecordedFamily:
    """The family of that name (shipped.py) with a baseline."""
    family = FAMILIES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    return record(family, family_checkpoint(family), folder=folder, engine=engine)
