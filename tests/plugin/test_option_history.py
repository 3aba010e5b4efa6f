"""`--sgdiff-history`: runs append, `sgdiff trend` reads."""

from __future__ import annotations

import json

import pytest

from pytest_sgdiff.cli import main
from tests.plugin.conftest import Project


def test_each_run_is_a_point_of_the_trend(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.baseline("--sgdiff-history=history.db")
    result = project.run("--sgdiff-gpus=1", "--sgdiff-history=history.db")
    assert result.ret == 0, result.stdout.str()
    capsys.readouterr()
    assert main(["trend", str(project.root / "history.db"), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["case"], row["machine"], row["runs"]) == ("tiny", "nvidia-h200-x1", 2)
