"""What tests of every family do: record one from its shipped case, gate it, and put a fault into it."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from pytest_sgdiff import baselines
from tests.engine.shipped import Family, small
from tests.realproject import Project, Ran, write_picture

SHARED = "--sgdiff-isolation=shared"


@dataclass(frozen=True, kw_only=True)
class RecordedFamily:
    """A family, its checkpoint, its project with a baseline, and the run that recorded it."""

    family: Family
    model: pathlib.Path
    project: Project
    ran: Ran


def record(family: Family, model: pathlib.Path, *, folder: pathlib.Path, engine: str) -> RecordedFamily:
    (folder / "pytest.ini").write_text("[pytest]\nsgdiff_assets = assets\n")
    write_picture(folder / "assets" / "input.png")
    project = Project(folder=folder, engine=engine, gpus="none")
    project.write_case(small(family, model))
    return RecordedFamily(family=family, model=model, project=project, ran=project.pytest("--sgdiff-update", SHARED))


class EachFamily:
    """The tests of every family that a module names (`NAMES`, which conftest.py reads)."""

    def test_a_dry_run_prints_the_command_line(self, recorded_family: RecordedFamily) -> None:
        project = replace(recorded_family.project, gpus="")
        ran = project.pytest("--sgdiff-dry-run", "-s")
        assert ran.returncode == 0
        assert f"{recorded_family.family.folder} " in ran.output
        for flag in recorded_family.family.args:
            assert f"--{flag} " in ran.output

    def test_it_is_recorded_natively(self, recorded_family: RecordedFamily) -> None:
        assert recorded_family.ran.case is not None
        assert (recorded_family.ran.case["outcome"], recorded_family.ran.case["recorded"]) == ("pass", True)
        (path,) = recorded_family.project.baselines()
        launches = baselines.load(path).measurement.launches
        assert [launch.warmup for launch in launches] == ["proven"] * recorded_family.family.launches
        wanted = recorded_family.family.shipped.expect.pipeline
        assert {launch.pipeline for launch in launches} == ({wanted} if wanted else {launches[0].pipeline})

    def test_the_same_engine_passes_the_gate(
        self, recorded_family: RecordedFamily, plain: str, tmp_path: pathlib.Path
    ) -> None:
        family = recorded_family.family
        project = recorded_family.project.copy_to(tmp_path / "project")
        # One look: that it comes to the others where a launch was slow is the same for all families.
        one = small(family, recorded_family.model, launches={"baseline": family.launches, "checkpoints": [1]})
        project.write_case(one)
        ran = (replace(project, engine=plain) if family.plain else project).pytest(SHARED)
        assert ran.case is not None
        # On a machine that does other things the honest answer may be that it cannot be told.
        assert ran.case["outcome"] in {"pass", "improved", "inconclusive"}
        assert ran.case["measured"] is True
        assert ran.case["quality"]["code"] == "same"


def gated(
    recorded: RecordedFamily,
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


def of_families(*names: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("recorded_family", names, indirect=True)
