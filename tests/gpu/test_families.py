"""The four families of the product on one real GPU: how much launches vary, and a fault of each that is found.

Properties of the tests (`--junitxml`) hold the figures: launches' spread of steps, core, stages and memory.
"""

from __future__ import annotations

import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.data import Baseline
from tests.gpu.conftest import made_folder
from tests.gpu.families import FAMILIES, Large, case_file
from tests.realproject import ROOT, Project, Ran, write_picture

pytestmark = pytest.mark.gpu

Note = Callable[[str, object], None]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A family whose baseline was recorded on this GPU; `slower` is the folder of its slower checkpoint."""

    name: str
    large: Large
    project: Project
    ran: Ran
    make: Callable[..., str]


@pytest.fixture(scope="module", params=FAMILIES)
def measured(
    request: pytest.FixtureRequest, engine: str, engine_python: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Measured:
    large = FAMILIES[request.param]
    made = made_folder(tmp_path_factory)

    def make(fault: str, *options: str) -> str:
        folder = made / fault / large.folder
        program = str(ROOT / "tests" / "engine" / "make_checkpoint.py")
        argv = [*engine_python, program, large.kind, str(folder), "--cuda", *large.sizes, *options]
        subprocess.run(argv, check=True)
        return case_file(large, folder)

    folder = tmp_path_factory.mktemp(request.param)
    (folder / "pytest.ini").write_text("[pytest]\nsgdiff_assets = assets\n")
    write_picture(folder / "assets" / "input.png", size=512)
    project = Project(folder=folder, engine=engine, gpus="1")
    project.write_case(make("large"))
    # The first launch on a machine compiles kernels.
    project.pytest("--sgdiff-out=first")
    ran = project.pytest("--sgdiff-update", "--sgdiff-out=recorded")
    return Measured(name=request.param, large=large, project=project, ran=ran, make=make)


def spread(values: list[float]) -> float:
    """The coefficient of variation, in per cent."""
    return 100 * statistics.stdev(values) / statistics.fmean(values)


def baseline_of(measured: Measured) -> Baseline:
    (path,) = measured.project.baselines()
    return baselines.load(path)


def test_it_is_recorded_natively_and_varies_as_noted(measured: Measured, record_property: Note) -> None:
    assert measured.ran.returncode == 0
    measurement = baseline_of(measured).measurement
    assert all((launch.warmup, launch.counts) == ("proven", True) for launch in measurement.launches)
    assert len({launch.pipeline for launch in measurement.launches}) == 1
    for name, values in measurement.values.items():
        known = [value for value in values if value is not None]
        if len(known) == len(measurement.launches) and statistics.fmean(known) > 1:
            record_property(f"{measured.name} {name} mean", round(statistics.fmean(known), 2))
            record_property(f"{measured.name} {name} CV %", round(spread(known), 2))
    record_property(
        f"{measured.name} median step CV %",
        round(spread([statistics.median(launch.steps_ms) for launch in measurement.launches]), 2),
    )


def test_the_same_engine_is_never_called_slower(measured: Measured) -> None:
    ran = measured.project.copy_to(measured.project.folder.with_name(f"{measured.name}-again")).pytest(
        "--sgdiff-out=gated"
    )
    assert ran.case is not None
    assert ran.case["outcome"] in {"pass", "improved", "inconclusive"}
    assert ran.case["measured"] is True


def test_a_slower_checkpoint_is_never_called_faster(measured: Measured, record_property: Note) -> None:
    """FireRed's launches pause before their first step or do not: by that stage's time a slower one was faster."""
    project = measured.project.copy_to(measured.project.folder.with_name(f"{measured.name}-slower"))
    project.write_case(measured.make("slower", *measured.large.slower))
    ran = project.pytest("--sgdiff-out=slower")
    assert ran.case is not None
    record_property(f"{measured.name} slower", f"{ran.case['outcome']}: {ran.case['reason']}")
    assert ran.case["outcome"] != "improved"
    if measured.name == "wan22-t2v":
        assert ran.case["outcome"] == "regressed"
