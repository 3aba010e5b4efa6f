"""`sgdiff trend`: figures with their units, and settings that a case no longer has."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.data import Workload
from pytest_sgdiff.history import store as history
from tests import factories


def nights(path: Path, month: int, digest: str, *values: float) -> None:
    """One run a night of a case with the settings `digest`, whose denoising takes so many ms."""
    for day, value in enumerate(values, start=1):
        launch = factories.record(metrics={"denoise": value, "peak_memory": 21000.0, "stage:DecodingStage": 0.05})
        result = factories.result(workload=Workload(digest=digest), launches=(launch,))
        run = replace(factories.run(result), started_at=f"2026-{month:02d}-{day:02d}T02:00:00+00:00")
        history.append(path, run, run_id=run.started_at)


def test_figures_have_units(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nights(tmp_path / "h.db", 10, "a", 81750.0)
    assert main(["trend", str(tmp_path / "h.db")]) == 0
    assert [line.partition("  ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "nvidia-h100-80gb-hbm3-x4  denoise: 1 run, latest 81.75 s",
        "nvidia-h100-80gb-hbm3-x4  peak_memory: 1 run, latest 20.51 GiB",
        "nvidia-h100-80gb-hbm3-x4  stage:DecodingStage: 1 run, latest 0.05 ms",
    ]


def test_what_crept_under_settings_that_a_case_no_longer_has_fails_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "h.db"
    nights(path, 10, "a", 1000.0, 1000.0, 1000.0, 1050.0, 1050.0, 1050.0)
    assert main(["trend", str(path), "--metric", "denoise"]) == 1
    nights(path, 11, "b", 1050.0)
    capsys.readouterr()
    assert main(["trend", str(path), "--metric", "denoise"]) == 0
    old, new = capsys.readouterr().out.splitlines()
    creep = "the latest three +5.0 % against the best three (earlier series: the case has other settings now)"
    assert old.endswith(f"6 runs, latest 1.050 s, {creep}")
    assert new.endswith("denoise: 1 run, latest 1.050 s")
    assert main(["trend", str(path), "--metric", "denoise", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["workload"], row["ended"], row["unit"]) for row in rows] == [("a", True, "ms"), ("b", False, "ms")]
