"""The exit codes that `git bisect run` understands (`--sgdiff-exit-codes=bisect`).

`git bisect run` takes 0 for good, 125 for a commit that cannot be tested, 128 and more for an end of the bisection, and
every other code for bad (git-bisect(1)). pytest's own 1 says that something failed, which is more than slower, and its
4 that the command line is wrong, which is no commit's fault.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from pytest_sgdiff.data import Run
    from pytest_sgdiff.plugin.controller import Results

GOOD, BAD, SKIP = 0, 1, 125
ABORT = 128
"""Added to the exit code of a run that says nothing of the commit."""


def bisecting(config: pytest.Config) -> bool:
    """Whether the run is to have these exit codes."""
    return bool(config.getoption("sgdiff_exit_codes", None) == "bisect")


def refuse(config: pytest.Config, error: Exception, *, code: int = ABORT + pytest.ExitCode.USAGE_ERROR) -> NoReturn:
    """End a run whose command line is wrong, or whose engine is not there (`code`).

    Raises:
        pytest.UsageError: the run has pytest's own exit codes.
        pytest.exit.Exception: it has those of a bisection.
    """
    if bisecting(config):
        raise pytest.exit.Exception(str(error), returncode=code) from None
    raise pytest.UsageError(str(error)) from None


def code_of(run: Run, exitstatus: int, *, troubles: bool) -> int:
    """The exit code of a run that ended with pytest's `exitstatus`. `troubles`: it could not write what it was to."""
    if any(result.fails({"regressed"}) for result in run.results):
        return BAD
    if any(relation.outcome == "regressed" for relation in run.relations):
        return BAD
    if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        return exitstatus if exitstatus >= ABORT else ABORT + exitstatus
    if not run.selected:
        return ABORT + pytest.ExitCode.NO_TESTS_COLLECTED
    if troubles:
        return ABORT + pytest.ExitCode.TESTS_FAILED
    good = all(result.accepted or result.outcome in ("pass", "improved") for result in run.results)
    settled = all(relation.outcome == "pass" for relation in run.relations)
    if exitstatus == pytest.ExitCode.OK and good and settled and run.measured and not run.unmeasured:
        return GOOD
    return SKIP


class BisectCodes:
    """Registered on the controller after `Results`, so that it has the last word."""

    def __init__(self, results: Results) -> None:
        self._results = results

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> Generator[None, object, object]:
        """A file or test that is not there is a mistake of the command line."""
        try:
            return (yield)
        except pytest.UsageError as error:
            refuse(session.config, error)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Translate what all others have settled."""
        try:
            yield
        except pytest.exit.Exception as exit_:
            exit_.returncode = self._code(int(exit_.returncode or session.exitstatus))
            raise
        session.exitstatus = self._code(int(session.exitstatus))

    def _code(self, exitstatus: int) -> int:
        return code_of(self._results.run(), exitstatus, troubles=bool(self._results.troubles))
