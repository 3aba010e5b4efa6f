"""Runs append to a history, and a history that is none is left alone."""

from __future__ import annotations

import dataclasses
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sgdiff.data import Disturbance, LaunchRecord, Machine, Run, Workload
from pytest_sgdiff.errors import HistoryError
from pytest_sgdiff.history import store as history
from pytest_sgdiff.judging.estimator import centre
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
    counted = sorted(entry.metrics["denoise"] for entry in result.launches if entry.counts)
    assert counted[0] <= tracks[0].points[0].value <= counted[-1]


def test_the_same_run_appended_twice_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for _ in range(2):
        history.append(path, run_at("2026-11-01T02:00:00+00:00", factories.result()), run_id="one")
    assert {len(track.points) for track in history.tracks(path)} == {1}


def row(at: str, *launches: LaunchRecord, slug: str = "NVIDIA H200", digest: str = "d") -> Run:
    """A run of one case with these launches."""
    machine, workload = Machine(kind="gpu", product=slug, count=1), Workload(digest=digest)
    return run_at(at, dataclasses.replace(factories.result(), launches=launches, machine=machine, workload=workload))


def record(number: int, *disturbances: Disturbance, **metrics: float) -> LaunchRecord:
    return LaunchRecord(number=number, metrics=metrics, disturbances=disturbances)


def test_a_run_appended_again_has_the_later_figures(tmp_path: Path) -> None:
    """As after a rerun of a case that was inconclusive."""
    path = tmp_path / "history.db"
    for ms in (1000.0, 1200.0):
        history.append(path, row("2026-11-01T02:00:00+00:00", record(0, denoise=ms)), run_id="one")
    (track,) = history.tracks(path)
    assert [point.value for point in track.points] == [1200.0]


def test_points_are_in_the_order_of_their_times_whatever_the_runs_are_called(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for day, run_id in ((3, "a"), (1, "c"), (2, "b")):
        run = row(f"2026-11-0{day}T02:00:00+00:00", record(0, denoise=1000.0 + day))
        history.append(path, run, run_id=run_id)
    (track,) = history.tracks(path)
    assert [point.value for point in track.points] == [1001.0, 1002.0, 1003.0]


def test_a_figure_is_the_centre_of_the_launches_that_count(tmp_path: Path) -> None:
    launches = (
        record(0, denoise=1000.0, zero=0.0),
        record(1, denoise=1010.0, zero=0.0),
        record(2, denoise=990.0, zero=7.0),
        record(3, Disturbance(code="heat"), denoise=5000.0, zero=9.0),
    )
    (result,) = row("2026-11-01T02:00:00+00:00", *launches).results
    found = history.figures(result)
    assert found["denoise"] == (centre([1000.0, 1010.0, 990.0], "primary"), 3)
    assert found["zero"] == (7.0, 1)


def test_another_machine_and_another_workload_are_lines_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    at = "2026-11-0{}T02:00:00+00:00"
    history.append(path, row(at.format(1), record(0, denoise=1.0)), run_id="1")
    history.append(path, row(at.format(2), record(0, denoise=2.0), slug="NVIDIA H100"), run_id="2")
    history.append(path, row(at.format(3), record(0, denoise=3.0), digest="e"), run_id="3")
    lines = {(track.machine, track.workload): [p.value for p in track.points] for track in history.tracks(path)}
    assert lines == {
        ("nvidia-h200-x1", "d"): [1.0],
        ("nvidia-h100-x1", "d"): [2.0],
        ("nvidia-h200-x1", "e"): [3.0],
    }


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
    assert str(caught.value) == f"{path}: the history has schema 7, this version reads up to 2: update pytest-sgdiff"


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
    assert str(caught.value) == f"{path}: not a history: no run was ever appended to it"
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
    assert f"history.db{suffix}: is not a regular file" in refusal(path)
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_fifo_is_no_history(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "history.db")
    assert "is not a regular file" in refusal(tmp_path / "history.db")


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
    with pytest.raises(HistoryError, match="not a usable history: its table does not hold runs"):
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


def test_nights_are_those_of_one_case_machine_and_workload_with_their_launches(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    history.append(path, row("2026-11-01T00:00:00Z", record(0, e2e=100.0), record(1, e2e=100.0)), run_id="a")
    history.append(path, row("2026-11-02T00:00:00Z", record(0, e2e=104.0)), run_id="b")
    history.append(path, row("2026-11-03T00:00:00Z", record(0, e2e=200.0), digest="other"), run_id="c")
    (track, *_) = history.tracks(path, metric="e2e")
    found = history.nights(path, case=track.case, machine=track.machine, workload="d")
    assert {metric: [(round(value), n) for value, n in nights] for metric, nights in found.items()} == {
        "e2e": [(100, 2), (104, 1)]
    }
    assert history.nights(path, case="another", machine=track.machine, workload="d") == {}


# -------------------------------------------------------------------------------------------------- files of long ago

OLD = Path(__file__).parents[1] / "data" / "history" / "schema_1.db"
"""Written by the version before schema 2: three nights of a case, and an imported one."""


def points_of(path: Path) -> dict[tuple[str, str], list[tuple[str, float, str | None, str | None, bool]]]:
    return {
        (track.machine, track.metric): [(p.at, p.value, p.engine_version, p.commit, p.imported) for p in track.points]
        for track in history.tracks(path)
    }


def test_a_file_of_schema_1_is_read_as_it_is() -> None:
    before = OLD.read_bytes()
    found = points_of(OLD)
    own, imported = "nvidia-h100-80gb-hbm3-x4", "sglang-nightly"
    assert set(found) == {(own, "denoise"), (own, "peak_memory"), (imported, "nightly_latency")}
    assert [(at[:10], round(value), commit) for at, value, _, commit, _ in found[own, "denoise"]] == [
        ("2026-10-01", 1001, None),
        ("2026-10-02", 1002, None),
        ("2026-10-03", 1003, None),
    ]
    assert found[imported, "nightly_latency"] == [("2026-10-04T02:00:00+00:00", 7047.0, "317fc6a9ddb6", None, True)]
    track = history.tracks(OLD, metric="denoise")[0]
    assert history.nights(OLD, case=track.case, machine=track.machine, workload=track.workload)
    assert OLD.read_bytes() == before


def test_a_file_of_schema_1_is_upgraded_by_the_next_run_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(OLD.read_bytes())
    before = points_of(path)
    run = row("2026-11-01T02:00:00+00:00", record(0, denoise=1000.0))
    history.append(path, dataclasses.replace(run, commit="1a2b3c4d5e6f" + "0" * 28), run_id="new")
    after = points_of(path)
    new = after.pop(("nvidia-h200-x1", "denoise"))
    assert [(at, commit) for at, _, _, commit, _ in new] == [("2026-11-01T02:00:00+00:00", "1a2b3c4d5e6f")]
    assert after == before
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (history.SCHEMA,)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master")]
    connection.close()
    assert names == ["points"]
    fresh = appended(tmp_path / "fresh.db")
    assert schema_of(path) == schema_of(fresh)


def schema_of(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return " ".join(connection.execute("SELECT sql FROM sqlite_master").fetchone()[0].split())
    finally:
        connection.close()


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(OLD.read_bytes())
    before = points_of(path), schema_of(path)
    broken = (*history._UPGRADES[1][:-1], "DROP TABLE nowhere")
    monkeypatch.setattr(history, "_UPGRADES", {1: broken})
    with pytest.raises(HistoryError, match="no such table: nowhere"):
        appended(path)
    assert (points_of(path), schema_of(path)) == before


def test_an_append_that_fails_leaves_no_row(tmp_path: Path) -> None:
    path = appended(tmp_path / "history.db")
    before = points_of(path)
    figure = history.Figure(
        run="r", at="2026-11-09", case="a", machine="m", workload="w", metric="e2e", value=5.0, commit="c"
    )
    with pytest.raises(HistoryError):
        history.append_figures(path, [figure, dataclasses.replace(figure, run="s", value=float("nan"))])
    assert points_of(path) == before


def test_the_schema_is_the_documented_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reports.md").read_text(encoding="utf-8")
    assert " ".join(history._TABLES[history.SCHEMA].split()) in " ".join(page.split())
    assert f"PRAGMA user_version = {history.SCHEMA}" in page


def filled(path: Path, *, cases: int, metrics: int, runs: int) -> Path:
    history.append_figures(
        path,
        [
            history.Figure(
                run=f"run {run:03d}",
                at=f"2026-11-01T00:{run // 60:02d}:{run % 60:02d}+00:00",
                case=f"case_{case:03d}",
                machine=f"machine-{case % 2}",
                workload="d",
                metric=f"stage:S{metric:02d}",
                value=1000.0 + run,
            )
            for run in range(runs)
            for case in range(cases)
            for metric in range(metrics)
        ],
    )
    return path


def steps_of(read: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """How many steps SQLite takes for it, in hundreds: what it costs, without a clock."""
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        return 0

    usual = sqlite3.connect

    def connect(*arguments: object, **options: object) -> sqlite3.Connection:
        connection = usual(*arguments, **options)  # type: ignore[call-overload]
        connection.set_progress_handler(step, 100)
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3, "connect", connect)
    read()
    monkeypatch.undo()
    return count


@pytest.mark.parametrize(
    "asked",
    [{"case": "case_003"}, {"metric": "stage:S01"}, {"case": "case_003", "metric": "stage:S01"}],
    ids=["case", "metric", "case-and-metric"],
)
def test_what_is_not_asked_for_is_not_read(
    asked: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = filled(tmp_path / "small.db", cases=4, metrics=2, runs=40)
    # Ten times as many rows, of as many that are asked for.
    other = filled(
        tmp_path / "large.db", cases=40 if "case" in asked else 4, metrics=20 if "metric" in asked else 2, runs=40
    )
    wanted = history.tracks(small, **asked)
    assert wanted
    assert history.tracks(other, **asked) == wanted
    costs = [steps_of(lambda path=path: history.tracks(path, **asked), monkeypatch) for path in (small, other)]
    assert costs[1] < 1.5 * costs[0] + 5


def recorded(number: int, session: str | None, at: str | None, **metrics: float) -> LaunchRecord:
    return LaunchRecord(number=number, metrics=metrics, session=session, started_at=at)


def test_a_recording_is_one_run_of_its_own_time_however_often_it_is_replayed(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    launches = (
        recorded(0, "night 1", "2026-11-01T02:00:00.250Z", denoise=1000.0),
        # The session that added to the recording is the one that the figures are of.
        recorded(1, "night 2", "2026-11-02T02:00:00.250Z", denoise=1010.0),
    )
    for day in (20, 21):
        history.append(path, row(f"2026-11-{day}T09:00:00+00:00", *launches), run_id=f"replay {day}", replayed=True)
    (track,) = history.tracks(path)
    assert [point.at for point in track.points] == ["2026-11-02T02:00:00+00:00"]
    # The run that recorded it has appended to the same history.
    history.append(path, row("2026-11-02T02:00:00+00:00", *launches), run_id="night 2")
    assert [len(track.points) for track in history.tracks(path)] == [1]


def test_a_replay_of_launches_without_a_session_is_known_by_their_figures(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    one, other = (recorded(0, None, None, denoise=ms) for ms in (1000.0, 1010.0))
    for day, entry in enumerate((one, one, other), start=10):
        history.append(path, row(f"2026-11-{day}T09:00:00+00:00", entry), run_id=f"replay {day}", replayed=True)
    (track,) = history.tracks(path)
    assert [point.value for point in track.points] == [1000.0, 1010.0]


@pytest.mark.parametrize("at", ["yesterday", "0001-01-01T00:00:00+23:00", "", None])
def test_a_recorded_time_that_is_none_leaves_the_time_of_the_replay(tmp_path: Path, at: str | None) -> None:
    path = tmp_path / "history.db"
    run = row("2026-11-20T09:00:00+00:00", recorded(0, "night", at, denoise=1000.0))
    history.append(path, run, run_id="replay", replayed=True)
    assert [point.at for track in history.tracks(path) for point in track.points] == ["2026-11-20T09:00:00+00:00"]


def test_the_checkout_of_a_replay_is_not_the_one_that_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    run = row("2026-11-01T02:00:00+00:00", recorded(0, "night", "2026-11-01T02:00:00Z", denoise=1000.0))
    history.append(path, dataclasses.replace(run, commit="a" * 40), run_id="night")
    history.append(path, dataclasses.replace(run, commit="b" * 40), run_id="replay", replayed=True)
    assert [point.commit for track in history.tracks(path) for point in track.points] == ["a" * 12]


def test_the_runs_that_are_judged_are_none_of_their_own_nights(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for day in (1, 2):
        night = row(f"2026-11-0{day}T02:00:00+00:00", record(0, denoise=1000.0 + day))
        history.append(path, night, run_id=f"night {day}")
    (case,) = night.results
    place = {"case": case.case, "machine": "nvidia-h200-x1", "workload": "d"}
    assert history.nights(path, **place)["denoise"] == [(1001.0, 1), (1002.0, 1)]
    assert history.nights(path, **place, but={"night 2"})["denoise"] == [(1001.0, 1)]
