"""The real sglang 0.5.23 on the CPU: what came with it and changes what is measured.

Its files lie beside the environment of the engine (build_engine.sh); the rest of that environment serves it as well,
but for two operators (sgl_kernel_shim.py).
"""

from __future__ import annotations

import json
import pathlib
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pytest_sgdiff import machine
from pytest_sgdiff.engines.flags.lookup import known_flags
from pytest_sgdiff.launch import engine_help
from pytest_sgdiff.recordings import store as recordings
from tests.engine.conftest import CASE, Checkpoint, started
from tests.realproject import Project

pytestmark = pytest.mark.engine

VERSION = "0.5.23"
RUN = "import sys\nfrom sglang.cli.main import main\n\nif __name__ == '__main__':\n    sys.exit(main())\n"
ENCODER = "stage:TextEncodingStage"


@dataclass(frozen=True, kw_only=True)
class Newest:
    """A folder whose `run.py` runs it, and the PYTHONPATH that this needs."""

    folder: pathlib.Path
    pythonpath: str

    @property
    def program(self) -> str:
        return str(self.folder / "run.py")


@pytest.fixture(scope="module")
def installed(engine_env: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Newest:
    folder = tmp_path_factory.mktemp("newest")
    shutil.copy(pathlib.Path(__file__).parent / "sgl_kernel_shim.py", folder)
    # A worker that is spawned gets the operators too.
    (folder / "sitecustomize.py").write_text("import sgl_kernel_shim\n")
    (folder / "run.py").write_text(RUN)
    parsers = engine_env.absolute() / "parsers"
    return Newest(folder=folder, pythonpath=f"{parsers / VERSION}:{parsers / 'imports'}:{folder}")


@pytest.fixture(scope="module")
def project(installed: Newest, engine_env: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("project")
    (folder / "pytest.ini").write_text("[pytest]\n")
    with started(engine_env, tmp_path_factory.mktemp("forked"), pythonpath=installed.pythonpath) as command:
        program = shlex.quote(command(installed.program, "run"))
        asking = folder / "sglang"
        # Also where the plugin asks for the version, outside a case.
        settings = f"HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 PYTHONPATH={shlex.quote(installed.pythonpath)}"
        asking.write_text(f'#!/bin/sh\n{settings} exec {program} "$@"\n')
        asking.chmod(0o755)
        yield Project(folder=folder, engine=str(asking), gpus="none")


def measured(project: Project, checkpoint: pathlib.Path, out: str, *, more: str = "") -> Mapping[str, Any]:
    """One launch; there is no baseline, so nothing is judged."""
    project.write_case(CASE.format(model=checkpoint).replace("seed: 42", f"seed: 42{more}"))
    ran = project.pytest(f"--sgdiff-out={out}")
    assert ran.case is not None
    assert ran.case["outcome"] == "no-baseline", ran.output
    launch: Mapping[str, Any]
    (launch,) = ran.case["launches"]
    return launch


def test_its_own_help_shows_the_flags_of_the_table(project: Project, tmp_path: pathlib.Path) -> None:
    info = machine.engine_info([project.engine])
    assert info.version == VERSION
    found = engine_help.ask(replace(info, version="0.1.dev1"), run_folder=tmp_path).flags
    assert found is not None
    assert {name for name in found if "." not in name} - {"text-encoder-configs"} == set(known_flags(23))


def test_a_slower_text_encoder_shows_only_with_the_conditioning_cache_off(
    project: Project, checkpoint: Checkpoint
) -> None:
    on = "\n      disable-conditioning-cache: false"
    plain = measured(project, checkpoint("baseline"), "plain")
    slower = measured(project, checkpoint("slower encoder"), "slower")
    cached = measured(project, checkpoint("slower encoder"), "cached", more=on)
    assert [launch["conditioning_cache"] for launch in (plain, slower, cached)] == [False, False, True]
    assert slower["metrics"][ENCODER] > 2 * plain["metrics"][ENCODER]
    assert cached["metrics"][ENCODER] < plain["metrics"][ENCODER] / 2

    # The launch that used the cache counts for no case that does not ask for it.
    (kept,) = (project.folder / "cached").glob("tiny_wan/*/launch.json")
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "workload": None}))
    assert len(recordings.read_launches(project.folder / "cached", "tiny_wan")) == 1
    project.write_case(CASE.format(model=checkpoint("slower encoder")))
    replayed = replace(project, gpus="", engine="no-engine-here").pytest("--sgdiff-replay=cached")
    assert replayed.case is not None
    assert replayed.case["outcome"] == "invalid"
    assert [problem["cause"] for problem in replayed.case["problems"]] == ["conditioning-cache"]
