"""`--sgdiff-shard=K/N`: of the selected cases those that are this shard's stay, and its recording says so."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.data import Case, CaseResult, Location, Run, SelectedTest, Selection, Shard, ShardReport, Unmeasured
from pytest_sgdiff.errors import BaselineError, SgdiffError
from pytest_sgdiff.files.data_files import DataFileError, file_name, kind, names
from pytest_sgdiff.files.wire import to_plain
from pytest_sgdiff.machine import host_hash
from pytest_sgdiff.plugin.asked import shows_only
from pytest_sgdiff.plugin.collect import CASE
from pytest_sgdiff.plugin.session import Session, launch_s, usual_s
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.plugin.split import Piece, split
from pytest_sgdiff.plugin.xdist.needs import UNKNOWN_S
from pytest_sgdiff.recordings import shards

SHARE = "sgdiff_share"
"""The key under which a worker reports to the controller how many tests are its shard's, and of how many."""

JOB = "SGDIFF_JOB"
"""The variable by which a person names that job: of a shard that is run again, or where no scheduler does."""

JOBS = ("SLURM_ARRAY_JOB_ID", "GITHUB_RUN_ID", "CI_PIPELINE_ID", "BUILD_TAG")
"""Variables by which Slurm, GitHub, GitLab and Jenkins name what all shards of one job have in common."""

MEASURES = ("sgdiff", "sgdiff_gpus")
"""Fixtures by which a test in Python is known to measure something."""

_NOWHERE = Location(path="", line=0, column=0)


class Share(NamedTuple):
    """How many tests that measure are this shard's, and how many were selected for all shards."""

    own: int
    of: int


def free_for_shard(settings: Settings) -> None:
    """Refuse a folder for launches that another shard has. Raises RecordingError."""
    if settings.records_shard and settings.shard is not None and settings.out is not None:
        shards.refuse_others(settings.out, settings.shard)


def end_shard(run: Run, settings: Settings, share: Share | None, skipped: Iterable[Unmeasured] = ()) -> tuple[str, ...]:
    """Write what became of the shard's tests beside their launches; returns what could not be written. Where nobody got
    as far as a `share`, the run has failed already, and has begun no report. `skipped` are tests that were skipped
    before it was known whether they are cases."""
    if not settings.records_shard or settings.shard is None or settings.out is None:
        return ()
    try:
        shards.end(
            settings.out,
            settings.shard,
            (result.node_id for result in run.results),
            (*run.unmeasured, *skipped),
            {result.node_id: result.reason for result in run.results if _unlaunched(result)},
        )
    except SgdiffError as error:
        return () if share is None else (str(error),)
    return ()


def _unlaunched(result: CaseResult) -> bool:
    """Whether the machine or the cluster had no place for a single launch, which no recording can show."""
    lacks = result.reason.code in ("environment", "cluster")
    return result.outcome == "inconclusive" and lacks and not result.launches


def share_of(session: Session) -> Share | None:
    """What this process has collected for its shard; None where it has not, or the run is none."""
    selection, shard = session.selection, session.settings.shard
    if selection is None or shard is None:
        return None
    return Share(own=sum(row.shard == shard.number for row in selection.tests), of=len(selection.tests))


def job(env: Mapping[str, str]) -> Mapping[str, str]:
    """What names the job that all shards of it belong to. What a person says wins."""
    return {name: env[name] for name in ((JOB,) if env.get(JOB) else JOBS) if env.get(name)}


class Sharding:
    """Registered in every process that collects: takes out what other shards measure."""

    def __init__(self, session: Session, shard: Shard) -> None:
        self._session, self._shard = session, shard

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """After `-m`, `-k` and whatever a conftest.py takes out. Tests that measure nothing stay in every shard."""
        pieces = dict(_pieces(items))
        weights = Expected(self._session)
        of = split([weights.piece(name, tests) for name, tests in pieces.items()], self._shard.of)
        rows = [_row(item, of[name]) for name, tests in pieces.items() for item in tests]
        selection = Selection(of=self._shard.of, tests=tuple(sorted(rows, key=lambda row: row.test)))
        others = {row.test for row in rows if row.shard != self._shard.number}
        left = [item for item in items if item.nodeid in others]
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if item.nodeid not in others]
        self._session.selection = selection
        if hasattr(config, "workeroutput") and (share := share_of(self._session)):
            config.workeroutput[SHARE] = list(share)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Before the first launch, so that a shard which is killed has said what it was to measure. Every worker writes
        the same. That it cannot be written is told by the controller at the end, which fails for it."""
        settings, selection = self._session.settings, self._session.selection
        if not settings.records_shard or shows_only(session.config) or settings.out is None or selection is None:
            return
        report = ShardReport(
            shard=self._shard,
            selection="",
            run=f"{settings.run_id}@{host_hash()}",
            job=job(os.environ),
            replayed=settings.replay is not None,
        )
        with contextlib.suppress(SgdiffError):
            shards.begin(settings.out, selection, report)


def _pieces(items: Sequence[pytest.Item]) -> Mapping[str, list[pytest.Item]]:
    """The tests that measure, by the name of what must stay together: the tests of a case, which share its folder in
    the recording, or those of a Python file, which may share a case that is known when they run only."""
    found: dict[str, list[pytest.Item]] = {}
    for item in items:
        case = item.stash.get(CASE, None)
        if case is not None:
            found.setdefault(case.id, []).append(item)
        elif any(name in getattr(item, "fixturenames", ()) for name in MEASURES):
            found.setdefault(f"{item.nodeid.partition('::')[0]}::", []).append(item)
    return found


def _row(item: pytest.Item, shard: int) -> SelectedTest:
    case = item.stash.get(CASE, None)
    if case is None:
        return SelectedTest(test=item.nodeid, shard=shard)
    return SelectedTest(test=item.nodeid, shard=shard, case=case.id, definition=definition(case))


def definition(case: Case) -> str:
    """A digest of everything that the case's file says of it, wherever in the file it says so."""
    plain = to_plain(replace(case, location=_NOWHERE, locations={}, written=None), omit_defaults=True)
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


class Expected:
    """How long tests take, as far as the committed baselines say it.

    A schedule goes by the baseline of the machine that it runs on. A split must not: its hosts may differ, and none
    knows the others. So the longest of a case's baselines counts, whatever machine it is of.
    """

    def __init__(self, session: Session) -> None:
        self._session, self._root = session, session.settings.baselines
        self._machines = tuple(self._folders())

    def piece(self, name: str, tests: Sequence[pytest.Item]) -> Piece:
        """A piece with its weight."""
        case = tests[0].stash.get(CASE, None)
        if case is None:
            return Piece(name=name, seconds=UNKNOWN_S * len(tests), gpu_seconds=UNKNOWN_S * len(tests))
        one = self._launch_s(case)
        seconds = (UNKNOWN_S if one is None else self._session.estimated(case, one)) * len(tests)
        beside = () if case.faster_than is None else (case.faster_than.case,)
        return Piece(name=name, seconds=seconds, gpu_seconds=seconds * case.gpus, beside=beside)

    def _launch_s(self, case: Case) -> float | None:
        """How long a launch of the case takes at most; None without a baseline."""
        found: list[float | None] = []
        for machine in self._machines:
            path = machine / f"{file_name(case.id)}.json"
            # The case itself says what is wrong with the file.
            with contextlib.suppress(BaselineError, DataFileError):
                if kind(path, below=self._root) != "file":
                    continue
                if walls := baselines.walls(path, below=self._root):
                    found.append(usual_s(walls))
                else:
                    found.append(launch_s(baselines.load(path, below=self._root)))
        return max((seconds for seconds in found if seconds is not None), default=None)

    def _folders(self) -> Iterator[Path]:
        with contextlib.suppress(DataFileError):
            for name in names(self._root, below=self._root):
                if kind(self._root / name, below=self._root) == "folder":
                    yield self._root / name
