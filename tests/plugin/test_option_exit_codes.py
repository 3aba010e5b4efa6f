"""`--sgdiff-exit-codes=bisect`: what `git bisect run` is told; and that no run is good that measures nothing."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import CASE, Project

BISECT = "--sgdiff-exit-codes=bisect"


def test_good_bad_and_skip(project: Project) -> None:
    project.write("cases/tiny.yaml", CASE)
    project.baseline()
    codes = {}
    for scenario in ("native", "slow:1.30", "fallback"):
        project.engine(scenario)
        codes[scenario] = project.run("--sgdiff-gpus=1", BISECT).ret
    assert codes == {"native": 0, "slow:1.30": 1, "fallback": 125}


def test_an_engine_that_is_not_there_is_skipped_and_a_wrong_command_ends_the_bisection(project: Project) -> None:
    project.write("cases/tiny.yaml", CASE)
    assert project.run("--sgdiff-gpus=1", "--sgdiff-engine-cmd=/nowhere/sglang", BISECT).ret == 125
    assert project.run("--sgdiff-gpus=9", BISECT).ret == 132
    assert project.run("--sgdiff-gpus=1", "cases/none.yaml", BISECT).ret == 132
    assert project.run("--sgdiff-gpus=1", "-k", "nothing", BISECT).ret == 133
    assert project.run("--sgdiff-dry-run", BISECT).ret == 132
    # Without a baseline nothing can be told.
    assert project.run("--sgdiff-gpus=1", BISECT).ret == 125
    project.write("cases/tiny.yaml", "cases: 1")
    assert project.run("--sgdiff-gpus=1", BISECT).ret == 130


@pytest.mark.parametrize(
    ("option", "code"), [("--sgdiff-strict", 4), ("--sgdiff-report=out.md", 4), (BISECT, 132), ("--sgdiff-accept=x", 4)]
)
def test_what_judges_a_measurement_is_refused_where_there_is_none(project: Project, option: str, code: int) -> None:
    project.write("cases/tiny.yaml", CASE)
    assert project.run(option).ret == code
