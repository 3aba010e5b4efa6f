"""Decides the exit code of a run: one that measured nothing, or of which the summary says that a case failed, is never
green, whatever became of the tests. `bisect_codes.py` translates it for `git bisect run`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import pytest

from pytest_sgdiff.data import Gap, Run
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.reports.numbers import plural

BY_ITS_OWN_WORD: frozenset[Gap] = frozenset({"engine-version", "gpus"})
"""Gaps that a case declares itself (`requires`): they fail a run under `--sgdiff-strict` only."""

NOTHING_MEASURED = 1
"""Exit code of a run that was to measure and did not: the one of failed tests, so that no gate takes it for green."""


class Settled(NamedTuple):
    """An exit code, and why the run fails although no test failed, a line each."""

    code: int
    reds: tuple[str, ...] = ()


def settle(
    run: Run, exitstatus: int, settings: Settings, *, nothing: bool, troubles: Sequence[str], lost_shards: str
) -> Settled:
    """The exit code of a run for which pytest has `exitstatus`. `nothing`: it was to measure and did not. `troubles`
    are what it could not write, `lost_shards` what is said of shards that never reported, empty if all have."""
    if nothing and exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return Settled(NOTHING_MEASURED)
    if exitstatus != pytest.ExitCode.OK:
        return Settled(exitstatus)
    reds = tuple(_reds(run, settings, lost_shards))
    broken = any(relation.outcome == "regressed" for relation in run.relations)
    return Settled(pytest.ExitCode.TESTS_FAILED if troubles or broken or reds else exitstatus, reds)


def _reds(run: Run, settings: Settings, lost_shards: str) -> Iterator[str]:
    """Why a run fails although no test failed, a line each."""
    bad = [result for result in run.results if result.fails(settings.fail_on)]
    if bad:
        told = ", ".join(f"{result.node_id} ({result.outcome})" for result in bad)
        yield (
            f"failed: no test failed, but these cases did: {told}; a mark `xfail`, a test that does not check its "
            "result, or another plugin hid the failure"
        )
    unrecorded = [r for r in run.results if settings.mode == "update" and not r.recorded and r not in bad]
    if unrecorded:
        told = ", ".join(f"{result.node_id} ({result.outcome})" for result in unrecorded)
        yield f"failed: no baseline was recorded of {told}"
    # Plugins that split a run into several drop the rest in each.
    excused = {"recorded", "dropped", *(() if settings.strict else BY_ITS_OWN_WORD)}
    open_ = [case for case in run.unmeasured if case.gap not in excused]
    if open_:
        yield (
            f"failed: no test failed, but {plural(len(open_), 'selected case')} "
            f"{'was' if len(open_) == 1 else 'were'} not measured; deselect (-m, -k, --deselect) what is not to be "
            "measured"
        )
    if settings.strict and lost_shards:
        yield f"failed: {lost_shards}, which --sgdiff-strict does not accept"
