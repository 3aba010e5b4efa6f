"""Runs append to a history, and a history that is none is left alone."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sgdiff import history
from pytest_sgdiff.data import Run
from pytest_sgdiff.errors import HistoryError
from tests import factories


def run_at(at: str, *results: object) -> Run:
    return dataclasses.replace(factories.run(), started_at=at, results=tuple(results))  # type: ignore[arg-type]


def test_runs_become_one_line_per_case_and_metric_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    result = factories.result()
    history.append(path, run_at("2026-11-02T02:00:00+00:00", result), run_id="second")
    history.append(path, run_at("2026-11-01T02:00:00+00:00", result), run_id="first")
    tracks = history.tracks(path, case=result.case, metric="denoise")
    assert [track.metric for track in tracks] == ["denoise"]
    assert [point.at for point in tracks[0].points] == ["2026-11-01T02:00:00+00:00", "2026-11-02T02:00:00+00:00"]
    counted = sorted(entry.metrics["denoise"] for entry in result.launches if entry.excluded is None)
    assert counted[0] <= tracks[0].points[0].value <= counted[-1]


def test_the_same_run_appended_twice_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for _ in range(2):
        history.append(path, run_at("2026-11-01T02:00:00+00:00", factories.result()), run_id="one")
    assert {len(track.points) for track in history.tracks(path)} == {1}


def test_a_case_that_was_not_measured_leaves_no_row(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    result = dataclasses.replace(factories.result(), measured=False)
    assert history.append(path, run_at("2026-11-01T02:00:00+00:00", result), run_id="one") == 0


def test_a_missing_history_says_how_runs_fill_it(tmp_path: Path) -> None:
    path = tmp_path / "none.db"
    with pytest.raises(HistoryError) as caught:
        history.tracks(path)
    assert str(caught.value) == f"{path}: no history there; runs append to it with --sgdiff-history={path}"
    assert not path.exists()


def test_a_file_that_is_no_history_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to have a header of its own\n" * 20)
    before = path.read_bytes()
    with pytest.raises(HistoryError) as caught:
        history.append(path, run_at("2026-11-01T02:00:00+00:00", factories.result()), run_id="one")
    assert str(caught.value) == (
        f"{path}: not a usable history: file is not a database; move it away to start a new one"
    )
    assert path.read_bytes() == before


def test_a_history_of_a_later_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(HistoryError) as caught:
        history.tracks(path)
    assert str(caught.value) == f"{path}: a history of schema 7, and this version knows 1: update pytest-sgdiff"


def test_a_history_is_read_where_nobody_may_write(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    history.append(path, run_at("2026-11-01T02:00:00+00:00", factories.result()), run_id="one")
    before = path.read_bytes(), path.stat().st_mtime_ns
    assert history.tracks(path)
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before


def test_an_empty_file_is_no_history_and_stays_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(HistoryError) as caught:
        history.tracks(path)
    assert str(caught.value) == f"{path}: no history, no run was ever appended to it"
    assert path.stat().st_size == 0


# ----------------------------------------------------------------------------------------- what others put in the way


def appended(path: Path) -> Path:
    history.append(path, run_at("2026-11-01T02:00:00+00:00", factories.result()), run_id="one")
    return path


def refusal(path: Path) -> str:
    """What reading and appending both say."""
    with pytest.raises(HistoryError) as read:
        history.tracks(path)
    with pytest.raises(HistoryError) as written:
        appended(path)
    assert str(read.value) == str(written.value)
    return str(read.value)


@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
@pytest.mark.parametrize("make", [lambda path: path.symlink_to("precious"), os.mkfifo])
def test_a_file_that_sqlite_would_follow_is_refused(
    tmp_path: Path, suffix: str, make: Callable[[Path], object]
) -> None:
    path = appended(tmp_path / "history.db")
    (tmp_path / "precious").write_text("mine")
    make(tmp_path / f"history.db{suffix}")
    assert f"history.db{suffix}: is no regular file" in refusal(path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_fifo_is_no_history(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "history.db")
    assert "is no regular file" in refusal(tmp_path / "history.db")


def test_a_journal_that_names_another_file_to_be_removed_is_refused(tmp_path: Path) -> None:
    path = appended(tmp_path / "history.db")
    (tmp_path / "history.db-journal").write_bytes(b"\0" * 512 + bytes.fromhex("d9d505f920a163d7"))
    assert "is the journal of several databases" in refusal(path)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TRIGGER t AFTER INSERT ON points BEGIN DELETE FROM points; END",
        "CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT * FROM n",
        "ALTER TABLE points RENAME TO others",
        "CREATE TABLE more (x)",
    ],
)
def test_statements_of_others_are_not_run(tmp_path: Path, statement: str) -> None:
    path = appended(tmp_path / "history.db")
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(HistoryError, match="not a usable history: it is no table of the points of runs"):
        history.tracks(path)


@pytest.mark.parametrize("value", ["9e999", "-1", "'x'", "x'00'"])
@pytest.mark.parametrize("column", ["value", "at"])
def test_a_point_that_is_none_is_an_error_of_the_history(tmp_path: Path, column: str, value: str) -> None:
    path = appended(tmp_path / "history.db")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(f"UPDATE points SET {column} = {value}")
    connection.close()
    if column == "value" or value == "x'00'":
        with pytest.raises(HistoryError, match="not a usable history"):
            history.tracks(path)
    else:
        assert history.tracks(path)
