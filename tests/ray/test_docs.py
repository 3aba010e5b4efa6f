"""The commands that docs/clusters.md shows for Ray, as they stand there, and what they record."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pytest_sgdiff.recordings import store as recordings
from tests.ray.conftest import Suite

pytestmark = pytest.mark.ray
PAGE = Path(__file__).parents[2] / "docs" / "clusters.md"


def test_the_commands_of_the_page_record_and_gate_and_each_case_stays_on_one_node(suite: Suite) -> None:
    section = PAGE.read_text(encoding="utf-8").partition("\n## Ray\n")[2].partition("\n## ")[0]
    shown = [shlex.split(line[2:], comments=True) for line in section.splitlines() if line.startswith("$ pytest ")]
    assert [words[-1] for words in shown] == ["--sgdiff-update", "--sgdiff-out=recording"]
    suite.write(suite.case(1, gpus=2, marks="[nightly]"), suite.case(2, gpus=2, marks="[nightly]"), suite.case(3))
    homes = []
    for words in shown:
        suite.ray.forget()
        ran = suite.run(*words[1:], cluster="", RAY_ADDRESS=suite.ray.address)
        assert ran.returncode == 0
        assert {name: case["outcome"] for name, case in ran.cases.items()} == {"s1": "pass", "s2": "pass"}
        started = suite.ray.started()
        homes.append({seed: {one.node for one in started if one.seed == seed} for seed in ("1", "2")})
        assert sorted(homes[-1].values(), key=sorted) == [{"a"}, {"b"}]
    # The gate is where the baseline was recorded.
    assert homes[0] == homes[1]
    for seed, (node,) in homes[1].items():
        (launch,) = recordings.read_launches(suite.root / "recording", f"s{seed}")
        uuids = list(launch.environment.gpu_uuids)
        assert [uuid.startswith(f"GPU-{ord(node):08x}") for uuid in uuids] == [True, True]
        assert launch.watch is not None
        assert [series.gpu_uuid for series in launch.watch.gpus] == uuids
    again = suite.run("--sgdiff-replay=recording", "-m", "nightly", cluster="")
    assert {name: case["verdicts"] for name, case in again.cases.items()} == {
        name: case["verdicts"] for name, case in ran.cases.items()
    }
