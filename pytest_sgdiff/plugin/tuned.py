"""A plugin of the pytest runs of `sgdiff tune` (`-p pytest_sgdiff.plugin.tuned`): makes tests of the variants of a
case, has each launched as often as the round says, and keeps what came of it as soon as it is known.

Each test stands where the case does, so the fixtures, marks and hooks of the user's project act on it as on the case.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.cases.discover import NAMED
from pytest_sgdiff.data import Case, CaseResult
from pytest_sgdiff.files import data_files
from pytest_sgdiff.files.wire import from_plain
from pytest_sgdiff.launch.child import end_with_parent
from pytest_sgdiff.plugin.collect import CASE, CASES
from pytest_sgdiff.plugin.fixtures import SESSION
from pytest_sgdiff.plugin.role import role
from pytest_sgdiff.tuning.rounds import SETTINGS, Ending, Round, read_round, write_ending

VARIED = "sgdiff_tuned_variant"
FULL = "sgdiff_tuned_full"
"""What a report of a test says in which a disk had no room."""


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Have this run end with the search, and launch its round."""
    # Files that the project names in `addopts` are for what is judged.
    config.option.sgdiff_accept = ["none"]
    told = json.loads(os.environ[SETTINGS])
    leads = role(config).leads
    end_with_parent(told.get("parent"), is_worker=not leads)
    folder = Path(told["round"])
    config.pluginmanager.register(Tuning(folder, read_round(folder), config, keeps=leads), "sgdiff-tuning")
    if told.get("file") is not None and "[" in told["file"]:
        file = Path(os.path.abspath(config.invocation_params.dir / told["file"]))
        config.args = [_nearest(told["file"])]
        config.stash[NAMED] = frozenset((file,))
        config.pluginmanager.register(OneFile(file), "sgdiff-one-file")


@pytest.fixture
def sgdiff_tuned_variant(request: pytest.FixtureRequest) -> int:
    """The number of the variant that a test launches."""
    return int(request.param)


class OneFile:
    """Has pytest collect nothing but one file, below a folder that it was given instead: an argument with a `[` in its
    path names no file for pytest."""

    def __init__(self, file: Path) -> None:
        self._chosen = frozenset((file, *file.parents))

    @pytest.hookimpl(tryfirst=True)
    def pytest_ignore_collect(self, collection_path: Path) -> bool:
        """Also a folder of `norecursedirs` is gone into: as for a file that is named."""
        return collection_path not in self._chosen


def _nearest(file: str) -> str:
    """The nearest folder above a file, relative as it is, that pytest takes as an argument."""
    parts = Path(file).parts[:-1]
    return str(Path(*itertools.takewhile(lambda part: "[" not in part, parts)))


class Tuning:
    """A round in a process that collects. `keeps`: it also keeps what came of each variant, which workers do not."""

    def __init__(self, folder: Path, asked: Round, config: pytest.Config, *, keeps: bool) -> None:
        self._folder, self._asked, self._config, self._keeps = folder, asked, config, keeps

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test of the case for each variant."""
        stash = getattr(metafunc.definition.parent, "stash", {})
        if any(case.id == self._asked.case for case in stash.get(CASES, {}).get(metafunc.definition.name, ())):
            metafunc.fixturenames.append(VARIED)
            numbers = range(len(self._asked.cases))
            metafunc.parametrize(VARIED, numbers, ids=[f"tune{number}" for number in numbers], indirect=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Before anything is said or done with the cases: give each test its variant, and leave out all others."""
        chosen = []
        for item in items:
            case = item.stash.get(CASE, None)
            callspec = getattr(item, "callspec", None)
            if case is None or case.id != self._asked.case or callspec is None or VARIED not in callspec.params:
                continue
            variant = to_launch(self._asked.cases[callspec.params[VARIED]], self._asked.launches)
            item.stash[CASE] = variant
            # Crosses to the controller with each report of the test.
            item.user_properties.append((VARIED, variant.id))
            chosen.append(item)
        kept = set(map(id, chosen))
        if others := [item for item in items if id(item) not in kept]:
            config.hook.pytest_deselected(items=others)
        items[:] = chosen

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Say in the report that a disk had no room: the words of an exception say it in many ways."""
        report = yield
        if call.excinfo is not None and _no_room(call.excinfo.value):
            report.user_properties.append((FULL, True))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what came of a variant."""
        case = next((value for name, value in report.user_properties if name == VARIED), None)
        if not self._keeps or case is None:
            return
        plain = getattr(report, "sgdiff", None)
        if plain is not None:
            told = from_plain(CaseResult, plain)
            write_ending(self._folder, Ending(case=str(case), result=told, assets=self._assets()))
        elif report.when != "teardown" and not report.passed:
            full = any(name == FULL for name, _ in report.user_properties)
            broke = full or report.when == "call"
            write_ending(self._folder, Ending(case=str(case), why=self._why(report), broke=broke, full=full))

    def _why(self, report: pytest.TestReport) -> str:
        """Why a test has no result; of an exception its place and its message, as the log has the traceback."""
        told = report.longrepr
        if isinstance(told, tuple):
            return told[2]
        crash, traceback = getattr(told, "reprcrash", None), getattr(told, "reprtraceback", None)
        if crash is None or traceback is None or traceback.style == "value":
            # Words of somebody who wanted no traceback, such as this plugin's own.
            return report.longreprtext
        path = Path(crash.path)
        here = self._config.invocation_params.dir
        shown = path.relative_to(here) if path.is_relative_to(here) else path
        return f"{shown}:{crash.lineno}: {crash.message}"

    def _assets(self) -> str:
        session = self._config.stash.get(SESSION, None)
        folder = None if session is None else session.settings.assets
        return "" if folder is None else str(folder)


def to_launch(case: Case, launches: int) -> Case:
    """The case as a search launches it: nothing is judged, so one checkpoint has all launches."""
    return replace(case, launches=replace(case.launches, looks=(launches,)), faster_than=None)


def _no_room(error: BaseException | None) -> bool:
    """Whether an exception, or what it came of, is that a disk is full."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and error.errno in data_files.NO_ROOM:
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False
