"""Each family on the real engine, from a case of `cases/` made small: dry run, record, gate, and a fault of its own."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, replace

import pytest

from pytest_sgdiff import baselines
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
