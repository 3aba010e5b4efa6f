"""The real server on the CPU: three requests after one of warmup, their dumps, and its end.

Of 0.5.17, which says that it is well while it warms up, and of 0.5.23.
"""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_sgdiff.data import Ports
from pytest_sgdiff.gpus import ports
from pytest_sgdiff.recordings import store as recordings
from tests.engine.conftest import Checkpoint
from tests.realproject import Project, Ran

pytestmark = pytest.mark.engine

HERE = pathlib.Path(__file__).parent
RUN = "import sys\nfrom sglang.cli.main import main\n\nif __name__ == '__main__':\n    sys.exit(main())\n"
VERSIONS = ("0.5.17", "0.5.23")
PORTS = ("--port", "--scheduler-port", "--master-port")

CASE = """
cases:
  tiny:
    model: {model}
    gpus: 0
    engine: sglang-serve
    env: {{HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: "1"}}
    args:
      prompt: A curious raccoon in a field
      seed: 42
      width: {size}
      height: {size}
      num-inference-steps: 4
{args}
    expect: {{pipeline: {pipeline}, output: {{width: {size}, height: {size}}}}}
    metrics: {{gate: [denoise, client_e2e, queue, load, warmup]}}
    launches: {{baseline: 3, checkpoints: [1, 3]}}
    timeout: 10m
"""
# Its own warmup is small, too: that of a video has 832x480 pixels otherwise.
WAN = "      num-frames: 5\n      fps: 16\n      warmup-resolutions: 128x128"
FLUX = '      vae-precision: fp32\n      warmup-mode: "off"'

Served = Callable[[str, str], tuple[Ran, Project]]


@pytest.fixture(scope="module")
def command(engine_env: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """A function (version) -> a command that runs that engine."""
    folder = tmp_path_factory.mktemp("commands")
    shutil.copy(HERE / "sgl_kernel_shim.py", folder)
    (folder / "sitecustomize.py").write_text("import sgl_kernel_shim\n")
    (folder / "run.py").write_text(RUN)
    parsers = engine_env.absolute() / "parsers"

    def made(version: str) -> str:
        if version == "0.5.17":
            return str(engine_env.absolute() / "bin" / "sglang")
        path = f"{parsers / version}:{parsers / 'imports'}:{folder}"
        words = (str(engine_env.absolute() / "bin" / "python"), str(folder / "run.py"))
        script = folder / f"sglang-{version}"
        script.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(path)} exec {shlex.join(words)} "$@"\n')
        script.chmod(0o755)
        return str(script)

    return made


@pytest.fixture(scope="module")
def served(
    command: Callable[[str], str],
    checkpoint: Checkpoint,
    engine_env: pathlib.Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Served:
    """A function (version, kind of model) -> a run with one launch of a server of it; its launch is kept in `kept`."""
    done: dict[tuple[str, str], tuple[Ran, Project]] = {}

    def run(version: str, kind: str) -> tuple[Ran, Project]:
        if (version, kind) not in done:
            folder = tmp_path_factory.mktemp("served")
            (folder / "pytest.ini").write_text("[pytest]\n")
            project = Project(folder=folder, engine=command(version), gpus="none")
            if kind == "wan":
                project.write_case(
                    CASE.format(model=checkpoint("baseline"), size=128, args=WAN, pipeline="WanPipeline")
                )
            else:
                made = os.environ.get("SGDIFF_ENGINE_CHECKPOINTS", engine_env / "checkpoints")
                model = pathlib.Path(made).absolute() / "baseline" / "FLUX.1-dev"
                argv = [str(engine_env / "bin" / "python"), str(HERE / "make_checkpoint.py"), "flux", str(model)]
                subprocess.run(argv, check=True)
                project.write_case(CASE.format(model=model, size=256, args=FLUX, pipeline="FluxPipeline"))
            done[version, kind] = project.pytest("--sgdiff-out=kept"), project
        return done[version, kind]

    return run


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["wan", "flux"])
def test_three_requests_are_measured_and_the_server_ends(served: Served, kind: str, version: str) -> None:
    ran, project = served(version, kind)
    assert ran.case is not None
    assert (ran.case["outcome"], ran.case["problems"]) == ("no-baseline", []), ran.output
    (shown,) = ran.case["launches"]
    assert (shown["warmup"], shown["environment"]["engine_version"]) == ("proven", version)
    assert [one["warmup"] for one in shown["requests"]] == [True, False, False, False]
    assert {"denoise", "e2e", "client_e2e", "queue", "load", "warmup"} <= set(shown["metrics"])
    # A client waits for the pipeline, and for more than that.
    assert shown["metrics"]["client_e2e"] > shown["metrics"]["e2e"]

    (launch,) = recordings.read_launches(project.folder / "kept", "tiny")
    assert launch.served is not None
    assert (launch.ending, launch.served.listener, launch.served.healthy_after) == ("stopped", "own", True)
    dumps = [json.loads(one.dump or "null") for one in launch.requests]
    assert [dump["request_id"] for dump in dumps] == [one.id for one in launch.requests]
    assert {dump["tag"] for dump in dumps} == {"server_perf_dump"}
    assert [len(dump["denoise_steps_ms"]) for dump in dumps] == [4] * 4
    assert len({one.fields["prompt"] for one in launch.requests}) == 4
    assert all(one.content_bytes for one in launch.requests)
    # Of each measured request what it drew, each with a prompt of its own.
    assert [one.kind for one in launch.samples or ()] == ["video" if kind == "wan" else "image"] * 3
    assert len({one.picture for one in launch.samples or ()}) == 3
    http, scheduler, master = (int(launch.argv[launch.argv.index(flag) + 1]) for flag in PORTS)
    assert ports.free(Ports(http=http, scheduler=scheduler, master=master))


@pytest.mark.parametrize("version", VERSIONS)
def test_the_recording_of_a_server_is_judged_alike_without_it(served: Served, version: str) -> None:
    live, project = served(version, "wan")
    replayed = replace(project, gpus="", engine="no-engine-here").pytest("--sgdiff-replay=kept")
    assert live.case is not None
    assert replayed.case is not None
    assert replayed.case["outcome"] == "no-baseline"
    assert replayed.case["launches"][0]["metrics"] == live.case["launches"][0]["metrics"]


def test_a_real_fallback_of_a_server_is_invalid(engine: str, checkpoint: Checkpoint, tmp_path: pathlib.Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    project = Project(folder=tmp_path, engine=engine, gpus="none")
    args = '      num-frames: 1\n      fps: 16\n      warmup-mode: "off"'
    project.write_case(CASE.format(model=checkpoint("foreign"), size=128, args=args, pipeline="WanPipeline"))
    ran = project.pytest()
    assert ran.case is not None
    assert (ran.case["outcome"], ran.returncode, ran.case["measured"]) == ("invalid", 1, False)


def test_a_request_that_fails_inside_a_real_server_is_none(
    engine: str, checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    """The job of 0.5.17 answers 200, and says that it failed."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    project = Project(folder=tmp_path, engine=engine, gpus="none")
    args = '      num-frames: 5\n      fps: 16\n      warmup-mode: "off"'
    project.write_case(CASE.format(model=checkpoint("failing"), size=128, args=args, pipeline="WanPipeline"))
    ran = project.pytest()
    assert ran.case is not None
    assert ran.case["outcome"] == "invalid"
    (first, *_) = ran.case["problems"]
    assert (first["code"], first["how"], first["status"], first["phase"]) == ("request-failed", "job", 200, "warmup")
    assert "index out of range in self" in ran.output
