"""What a run tells `git bisect run`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_sgdiff.data import Run, Unmeasured
from pytest_sgdiff.plugin.bisect_codes import code_of
from tests import factories

GOOD, SLOW, FELL_BACK, OPEN, NONE = (
    factories.result(),
    factories.regressed(),
    factories.fallback(),
    factories.undecided(),
    factories.without_baseline(),
)
LEFT_OUT = (Unmeasured(node_id="cases/a.yaml::b", why="skipped", gap="engine-version"),)


@pytest.mark.parametrize(
    ("run", "exitstatus", "code"),
    [
        (factories.run(GOOD), 0, 0),
        (factories.run(replace(GOOD, outcome="improved")), 0, 0),
        (factories.run(replace(SLOW, accepted=True)), 0, 0),
        (factories.run(GOOD, SLOW), 1, 1),
        # A slowdown is proven, whatever became of the other case, and of the test.
        (factories.run(SLOW, FELL_BACK), 1, 1),
        (factories.run(SLOW), 0, 1),
        (factories.run(SLOW, interrupted=True), 2, 1),
        (factories.run(GOOD, relations=(factories.relation(),)), 1, 1),
        (factories.run(GOOD, relations=(factories.relation(outcome="inconclusive", code="undecided"),)), 0, 125),
        (factories.run(GOOD, FELL_BACK), 1, 125),
        # Inconclusive is 0 without --sgdiff-strict, and no good commit.
        (factories.run(GOOD, OPEN), 0, 125),
        (factories.run(GOOD, NONE), 1, 125),
        (factories.run(GOOD, unmeasured=LEFT_OUT), 0, 125),
        # A test beside the cases failed.
        (factories.run(GOOD), 1, 125),
        (factories.run(GOOD, interrupted=True), 2, 130),
        (factories.run(GOOD), 3, 131),
        (factories.run(GOOD), 4, 132),
        (factories.run(selected=0, results=()), 1, 133),
        (factories.run(selected=0, results=()), 5, 133),
        (factories.run(GOOD), 200, 200),
    ],
)
def test_codes(run: Run, exitstatus: int, code: int) -> None:
    assert code_of(run, exitstatus, troubles=False) == code


def test_a_run_that_could_not_write_ends_the_bisection_unless_the_slowdown_is_proven() -> None:
    assert code_of(factories.run(GOOD), 1, troubles=True) == 129
    assert code_of(factories.run(SLOW), 1, troubles=True) == 1
