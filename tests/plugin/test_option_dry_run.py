"""`--sgdiff-dry-run`: the exact command lines, and nothing is launched."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import CASE, Project

COMMAND = (
    "sglang generate --model-path Wan-AI/Wan2.1-T2V-1.3B-Diffusers --prompt 'a cat' --width 832 --height 480 "
    "--num-frames 17 --num-inference-steps 20 --seed 42 --warmup-mode request --perf-dump-path perf.json "
    "--output-path outputs"
)

TEST = """
import pytest
from pytest_sgdiff.data import Case, Location

@pytest.fixture
def sgdiff_case():
    here = Location(path="test_more.py", line=1, column=1)
    return Case(name="more", location=here, model="a/b", args={"prompt": "dog"})

def test_more(sgdiff):
    assert sgdiff.measure().outcome == "pass"
"""


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_each_case_gives_one_runnable_line(project: Project, workers: tuple[str, ...]) -> None:
    project.no_gpus()
    result = project.run("--sgdiff-dry-run", *workers)
    assert result.ret == 0
    assert "# cases/tiny.yaml::tiny" in result.outlines
    (line,) = [line for line in result.outlines if "sglang generate" in line]
    assert line.endswith(COMMAND)
    assert line.startswith("SGLANG_DIFFUSION_SYNC_STAGE_PROFILING=1 ")
    assert not (project.root / ".sgdiff").exists()


def test_the_line_is_written_for_the_installed_version(project: Project) -> None:
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.13")
    result = project.run("--sgdiff-dry-run")
    (line,) = [line for line in result.outlines if "sglang generate" in line]
    assert "--warmup --perf-dump-path" in line
    assert "--warmup-mode" not in line


def test_without_an_engine_the_newest_known_version_is_written_for(project: Project) -> None:
    project.setenv("PATH", "/usr/bin:/bin")
    result = project.run("--sgdiff-dry-run")
    assert result.ret == 0
    assert "--warmup-mode request" in result.stdout.str()


def test_a_case_that_would_not_be_launched_gives_no_command_but_says_why(project: Project) -> None:
    cases = CASE.replace("num-inference-steps", "inference-steps")
    cases += "  later:\n    model: a/b\n    requires: {engine: '>=0.5.18'}\n    args: {warmup: true}\n"
    project.write("cases/tiny.yaml", cases)
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.17")
    result = project.run("--sgdiff-dry-run")
    assert result.ret == 0
    told = [line for line in result.outlines if line.startswith("#") or "generate" in line]
    shown = [line for line in told if ": warning: " not in line]
    assert shown == [
        "# cases/tiny.yaml::tiny",
        (
            "# cases/tiny.yaml:9:68: error: sglang 0.5.17 has no --inference-steps; did you mean "
            "`num-inference-steps`? [flag-unknown]"
        ),
        "# not launched: see the errors above",
        "# cases/tiny.yaml::later",
        "# not for sglang 0.5.17: the case requires >=0.5.18",
    ]


def test_its_variable_can_be_off(project: Project) -> None:
    project.setenv("SGDIFF_DRY_RUN", "0")
    result = project.run("-rs")
    assert result.ret == 0
    assert "not measuring: give --sgdiff-gpus=N" in result.stdout.str()


def test_a_test_that_goes_on_with_the_result_is_skipped_with_its_command_shown(project: Project) -> None:
    project.write("test_more.py", TEST)
    result = project.run("--sgdiff-dry-run", "-rs", "test_more.py")
    result.assert_outcomes(skipped=1)
    assert "# test_more.py::test_more" in result.outlines
    (line,) = [line for line in result.outlines if "sglang generate" in line]
    assert "--prompt dog" in line
    assert "a dry run launches nothing, so `sgdiff.measure()` has no result" in result.stdout.str()
