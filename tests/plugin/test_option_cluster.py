"""`--sgdiff-cluster`, as far as it needs no Ray: what a cluster that fails makes of a case, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_sgdiff.cluster.lease import ClusterLease, ClusterPool, Wanted
from pytest_sgdiff.cluster.nodes import Node
from pytest_sgdiff.data import EngineInfo, Gpu, Loss, NodeTrouble
from pytest_sgdiff.errors import LaunchLostError, SgdiffError
from pytest_sgdiff.options import SETTINGS
from tests.plugin.conftest import Project

PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"
NODE = Node(
    id="1",
    name="a",
    declared=1,
    cpus=1,
    gpus=(Gpu(uuid="GPU-00000000-0000-4000-8000-000000000000", index=0, name="NVIDIA H200"),),
    engine=EngineInfo(command=("sglang",), version="0.5.17"),
)
TROUBLE = NodeTrouble(code="other-plugin", node="a", found="1.0", wanted="1.1")


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[Exception]:
    """A cluster of one node, whose leases fail with the errors of the list."""
    errors: list[Exception] = []

    def found(address: str, *, engine: Sequence[str], run_id: str, **_: object) -> ClusterPool:
        return ClusterPool(address, (NODE,), (), run_id=run_id)

    def fails(self: ClusterPool, wanted: Wanted) -> ClusterLease:
        raise errors.pop(0)

    monkeypatch.setattr(ClusterPool, "found", found)
    monkeypatch.setattr(ClusterPool, "lease", fails)
    return errors


def test_what_a_cluster_loses_while_a_lease_opens_is_the_outcome_of_the_case(
    project: Project, cluster: list[Exception]
) -> None:
    cluster.append(LaunchLostError([Loss(code="unusable", node="a", trouble=TROUBLE), Loss(code="no-node")]))
    project.run("--sgdiff-cluster=auto", "--sgdiff-report=report.json")
    (case,) = json.loads((project.root / "report.json").read_text())["cases"]
    assert (case["outcome"], case["reason_code"]) == ("inconclusive", "cluster")
    losses = case["reason_figures"]["losses"]
    assert [loss["code"] for loss in losses] == ["unusable", "no-node"]
    assert losses[0]["trouble"]["code"] == "other-plugin"


def test_what_a_node_says_is_wrong_with_it_fails_the_case_without_a_traceback(
    project: Project, cluster: list[Exception]
) -> None:
    cluster.append(SgdiffError("node a: its folder of locks is on a network file system"))
    result = project.run("--sgdiff-cluster=auto", "-rf")
    result.assert_outcomes(errors=1)
    assert "Error" not in result.stdout.str()
    result.stdout.fnmatch_lines(["*node a: its folder of locks is on a network file system*"])


def test_the_page_says_of_every_option_what_it_is_beside_a_cluster() -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n### Options beside `--sgdiff-cluster`\n")[2]
    told = re.findall(r"`(--sgdiff-[a-z-]+)`", "".join(re.findall(r"(?m)^\|([^|]*)\|", section.partition("\n### ")[0])))
    assert sorted(told) == sorted(one.option for one in SETTINGS if one.flag != "cluster")
