"""The controller's part of a run: collects what tests report, and makes of it the `Run` that reports are written from.

Results arrive as plain builtins on the test reports, with and without xdist alike. Only the controller writes:
baselines with `update.py`, reports with `publish.py`. Its exit code is decided in `exit_code.py`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timezone
from functools import cached_property
from typing import Any

import pytest

from pytest_sgdiff import __version__
from pytest_sgdiff.cases.discover import is_case_file, named_files
from pytest_sgdiff.data import Acceptance, CaseResult, Gap, Run, Unmeasured
from pytest_sgdiff.files.wire import from_plain
from pytest_sgdiff.judging.faster_than import relations_of
from pytest_sgdiff.plugin import judged
from pytest_sgdiff.plugin.asked import shows_only
from pytest_sgdiff.plugin.collect import CASE
from pytest_sgdiff.plugin.exit_code import settle
from pytest_sgdiff.plugin.fixtures import SESSION
from pytest_sgdiff.plugin.new_line import new_line
from pytest_sgdiff.plugin.publish import checkout_commit, fault, from_root, publish, with_trends
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.plugin.shards import SHARE, Share, end_shard, share_of
from pytest_sgdiff.plugin.update import Update
from pytest_sgdiff.plugin.worker import DROPPED, Dropped
from pytest_sgdiff.quality.reference import bare
from pytest_sgdiff.redact import NAMES, Redaction
from pytest_sgdiff.reports import merge_text
from pytest_sgdiff.reports.numbers import plural
from pytest_sgdiff.reports.text import case_line, remarks
from pytest_sgdiff.runner import command_line
from pytest_sgdiff.runner.accepting import of_run


class Results:
    """Registered on the controller (or the only process) of a run that measures or shows commands."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        header: tuple[str, ...],
        *,
        dropped: Dropped,
        gpus_at_most: int = 0,
        acceptances: Sequence[Acceptance] = (),
        today: date | None = None,
    ) -> None:
        self.config, self.settings, self.header, self.gpus_at_most = config, settings, header, gpus_at_most
        self._acceptances, self._today = tuple(acceptances), today or datetime.now(timezone.utc).date()
        self._dropped, self._dropped_by_workers = dropped, set[str]()
        self._by_node: dict[str, CaseResult] = {}
        self._named, self._width = 0, 0
        self._share_of_workers: Share | None = None
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.selected: set[str] = set()
        self.not_measured: dict[str, Unmeasured] = {}
        self._skipped: dict[str, Unmeasured] = {}
        self.interrupted = False
        self.has_baseline: set[str] = set()
        self.troubles: list[str] = []
        self.reds: tuple[str, ...] = ()
        self.update = Update(settings, command=self._command, commit=lambda: self._commit)
        self._finished: Run | None = None
        self._started, self._started_at = time.monotonic(), datetime.now(timezone.utc).isoformat(timespec="seconds")

    # ------------------------------------------------------------------------------------------------- while it runs

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Count the cases that are to be measured."""
        self.selected.update(item.nodeid for item in items if CASE in item.stash)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Under xdist only workers collect; a case is told by its file."""
        named = named_files(self.config)

        def is_ours(name: str) -> bool:
            path = self.config.rootpath / name
            return is_case_file(path, self.settings.files, named=path.resolve() in named, asked=True)

        files = {name for name in {node_id.partition("::")[0] for node_id in ids} if is_ours(name)}
        self.selected.update(node_id for node_id in ids if node_id.partition("::")[0] in files)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Under xdist a worker reports at its end what was dropped, and how much of the selection is its shard's."""
        told = getattr(node, "workeroutput", {})
        self._dropped_by_workers.update(told.get(DROPPED, ()))
        if SHARE in told:
            self._share_of_workers = Share(*told[SHARE])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take the result off the report, renew the baseline if that was asked for, print the case's line."""
        plain = getattr(report, "sgdiff", None)
        if getattr(report, "sgdiff_has_baseline", False):
            self.selected.add(report.nodeid)
            self.has_baseline.add(report.nodeid)
        if plain is None:
            if hasattr(report, "sgdiff_lack"):
                # A test in Python is known to be a case by what it asks for.
                self.selected.add(report.nodeid)
            if self.is_case(report.nodeid) and (not report.passed or report.when == "call"):
                self.not_measured[report.nodeid] = _ending(report)
            elif report.skipped and not hasattr(report, "wasxfail"):
                # That a test in Python is a case is not known before it runs.
                self._skipped[report.nodeid] = _ending(report)
            return
        if self.settings.mode == "dry-run":
            self.commands.append((report.nodeid, plain))
            return
        self._got(from_plain(CaseResult, plain))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Take what was judged by the time that the tests are over, however they ended: a case whose profile was
        interrupted has a verdict."""
        try:
            return (yield)
        finally:
            for result in judged.kept(self.config.stash[SESSION].claims):
                if result.node_id not in self._by_node:
                    self._got(result)

    def _got(self, result: CaseResult) -> None:
        """Take a result, renew the baseline if that was asked for, print the case's line."""
        self.selected.add(result.node_id)
        if not self._take(result):
            return
        if result.recorded:
            if trouble := self.update.write(result):
                self.troubles.append(trouble)
            self._without_files(result)
        terminal = self.terminal()
        if terminal is not None and terminal.verbosity >= 0:
            new_line(self.config)
            terminal.write_line(case_line(result, width=self._widest()))
            for note in remarks(result) if terminal.verbosity > 0 else ():
                terminal.write_line(f"  {note}")

    def _take(self, result: CaseResult) -> bool:
        """Whether the result is news. A test has one row: a rerun repeats the first answer, unless that was
        inconclusive; of several workers (`--dist each`) a failing one is kept, since it also fails the run."""
        earlier = self._by_node.get(result.node_id)
        if earlier is not None:
            fails = self.settings.fail_on
            worse = result.fails(fails) and not earlier.fails(fails)
            if not worse and (earlier.outcome != "inconclusive" or result.outcome == "inconclusive"):
                return False
        # Whatever comes later keeps the place of the first answer.
        self._by_node[result.node_id] = result
        return True

    @property
    def results(self) -> tuple[CaseResult, ...]:
        """The results so far, in the order in which their cases were first reported."""
        return tuple(self._by_node.values())

    def _widest(self) -> int:
        """Characters of the longest name of a case, looked for anew only where there are other cases than before."""
        if len(self.selected) != self._named:
            self._named, self._width = len(self.selected), max(map(len, self.selected))
        return self._width

    def _without_files(self, result: CaseResult) -> None:
        """Drop what the baseline's files hold by now: of all cases of a large suite it is gigabytes."""
        quality = result.quality
        if quality is not None and quality.reference is not None:
            shown = replace(quality, reference=bare(quality.reference))
            self._by_node[result.node_id] = replace(result, quality=shown)

    # ------------------------------------------------------------------------------------------------- when it ends

    def pytest_keyboard_interrupt(self) -> None:
        """Remember why cases are missing: Ctrl-C, or a signal that acts as Ctrl-C."""
        self.interrupted = True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        """Write the reports and settle the exit code: before other plugins read it, and after they could change it."""
        settled = self._finish(exitstatus)
        session.exitstatus = settled
        try:
            yield
        except pytest.exit.Exception as exit_:
            exit_.returncode = exit_.returncode or settled
            raise
        finally:
            if session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = settled

    def _finish(self, exitstatus: int) -> int:
        """Write the reports; the exit code of the run."""
        if self.idle_shard and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            exitstatus = pytest.ExitCode.OK
        if self.settings.mode == "dry-run" or shows_only(self.config):
            return exitstatus
        run = self._finished = self.run()
        try:
            self.config.hook.pytest_sgdiff_report(config=self.config, run=run)
        except Exception as error:
            self.troubles.append(f"the hook pytest_sgdiff_report failed: {fault(error)}")
        self.troubles += publish(run, self.settings, os.environ)
        self.troubles += end_shard(run, self.settings, self.share, self._skipped.values())
        nothing, lost, troubles = self.nothing(run), self.lost_shards, self.troubles
        settled = settle(run, exitstatus, self.settings, nothing=nothing, troubles=troubles, lost_shards=lost)
        self.reds = settled.reds
        return settled.code

    @property
    def lost_shards(self) -> str:
        """What is said of shards that never reported, whichever cases of the recording are judged; empty without."""
        recorded = self.config.stash[SESSION].shards
        return "" if recorded is None or not recorded.unreported else merge_text.shards(recorded)

    def nothing(self, run: Run) -> bool:
        """Whether the run was to measure and did not."""
        # Where every case has a baseline, `--sgdiff-update=missing` has nothing to do, and that is well. One that could
        # not be measured is another matter: its baseline is still missing.
        settled = self.selected and self.selected == self.has_baseline
        return run.measured == 0 and not settled and not self.idle_shard

    @property
    def share(self) -> Share | None:
        """How much of the selection is this shard's; None where the run is none, or no process could say it yet."""
        return share_of(self.config.stash[SESSION]) or self._share_of_workers

    @property
    def idle_shard(self) -> bool:
        """Whether cases were selected, and all of them are other shards': there are more shards than cases."""
        return self.share is not None and self.share.own == 0 and self.share.of > 0 and not self.selected

    def run(self) -> Run:
        """Everything so far, as reports see it; once they are written, what they were written from."""
        if self._finished is not None:
            return self._finished
        elapsed_s = time.monotonic() - self._started
        selected, root = self.selected | self._all_dropped, self.settings.root
        uses = of_run(self._acceptances, self.results, selected=selected, root=root, today=self._today)
        run = Run(
            started_at=self._started_at,
            elapsed_s=elapsed_s,
            command=self._command(),
            plugin_version=__version__,
            header=self.header_with_count(),
            selected=len(selected),
            results=self.results,
            unmeasured=tuple(self._unmeasured()),
            interrupted=self.interrupted,
            relations=relations_of(self.results),
            gpu_busy=self._gpu_busy(elapsed_s),
            commit=self._commit,
            acceptances=tuple(uses),
        )
        # What cases tell was redacted where they ran; this is the rest, such as what was typed.
        redacted = from_root(Redaction(os.environ).record(run, keep=NAMES), root)
        try:
            return with_trends(redacted, self.settings)
        except Exception as error:
            # What is drawn from earlier runs must not lose the results of this one.
            self.troubles.append(f"{self.settings.history}: no trend is shown: {fault(error)}")
            return redacted

    @cached_property
    def _commit(self) -> str | None:
        """The commit of the run: a process of git finds it, which is not started for each baseline."""
        return checkout_commit(self.settings.root)

    def _unmeasured(self) -> Iterator[Unmeasured]:
        gap: Gap = "interrupted" if self.interrupted else "not-run"
        why = "interrupted" if self.interrupted else "not run"
        for node_id in sorted((self.selected | self._all_dropped) - self._by_node.keys()):
            if node_id not in self.selected:
                yield Unmeasured(node_id=node_id, why="dropped by a conftest.py or a plugin", gap="dropped")
                continue
            told = self.not_measured.get(node_id) or Unmeasured(node_id=node_id, why=why, gap=gap)
            yield replace(told, gap="recorded") if node_id in self.has_baseline else told

    @property
    def _all_dropped(self) -> set[str]:
        return self._dropped_by_workers | self._dropped.cases

    def header_with_count(self) -> tuple[str, ...]:
        """The header as reports have it: how many cases there are is known once all are collected."""
        first, rest = self.header[:1], self.header[1:]
        return (*(f"{line}, {plural(len(self.selected), 'case')} selected" for line in first), *rest)

    def _command(self) -> str:
        return command_line.line(["pytest", *map(str, self.config.invocation_params.args)])

    def _gpu_busy(self, elapsed_s: float) -> float | None:
        """GPU time of the cases over what the pool could have given; None where no GPU was leased."""
        used = sum(r.elapsed_s * r.machine.count for r in self.results if r.machine and r.machine.kind == "gpu")
        return min(1.0, used / (self.gpus_at_most * elapsed_s)) if used and self.gpus_at_most and elapsed_s else None

    def is_case(self, nodeid: str) -> bool:
        """Whether the test is a case that is to be measured."""
        return nodeid in self.selected

    def terminal(self) -> Any:
        """pytest's terminal reporter; None with `-p no:terminal`."""
        return self.config.pluginmanager.get_plugin("terminalreporter")


def _ending(report: pytest.TestReport) -> Unmeasured:
    """How a test ended that measured nothing; of a skip also why, which pytest itself shows with `-rs` only."""
    if report.when not in ("setup", "call", "teardown"):
        # What xdist reports in the name of a dead worker belongs to no phase of the test.
        return Unmeasured(node_id=report.nodeid, why="its worker died", gap="worker-died")
    if report.passed:
        return Unmeasured(node_id=report.nodeid, why="its test passed and measured nothing", gap="passed")
    gap: Gap = getattr(report, "sgdiff_lack", "skipped" if report.skipped else "failed")
    skip = report.longrepr
    why = skip[2].removeprefix("Skipped: ") if report.skipped and isinstance(skip, tuple) else ""
    return Unmeasured(node_id=report.nodeid, why=f"{report.outcome}: {why}" if why else report.outcome, gap=gap)
