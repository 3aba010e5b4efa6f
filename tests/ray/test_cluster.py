"""Runs on a real Ray cluster of two nodes: verdicts, and what becomes of a launch when something dies."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.cli import main
from pytest_sgdiff.recordings import store as recordings
from tests.ray.conftest import Ray, Suite, left_of, project
from tests.waiting import alive, wait_for

pytestmark = pytest.mark.ray


def judged(cases: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What a run says of each case, without what depends on which of the nodes it was."""
    told = ("outcome", "reason_code", "machine", "workload", "problems")
    return {
        name: {**{key: case[key] for key in told}, "metrics": [(v["metric"], v["outcome"]) for v in case["verdicts"]]}
        for name, case in cases.items()
    }


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_verdicts_are_those_of_a_run_without_a_cluster(suite: Suite) -> None:
    suite.write(suite.case(1, gpus=2), suite.case(2), suite.case(3), suite.case(4, gpus=0))
    assert suite.local("--sgdiff-update").returncode == 0
    suite.ray.play(2, "slow:1.20")
    suite.ray.play(3, "fallback")
    alone = suite.local()
    assert [alone.cases[f"s{seed}"]["outcome"] for seed in range(1, 5)] == ["pass", "regressed", "invalid", "pass"]
    there = suite.run("-n", "2")
    assert there.returncode == alone.returncode == 1
    assert judged(there.cases) == judged(alone.cases)
    assert {one.seed for one in suite.ray.started() if one.node != "here"} == {"1", "2", "3", "4"}
    assert left_of(suite.ray.folder) == []


def test_a_launch_whose_node_dies_is_made_again_on_the_other_one(own: Ray, tmp_path: Path) -> None:
    suite = project(tmp_path, own)
    own.add("a")
    own.add("b")
    suite.write(suite.case(1, gpus=2), suite.case(2, gpus=2))
    for seed in (1, 2):
        own.play(seed, "orphan")
    process = suite.start("-n", "2", "--sgdiff-out=out")
    wait_for(lambda: len(own.started()) == 2, limit_s=60)
    (lost,) = [one for one in own.started() if one.node == "b"]
    (kept,) = [one for one in own.started() if one.node == "a"]
    for seed in (1, 2):
        own.play(seed, "native")
    own.kill("b")
    # Its guard ends it, and not the end of the case: nobody has noticed yet.
    wait_for(lambda: not alive(lost.pid))
    os.killpg(kept.pid, signal.SIGKILL)
    ran = suite.ended(process)
    case = ran.cases[f"s{lost.seed}"]
    assert (case["outcome"], case["warning_codes"].count("lost-launches")) == ("no-baseline", 1)
    (launch,) = recordings.read_launches(tmp_path / "out", f"s{lost.seed}")
    assert (launch.number, launch.returncode) == (0, 0)
    assert [one.node for one in own.started() if one.seed == lost.seed] == ["b", "a"]
    # The engine of the other case was killed by somebody else, which is no matter of nodes.
    assert ran.cases[f"s{kept.seed}"]["outcome"] == "invalid"
    assert left_of(own.folder) == []


def test_where_no_node_is_left_and_where_the_head_is_lost_cases_say_so(own: Ray, tmp_path: Path) -> None:
    suite = project(tmp_path, own)
    own.add("a", gpus=1)
    own.add("b", gpus=2)
    suite.write(suite.case(1, gpus=2), suite.case(2), suite.case(3))
    for seed in (1, 2):
        own.play(seed, "hang")
    process = suite.start("--sgdiff-out=out")
    wait_for(lambda: len(own.started()) == 1, limit_s=60)
    own.drain("b")
    own.kill("b")
    # The next case finds a node, and loses it with the rest of the cluster.
    wait_for(lambda: len(own.started()) == 2, limit_s=120)
    own.kill("a")
    ran = suite.ended(process)
    assert ran.returncode == 1
    told = {name: (case["outcome"], case["reason_code"]) for name, case in ran.cases.items()}
    assert told == dict.fromkeys(("s1", "s2", "s3"), ("inconclusive", "cluster"))
    losses = {name: [loss["code"] for loss in case["reason_figures"]["losses"]] for name, case in ran.cases.items()}
    assert losses["s1"] == ["preempted", "no-node"]
    assert (losses["s2"][-1], losses["s3"]) == ("cluster-lost", ["cluster-lost"])
    assert recordings.case_ids(tmp_path / "out") == ()
    wait_for(lambda: not any(alive(one.pid) for one in own.started()))


def test_a_raylet_that_is_killed_in_the_middle_of_a_launch_takes_its_engine_along(own: Ray, tmp_path: Path) -> None:
    """Its processes live on, without the one that makes a node of them: nobody has killed the engine."""
    suite = project(tmp_path, own)
    own.add("a", gpus=0)
    own.add("b")
    own.add("c")
    suite.write(suite.case(1, gpus=2))
    own.play(1, "orphan")
    process = suite.start("--sgdiff-out=out")
    wait_for(lambda: own.started(), limit_s=60)
    (lost,) = own.started()
    own.play(1, "native")
    launcher = parent(lost.pid)
    own.kill_raylet(lost.node)
    wait_for(lambda: not alive(lost.pid) and not alive(launcher), limit_s=60)
    case = suite.ended(process).cases["s1"]
    assert (case["outcome"], case["warning_codes"].count("lost-launches")) == ("no-baseline", 1)
    assert {one.node for one in own.started()[1:]} == {"b", "c"} - {lost.node}
    (launch,) = recordings.read_launches(tmp_path / "out", "s1")
    assert (launch.number, launch.returncode) == (0, 0)
    assert left_of(own.folder) == []


def test_shards_on_one_cluster_measure_a_part_each_and_are_judged_as_one_run(suite: Suite) -> None:
    suite.write(suite.case(1, gpus=2), suite.case(2, gpus=2))
    suite.ray.play(2, "fallback")
    runs = [suite.start(f"--sgdiff-shard={number}/2", f"--sgdiff-out=shard-{number}") for number in (1, 2)]
    ended = [suite.ended(one) for one in runs]
    assert sorted(one.seed for one in suite.ray.started()) == ["1", "2"]
    folders = [str(suite.root / f"shard-{number}") for number in (1, 2)]
    assert main(["merge", *folders, "--out", str(suite.root / "merged")]) == 0
    merged = suite.run("--sgdiff-replay=merged", cluster="")
    assert {name: case["outcome"] for name, case in merged.cases.items()} == {"s1": "no-baseline", "s2": "invalid"}
    assert [one.returncode for one in ended] == [1, 1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_ended_leaves_nothing_on_a_node(suite: Suite, number: signal.Signals) -> None:
    suite.write(suite.case(1))
    suite.ray.play(1, "orphan")
    process = suite.start("--sgdiff-out=out")
    wait_for(lambda: suite.ray.started(), limit_s=60)
    (launch,) = suite.ray.started()
    process.send_signal(number)
    ran = suite.ended(process)
    assert ran.returncode == (-number if number == signal.SIGKILL else 2)
    wait_for(lambda: not left_of(suite.ray.folder), otherwise=str(left_of(suite.ray.folder)))
    assert not alive(launch.pid)


def test_workers_of_xdist_that_are_ended_leave_nothing_on_a_node(suite: Suite) -> None:
    suite.write(suite.case(1), suite.case(2))
    for seed in (1, 2):
        suite.ray.play(seed, "orphan")
    process = suite.start("-n", "2")
    wait_for(lambda: len(suite.ray.started()) == 2, limit_s=60)
    process.send_signal(signal.SIGTERM)
    assert suite.ended(process).returncode == 2
    wait_for(lambda: not left_of(suite.ray.folder), otherwise=str(left_of(suite.ray.folder)))


def test_a_launcher_that_is_killed_takes_its_engine_along(suite: Suite) -> None:
    suite.write(suite.case(1))
    suite.ray.play(1, "hang")
    process = suite.start()
    wait_for(lambda: suite.ray.started(), limit_s=60)
    (launch,) = suite.ray.started()
    suite.ray.play(1, "native")
    os.kill(parent(launch.pid), signal.SIGKILL)
    case = suite.ended(process).cases["s1"]
    assert (case["outcome"], "lost-launches" in case["warning_codes"]) == ("no-baseline", True)
    assert not alive(launch.pid)
    assert {one.node for one in suite.ray.started()[1:]} == {"a", "b"} - {launch.node}


def test_a_run_whose_own_node_dies_joins_the_cluster_again(own: Ray, tmp_path: Path) -> None:
    suite = project(tmp_path, own)
    own.add("a", gpus=0)
    own.add("b")
    suite.write(suite.case(1))
    own.play(1, "hang")
    process = suite.start("--sgdiff-out=out")
    wait_for(lambda: own.started(), limit_s=60)
    (lost,) = own.started()
    own.play(1, "native")
    own.kill_raylet("a")
    case = suite.ended(process).cases["s1"]
    assert (case["outcome"], "lost-launches" in case["warning_codes"]) == ("no-baseline", True)
    assert not alive(lost.pid)
    assert len(own.started()) == len(recordings.read_launches(tmp_path / "out", "s1")) + 1 == 2


FOREIGN = {"no-plugin": "raise ImportError('nothing here')", "other-plugin": "__version__ = '0.0.1'"}


def test_accelerator_types_choose_nodes_and_a_node_that_cannot_launch_stops_the_run(own: Ray, tmp_path: Path) -> None:
    suite = project(tmp_path, own)
    own.add("a", product="H100")
    own.add("b", product="H200")
    suite.write(
        suite.case(1, requires="{gpu: [H200]}"),
        suite.case(2, requires="{gpu: [B200]}"),
        suite.case(3, requires="{gpu: [H2000]}"),
    )
    ran = suite.run()
    assert (ran.returncode, [(one.seed, one.node) for one in own.started()]) == (1, [("1", "b")])
    missing = json.loads((suite.root / "report.json").read_text())["unmeasured"]
    assert [(one["node_id"].partition("::")[2], one["why"].partition(":")[0]) for one in missing] == [
        ("s2", "skipped"),
        ("s3", "failed"),
    ]
    own.forget()
    for code, body in FOREIGN.items():
        package = own.folder / code / "pytest_sgdiff"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text(body)
        own.add(code, PYTHONPATH=str(package.parent))
    ran = suite.run()
    assert (ran.returncode, own.started()) == (4, [])
    assert "nothing here" in ran.output
    assert "0.0.1" in ran.output


def test_an_engine_that_no_node_has_stops_the_run(suite: Suite) -> None:
    suite.write(suite.case(1))
    ran = suite.run("--sgdiff-engine-cmd=/nowhere/sglang")
    assert (ran.returncode, suite.ray.started()) == (4, [])
