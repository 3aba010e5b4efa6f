"""A launch on a cluster as pytest sees it: made again elsewhere, recorded once, with the files that it names."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_sgdiff.cluster import client
from pytest_sgdiff.cluster.lease import ClusterLease, ClusterPool, NodeLostError
from pytest_sgdiff.cluster.packing import packed
from pytest_sgdiff.cluster.source import ClusterSource, files_here
from pytest_sgdiff.data import Case, Command, EngineInfo, Launch, LaunchFiles, Location, Loss, LossCode, Workload
from pytest_sgdiff.engines.sglang_generate import SglangGenerate
from pytest_sgdiff.errors import LaunchLostError, MissingExtraError, NodeFileError
from pytest_sgdiff.files.wire import to_plain
from pytest_sgdiff.recordings import store as recordings

CASE = Case(
    name="tiny", location=Location(path="cases/tiny.yaml", line=2, column=3), model="m/wan", args={"prompt": "a cat"}
)
FILES = LaunchFiles(
    workdir="/there/work",
    output_dir="/there/work/outputs",
    perf_dump="/there/work/perf.json",
    perf_log_dir="/there/work/perf-log",
    config="/there/work/config.json",
)
LAUNCHED = {
    "kind": "launched",
    "launch": to_plain(Launch(case="tiny", number=0, argv=("sglang",), returncode=0, folder="/there", log="one line")),
    "files": {"engine.log": packed(b"one line \xff")},
}


@dataclass
class Lease:
    """A lease whose node does what it is told: each of `does` is what comes of one launch."""

    does: list[LossCode | Mapping[str, Any]]
    node: str = "a"
    renewed: list[tuple[Loss, ...]] = field(default_factory=list)
    released: int = 0
    told: list[Mapping[str, Any]] = field(default_factory=list)

    def converse(
        self, first: Mapping[str, Any], *, abandoned: Callable[[], bool], answers: Callable[[Any], Any]
    ) -> Mapping[str, Any]:
        files = {"kind": "command", "files": to_plain(FILES), "ports": {"http": 1, "scheduler": 3, "master": 4}}
        self.told += [first, answers(files)]
        what = self.does.pop(0)
        if isinstance(what, str):
            raise NodeLostError(Loss(code=what, node=self.node))
        return what

    def again(self, losses: tuple[Loss, ...]) -> tuple[Loss, ...]:
        self.renewed.append(losses)
        self.node += "+"
        return losses

    def release(self, *, wait_s: float = 0.0) -> None:
        self.released += 1


def source(out: Path, lease: Lease) -> ClusterSource:
    return ClusterSource(
        case=CASE,
        engine=SglangGenerate(),
        info=EngineInfo(command=("sglang",), version="0.5.17"),
        lease=cast(ClusterLease, lease),
        out=out,
        session="run",
        isolation="confirm",
        workload=Workload(digest="d"),
        notify=lambda progress: None,
        assets={},
        change_command=lambda command: replace(command, env={**command.env, "BY_HOOK": "1"}),
        change_environment=lambda environment: replace(environment, host="by-hook"),
    )


def test_a_launch_that_is_lost_twice_is_made_elsewhere_and_recorded_once(tmp_path: Path) -> None:
    lease = Lease(does=["node-died", "preempted", LAUNCHED])
    made = source(tmp_path, lease)
    launch = made.launch(alone=False)
    assert launch is not None
    assert (launch.number, launch.environment.host) == (0, "by-hook")
    assert [[loss.code for loss in losses] for losses in lease.renewed] == [["node-died"], ["node-died", "preempted"]]
    assert [loss.node for loss in made.losses] == ["a", "a+"]
    (kept,) = recordings.read_launches(tmp_path, "tiny")
    assert (kept.number, kept.returncode) == (0, 0)
    # Bytes that are no text come as they were written.
    assert (tmp_path / "tiny" / "00" / "engine.log").read_bytes() == b"one line \xff"


def test_a_launch_that_is_lost_a_third_time_is_given_up_and_leaves_no_recording(tmp_path: Path) -> None:
    lease = Lease(does=["node-died", "node-died", "launcher-died", LAUNCHED])
    with pytest.raises(LaunchLostError) as caught:
        source(tmp_path, lease).launch(alone=False)
    assert [loss.code for loss in caught.value.losses] == ["node-died", "node-died", "launcher-died"]
    assert recordings.case_ids(tmp_path) == ()


def test_the_command_is_written_here_for_the_files_of_the_node(tmp_path: Path) -> None:
    lease = Lease(does=[LAUNCHED])
    source(tmp_path, lease).launch(alone=True)
    first, answer = lease.told
    assert (first["alone"], first["node"], first["session"]) == (True, "a", "run")
    assert "/there/work/perf.json" in answer["command"]["argv"]
    assert "BY_HOOK" not in answer["command"]["env"]
    assert answer["changed"]["env"]["BY_HOOK"] == "1"


def test_a_file_that_the_node_lacks_is_named_with_the_node(tmp_path: Path) -> None:
    lease = Lease(does=[{"kind": "missing", "paths": ["/models/wan"]}])
    with pytest.raises(NodeFileError) as caught:
        source(tmp_path, lease).launch(alone=False)
    assert (caught.value.node, caught.value.paths) == ("a", ("/models/wan",))
    assert recordings.case_ids(tmp_path) == ()


def test_whoever_is_interrupted_ends_the_launch_on_the_node(tmp_path: Path) -> None:
    def interrupted(command: Command) -> Command:
        raise KeyboardInterrupt

    lease = Lease(does=[])
    with pytest.raises(KeyboardInterrupt):
        replace(source(tmp_path, lease), change_command=interrupted).launch(alone=False)
    assert lease.released == 1


def test_files_of_this_machine_that_a_launch_names(tmp_path: Path) -> None:
    for name in ("model", "cache"):
        (tmp_path / name).mkdir()
    for name in ("lora", "config.json", "own"):
        (tmp_path / name).write_text("x")
    case = replace(
        CASE,
        model=str(tmp_path / "model"),
        env={"CONFIG": str(tmp_path / "config.json"), "CACHE": str(tmp_path / "cache")},
    )
    argv = ("/usr/bin/env", f"--lora={tmp_path / 'lora'}", str(tmp_path / "model"), "/nowhere", str(tmp_path / "own"))
    command = Command(argv=argv, env={}, unset=(), files={})
    files = replace(FILES, assets={"image-path": str(tmp_path / "own")})
    assert files_here(case, command, besides=files) == (
        str(tmp_path / "model"),
        str(tmp_path / "lora"),
        str(tmp_path / "config.json"),
    )


def test_variables_that_change_the_work_go_along_and_no_others() -> None:
    shell = {
        "SGLANG_X": "1",
        "NCCL_ALGO": "Ring",
        "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING": "1",
        "HF_TOKEN": "hf_secret",
        "HF_HOME": "/here",
        "LD_PRELOAD": "/here/lib.so",
        "PATH": "/bin",
    }
    assert sorted(client.forwarded(shell)) == ["NCCL_ALGO", "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING", "SGLANG_X"]


def test_without_ray_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ray>="):
        ClusterPool.found("auto", engine=["sglang"], base=[], run_id="r", environ={})
