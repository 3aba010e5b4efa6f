from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_sgdiff.publish import publish, repository_prefix, workflow_commands
from pytest_sgdiff.settings import Settings, read_settings
from tests import factories

JOB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "org/repo",
    "GITHUB_SHA": "5c1d2e7",
}


def settings(root: Path, *reports: str) -> Settings:
    given = {"sgdiff_report": list(reports)}
    return read_settings(option=given.get, ini={}.get, env={}, root=root, cwd=root, run_id="run-1")


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """A pytest root two folders below the top of a git repository."""
    (tmp_path / "repo" / ".git").mkdir(parents=True)
    root = tmp_path / "repo" / "perf" / "bench"
    root.mkdir(parents=True)
    return root


def test_the_prefix_is_the_way_from_the_top_of_the_repository(bench: Path) -> None:
    assert repository_prefix(bench) == "perf/bench/"
    assert repository_prefix(bench.parents[1]) == ""


def test_a_worktree_has_a_file_instead_of_the_git_folder(bench: Path) -> None:
    (bench.parent / ".git").write_text("gitdir: /elsewhere/.git/worktrees/perf\n")
    assert repository_prefix(bench) == "bench/"


def test_without_git_there_is_no_prefix(tmp_path: Path) -> None:
    assert repository_prefix(tmp_path) == ""


def test_annotations_name_the_file_from_the_top_of_the_repository(bench: Path) -> None:
    run = factories.run(factories.fallback())
    (line,) = workflow_commands(run, JOB, root=bench)
    assert line.startswith("::error file=perf/bench/cases/firered.yaml,line=31,")
    assert workflow_commands(run, {}, root=bench) == []


def test_links_lead_from_the_top_of_the_repository_to_case_and_baseline(bench: Path) -> None:
    run = factories.run(factories.regressed(baseline_path=str(bench / "baselines" / "h200" / "wan.json")))
    assert publish(run, settings(bench, "r.html"), JOB) == ()
    page = (bench / "r.html").read_text()
    assert 'href="https://github.com/org/repo/blob/5c1d2e7/perf/bench/cases/wan22.yaml#L12"' in page
    assert (
        '<a href="https://github.com/org/repo/blob/5c1d2e7/perf/bench/baselines/h200/wan.json#L1">'
        "baselines/h200/wan.json</a>"
    ) in page


def test_reports_name_a_baseline_by_its_path_from_the_root(bench: Path) -> None:
    run = factories.run(factories.regressed(baseline_path=str(bench / "baselines" / "h200" / "wan.json")))
    assert publish(run, settings(bench, "r.html", "r.md", "r.json"), {}) == ()
    assert json.loads((bench / "r.json").read_text())["cases"][0]["baseline"]["path"] == "baselines/h200/wan.json"
    assert '<a href="baselines/h200/wan.json#L1">baselines/h200/wan.json</a>' in (bench / "r.html").read_text()
    assert not [name for name in ("r.html", "r.md", "r.json") if str(bench) in (bench / name).read_text()]


def test_a_baseline_outside_the_root_gets_no_link(bench: Path) -> None:
    outside = str(bench / ".." / "shared" / "wan.json")
    run = factories.run(factories.regressed(baseline_path=outside))
    assert publish(run, settings(bench, "r.html", "r.json"), JOB) == ()
    assert json.loads((bench / "r.json").read_text())["cases"][0]["baseline"]["path"] == outside
    page = (bench / "r.html").read_text()
    assert f"<dd>{outside}</dd>" in page
    assert "wan.json#L1" not in page
