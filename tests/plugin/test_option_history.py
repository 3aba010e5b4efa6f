"""`--sgdiff-history`: runs append, `sgdiff trend` reads."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.plugin import controller
from tests.plugin.conftest import Project


def test_each_run_is_a_point_of_the_trend(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.baseline("--sgdiff-history=history.db")
    result = project.run("--sgdiff-gpus=1", "--sgdiff-history=history.db")
    assert result.ret == 0, result.stdout.str()
    capsys.readouterr()
    assert main(["trend", str(project.root / "history.db"), "--json"]) == 0
    rows = {row["metric"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"denoise_steps", "peak_memory", "stage:TextEncodingStage"} <= set(rows)
    row = rows["denoise_steps"]
    assert (row["case"], row["machine"], row["runs"]) == ("tiny", "nvidia-h200-x1", 2)
    assert main(["trend", str(project.root / "history.db"), "--metric", "denoise_stepz"]) == 2
    assert capsys.readouterr().err == (f"sgdiff: {project.root / 'history.db'}: no runs of denoise_stepz of any case\n")


def test_rare_pauses_are_no_trend_and_a_stage_that_creeps_is_one(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    history = str(project.root / "history.db")
    project.baseline("--sgdiff-history=history.db")
    with contextlib.closing(sqlite3.connect(history)) as database, database:
        rows = database.execute("SELECT * FROM points").fetchall()
        names = [column[1] for column in database.execute("PRAGMA table_info(points)")]
        run, at, metric, value = (names.index(name) for name in ("run", "at", "metric", "value"))
        for night in range(6):
            for row in rows:
                changed = list(row)
                changed[run], changed[at] = f"night {night}", f"2026-12-0{night + 1}T00:00:00+00:00"
                if row[metric] in ("denoise", "e2e", "stage:DenoisingStage") and night > 3:
                    changed[value] = row[value] + 450
                database.execute(f"INSERT INTO points VALUES ({', '.join('?' * len(row))})", changed)
    capsys.readouterr()
    assert main(["trend", history]) == 0
    assert "denoise:" not in capsys.readouterr().out
    # Whoever names it sees it as it was.
    assert main(["trend", history, "--metric", "denoise"]) == 1
    with contextlib.closing(sqlite3.connect(history)) as database, database:
        database.execute(
            "UPDATE points SET value = value * 1.2 WHERE metric = 'stage:TextEncodingStage' AND run > 'night 3'"
        )
    assert main(["trend", history]) == 1
    capsys.readouterr()
    # The run itself says so, and is the last of its own series.
    with contextlib.closing(sqlite3.connect(history)) as database, database:
        database.execute("UPDATE points SET at = REPLACE(at, '2026-12', '2026-02')")
        database.execute("UPDATE points SET value = value / 1.44 WHERE metric = 'stage:TextEncodingStage'")
    shown = project.run("--sgdiff-gpus=1", "--sgdiff-history=history.db").stdout.str()
    assert "trend: slower: tiny TextEncodingStage: 8 runs, the latest three +20.0 % against the best three" in shown


def test_earlier_runs_of_the_case_say_how_much_it_drifts(project: Project) -> None:
    """A slowdown that a steady case fails for is within the drift of one that varies from night to night."""
    history = str(project.root / "history.db")
    project.baseline("--sgdiff-history=history.db")
    with contextlib.closing(sqlite3.connect(history)) as database, database:
        rows = database.execute("SELECT * FROM points").fetchall()
        names = [column[1] for column in database.execute("PRAGMA table_info(points)")]
        run, at, value = (names.index(name) for name in ("run", "at", "value"))
        for night in range(12):
            for row in rows:
                changed = list(row)
                changed[run], changed[at] = f"night {night}", f"2026-02-{night + 10}T00:00:00+00:00"
                changed[value] = row[value] * (1 + 0.05 * (night % 2))
                database.execute(f"INSERT INTO points VALUES ({', '.join('?' * len(row))})", changed)
    project.run("--sgdiff-gpus=1", "--sgdiff-history=history.db", "--sgdiff-report=with.json")
    project.run("--sgdiff-gpus=1", "--sgdiff-report=without.json")
    with_, without = (
        {v["metric"]: v["detectable"] for v in json.loads((project.root / name).read_text())["cases"][0]["verdicts"]}
        for name in ("with.json", "without.json")
    )
    assert with_["denoise_core"] > 2 * without["denoise_core"]
    assert with_["peak_memory"] == without["peak_memory"]


def test_a_replay_is_no_new_run_and_is_judged_alike_each_time(project: Project) -> None:
    history = str(project.root / "history.db")
    project.baseline("--sgdiff-history=history.db")
    project.run("--sgdiff-gpus=1", "--sgdiff-history=history.db", "--sgdiff-out=kept")
    for name in ("first.json", "second.json"):
        shown = project.run("--sgdiff-replay=kept", "--sgdiff-history=history.db", f"--sgdiff-report={name}")
        assert shown.ret == 0, shown.stdout.str()
    with contextlib.closing(sqlite3.connect(history)) as database:
        ((runs,),) = database.execute("SELECT COUNT(DISTINCT run) FROM points").fetchall()
    assert runs == 2
    first, second = (json.loads((project.root / name).read_text())["cases"] for name in ("first.json", "second.json"))
    assert [{**case, "elapsed_s": 0} for case in first] == [{**case, "elapsed_s": 0} for case in second]


def test_a_fault_in_the_trends_loses_no_result(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controller, "with_trends", lambda *_: {}["e2e"])
    result = project.run("--sgdiff-gpus=1", "--sgdiff-history=h.db", "--sgdiff-report=r.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert f"{project.root}/h.db: no trend is shown: KeyError: 'e2e' (" in result.stdout.str()
    assert json.loads((project.root / "r.json").read_text())["measured"] == 1
