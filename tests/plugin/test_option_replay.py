"""`--sgdiff-replay`: launches that were kept with `--sgdiff-out` are judged again, without GPU and engine."""

from __future__ import annotations

import json
import shutil

import pytest

from pytest_sgdiff.data import NextStep
from pytest_sgdiff.reports import next_text
from tests.plugin.conftest import Project


def test_a_recording_gets_the_verdict_that_its_launches_got(project: Project) -> None:
    project.baseline()
    project.engine("slow:1.08")
    live = project.run("--sgdiff-gpus=4", "--sgdiff-out=kept")
    assert live.ret == pytest.ExitCode.TESTS_FAILED
    project.no_gpus()
    project.setenv("PATH", "/usr/bin:/bin")
    replayed = project.run("--sgdiff-replay=kept")
    assert replayed.ret == pytest.ExitCode.TESTS_FAILED
    verdict = [line for line in live.outlines if "regressed" in line.lower() and "tiny" in line]
    assert verdict
    assert "measured 1 of 1 · 1 regressed" in replayed.stdout.str()


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_a_case_without_a_recording_is_not_silently_green(project: Project, workers: tuple[str, ...]) -> None:
    (project.root / "empty").mkdir()
    result = project.run("--sgdiff-replay=empty", *workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "measured 0 of 1" in result.stdout.str()


def test_a_recording_that_ends_before_a_verdict_says_so(project: Project) -> None:
    project.baseline()
    project.engine("slow:1.08")
    project.run("--sgdiff-gpus=4", "--sgdiff-out=kept")
    for number in ("02", "03", "04"):
        folder = project.root / "kept" / "tiny" / number
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    result = project.run("--sgdiff-replay=kept")
    assert result.ret == 0
    assert "inconclusive" in result.stdout.str()
    assert "the recording ends after 2 of up to 5 launches" in result.stdout.str()
    assert project.run("--sgdiff-replay=kept", "--sgdiff-fail-on=inconclusive").ret == pytest.ExitCode.TESTS_FAILED


def test_launches_of_a_case_that_has_changed_since_are_not_judged(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    file = project.root / "cases" / "tiny.yaml"
    file.write_text(file.read_text().replace("height: 480", "height: 720"))
    result = project.run("--sgdiff-replay=kept")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    output = result.stdout.str()
    assert "launched for a different workload: args.height was 480, the case asks for 720\n" in output
    assert (
        "  fix         launch the case as it is now, or judge the recording with the case file that it was made with\n"
        in output
    )
    assert "measured 0 of 1 · 1 invalid" in output


def test_a_recording_of_two_jobs_is_neither_judged_nor_recorded(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    file = project.root / "kept" / "tiny" / "04" / "launch.json"
    file.write_text(file.read_text().replace("NVIDIA H200", "NVIDIA B200").replace("0.5.17", "0.5.20"))
    for option in ((), ("--sgdiff-update",)):
        result = project.run("--sgdiff-replay=kept", *option)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        output = result.stdout.str()
        assert (
            "cases/tiny.yaml:5: launches 0 and 4 of the recording belong to different measurements: machine: 1 x "
            "NVIDIA H200 and 1 x NVIDIA B200; engine: sglang 0.5.17 and 0.5.20\n" in output
        )
        assert (
            "  fix         put the launches of each job into a folder of their own, and judge or record one folder at "
            "a time\n" in output
        )
        assert "measured 0 of 1 · 1 invalid" in output


def test_a_launch_that_does_not_say_where_it_was_made_was_made_where_the_others_were(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    file = project.root / "kept" / "tiny" / "00" / "launch.json"
    file.write_text(json.dumps({key: value for key, value in json.loads(file.read_text()).items() if key != "machine"}))
    elsewhere = project.root / "baselines" / "nvidia-b200-x1" / "tiny.json"
    (project.root / "baselines" / "nvidia-h200-x1").rename(elsewhere.parent)
    elsewhere.write_text(elsewhere.read_text().replace("NVIDIA H200", "NVIDIA B200"))
    output = project.run("--sgdiff-replay=kept").stdout.str()
    assert "no baseline for nvidia-h200-x1 (there is one for nvidia-b200-x1)" in output


def test_a_launch_during_which_pytest_was_killed_is_said_to_be_cut_off(project: Project) -> None:
    """Such a launch leaves its log and nothing else."""
    folder = project.root / "killed" / "tiny" / "00"
    folder.mkdir(parents=True)
    (folder / "engine.log").write_text("Loading the transformer\n")
    project.no_gpus()
    result = project.run("--sgdiff-replay=killed")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    output = result.stdout.str()
    assert "the launch is incomplete: it has neither an exit code nor a perf dump" in output
    assert f"  fix         {next_text.words(NextStep(code='fix', cause='cut-off'))}\n" in output


def test_a_baseline_can_be_recorded_from_a_recording(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    for file in (project.root / "baselines" / "nvidia-h200-x1").iterdir():
        file.unlink()
    project.no_gpus()
    result = project.run("--sgdiff-replay=kept", "--sgdiff-update")
    assert result.ret == 0, result.stdout.str()
    assert (project.root / "baselines" / "nvidia-h200-x1" / "tiny.json").exists()


def test_a_recording_that_is_too_short_for_a_baseline_is_not_offered_for_one(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    (project.root / "baselines").rename(project.root / "elsewhere")
    options = ("--sgdiff-replay=kept", "--sgdiff-baselines=own")
    record = "--sgdiff-baselines=own --sgdiff-update cases/tiny.yaml::tiny"
    shown = project.run(*options).stdout.str()
    step = NextStep(code="record", command=f"pytest --sgdiff-replay=kept {record}")
    assert f"  next        {next_text.words(step)}\n" in shown
    shutil.rmtree(project.root / "kept" / "tiny" / "04")
    output = project.run(*options).stdout.str()
    few = NextStep(code="record", command=f"pytest --sgdiff-gpus=1 {record}", launches=5, have=4)
    assert f"  next        {next_text.words(few)}\n" in output
    # To record it all the same records nothing, which is no success, and names the same command.
    recorded = project.run(*options, "--sgdiff-update")
    assert recorded.ret == pytest.ExitCode.TESTS_FAILED
    more = NextStep(code="record-more", command=few.command, launches=5, fewer=4)
    assert f"  settle      {next_text.words(more)}\n" in recorded.stdout.str()
    assert "sgdiff: failed: no baseline was recorded of cases/tiny.yaml::tiny (inconclusive)" in recorded.outlines
    assert not (project.root / "own").exists()


def test_a_second_recording_is_not_dropped_without_a_word(project: Project) -> None:
    for name in ("one", "two"):
        (project.root / name).mkdir()
    result = project.run("--sgdiff-replay=one", "--sgdiff-replay=two")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--sgdiff-replay is given twice, with one and two" in result.stderr.str()


PREFIX = "2026-11-23T16:33:59.1234567Z "


@pytest.mark.parametrize(
    ("phrase", "instead", "prefix", "problems"),
    [
        ("width: 832", "width: 832", "", []),
        ("width: 832", "width: 832", PREFIX, []),
        ("Sampling params:", "Sampling params:\n[11-23 16:35:20] Worker 1: Scheduler loop started.", "", []),
        ("width: 832", "width: 800", PREFIX, [("width", "contradicted")]),
        ("width: 832", "width: -1", PREFIX, [("width", "unproved")]),
        ("Sampling params:", "Params:", "", [("width", "unproved"), ("height", "unproved"), ("frames", "unproved")]),
    ],
    ids=["as it is", "prefixed", "interleaved", "another size", "no value", "no block"],
)
def test_what_a_case_expects_is_proved_or_its_launches_do_not_count(
    project: Project,
    phrase: str,
    instead: str,
    prefix: str,
    problems: list[tuple[str, str]],
) -> None:
    project.baseline("--sgdiff-out=kept")
    file = project.root / "cases" / "tiny.yaml"
    expect = "    expect: {pipeline: WanPipeline, output: {width: 832, height: 480, frames: 17}}\n"
    file.write_text(file.read_text().rstrip("\n") + "\n" + expect)
    for log in (project.root / "kept" / "tiny").glob("*/engine.log"):
        text = log.read_text()
        assert phrase in text
        log.write_text("\n".join(prefix + line for line in text.replace(phrase, instead).split("\n")))
    result = project.run("--sgdiff-replay=kept", "--sgdiff-report=out.json", *(("-n", "1") if prefix else ()))
    [found] = json.loads((project.root / "out.json").read_text())["cases"]
    assert [(one["about"], one["cause"]) for one in found["problems"]] == problems
    assert found["outcome"] == ("invalid" if problems else "pass")
    assert result.ret == (pytest.ExitCode.TESTS_FAILED if problems else pytest.ExitCode.OK)
