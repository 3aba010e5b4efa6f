"""The engine's own profiler on the CPU: an operator that is really slower is named."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_sgdiff import baselines
from pytest_sgdiff.baselines import profiles
from pytest_sgdiff.recordings import store as recordings
from tests.engine.conftest import Forked
from tests.realproject import Project, Ran

pytestmark = pytest.mark.engine

HERE = pathlib.Path(__file__).parent
ATTENTION = "aten::_scaled_dot_product_flash_attention_for_cpu"


def test_an_update_keeps_a_profile_beside_the_baseline(recorded: tuple[Project, Ran]) -> None:
    project, ran = recorded
    assert ran.case is not None
    assert ran.case["profile"]["code"] == "alone"
    (path,) = project.baselines()
    kept = profiles.load(path.with_suffix(".profile"), below=project.folder / "baselines")
    assert kept is not None
    baseline = baselines.load(path)
    assert (kept.workload, [kept.session]) == (baseline.measurement.workload.digest, list(baseline.recorded.sessions))
    summary = kept.summary
    assert (summary.reach, summary.clock, summary.steps) == ("stages", "cpu", tuple(range(8)))
    assert {"TextEncodingStage", "DenoisingStage", "DecodingStage"} <= summary.stages_ms.keys()
    attention = [row for row in summary.rows if row.name == ATTENTION and row.stage == "DenoisingStage"]
    # Self-attention and cross-attention: six layers, eight steps, with and without guidance.
    assert [row.count for row in attention] == [96, 96]
    assert all(len(row.steps_ms) == 8 and min(row.steps_ms) > 0 for row in attention)


def test_an_operator_that_is_slower_is_named(project_with: Callable[[str], Project], forked: Forked) -> None:
    slower = forked(str(HERE / "slower_attention.py"), "slower-attention")
    project = replace(project_with("baseline"), engine=slower)
    # The profile is what is looked at: one launch, whatever its verdict is.
    case_file = project.folder / "cases" / "tiny.yaml"
    case_file.write_text(case_file.read_text().replace("checkpoints: [1, 3]", "checkpoints: [1]"))
    ran = project.pytest("--sgdiff-profile=all", "--sgdiff-out=kept")
    assert ran.case is not None
    profile = ran.case["profile"]
    assert profile["code"] == "compared"
    rows = [row for row in profile["change"]["rows"] if row["part"] == "operator"]
    assert rows[0]["name"] == ATTENTION
    assert (rows[0]["stage"], rows[0]["now_count"]) == ("DenoisingStage", 8 * rows[0]["then_count"])
    assert rows[0]["first"] is not None
    assert profile["change"]["stage"] == "DenoisingStage"
    # Nothing that was profiled passes for a launch of the case.
    launches = recordings.read_launches(project.folder / "kept", "tiny_wan")
    assert all("--profile" not in launch.argv for launch in launches)
    assert (project.folder / profile["trace"]).is_file()
