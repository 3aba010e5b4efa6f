"""The history: a SQLite file to which every run appends, one row per case and metric.

A baseline answers whether this change is slower. A history shows what single gates cannot see: one per cent here and
one there. The file may be shared by runs at the same time; SQLite's own locking keeps them apart.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import sqlite3
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from pytest_sgdiff.data import CaseResult, HistoryPoint, Run
from pytest_sgdiff.errors import HistoryError
from pytest_sgdiff.files.data_files import DataFileError, kind, opened
from pytest_sgdiff.judging.estimator import centre
from pytest_sgdiff.metrics import metric_class, only_derived, plausible

BUSY_TIMEOUT_S = 30.0
"""How long a run waits for another one that is appending: an append takes milliseconds."""

SCHEMA = 2
"""Of the file, in SQLite's `user_version`. docs/reports.md describes it and what it promises: a change of the tables
raises the number, adds the statements from the number before to `_UPGRADES`, and keeps all older files readable."""

_OF_SEVERAL = bytes.fromhex("d9d505f920a163d7")
"""How a journal ends that names another file, which SQLite removes in the end (sqlite.org/fileformat.html)."""

_TABLES: Mapping[int, str] = {
    1: """
CREATE TABLE points (
    run TEXT NOT NULL, at TEXT NOT NULL, case_id TEXT NOT NULL, machine TEXT NOT NULL, workload TEXT NOT NULL,
    metric TEXT NOT NULL, value REAL NOT NULL CHECK (value > 0), launches INTEGER NOT NULL, outcome TEXT NOT NULL,
    engine_version TEXT, PRIMARY KEY (run, case_id, machine, metric)
) WITHOUT ROWID
""",
    # The key begins with what is asked for, so that one case of a long history is read without the others.
    2: """
CREATE TABLE points (
    run TEXT NOT NULL, at TEXT NOT NULL, case_id TEXT NOT NULL, machine TEXT NOT NULL, workload TEXT NOT NULL,
    metric TEXT NOT NULL, value REAL NOT NULL CHECK (value > 0), launches INTEGER NOT NULL, outcome TEXT NOT NULL,
    engine_version TEXT, commit_id TEXT, PRIMARY KEY (case_id, machine, metric, run)
) WITHOUT ROWID
""",
}
"""The table by schema."""

_UPGRADES: Mapping[int, Sequence[str]] = {
    1: (
        "ALTER TABLE points RENAME TO points_1",
        _TABLES[2],
        """INSERT INTO points SELECT run, at, case_id, machine, workload, metric, value, launches, outcome,
        engine_version, NULL FROM points_1""",
        "DROP TABLE points_1",
    ),
}
"""What makes the next schema of one."""

_INSERT = "INSERT OR REPLACE INTO points VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

_INSERT_AGAIN = f"""
{_INSERT.replace("OR REPLACE ", "")}
ON CONFLICT DO UPDATE SET at = excluded.at, workload = excluded.workload, value = excluded.value,
launches = excluded.launches, outcome = excluded.outcome, engine_version = excluded.engine_version
"""
"""The checkout of a replay is not the one that was measured: the commit of the first to add the run stays."""

OF_SERIES = "WHERE case_id = :case_id AND machine = :machine AND metric = :metric"

IMPORTED = "imported"
"""The outcome of a figure that was judged by nobody here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """One figure of a run that others measured: `at` is ISO 8601 in UTC, `value` in the metric's unit, `commit` that of
    the engine."""

    run: str
    at: str
    case: str
    machine: str
    workload: str
    metric: str
    value: float
    engine_version: str | None = None
    commit: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """One case and metric on one kind of machine and with one workload: what may be drawn as one line."""

    case: str
    machine: str
    workload: str
    metric: str
    points: tuple[HistoryPoint, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """The run that measured a case: its id and when it was, ISO 8601 in UTC. A replay's is the recorded one."""

    run: str
    at: str


def append(path: Path, run: Run, *, run_id: str, replayed: bool = False) -> int:
    """Add a run's measured cases; returns how many rows. Appending the same run again replaces its rows, and so does
    replaying a recording again. A history of an older schema is upgraded.

    Raises:
        HistoryError: the file is no history, of another schema, or cannot be written.
    """
    rows = [row for result in run.results for row in _rows(result, run, run_id, replayed=replayed)]
    with _opened(path, mode="rwc") as connection:
        connection.executemany(_INSERT_AGAIN if replayed else _INSERT, rows)
    return len(rows)


def measured(result: CaseResult, run: Run, *, run_id: str, replayed: bool) -> Measured:
    """Which run a case's figures are of. Launches that are replayed were measured when they were recorded, by the
    latest session that they name; those that name none are known by their figures."""
    if not replayed:
        return Measured(run=run_id, at=run.started_at)
    counted = [(_moment(entry.started_at), entry) for entry in result.launches if entry.counts]
    at, latest = max(counted, key=lambda pair: pair[0] or "", default=(None, None))
    if latest is not None and latest.session:
        return Measured(run=latest.session, at=at or run.started_at)
    content = json.dumps([sorted(entry.metrics.items()) for _, entry in counted])
    return Measured(run=f"replay-{hashlib.sha256(content.encode()).hexdigest()[:16]}", at=at or run.started_at)


def _moment(text: str | None) -> str | None:
    """A launch's time as the history has it; None for what is no time."""
    try:
        if text is None:
            return None
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return moment.astimezone(timezone.utc).isoformat(timespec="seconds")
    except (ValueError, OverflowError):
        return None


def append_figures(path: Path, figures: Sequence[Figure]) -> int:
    """Add what others measured, each as the figure of one launch; returns how many rows. Adding the same again replaces
    them.

    Raises HistoryError as `append`.
    """
    rows = [
        (
            *(one.run, one.at, one.case, one.machine, one.workload, one.metric, one.value, 1, IMPORTED),
            *(one.engine_version, one.commit),
        )
        for one in figures
    ]
    with _opened(path, mode="rwc") as connection:
        connection.executemany(_INSERT, rows)
    return len(rows)


def tracks(path: Path, *, case: str | None = None, metric: str | None = None) -> tuple[Track, ...]:
    """All lines of the history, oldest point first, of one case or metric if asked for.

    Raises:
        HistoryError: there is no such file, or it is no history.
    """
    if not path.exists():
        raise HistoryError(f"{path}: no history there; runs append to it with --sgdiff-history={path}")
    found: dict[tuple[str, str, str, str], list[Row]] = {}
    with _opened(path, mode="ro") as connection, contextlib.closing(_rows_of(connection, case, metric)) as every:
        for key, rows in groupby(every, itemgetter(0, 1, 2, 3)):
            if {*map(type, key)} != {str}:
                raise HistoryError(f"{path}: not a usable history: the series {key!r} is not valid; move it away")
            series = found.setdefault(key, [])
            for row in rows:
                at, run, value, outcome, version, made = row[4:]
                texts = type(at) is str and type(run) is str and type(outcome) is str
                texts = texts and (version is None or type(version) is str) and (made is None or type(made) is str)
                if not texts or not _is_figure(value):
                    raise HistoryError(f"{path}: not a usable history: the point of {at!r} is not valid; move it away")
                if plausible(value):
                    series.append((at, run, value, version, made, outcome == IMPORTED))
    return tuple(
        Track(case=key[0], machine=key[1], workload=key[2], metric=key[3], points=_points(series))
        for key, series in sorted(found.items())
        if series
    )


Row = tuple[str, str, float, str | None, str | None, bool]
"""One run of a series: when it was and its name, by which runs are in order, and the fields of its point."""


def _points(series: list[Row]) -> tuple[HistoryPoint, ...]:
    series.sort()
    return tuple(
        [
            HistoryPoint(at=at, value=value, engine_version=version, commit=made, imported=imported)
            for at, _, value, version, made, imported in series
        ]
    )


def _rows_of(
    connection: sqlite3.Connection, case: str | None, metric: str | None
) -> Generator[tuple[Any, ...], None, None]:
    """The rows of a case or a metric, or all, those of a series together. The key of the table leads to those that are
    asked for: no others are read. They come in the order of the key, for which nothing is sorted."""
    schema = _schema(connection)
    commit = "commit_id" if schema >= 2 else "NULL"
    columns = f"case_id, machine, workload, metric, at, run, value, outcome, engine_version, {commit}"
    order = "ORDER BY case_id, machine, metric, run"
    wanted = {"case_id": case, "metric": metric}
    asked = [f"{column} = :{column}" for column, value in wanted.items() if value is not None]
    where = f"WHERE {' AND '.join(asked)} " if asked else ""
    if metric is None or schema < 2:
        yield from connection.execute(f"SELECT {columns} FROM points {where}{order}", wanted)
        return
    # The metric stands third in the key: the two before it are gone through from one to the next.
    for place in _places(connection, case):
        found = {**place, "metric": metric}
        yield from connection.execute(f"SELECT {columns} FROM points {OF_SERIES} {order}", found)


def _places(connection: sqlite3.Connection, case: str | None) -> Iterator[dict[str, Any]]:
    """Each case, or the one that is asked for, on each machine, found by one step in the key each."""
    first = f"{'WHERE case_id = :case_id ' if case is not None else ''}ORDER BY case_id, machine"
    behind = ["WHERE case_id = :case_id AND machine > :machine ORDER BY machine"]
    behind += ["WHERE case_id > :case_id ORDER BY case_id, machine"] if case is None else []
    place: dict[str, Any] = {"case_id": case}
    steps = [first]
    while found := next(filter(None, (_first(connection, step, place) for step in steps)), None):
        place, steps = {"case_id": found[0], "machine": found[1]}, behind
        yield place


def _first(connection: sqlite3.Connection, where: str, place: Mapping[str, Any]) -> tuple[Any, Any] | None:
    found: tuple[Any, Any] | None = connection.execute(
        f"SELECT case_id, machine FROM points {where} LIMIT 1", place
    ).fetchone()
    return found


def nights(
    path: Path, *, case: str, machine: str, workload: str, but: Collection[str] = ()
) -> dict[str, list[tuple[float, int]]]:
    """By metric, the centre of each run's launches and how many there were, oldest first, of a case with one workload
    on one kind of machine; without the runs `but`, which are judged by it.

    Raises:
        HistoryError: it is no history.
    """
    found: dict[str, list[tuple[float, int]]] = {}
    with _opened(path, mode="ro") as connection:
        rows = connection.execute(
            "SELECT run, metric, value, launches FROM points WHERE case_id = ? AND machine = ? AND workload = ? "
            "ORDER BY at, run",
            (case, machine, workload),
        )
        for run, metric, value, launches in rows:
            if not isinstance(metric, str) or not _is_figure(value) or not isinstance(launches, int) or launches < 1:
                raise HistoryError(f"{path}: not a usable history: a point of {case} is none; move it away")
            if run in but or not plausible(value):
                continue
            found.setdefault(metric, []).append((value, launches))
    return found


def figures(result: CaseResult) -> dict[str, tuple[float, int]]:
    """What a run adds to the history of the case: per metric the centre of its launches, and how many there are. Pauses
    are left out: most launches have none."""
    if not result.measured or result.machine is None or result.workload is None:
        return {}
    counted = [entry for entry in result.launches if entry.counts]
    found = {}
    for metric in dict.fromkeys(name for entry in counted for name in entry.metrics):
        values = [entry.metrics[metric] for entry in counted if entry.metrics.get(metric, 0) > 0]
        if (middle := centre(values, metric_class(metric))) is not None:
            found[metric] = middle, len(values)
    for verdict in result.verdicts:
        now = verdict.now
        if only_derived(verdict.metric) and verdict.metric_class != "pause" and now is not None and now > 0:
            found[verdict.metric] = now, sum(value is not None for value in verdict.now_values)
    # What nothing takes is no measurement, and its ratios are no numbers.
    return {metric: figure for metric, figure in found.items() if plausible(figure[0])}


def engine_of(result: CaseResult) -> str | None:
    """The engine's version, as the first launch that counts reports it."""
    return next((entry.environment.engine_version for entry in result.launches if entry.counts), None)


def _rows(result: CaseResult, run: Run, run_id: str, *, replayed: bool) -> Iterator[tuple[object, ...]]:
    if result.machine is None or result.workload is None:
        return
    place = (result.case, result.machine.slug, result.workload.digest)
    commit, when = run.commit and run.commit[:12], measured(result, run, run_id=run_id, replayed=replayed)
    for metric, (value, launches) in figures(result).items():
        yield (when.run, when.at, *place, metric, value, launches, result.outcome, engine_of(result), commit)


@contextlib.contextmanager
def _opened(path: Path, *, mode: Literal["ro", "rwc"]) -> Iterator[sqlite3.Connection]:
    """The history, with `rwc` made if it is not there; commits at the end, or leaves everything as it was. With `ro`
    the file is not touched: it may be an artifact in a folder that nobody may write to."""
    _check_files(path)
    try:
        if mode == "rwc":
            path.parent.mkdir(parents=True, exist_ok=True)
        # Without a level of isolation sqlite3 begins and ends no transaction of its own.
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
        )
    except (OSError, sqlite3.Error) as error:
        raise HistoryError(f"{path}: the history cannot be opened: {error}") from None
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        # A writer keeps others out from here on: of two that find an old file, one upgrades it.
        connection.execute("BEGIN IMMEDIATE" if mode == "rwc" else "BEGIN")
        version = _schema(connection)
        if not 0 <= version <= SCHEMA:
            raise HistoryError(
                f"{path}: the history has schema {version}, this version reads up to {SCHEMA}: update pytest-sgdiff"
            )
        if version == 0 and mode == "ro":
            raise HistoryError(f"{path}: not a history: no run was ever appended to it")
        _check_schema(connection, path, version)
        if mode == "rwc" and version < SCHEMA:
            _upgrade(connection, version)
        yield connection
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        # Locked, a full disk, a folder that nobody may write to: nothing is wrong with the file.
        raise HistoryError(f"{path}: the history cannot be used now: {error}; it was left as it is") from None
    except sqlite3.Error as error:
        raise HistoryError(f"{path}: not a usable history: {error}; move it away to start a new one") from None
    finally:
        # What was not committed leaves with it.
        connection.close()


def _schema(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _upgrade(connection: sqlite3.Connection, version: int) -> None:
    """A new file, or one of an older schema, in the transaction that is open: others see it before or behind."""
    statements = [_TABLES[SCHEMA]] if version == 0 else [s for old in range(version, SCHEMA) for s in _UPGRADES[old]]
    for statement in statements:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {SCHEMA}")


def _check_files(path: Path) -> None:
    """SQLite follows links, and rolls back with whatever lies beside its file under the right names.

    Raises HistoryError for what no run of this plugin has left there.
    """
    file = Path(os.path.realpath(path))
    try:
        for name in (file.name, f"{file.name}-journal", f"{file.name}-wal", f"{file.name}-shm"):
            if kind(file.parent / name, below=file.parent) not in ("file", None):
                raise HistoryError(
                    f"{file.parent / name}: is not a regular file, so the history is not opened: remove it"
                )
        journal = file.parent / f"{file.name}-journal"
        with opened(journal, below=file.parent) as descriptor:
            if descriptor is not None and os.fstat(descriptor).st_size >= len(_OF_SEVERAL):
                os.lseek(descriptor, -len(_OF_SEVERAL), os.SEEK_END)
                if os.read(descriptor, len(_OF_SEVERAL)) == _OF_SEVERAL:
                    raise HistoryError(f"{journal}: is the journal of several databases, so it is no run's: remove it")
    except DataFileError as error:
        raise HistoryError(str(error)) from None


def _check_schema(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """A view or a trigger would run somebody else's statements. Raises HistoryError."""
    rows = connection.execute("SELECT sql FROM sqlite_master")
    ours = [" ".join(_TABLES[version].split())] if version else []
    if [" ".join(str(sql).split()) for (sql,) in rows] != ours:
        raise HistoryError(f"{path}: not a usable history: its table does not hold runs; move the file away")


def _is_figure(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value) and value > 0
