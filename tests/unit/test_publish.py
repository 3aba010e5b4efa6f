from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_sgdiff.data import Run
from pytest_sgdiff.history import store as history
from pytest_sgdiff.plugin.publish import from_root, publish, repository_prefix, with_trends, workflow_commands
from pytest_sgdiff.plugin.settings import Settings, read_settings
from pytest_sgdiff.reports import REPORTS, trend_text
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
    assert publish(from_root(run, bench), settings(bench, "r.html"), JOB) == ()
    page = (bench / "r.html").read_text()
    assert 'href="https://github.com/org/repo/blob/5c1d2e7/perf/bench/cases/wan22.yaml#L12"' in page
    assert (
        '<a href="https://github.com/org/repo/blob/5c1d2e7/perf/bench/baselines/h200/wan.json#L1">'
        "baselines/h200/wan.json</a>"
    ) in page


def test_reports_name_a_baseline_by_its_path_from_the_root(bench: Path) -> None:
    run = factories.run(factories.regressed(baseline_path=str(bench / "baselines" / "h200" / "wan.json")))
    assert publish(from_root(run, bench), settings(bench, "r.html", "r.md", "r.json"), {}) == ()
    assert json.loads((bench / "r.json").read_text())["cases"][0]["baseline"]["path"] == "baselines/h200/wan.json"
    assert '<a href="baselines/h200/wan.json#L1">baselines/h200/wan.json</a>' in (bench / "r.html").read_text()
    assert not [name for name in ("r.html", "r.md", "r.json") if str(bench) in (bench / name).read_text()]


def test_folders_of_launches_are_told_from_the_root(bench: Path) -> None:
    inside, outside = str(bench / ".sgdiff" / "run-1" / "wan" / "00"), str(bench.parent / "kept" / "01")
    launches = (factories.record(0, folder=inside), factories.record(1, folder=outside))
    (result,) = from_root(factories.run(factories.regressed(launches=launches)), bench).results
    assert [launch.folder for launch in result.launches] == [".sgdiff/run-1/wan/00", outside]


@pytest.mark.parametrize(("report", "up"), [("out/new pages/r.html", "../../"), ("../r.html", "bench/")])
def test_links_of_a_page_start_from_its_own_folder(bench: Path, report: str, up: str) -> None:
    kept = {"baseline_path": str(bench / "baselines" / "wan.json"), "folder": "recording/wan 1"}
    run = from_root(factories.run(factories.regressed(**kept)), bench)
    assert publish(run, settings(bench, report), {}) == ()
    page = (bench / report).read_text()
    for place in ("cases/wan22.yaml#L12", "baselines/wan.json#L1", "recording/wan%201"):
        assert f'<a href="{up}{place}">' in page
    # A case file's link leads to the forge in CI; launches are beside the page all the same.
    assert publish(run, settings(bench, report), JOB) == ()
    assert f'<a href="{up}recording/wan%201">' in (bench / report).read_text()


def test_a_baseline_outside_the_root_gets_no_link(bench: Path) -> None:
    outside = str(bench / ".." / "shared" / "wan.json")
    run = factories.run(factories.regressed(baseline_path=outside))
    assert publish(from_root(run, bench), settings(bench, "r.html", "r.json"), JOB) == ()
    assert json.loads((bench / "r.json").read_text())["cases"][0]["baseline"]["path"] == outside
    page = (bench / "r.html").read_text()
    assert f"<dd>{outside}</dd>" in page
    assert "wan.json#L1" not in page


def test_a_link_is_written_through_and_its_own_name_chooses_the_format(bench: Path) -> None:
    (bench / "kept").mkdir()
    (bench / "kept" / "latest").write_text("")
    (bench / "l.md").symlink_to(Path("kept") / "latest")
    run = factories.run(factories.result())
    assert publish(run, settings(bench, "l.md", "after.json"), {}) == ()
    assert (bench / "kept" / "latest").read_text() == REPORTS[".md"].render(run)
    assert (bench / "l.md").is_symlink()
    assert json.loads((bench / "after.json").read_text())["measured"] == 1


def test_what_goes_wrong_in_one_report_loses_no_other(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(run: Run) -> str:
        raise KeyError("e2e")

    monkeypatch.setitem(REPORTS, ".md", SimpleNamespace(render=render))  # type: ignore[arg-type]
    monkeypatch.setattr(history, "append", lambda *_, **__: render(factories.run()))
    (bench / "file").write_text("")
    asked = settings(bench, "file/r.json", "r.md", "r.csv")
    job = {"GITHUB_STEP_SUMMARY": str(bench / "sum.md")}
    told = publish(factories.run(factories.result()), replace(asked, history=bench / "h.db"), job)
    code = f"could not be written: KeyError: 'e2e' ({__file__}:{render.__code__.co_firstlineno + 1})"
    assert told == (
        f"{bench}/file/r.json: the report could not be written: File exists",
        f"{bench}/r.md: the report {code}",
        f"{bench}/sum.md: the job summary {code}",
        f"{bench}/h.db: the history {code}",
    )
    assert (bench / "r.csv").read_text()


def night(number: int, *results: str, scale: float = 1.0) -> Run:
    cases = [factories.result(case, launches=(factories.record(0, scale=scale),)) for case in results or ("wan",)]
    return factories.run(*cases, started_at=f"2026-11-{number:02d}T02:00:00+00:00", history={})


def test_creep_that_no_gate_sees_is_in_every_report_and_links_to_its_case(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for number in range(1, 10):
        history.append(path, night(number, scale=1.0 if number < 6 else 1.031), run_id=f"night {number}")
    kept = replace(settings(tmp_path), history=path)
    run = with_trends(night(10, "new", "wan", scale=1.031), kept)
    assert [(t.case, t.level_runs, round(t.step or 0, 3), len(t.changes)) for t in run.trends] == [("wan", 5, 0.031, 1)]
    words = trend_text.line(run.trends[0])
    assert f"trend: slower: wan {words}" in REPORTS[".txt"].render(run)
    assert "- 🔴 slower: <code>wan</code> denoise (sum of steps): 10 runs, " in REPORTS[".md"].render(run)
    assert f"<strong>slower over the history</strong>: {html.escape(words)}" in REPORTS[".html"].render(run)
    page = REPORTS[".html"].render(run)
    assert '<a href="#trend%3Awan">wan</a> denoise (sum of steps): 10 runs' in page
    assert page.count('id="trend:wan"') == 1
    assert 'id="trend:new"' not in page
    assert json.loads(REPORTS[".json"].render(run))["trends"][0]["worse"] is True
    # Appended meanwhile, the run is not its own past.
    history.append(path, run, run_id="night 10")
    assert with_trends(night(10, "wan", scale=1.031), kept).trends == run.trends


def test_without_a_history_nothing_is_said_of_trends(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    assert with_trends(night(1), settings(tmp_path)) == night(1)
    assert with_trends(night(1), replace(settings(tmp_path), history=path)) == night(1)
    history.append(path, night(1), run_id="night 1")
    run = with_trends(night(2), replace(settings(tmp_path), history=path))
    assert run.trends == ()
    assert set(run.history) == {"wan"}
    for report in (".txt", ".md", ".html"):
        shown = re.sub("<script.*?</script>", "", REPORTS[report].render(run), flags=re.DOTALL)
        assert "trend:" not in shown.lower()
        assert "trend over" not in REPORTS[report].render(run).lower()


def test_a_replay_is_shown_with_the_runs_before_its_recording(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for number in (1, 2, 3):
        history.append(path, night(number), run_id=f"night {number}")
    launch = factories.record(0, session="night 2", started_at="2026-11-02T02:00:00Z")
    replayed = factories.run(factories.result("wan", launches=(launch,)), started_at="2026-11-29T09:00:00+00:00")
    asked = replace(settings(tmp_path), history=path, replay=tmp_path)
    run = with_trends(replace(replayed, history={}), asked)
    assert {point.at[:10] for points in run.history["wan"].values() for point in points} == {"2026-11-01"}
    assert run.recorded_at == {"wan": "2026-11-02T02:00:00+00:00"}
    assert "from 2026-11-01 to 2026-11-02" in REPORTS[".html"].render(run)
    assert publish(run, asked, {}) == ()
    assert {len(track.points) for track in history.tracks(path)} == {3}
