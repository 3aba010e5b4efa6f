"""`--sgdiff-update`: fresh launches become baselines, written by the controller alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.plugin.conftest import CASE, Project


def baseline_of(project: Project, case: str = "tiny") -> Path:
    return project.root / "baselines" / "nvidia-h200-x1" / f"{case}.json"


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["serial", "xdist"])
def test_as_many_launches_as_the_case_asks_for_are_recorded(project: Project, workers: tuple[str, ...]) -> None:
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", *workers)
    assert result.ret == 0, result.stdout.str()
    document = json.loads(baseline_of(project).read_text())
    assert len(document["metrics"]["denoise"]) == 5
    assert all(value > 0 for value in document["metrics"]["denoise"])
    assert document["case"] == "tiny"


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


def test_extend_adds_a_session(project: Project) -> None:
    project.baseline()
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update=extend")
    assert result.ret == 0, result.stdout.str()
    document = json.loads(baseline_of(project).read_text())
    assert len(document["metrics"]["denoise"]) == 10
    assert len(document["recorded"]["sessions"]) == 2


@pytest.mark.parametrize("scenario", ["fallback", "request-error", "torn-dump", "port-lost", "cold"])
def test_a_launch_that_cannot_be_trusted_never_reaches_a_baseline(project: Project, scenario: str) -> None:
    project.engine(scenario)
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert not baseline_of(project).exists()


def test_in_ci_candidates_go_to_the_folder_of_launches(project: Project) -> None:
    project.setenv("CI", "true")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "--sgdiff-out=kept")
    assert result.ret == 0, result.stdout.str()
    assert not baseline_of(project).exists()
    assert (project.root / "kept" / "baselines" / "nvidia-h200-x1" / "tiny.json").exists()


def test_dist_each_is_refused(project: Project) -> None:
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update", "-n", "2", "--dist", "each")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--sgdiff-update with --dist each would record every case once per worker: use --dist load" in (
        result.stderr.str()
    )


def test_a_baseline_folder_that_cannot_be_written_fails_and_says_why(project: Project) -> None:
    (project.root / "baselines").write_text("a file where the folder should be")
    result = project.run("--sgdiff-gpus=4", "--sgdiff-update")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "cases/tiny.yaml::tiny: " in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()
