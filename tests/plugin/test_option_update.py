"""`--sgdiff-update`: fresh launches become baselines, written by the controller alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.gpus import queue_state
from tests.plugin.conftest import CASE, Project


def baseline_of(project: Project, case: str = "tiny") -> Path:
    return project.root / "baselines" / "nvidia-h200-x1" / f"{case}.json"


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_as_many_launches_as_the_case_asks_for_are_recorded(project: Project, workers: tuple[str, ...]) -> None:
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", *workers)
    assert result.ret == 0, result.stdout.str()
    document = json.loads(baseline_of(project).read_text())
    assert len(document["metrics"]["denoise"]) == 5
    assert all(value > 0 for value in document["metrics"]["denoise"])
    assert document["case"] == "tiny"


def test_launches_that_leave_doubts_are_followed_by_five_more_where_the_case_states_none(project: Project) -> None:
    stated = "    launches: {baseline: 5, checkpoints: [1, 3, 5]}\n"
    project.write("cases/tiny.yaml", CASE.replace(stated, "").replace("    marks: [nightly]\n", ""))
    project.setenv("SGDIFF_FAKE_SEQUENCE", str(project.write("scenarios", "native native slow:1.2 native")))
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update")
    assert result.ret == 0, result.stdout.str()
    assert len(json.loads(baseline_of(project).read_text())["metrics"]["denoise"]) == 10
    assert "10 launches recorded" in result.stdout.str()
    assert "sgdiff: baseline written: baselines/nvidia-h200-x1/tiny.json" in result.outlines
    seen = "launch 2 is an outlier, 20.6 % above the median"
    assert (
        f"cases/tiny.yaml:5: warning: 5 launches more than the usual 5, because of "
        f"denoise (core of steps): {seen}; e2e: {seen}\n"
    ) in result.stdout.str()
    assert "launch 2 of up to 10" in result.stdout.str()


def test_a_bare_update_may_stand_before_a_node_id(project: Project) -> None:
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "cases/tiny.yaml::tiny")
    assert result.ret == 0, result.stdout.str()
    assert baseline_of(project).exists()


def test_an_update_does_not_fail_for_what_it_replaces(project: Project) -> None:
    project.baseline()
    before = baseline_of(project).read_text()
    project.engine("slow:1.2")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update")
    assert result.ret == 0, result.stdout.str()
    assert baseline_of(project).read_text() != before
    assert "5 launches replace the baseline" in result.stdout.str()


def test_missing_records_only_where_there_is_none(project: Project) -> None:
    project.baseline()
    before = baseline_of(project).read_text()
    project.write("cases/second.yaml", CASE.replace("tiny:", "second:"))
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update=missing")
    assert result.ret == 0, result.stdout.str()
    assert baseline_of(project).read_text() == before
    assert baseline_of(project, "second").exists()


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["serial", "xdist"])
def test_missing_has_nothing_to_do_where_every_case_has_a_baseline(project: Project, workers: tuple[str, ...]) -> None:
    project.baseline()
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update=missing", *workers)
    assert result.ret == 0, result.stdout.str()
    assert "nothing was measured" not in result.stdout.str()


def test_missing_is_not_green_where_what_is_missing_cannot_be_measured(project: Project) -> None:
    project.no_gpus()
    result = project.run("--sgdiff-gpus=all", "--sgdiff-update=missing")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "measured 0 of 1" in result.stdout.str()
    assert "sgdiff: failed: nothing was measured" in result.outlines


def test_missing_leaves_alone_what_has_a_baseline_when_recordings_are_replayed(project: Project) -> None:
    project.baseline("--sgdiff-out=kept")
    before = baseline_of(project).read_bytes()
    result = project.run("--sgdiff-replay=kept", "--sgdiff-update=missing", "-rs")
    assert baseline_of(project).read_bytes() == before
    assert "has a baseline for nvidia-h200-x1; --sgdiff-update renews it" in result.stdout.str()
    project.write("cases/tiny.yaml", CASE.replace("seed: 42", "seed: 43"))
    changed = project.run("--sgdiff-gpus=4", "--sgdiff-update=missing")
    assert (
        "sgdiff: not measured: cases/tiny.yaml::tiny (skipped: cases/tiny.yaml:5:3: has a baseline for nvidia-h200-x1, "
        "of a different workload (args.seed: 42 in the baseline, 43 now); --sgdiff-update renews it)"
    ) in changed.outlines


def test_missing_asks_for_the_baseline_of_the_gpus_that_were_leased(project: Project) -> None:
    project.baseline()
    before = baseline_of(project).read_bytes()
    project.gpus(2, first="NVIDIA L40S")
    project.run("--sgdiff-gpus=all", "--sgdiff-update=missing")
    made = project.root / "baselines" / "nvidia-l40s-x1" / "tiny.json"
    assert made.exists()
    both = project.run("--sgdiff-gpus=all", "--sgdiff-update=missing", "-rs")
    assert "has a baseline for nvidia-l40s-x1 and for nvidia-h200-x1; --sgdiff-update renews it" in both.stdout.str()
    made.unlink()
    project.busy(only=0)
    result = project.run("--sgdiff-gpus=all", "--sgdiff-update=missing", "-rs")
    assert "has a baseline for nvidia-h200-x1; --sgdiff-update renews it" in result.stdout.str()
    assert not made.exists()
    assert baseline_of(project).read_bytes() == before


def test_the_gpus_of_a_case_that_is_refused_once_it_has_them_are_given_back(project: Project) -> None:
    """Else its lease would be in the way of all cases after it, in this run and in others."""
    project.baseline()
    project.gpus(2, first="NVIDIA L40S")
    project.busy(only=0)
    project.write("cases/zz.yaml", CASE.replace("tiny:", "zz:").replace("baseline: 5", "baseline: 3"))
    result = project.run("--sgdiff-gpus=all", "--sgdiff-update=missing", "--sgdiff-gpu-timeout=20", "-rs")
    recorded = project.root / "baselines" / "nvidia-h200-x1" / "zz.json"
    assert recorded.exists(), result.stdout.str()
    assert "has a baseline for nvidia-h200-x1; --sgdiff-update renews it" in result.stdout.str()
    assert queue_state(str(project.root / "locks"))["holders"] == []


def test_missing_records_where_there_is_only_a_published_number(project: Project) -> None:
    project.baseline()
    document = json.loads(baseline_of(project).read_text())
    for key in ("every_launch", "launches"):
        document.pop(key, None)
    document["metrics"] = {name: values[:1] for name, values in document["metrics"].items()}
    document |= {"kind": "reference", "launches": [{"number": 0}], "source": "a page", "engine": None}
    document["recorded"]["sessions"] = []
    baseline_of(project).write_text(json.dumps(document))
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update=missing")
    assert result.ret == 0, result.stdout.str()
    assert json.loads(baseline_of(project).read_text())["kind"] == "recorded"


def test_a_corrupt_baseline_is_replaced_by_the_command_that_its_message_names(project: Project) -> None:
    project.baseline()
    good = baseline_of(project).read_text()
    baseline_of(project).write_text(good[: len(good) // 2])
    gate = project.run("--sgdiff-gpus=4").stdout.str()
    assert "(restore the file with git, or record it again with --sgdiff-update)" in gate
    assert "Traceback" not in gate
    assert "ERROR at setup" not in gate
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update")
    assert result.ret == 0, result.stdout.str()
    assert "5 launches recorded" in result.stdout.str()
    assert len(json.loads(baseline_of(project).read_text())["metrics"]["denoise"]) == 5


def test_a_baseline_of_a_newer_version_is_not_replaced(project: Project) -> None:
    project.baseline()
    newer = baseline_of(project).read_text().replace('"schema": 1', '"schema": 99')
    baseline_of(project).write_text(newer)
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "is 99, written by a newer pytest-sgdiff" in result.stdout.str()
    assert baseline_of(project).read_text() == newer


def test_launches_of_another_engine_do_not_extend_a_baseline_and_only_one_is_made(project: Project) -> None:
    project.baseline()
    before = baseline_of(project).read_bytes()
    project.setenv("SGDIFF_FAKE_VERSION", "0.5.16")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update=extend", "--sgdiff-out=kept")
    output = result.stdout.str()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert (
        "cannot be extended: the baseline was recorded with sglang 0.5.17, the launches with 0.5.16; "
        "replace it with --sgdiff-update=all"
    ) in output
    assert baseline_of(project).read_bytes() == before
    assert [path.name for path in (project.root / "kept" / "tiny").iterdir()] == ["00"]


def test_extend_adds_a_session(project: Project) -> None:
    project.baseline()
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update=extend")
    assert result.ret == 0, result.stdout.str()
    assert "5 launches added to the 5 of the baseline" in result.stdout.str()
    # The ten together find less than the five did.
    (steps,) = (line for line in result.outlines if line.startswith("  denoise (core of steps)"))
    assert steps.endswith("  3.2 %")
    document = json.loads(baseline_of(project).read_text())
    assert len(document["metrics"]["denoise"]) == 10
    assert len(document["recorded"]["sessions"]) == 2


def test_a_launch_that_cannot_be_trusted_never_reaches_a_baseline(project: Project) -> None:
    (project.root / "cases" / "tiny.yaml").unlink()
    scenarios = ["fallback", "request-error", "torn-dump", "port-lost", "cold"]
    for scenario in scenarios:
        env = f"env: {{SGDIFF_FAKE_SCENARIO: {scenario}}}\n    model:"
        project.write(f"cases/{scenario}.yaml", CASE.replace("tiny:", f"{scenario}:").replace("model:", env))
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=len(scenarios))
    assert not (project.root / "baselines").exists()


def test_in_ci_candidates_go_to_the_folder_of_launches(project: Project) -> None:
    project.setenv("CI", "true")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-out=kept")
    assert result.ret == 0, result.stdout.str()
    assert not baseline_of(project).exists()
    candidates = project.root / "kept" / "baselines"
    assert (candidates / "nvidia-h200-x1" / "tiny.json").exists()
    assert "sgdiff: candidate written: kept/baselines/nvidia-h200-x1/tiny.json" in result.outlines
    assert (
        "sgdiff: CI is set, so no baseline in the tree was changed; to review and to apply the candidates: "
        "sgdiff baselines diff|apply kept/baselines"
    ) in result.outlines


def test_candidates_are_put_in_place_by_the_command_that_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.setenv("CI", "true")
    monkeypatch.chdir(project.root / "cases")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-out=../kept", "--sgdiff-baselines=elsewhere")
    (told,) = [line for line in result.outlines if "sgdiff baselines diff|apply" in line]
    words = told.partition("diff|apply ")[2].split()
    assert words == ["../kept/baselines", "--folder=../elsewhere"]
    assert main(["baselines", "apply", *words]) == 0
    assert (project.root / "elsewhere" / "nvidia-h200-x1" / "tiny.json").exists()


def test_dist_each_is_refused(project: Project) -> None:
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "-n", "2", "--dist", "each")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--sgdiff-update with --dist each would record every case once per worker: use --dist load" in (
        result.stderr.str()
    )


def test_a_baseline_folder_that_cannot_be_written_fails_and_says_why(project: Project) -> None:
    (project.root / "baselines").write_text("a file where the folder should be")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-out=kept")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cases/tiny.yaml::tiny: " in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()
    kept = "pytest --sgdiff-replay=kept --sgdiff-update=all cases/tiny.yaml::tiny"
    assert f". Its launches are kept; this records them: {kept}" in result.stdout.str()
    (project.root / "baselines").unlink()
    assert project.run(*kept.split()[1:]).ret == 0
    assert baseline_of(project).exists()


def test_launches_that_reached_no_baseline_can_be_recorded_from_where_pytest_was_called(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = project.write("elsewhere", "a file where the folder should be")
    monkeypatch.chdir(project.root / "cases")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-out=../kept", "--sgdiff-baselines=elsewhere")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cases/tiny.yaml::tiny: " in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()
    words = ["--sgdiff-replay=../kept", "--sgdiff-baselines=elsewhere", "--sgdiff-update=all", "tiny.yaml::tiny"]
    assert f". Its launches are kept; this records them: pytest {' '.join(words)}" in result.stdout.str()
    folder.unlink()
    assert project.run(*words).ret == 0
    assert (folder / "nvidia-h200-x1" / "tiny.json").exists()
