"""The real engine, launched on a node of a real Ray cluster on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_sgdiff.recordings import store as recordings
from tests.ray.conftest import Ray, left_of
from tests.realproject import Project, Ran

pytestmark = pytest.mark.engine
pytest.importorskip("ray", reason="make test-engine installs it")


def test_a_launch_on_a_node_is_judged_by_a_baseline_of_this_machine(
    recorded: tuple[Project, Ran], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = replace(recorded[0].copy_to(tmp_path / "project"), gpus="")
    ray = Ray(tmp_path_factory.mktemp("ray"))
    try:
        ray.add("a", gpus=0)
        ran = project.pytest(f"--sgdiff-cluster={ray.address}", "--sgdiff-out=kept")
    finally:
        ray.close()
    assert ran.case is not None
    # On a machine that does other things the honest answer may be that it cannot be told; it is comparable.
    assert ran.case["outcome"] in {"pass", "improved", "inconclusive"}
    assert ran.case["reason_code"] == "verdicts"
    assert ran.case["measured"] is True
    launch, *_ = recordings.read_launches(project.folder / "kept", "tiny_wan")
    assert (launch.ending, launch.returncode, launch.machine is not None) == ("exited", 0, True)
    assert "Using pipeline from model_index.json: WanPipeline" in launch.log
    assert left_of(ray.folder) == []
