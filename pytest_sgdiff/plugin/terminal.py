"""What the controller says of a run on pytest's terminal: the header, the categories of outcomes, the summary."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from typing import Any

import pytest

from pytest_sgdiff.data import CaseResult, Run
from pytest_sgdiff.plugin.asked import shows_only
from pytest_sgdiff.plugin.controller import Results
from pytest_sgdiff.plugin.fixtures import SESSION
from pytest_sgdiff.plugin.new_line import new_line
from pytest_sgdiff.plugin.publish import workflow_commands
from pytest_sgdiff.printable import printable, printable_lines
from pytest_sgdiff.redact import redact
from pytest_sgdiff.reports.merge_text import idle
from pytest_sgdiff.reports.numbers import plural
from pytest_sgdiff.reports.text import (
    gaps,
    message,
    reason_first,
    relation_line,
    renewal,
    run_remarks,
    summary,
    unchecked,
    unmeasured_lines,
)
from pytest_sgdiff.runner import command_line


class _Border:
    """pytest's terminal reporter, for lines that quote others: whatever they hold, none gives an order to the terminal
    or to the CI system that reads it."""

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @property
    def verbosity(self) -> int:
        return self._terminal.verbosity

    @property
    def no_summary(self) -> bool:
        return self._terminal.no_summary

    def write_line(self, text: str, **markup: Any) -> None:
        self._terminal.write_line(printable_lines(text), **markup)

    def write_sep(self, sep: str, title: str) -> None:
        self._terminal.write_sep(sep, printable(title))


class Terminal:
    """Registered beside `Results`, which it reads. (Only the line of a case is written where the case is taken.)"""

    def __init__(self, results: Results) -> None:
        self.results, self.config, self.settings = results, results.config, results.settings
        self._counted = False

    def pytest_report_header(self) -> list[str]:
        """What is measured on what, before the first case."""
        return [printable(f"sgdiff: {redact(line, os.environ)}") for line in self.results.header]

    def pytest_report_collectionfinish(self) -> str | list[str]:
        """How many of what was collected are cases."""
        return self._count() if self.results.header else []

    @pytest.hookimpl(optionalhook=True, trylast=True)
    def pytest_xdist_node_collection_finished(self) -> None:
        """Under xdist the first worker that has collected tells it."""
        terminal = self.results.terminal()
        if terminal is not None and terminal.verbosity >= 0 and self.results.header and not self._counted:
            self._counted = True
            new_line(self.config)
            terminal.write_line(self._count())

    def _count(self) -> str:
        shard, share = self.settings.shard, self.results.share
        of = "" if shard is None else f", shard {shard}" + (f" of {plural(share.of, 'case')}" if share else "")
        recorded = self.config.stash[SESSION].shards
        if shard is None and recorded is not None and len(recorded.selection.tests) > len(self.results.selected):
            of = f" of the {len(recorded.selection.tests)} that the shards selected"
        return f"sgdiff: {plural(len(self.results.selected), 'case')} selected{of}"

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logstart(self, nodeid: str) -> Generator[None, None, None]:
        """A case gets a line of its own when it is judged, so its file name is not printed beforehand."""
        terminal = self.results.terminal()
        if terminal is None or terminal.verbosity != 0 or not self.results.is_case(nodeid):
            yield
            return
        shown, terminal.showfspath = terminal.showfspath, False
        try:
            yield
        finally:
            terminal.showfspath = shown

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """`inconclusive` is a category of its own; at normal verbosity the case's line stands for its letter."""
        plain = getattr(report, "sgdiff", None)
        if plain is None or "outcome" not in plain:
            return None
        terminal = self.results.terminal()
        lines = terminal is not None and terminal.verbosity == 0
        if report.skipped and plain["outcome"] == "inconclusive":
            return "inconclusive", "" if lines else "I", "INCONCLUSIVE"
        if lines and report.outcome in ("passed", "failed"):
            return report.outcome, "", report.outcome.upper()
        return None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, exitstatus: int) -> Generator[None, None, None]:
        """Before 9.2 pytest asks nobody for a summary with --no-summary; what stays of ours is told here then."""
        yield
        terminal = self.results.terminal()
        asks = pytest.version_tuple >= (9, 2) or exitstatus == pytest.ExitCode.INTERNAL_ERROR
        if terminal is not None and terminal.no_summary and not asks:
            terminal.write_line("")  # below the progress that pytest prints
            self.pytest_terminal_summary(terminal)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """What is said of the run, and the one line that says how much was measured."""
        terminal = _Border(terminalreporter)
        if shows_only(self.config):
            return
        if self.settings.mode == "dry-run":
            for node_id, shown in self.results.commands:
                terminal.write_line(f"# {node_id}")
                for line in shown["advice"]:
                    terminal.write_line(f"# {line}")
                terminal.write_line(shown["command"])
            self._say_idle(terminal)
            return
        run = self.results.run()
        judged = {result.node_id: result for result in run.results if result.fails(self.settings.fail_on)}
        for report in (*terminalreporter.stats.get("failed", ()), *terminalreporter.stats.get("error", ())):
            if self.results.is_case(report.nodeid):
                _lead_with_the_reason(report, judged.get(report.nodeid))
        if not terminal.no_summary:
            self._write_details(terminal, run)
        # What a workflow reads, and what was lost, is said in any case.
        for line in workflow_commands(run, os.environ, root=self.settings.root):
            terminalreporter.write_line(line)
        for trouble in self.results.troubles:
            terminal.write_line(f"sgdiff: {redact(trouble, os.environ)}", red=True)
        if run.unmeasured:
            terminal.write_line(f"sgdiff: {gaps(run)}", yellow=True)
        if terminal.no_summary or terminal.verbosity < 0:
            for line in unchecked(run):
                terminal.write_line(f"sgdiff: {line}", yellow=True)
        if not self.settings.strict and (lost := self.results.lost_shards):
            terminal.write_line(f"sgdiff: {lost}", yellow=True)
        if terminal.no_summary:
            terminal.write_line(f"sgdiff: {summary(run)}")
        else:
            terminal.write_sep("=", f"sgdiff: {summary(run)}")
        if self.results.nothing(run):
            terminal.write_line("sgdiff: failed: nothing was measured")
        self._say_idle(terminal)
        for red in self.results.reds:
            terminal.write_line(f"sgdiff: {red}", red=True)

    def _say_idle(self, terminal: _Border) -> None:
        if self.results.idle_shard and self.settings.shard is not None and self.results.share is not None:
            terminal.write_line(f"sgdiff: {idle(self.settings.shard, self.results.share.of)}")

    def _write_details(self, terminal: _Border, run: Run) -> None:
        for result in run.results:
            # Failed cases have their text in pytest's own section; these are no failures, and need theirs.
            told = {"inconclusive", "improved", *(["pass"] if terminal.verbosity > 0 else [])}
            shown = result.accepted or result.outcome in told - self.settings.fail_on
            if shown and not result.recorded:
                terminal.write_sep("_", result.node_id)
                terminal.write_line(message(result))
            if renewal(result):
                terminal.write_sep("_", result.node_id)
                terminal.write_line(renewal(result))
        # Each case had its line when it was judged.
        remarks = run_remarks(run) if terminal.verbosity >= 0 else []
        if remarks:
            terminal.write_sep("=", "sgdiff")
        for line in remarks:
            terminal.write_line(line)
        for relation in run.relations:
            terminal.write_line(f"sgdiff: {relation_line(relation)}", red=relation.outcome == "regressed")
        written, candidates = self.results.update.written, self.results.update.candidates
        for path in written:
            terminal.write_line(f"sgdiff: {'baseline' if candidates is None else 'candidate'} written: {path}")
        if written and candidates is not None:
            words = [self.settings.typed(candidates)]
            if self.settings.baselines != self.settings.cwd / "baselines":
                words.append(f"--folder={self.settings.typed(self.settings.baselines)}")
            why = "this is a shard, so" if self.settings.shard is not None else "CI is set, so"
            terminal.write_line(
                f"sgdiff: {why} no baseline in the tree was changed; to review and to apply the candidates: "
                f"sgdiff baselines diff|apply {command_line.line(words)}"
            )
        for line in unmeasured_lines(run):
            terminal.write_line(f"sgdiff: {line}")


def _lead_with_the_reason(report: pytest.TestReport, result: CaseResult | None) -> None:
    """Have the line of pytest's short summary begin with why the case failed: it is cut to the width of the terminal,
    and the node id in it has named the file. What JUnit and others took of the report before is whole."""
    crash = getattr(report.longrepr, "reprcrash", None)
    said = f"{pytest.fail.Exception.__name__}: "
    if crash is None or not crash.message.startswith(said):
        return
    words = crash.message.removeprefix(said)
    place = re.match(rf"{re.escape(report.location[0])}:\d+(?::\d+)?: ", words)
    # A test in Python may fail in words of its own, and a case that was measured in its teardown.
    if result is not None and place is not None and report.when == "call":
        crash.message = reason_first(result)
    else:
        crash.message = words[place.end() if place else 0 :]
