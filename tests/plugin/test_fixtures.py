"""The fixtures: each may be overridden, and a case may come from Python."""

from __future__ import annotations

import json

import pytest

from pytest_sgdiff.data import NextStep
from pytest_sgdiff.recordings.layout import own_place
from pytest_sgdiff.reports import next_text
from tests.plugin.conftest import CASE, Project


@pytest.fixture(autouse=True)
def quick(project: Project) -> None:
    """Fewer launches of the one case."""
    project.write("cases/tiny.yaml", CASE.replace("baseline: 5", "baseline: 3"))


PYTHON_CASE = """
import pytest
from pytest_sgdiff.data import Case, LaunchPlan, Location

ARGS = {"prompt": "a cat", "width": 832, "height": 480, "num-frames": 17, "num-inference-steps": 20, "seed": 42}

@pytest.fixture
def sgdiff_case():
    here = Location(path="tests/test_own.py", line=8, column=1)
    plan = LaunchPlan(baseline=3, looks=(1, 3))
    return Case(name="own", location=here, model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers", args=ARGS, launches=plan)

def test_check(sgdiff):
    sgdiff.check()

def test_measure(sgdiff):
    result = sgdiff.measure()
    assert result.recorded or result.outcome == "regressed"
    assert result.launches[0].metrics["e2e"] > 1000
    assert sgdiff.measure() is result, "a case is measured once"

def test_of_something_else():
    pass
"""


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_a_case_may_be_built_in_python(project: Project, workers: tuple[str, ...]) -> None:
    (project.root / "cases" / "tiny.yaml").unlink()
    project.write("tests/test_own.py", PYTHON_CASE)
    # Two tests of one case: side by side under xdist, so they may not share a folder of launches.
    project.record("--sgdiff-out=kept", *workers)
    for test in ("test_check", "test_measure"):
        kept = own_place(project.root / "kept", f"tests/test_own.py::{test}")
        assert len(list((kept / "own").iterdir())) == 3
    project.engine("slow:1.2")
    result = project.run("--sgdiff-gpus=4", *workers)
    result.assert_outcomes(passed=2, failed=1)
    assert "tests/test_own.py:8: denoising is 20" in result.stdout.str()
    assert "measured 2 of 2 · 2 regressed" in result.stdout.str()
    renew = "pytest --sgdiff-gpus=4 --sgdiff-update tests/test_own.py::test_check"
    step = next_text.words(NextStep(code="accept", command=renew))
    assert f"  next        {step}" in result.outlines


def test_a_case_that_is_built_in_python_has_no_name_of_a_folder_of_recordings(project: Project) -> None:
    (project.root / "cases" / "tiny.yaml").unlink()
    project.write("tests/test_own.py", PYTHON_CASE.replace('name="own"', 'name="profile"'))
    project.run("--sgdiff-replay=.").assert_outcomes(errors=2, passed=1)


def test_a_python_test_without_a_case_is_told_what_to_do(project: Project) -> None:
    project.write("test_own.py", "def test_own(sgdiff):\n    sgdiff.check()\n")
    result = project.run("--sgdiff-dry-run", "test_own.py")
    assert (
        "test_own.py::test_own: no case; override the fixture `sgdiff_case` to return a pytest_sgdiff.data.Case"
        in result.outlines
    )


def test_a_python_test_is_skipped_where_nothing_is_measured(project: Project) -> None:
    project.write("tests/test_own.py", PYTHON_CASE)
    result = project.run("tests")
    result.assert_outcomes(passed=1, skipped=2)


def test_variables_of_an_overridden_env_reach_the_engine_and_tell_workloads_apart(project: Project) -> None:
    project.write(
        "conftest.py",
        "import pytest\n@pytest.fixture(params=['fa', 'sdpa'])\ndef sgdiff_env(request):\n"
        "    return {'SGLANG_DIFFUSION_MINE': request.param}\n",
    )
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-out=kept")
    output = result.stdout.str()
    assert result.ret == 1, "two workloads cannot share a baseline"
    assert "measured 2 of 2" in output
    assert (
        "sgdiff: cases/tiny.yaml::tiny[sdpa]: no baseline written: cases/tiny.yaml::tiny[fa] has just written the one "
        "of 'tiny', with other settings; only variants of a `matrix` have baselines of their own" in result.outlines
    )
    launch = json.loads((project.root / "kept" / "tiny" / "00" / "launch.json").read_text())
    assert launch["env"]["SGLANG_DIFFUSION_MINE"] == "fa"


def test_baselines_may_be_read_from_elsewhere(project: Project) -> None:
    project.baseline()
    (project.root / "baselines").rename(project.root / "theirs")
    project.write(
        "conftest.py",
        "import pytest\n@pytest.fixture\ndef sgdiff_baselines(pytestconfig):\n"
        "    return pytestconfig.rootpath / 'theirs'\n",
    )
    result = project.run("--sgdiff-gpus=4")
    assert result.ret == 0, result.stdout.str()
    assert "1 pass" in result.stdout.str()


def test_gpus_may_be_chosen_by_an_override(project: Project) -> None:
    project.write(
        "conftest.py",
        "import pytest\n"
        "@pytest.fixture\ndef sgdiff_gpus(sgdiff_gpus):\n"
        "    assert sgdiff_gpus.indices == (0,)\n"
        "    return sgdiff_gpus\n",
    )
    project.baseline()
    project.write("conftest.py", "import pytest\n@pytest.fixture\ndef sgdiff_gpus():\n    return None\n")
    result = project.run("--sgdiff-gpus=4")
    assert "cases/tiny.yaml::tiny: no lease; an override of `sgdiff_gpus` must give a lease" in result.outlines
