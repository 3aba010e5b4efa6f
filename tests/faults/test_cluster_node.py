"""The process that launches on a node of a cluster, driven by its pipe as Ray's relay does, without Ray."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.cluster.packing import packed, unpacked
from pytest_sgdiff.data import Case, Command, EngineInfo, Launch, LaunchFiles, Location, Ports
from pytest_sgdiff.engines.sglang_generate import SglangGenerate
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.judging.workload import workload
from pytest_sgdiff.redact import Redaction
from tests.waiting import alive, wait_for

pytestmark = pytest.mark.faults

FAKE_BIN = Path(__file__).parents[1] / "fake_bin"
MAIN = "from pytest_sgdiff.cluster.node import main; main()"
CASE = Case(
    name="tiny",
    location=Location(path="cases/tiny.yaml", line=2, column=3),
    model="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
    gpus=0,
    args={"prompt": "a cat", "seed": 42, "num-inference-steps": 20},
)
INFO = EngineInfo(command=("sglang",), version="0.5.17")


class Node:
    """The process, and what it says."""

    def __init__(self, folder: Path, **env: str) -> None:
        self.folder = folder
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("SGDIFF_", "PYTEST"))}
        environment |= {
            "PATH": f"{FAKE_BIN}:{os.environ['PATH']}",
            "SGDIFF_LOCK_DIR": str(folder / "locks"),
            "TMPDIR": str(folder),
            **env,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", MAIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd="/"
        )

    def tell(self, **message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of the kinds; any, where none is named."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            said: dict[str, Any] = json.loads(line)
            if not kinds or said["kind"] in kinds:
                return said
        raise AssertionError("it ended")

    def lease(self) -> None:
        self.tell(kind="lease", count=0, run="r", estimate_s=None, timeout_s=30, tag="tiny", products=[])
        assert self.hear()["kind"] == "leased"

    def launch(self, *, here: list[str] | None = None, **more: object) -> None:
        """Ask for a launch, and answer what it asks."""
        work = workload(CASE, asset_hashes={}, redaction=Redaction({}))
        message: dict[str, object] = {
            "kind": "launch",
            "case": to_plain(CASE),
            "info": to_plain(INFO),
            "session": "r",
            "isolation": "confirm",
            "workload": to_plain(work),
            "assets": {},
            "alone": False,
            "number": 3,
            "of": 5,
            "exact": False,
            "expected_s": None,
            "side": None,
            "host_timeout_s": 30.0,
            "node": "a",
        }
        self.tell(**message | more)
        asked = self.hear("command")
        files, ports = from_plain(LaunchFiles, asked["files"]), from_plain(Ports, asked["ports"])
        self.files = files
        command: Command = SglangGenerate().command(CASE, info=INFO, files=files, ports=ports)
        self.tell(kind="command", command=to_plain(command), changed=to_plain(command), here=here or [])

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def children(self) -> list[int]:
        return [
            int(pid) for pid in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short name: sockets are made below it."""
    with tempfile.TemporaryDirectory(prefix="sgdiff-node-") as path:
        yield Path(path)


def node(folder: Path, **env: str) -> Node:
    return Node(folder, **env)


def ended(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    process.wait(30)
    process.stdout.close()


def left(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name != "locks"]


def test_a_launch_comes_back_whole_and_its_files_with_it(folder: Path) -> None:
    there = node(folder)
    there.tell(kind="look", engine=["sglang"], base=["nowhere"])
    look = there.hear()
    assert (look["kind"], look["engine"]["info"]["version"], list(look["base"])) == ("look", "0.5.17", ["error"])
    there.lease()
    there.launch(assets={"image-path": {"name": "cat.png", "content": packed(b"a cat")}})
    assert Path(there.files.assets["image-path"]).name == "cat.png"
    said = there.hear("launched", "error")
    launch = from_plain(Launch, said["launch"])
    assert (launch.number, launch.ending, launch.returncode, launch.dump is None) == (3, "exited", 0, False)
    assert unpacked(said["files"]["engine.log"]).decode() == launch.log
    there.close()
    ended(there.process)
    assert left(folder) == []


def test_a_file_that_only_the_machine_of_pytest_has_is_named(folder: Path) -> None:
    there = node(folder)
    there.lease()
    there.launch(here=["/", "/models/not-here"])
    assert there.hear("missing", "launched") == {"kind": "missing", "paths": ["/models/not-here"]}
    there.close()
    ended(there.process)


def test_the_end_of_the_pipe_ends_the_launch(folder: Path) -> None:
    there = node(folder, SGDIFF_FAKE_SCENARIO="hang")
    there.lease()
    there.launch()
    there.hear("progress")
    wait_for(lambda: len(there.children()) == 2)
    engine = there.children()
    there.close()
    ended(there.process)
    assert not any(alive(pid) for pid in engine)
    assert left(folder) == []


def test_a_process_that_is_killed_takes_its_launch_and_its_folders_along(folder: Path) -> None:
    there = node(folder, SGDIFF_FAKE_SCENARIO="orphan")
    there.lease()
    there.launch()
    wait_for(lambda: len(there.children()) == 2)
    engine = there.children()
    there.process.send_signal(signal.SIGKILL)
    there.close()
    ended(there.process)
    wait_for(lambda: not any(alive(pid) for pid in engine), limit_s=40)
    assert left(folder) == []


def test_what_keeps_a_lease_away_is_said_as_it_is_here(folder: Path) -> None:
    there = node(folder, SGDIFF_NVML_FILE="/nowhere.json")
    there.tell(kind="lease", count=2, run="r", estimate_s=None, timeout_s=1, tag="tiny", products=[])
    said = there.hear()
    assert (said["kind"], said["of"]) == ("error", "LeaseError")
    there.close()
    ended(there.process)
