"""`--sgdiff-shard=K/N`: a part of the selection for each host, and one judge over all of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.recordings import shards
from tests.factories import NO_OTHER_PLUGINS
from tests.plugin.conftest import CASE, Project
from tests.plugin.test_xdist import engines_of
from tests.waiting import wait_for

EXAMPLES = Path(__file__).parents[2] / "examples"
ASSETS = f"--sgdiff-assets={EXAMPLES / 'assets'}"
TWO_GPUS = f"--sgdiff-replay={EXAMPLES / 'recordings' / 'h200-x2'}"

SEVERAL = CASE + "".join(
    f"""
  {name}:
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    gpus: {gpus}
    args: {{prompt: a cat, width: 832, height: 480, num-frames: 17, num-inference-steps: 20, seed: {seed}}}
"""
    for seed, (name, gpus) in enumerate({"wide": 4, "small": 1, "other": 1}.items())
)


def results(path: Path, recording: str) -> dict[str, Any]:
    """The cases of a JSON report, without what depends on where the recording lies and when it was judged."""
    report = json.loads(path.read_text().replace(recording, "RECORDING"))
    cases = {case["node_id"]: {**case, "elapsed_s": 0} for case in report["cases"]}
    return {"cases": cases, "relations": report["relations"], "measured": report["measured"], "of": report["selected"]}


def selected(folder: Path) -> Mapping[str, int]:
    """The shard of each case of the selection."""
    found = shards.read_shards(folder)
    assert found is not None
    return {str(row.case): row.shard for row in found.selection.tests}


def selections(folder: Path) -> dict[str, bytes]:
    """The files in which a shard says what all shards measure."""
    return {path.name: path.read_bytes() for path in folder.glob("selection-*")}


@pytest.fixture
def two_gpus(project: Project) -> Project:
    """A project with the cases of the real launches over two GPUs, which claim to be faster than one another."""
    project.no_gpus()
    project.write("cases/tiny.yaml", (EXAMPLES / "cases" / "two_gpus.yaml").read_text())
    return project


def test_merged_shards_are_judged_as_one_run_is_and_a_shard_that_never_reported_is_red(two_gpus: Project) -> None:
    folders = []
    for number in (1, 2):
        folders.append(f"shard-{number}")
        two_gpus.run(TWO_GPUS, ASSETS, f"--sgdiff-shard={number}/2", f"--sgdiff-out=shard-{number}")
    lost = [case for case, number in selected(two_gpus.root / "shard-1").items() if number == 2]
    assert 0 < len(lost) < 5
    assert main(["merge", *folders, "--out", "merged"]) == 0
    assert main(["merge", folders[0], "--out", "half"]) == 1
    for name, recording in (("whole", TWO_GPUS), *((name, f"--sgdiff-replay={name}") for name in ("merged", "half"))):
        assert two_gpus.run(recording, ASSETS, f"--sgdiff-report={name}.json").ret == pytest.ExitCode.TESTS_FAILED
    whole = results(two_gpus.root / "whole.json", str(EXAMPLES / "recordings" / "h200-x2"))
    assert whole["relations"]
    assert results(two_gpus.root / "merged.json", "merged") == whole
    half = results(two_gpus.root / "half.json", "half")
    told = {case["case"]: case["reason_figures"] for case in half["cases"].values() if case["outcome"] == "invalid"}
    assert told == {case: {"code": "shard-unreported", "shard": "2/2"} for case in lost}
    assert half["of"] - half["measured"] == len(lost)


def test_a_shard_that_is_killed_has_said_what_it_was_to_measure(project: Project) -> None:
    project.engine("hang")
    project.write("cases/tiny.yaml", SEVERAL)
    command = (sys.executable, "-m", "pytest", "--sgdiff-gpus=4", "--sgdiff-shard=1/4", "--sgdiff-out=one")
    process = subprocess.Popen(
        command, cwd=project.root, env={**os.environ, **NO_OTHER_PLUGINS}, stdout=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: list(project.root.glob("one/*/00/engine.log")))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        # One that has something to print yet dies of the closed pipe; one that has printed it hangs until the next run.
        for engine in engines_of(project):
            with contextlib.suppress(ProcessLookupError):
                os.kill(engine, signal.SIGKILL)
        wait_for(lambda: not engines_of(project), otherwise="the engine is left")
    (number,) = {at for case, at in selected(project.root / "one").items() if (project.root / "one" / case).is_dir()}
    assert number == 1
    assert main(["merge", "one", "--out", "merged"]) == 1
    project.engine("native")
    result = project.run("--sgdiff-replay=merged", "--sgdiff-report=merged.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    report = results(project.root / "merged.json", "merged")
    codes = {case["case"]: case["reason_code"] for case in report["cases"].values()}
    mine = {case for case, at in selected(project.root / "one").items() if at == 1}
    assert {codes.pop(case) for case in mine} == {"problem"}  # a launch that was cut off
    assert set(codes.values()) == {"shard-unreported"}


def test_a_shard_without_a_case_is_green_and_says_so_and_workers_split_as_one_process_does(two_gpus: Project) -> None:
    for out, workers in (("serial", ()), ("workers", ("-n", "1"))):
        arguments = (TWO_GPUS, ASSETS, "--sgdiff-shard=9/9", "--sgdiff-strict", f"--sgdiff-out={out}", *workers)
        result = two_gpus.run(*arguments)
        assert result.ret == pytest.ExitCode.OK
        assert "sgdiff: shard 9/9 has no case: other shards measure the 5 selected cases" in result.outlines
        found = shards.read_shards(two_gpus.root / out)
        assert found is not None
        assert found.unfinished == ()
    assert selections(two_gpus.root / "serial") == selections(two_gpus.root / "workers")
    of = selected(two_gpus.root / "serial")
    assert of["tiny_firered[cfg]"] == of["tiny_firered[ulysses]"], "one claims to be faster than the other"
    assert len({*of.values()}) == 3


def test_a_selection_that_is_empty_is_not_green_because_of_a_shard(two_gpus: Project) -> None:
    assert two_gpus.run(TWO_GPUS, ASSETS, "--sgdiff-shard=1/2", "-k", "nothing").ret != pytest.ExitCode.OK


def test_the_split_depends_on_no_order_and_no_machine(project: Project) -> None:
    project.write("cases/tiny.yaml", SEVERAL)
    project.write("cases/more.yaml", CASE.replace("  tiny:", "  more:"))
    files = ("cases/more.yaml", "cases/tiny.yaml")
    for number, arguments in enumerate((files, files[::-1])):
        project.gpus(1 + number)
        project.run(f"--sgdiff-replay={project.root}", f"--sgdiff-out=out-{number}", "--sgdiff-shard=1/3", *arguments)
    (found,) = selections(project.root / "out-0")
    assert found
    assert selections(project.root / "out-1") == selections(project.root / "out-0")


def test_a_case_with_a_long_baseline_of_any_machine_goes_first(project: Project) -> None:
    project.write("baselines/nvidia-b200-x1/tiny.json", '{"launches": [{"wall_s": 80.0}, {"wall_s": 900.0}]}')
    project.write("cases/tiny.yaml", SEVERAL)
    project.run(f"--sgdiff-replay={project.root}", "--sgdiff-out=out", "--sgdiff-shard=1/2")
    assert selected(project.root / "out") == {"tiny": 1, "other": 2, "small": 2, "wide": 2}


def test_tests_in_python_that_measure_are_split_and_others_stay(project: Project) -> None:
    project.write(
        "test_own.py",
        "def test_plain(): pass\n\ndef test_measures(sgdiff): pass\n\ndef test_measures_too(sgdiff): pass\n",
    )
    result = project.run("--sgdiff-dry-run", "--sgdiff-shard=2/2", "--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == ["cases/tiny.yaml::tiny", "test_own.py::test_plain"]


OWN = """
import pytest
from pytest_sgdiff.cases.load import read_cases

@pytest.fixture
def sgdiff_case(pytestconfig):
    root = pytestconfig.rootpath
    (case,) = read_cases(root / "cases" / "tiny.yaml", root)
    return case

def test_measures(sgdiff):
    sgdiff.check()
"""


def test_a_test_in_python_that_measures_a_case_of_a_file_is_judged_by_its_own_launches(project: Project) -> None:
    """The case and the test are in two shards, and their launches have one name."""
    project.write("test_own.py", OWN)
    for number, scenario in ((1, "fallback"), (2, "native")):
        project.engine(scenario)
        project.run("--sgdiff-gpus=1", f"--sgdiff-shard={number}/2", f"--sgdiff-out=shard-{number}")
    assert main(["merge", "shard-1", "shard-2", "--out", "merged"]) == 0
    # Shards of the merged recording keep them apart, too.
    for number in (1, 2):
        project.run("--sgdiff-replay=merged", f"--sgdiff-shard={number}/2", f"--sgdiff-out=again-{number}")
    assert main(["merge", "again-1", "again-2", "--out", "second"]) == 0
    project.run("--sgdiff-replay=second", "--sgdiff-report=report.json")
    cases = results(project.root / "report.json", "second")["cases"]
    outcomes = {"test_own.py::test_measures": "invalid", "cases/tiny.yaml::tiny": "no-baseline"}
    assert {test: case["outcome"] for test, case in cases.items()} == outcomes


def test_baselines_of_a_shard_are_candidates_since_they_decide_the_split(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    (path,) = project.root.glob("baselines/*/tiny.json")
    path.unlink()
    result = project.run("--sgdiff-replay=kept", "--sgdiff-update", "--sgdiff-shard=1/1", "--sgdiff-out=one")
    assert result.ret == 0, result.stdout.str()
    assert not path.exists()
    assert [candidate.name for candidate in project.root.glob("one/baselines/*/*.json")] == ["tiny.json"]
    assert main(["merge", "one", "--out", "merged"]) == 0
    assert project.run("--sgdiff-replay=merged", "--sgdiff-update").ret == 0
    assert path.exists()


def test_a_case_whose_shard_was_busy_is_judged_as_it_was_there(project: Project) -> None:
    project.busy()
    project.run("--sgdiff-gpus=1", "--sgdiff-gpu-timeout=1", "--sgdiff-shard=1/1", "--sgdiff-out=one")
    assert main(["merge", "one", "--out", "merged"]) == 0
    project.run("--sgdiff-replay=merged", "--sgdiff-report=merged.json")
    (case,) = results(project.root / "merged.json", "merged")["cases"].values()
    assert (case["outcome"], case["reason_code"]) == ("inconclusive", "environment")


@pytest.mark.parametrize("gone", ["02", "0*"])
def test_a_case_of_which_launches_were_lost_is_red(project: Project, gone: str) -> None:
    project.run("--sgdiff-gpus=1", "--sgdiff-shard=1/1", "--sgdiff-update", "--sgdiff-out=one")
    for folder in list(project.root.glob(f"one/tiny/{gone}")):
        shutil.rmtree(folder)
    assert main(["merge", "one", "--out", "merged"]) == 1
    result = project.run("--sgdiff-replay=merged", "--sgdiff-report=merged.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (case,) = results(project.root / "merged.json", "merged")["cases"].values()
    assert (case["outcome"], case["reason_code"]) == ("invalid", "shard-incomplete")


def test_a_test_in_python_that_is_skipped_by_its_own_mark_is_not_missed(project: Project) -> None:
    project.write("test_own.py", "import pytest\n@pytest.mark.skip(reason='later')\ndef test_it(sgdiff): ...\n")
    project.write("test_other.py", "import pytest\n@pytest.mark.skip\ndef test_nothing(): ...\n")
    project.run("--sgdiff-gpus=1", "--sgdiff-shard=1/1", "--sgdiff-out=one")
    found = shards.read_shards(project.root / "one")
    assert found is not None
    (told,) = found.reports[1].unmeasured
    assert (told.node_id, told.why, told.gap) == ("test_own.py::test_it", "skipped: later", "skipped")
    assert main(["merge", "one", "--out", "merged"]) == 0


@pytest.mark.parametrize(
    ("strict", "told", "code"),
    [
        ((), "sgdiff: 1 of 2 shards reported, shard 2 never did", pytest.ExitCode.OK),
        (
            ("--sgdiff-strict",),
            "sgdiff: failed: 1 of 2 shards reported, shard 2 never did, which --sgdiff-strict does not accept",
            pytest.ExitCode.TESTS_FAILED,
        ),
    ],
)
def test_a_shard_that_never_reported_is_told_whichever_cases_are_judged(
    project: Project, strict: tuple[str, ...], told: str, code: pytest.ExitCode
) -> None:
    project.record()
    project.run("--sgdiff-gpus=1", "--sgdiff-shard=1/2", "--sgdiff-out=one")
    assert main(["merge", "one", "--out", "merged"]) == 1
    result = project.run("--sgdiff-replay=merged", *strict)
    assert told in result.outlines
    assert result.ret == code


def test_a_case_that_no_shard_could_run_is_skipped_as_it_was_there(project: Project) -> None:
    project.write("cases/tiny.yaml", CASE + "    requires: {gpu: [B200]}\n")
    project.run("--sgdiff-gpus=4", "--sgdiff-shard=1/1", "--sgdiff-out=one")
    assert main(["merge", "one", "--out", "merged"]) == 0
    result = project.run("--sgdiff-replay=merged", "--sgdiff-report=merged.json")
    result.assert_outcomes(skipped=1)
    assert json.loads((project.root / "merged.json").read_text())["gaps"] == {"gpus": ["cases/tiny.yaml::tiny"]}
    project.run("--sgdiff-replay=merged", "--sgdiff-strict").assert_outcomes(failed=1)


@pytest.mark.parametrize("value", ["0/4", "5/4", "a/b", "2", "1/0", "-1/4", "1/4/4", "1 / 4", ""])
def test_a_shard_that_is_none_is_a_mistake(project: Project, value: str) -> None:
    result = project.run(f"--sgdiff-replay={project.root}", f"--sgdiff-shard={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--sgdiff-shard" in result.stderr.str()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--sgdiff-shard=1/2",),
        ("--sgdiff-strict",),
        ("--sgdiff-replay=.", "--sgdiff-shard=1/2", "--sgdiff-shard=2/2"),
        ("--sgdiff-replay=.", "--sgdiff-shard=1/2", "--sgdiff-out=."),
    ],
)
def test_what_would_measure_nothing_or_something_else_is_a_mistake(
    project: Project, arguments: tuple[str, ...]
) -> None:
    assert project.run(*arguments).ret == pytest.ExitCode.USAGE_ERROR


def test_a_shard_of_the_environment_does_not_turn_a_gate_into_a_part_of_one(project: Project) -> None:
    project.setenv("SGDIFF_SHARD", "1/2")
    assert project.run("--sgdiff-replay=.").ret == pytest.ExitCode.USAGE_ERROR
    assert project.run("--sgdiff-replay=.", "--sgdiff-shard=1/2").ret != pytest.ExitCode.USAGE_ERROR


def test_a_folder_of_another_shard_is_refused(project: Project) -> None:
    project.run("--sgdiff-replay=.", "--sgdiff-shard=1/2", "--sgdiff-out=one")
    result = project.run("--sgdiff-replay=.", "--sgdiff-shard=2/2", "--sgdiff-out=one")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "holds the recording of shard 1/2" in result.stderr.str()


def test_a_folder_that_a_shard_is_given_again_keeps_nothing_of_the_run_before(two_gpus: Project) -> None:
    """Not even of a case that is known only when its test in Python runs, which here is none that is selected."""
    shard = (TWO_GPUS, ASSETS, "--sgdiff-shard=1/1", "--sgdiff-out=kept")
    two_gpus.run(*shard)
    kept = two_gpus.root / "kept"
    case = next(path.parent for path in sorted(kept.glob("*/00")))
    case.rename(kept / "built_in_python")
    own = kept / "again" / "test_own.py_test_it" / "against" / "tiny"
    shutil.copytree(kept / "built_in_python", own)
    two_gpus.run(*shard)
    assert case.is_dir()
    assert list((kept / "built_in_python").iterdir()) == []
    assert list(own.iterdir()) == []
