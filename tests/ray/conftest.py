"""A Ray cluster of two nodes on this machine, whose GPUs are declared, and a project whose cases are launched there.

Each node has an NVML file and a folder of locks of its own. The engine does what the file `scenario-N` beside it says
for a case with the seed N.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import wait_for

HERE = Path(__file__).parent
FAKE = HERE.parent / "fake_bin" / "sglang"

ENGINE = """#!/bin/sh
# What to play is said by a file for the seed of the case; who plays, by a line in `started`.
here=$(dirname "$0") seed=
for word; do [ "$last" = --seed ] && seed=$word; last=$word; done
if [ -n "$seed" ]; then
    if [ -f "$here/scenario-$seed" ]; then
        SGDIFF_FAKE_SCENARIO=$(cat "$here/scenario-$seed")
        export SGDIFF_FAKE_SCENARIO
    fi
    echo "$$ ${SGDIFF_TEST_NODE:-here} $seed" >> "$here/started"
fi
exec "{fake}" "$@"
"""


HEALTH = {"period_ms": "1000", "timeout_ms": "2000", "failure_threshold": "3", "initial_delay_ms": "1000"}


@dataclass(frozen=True, kw_only=True)
class Started:
    """One launch: its process, its node, and the seed of its case."""

    pid: int
    node: str
    seed: str


class Ray:
    """A cluster, and the engine of its nodes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = folder / "sglang"
        self.engine.write_text(ENGINE.replace("{fake}", str(FAKE)))
        self.engine.chmod(0o755)
        # Ray looks for more than this in an environment; what the outer pytest set is none of its business.
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "SGDIFF_"))}
        # Ray notices the end of a node after 15 s by itself.
        environment |= {f"RAY_health_check_{name}": value for name, value in HEALTH.items()}
        with (folder / "host.log").open("w") as log:
            self._host = subprocess.Popen(
                [sys.executable, str(HERE / "host.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=environment,
                start_new_session=True,
            )
        self.address = ""

    def _tell(self, line: str) -> str:
        assert self._host.stdin is not None
        assert self._host.stdout is not None
        self._host.stdin.write(line + "\n")
        self._host.stdin.flush()
        said = self._host.stdout.readline().strip()
        assert said, (self.folder / "host.log").read_text()[-3000:]
        return said

    def add(self, name: str, *, gpus: int = 2, product: str = "H200", shown: int | None = None, **env: str) -> None:
        """A node with so many GPUs, of which its driver shows `shown`."""
        driver = self.folder / f"nvml-{name}.json"
        driver.write_text(json.dumps(nvml(name, gpus if shown is None else shown, f"NVIDIA {product}")))
        variables = {
            "SGDIFF_NVML_FILE": str(driver),
            "SGDIFF_LOCK_DIR": str(self.locks(name)),
            "SGDIFF_TEST_NODE": name,
            **env,
        }
        self.address = self._tell(f"add {name} {json.dumps({'gpus': gpus, 'type': product, 'env': variables})}")

    def locks(self, name: str) -> Path:
        """The folder of the node's locks."""
        return self.folder / f"locks-{name}"

    def kill(self, name: str) -> None:
        """Kill all processes of a node."""
        self._tell(f"kill {name}")

    def kill_raylet(self, name: str) -> None:
        """Kill what makes a node of its processes, which live on."""
        self._tell(f"raylet {name}")

    def drain(self, name: str) -> None:
        """Have Ray take the node for one that is about to be preempted."""
        self._tell(f"drain {name}")

    def close(self) -> None:
        """The cluster's end."""
        if self._host.poll() is None:
            assert self._host.stdin is not None
            self._host.stdin.close()
            try:
                self._host.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(self._host.pid, signal.SIGKILL)
                self._host.wait()
        assert self._host.stdout is not None
        self._host.stdout.close()

    def started(self) -> list[Started]:
        """The launches so far, in their order."""
        path = self.folder / "started"
        lines = path.read_text().splitlines() if path.exists() else []
        return [Started(pid=int(pid), node=node, seed=seed) for pid, node, seed in map(str.split, lines)]

    def forget(self) -> None:
        """Before a test: no launches, no scenarios."""
        for path in (self.folder / "started", *self.folder.glob("scenario-*")):
            path.unlink(missing_ok=True)

    def play(self, seed: int, scenario: str) -> None:
        """What the engine does in launches of the case with the seed, from now on."""
        (self.folder / f"scenario-{seed}").write_text(scenario)


def nvml(node: str, count: int, product: str) -> dict[str, Any]:
    """What the driver of a node shows: idle GPUs, with UUIDs of their own."""
    gpus = [
        {
            "facts": {
                "uuid": f"GPU-{ord(node[0]):08x}-0000-4000-8000-{number:012d}",
                "nvml_index": number,
                "name": product,
                "memory_mb": 143771,
                "pci": f"00000000:{number:02x}:00.0",
            },
            "state": {"used_mb": 0, "util_pct": 0, "sm_mhz": 1980, "temperature_c": 40, "reasons": 0},
            "processes": [],
        }
        for number in range(count)
    ]
    return {"driver": "580.159.04", "cuda": "13.0", "gpus": gpus}


def left_of(folder: Path) -> list[str]:
    """Processes whose command line or environment names the folder, but for the cluster's own and this one."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            try:
                command, environ = (path / "cmdline").read_bytes(), (path / "environ").read_bytes()
            except OSError:
                continue
            ours = b"cluster.node" in command or b"launch.guard" in command or b"stand_in" in command
            if ours and str(folder).encode() in command + environ:
                found.append(f"{path.name}: {command.decode(errors='replace')[:120]}")
    return found


@dataclass(frozen=True, kw_only=True)
class Ran:
    """A run of pytest that has ended: its exit code, what it printed, and its cases by id."""

    returncode: int
    output: str
    cases: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A project of one case file."""

    root: Path
    ray: Ray

    def start(self, *arguments: str, cluster: str | None = None, **env: str) -> subprocess.Popen[str]:
        """Start pytest on the cluster, unless `cluster` is empty."""
        (self.root / "report.json").unlink(missing_ok=True)
        argv = [sys.executable, "-m", "pytest", "-p", "no:randomly", f"--sgdiff-engine-cmd={self.ray.engine}"]
        address = self.ray.address if cluster is None else cluster
        argv += [f"--sgdiff-cluster={address}"] if address else []
        argv += ["--sgdiff-report=report.json", *arguments]
        dropped = ("PYTEST_", "SGDIFF_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
        environment.pop("CI", None)
        return subprocess.Popen(
            argv,
            cwd=self.root,
            env=environment | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Ran:
        """What such a run left."""
        output, _ = process.communicate(timeout=180)
        print(output)
        report = self.root / "report.json"
        cases = json.loads(report.read_text())["cases"] if report.exists() else []
        return Ran(returncode=process.returncode, output=output, cases={case["case"]: case for case in cases})

    def run(self, *arguments: str, cluster: str | None = None, **env: str) -> Ran:
        """Run pytest to its end."""
        return self.ended(self.start(*arguments, cluster=cluster, **env))

    def local(self, *arguments: str, node: str = "a") -> Ran:
        """Run pytest with the GPUs of a node, without the cluster."""
        driver = self.ray.folder / f"nvml-{node}.json"
        env = {"SGDIFF_NVML_FILE": str(driver), "SGDIFF_LOCK_DIR": str(self.ray.locks("local"))}
        return self.run("--sgdiff-gpus=all", *arguments, cluster="", **env)

    def case(self, seed: int, *, gpus: int = 1, **more: str) -> str:
        """The lines of a case."""
        lines = "".join(f"    {key.replace('_', '-')}: {value}\n" for key, value in more.items())
        return f"  s{seed}:\n    summary: a case\n    gpus: {gpus}\n    args: {{seed: {seed}}}\n{lines}"

    def write(self, *cases: str) -> None:
        """Write the case file."""
        (self.root / "cases").mkdir(exist_ok=True)
        (self.root / "cases" / "suite.yaml").write_text(DEFAULTS + "".join(cases))


DEFAULTS = """
defaults:
  env: {SGLANG_DIFFUSION_SYNC_STAGE_PROFILING: "1"}
  model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
  args: {prompt: a cat, width: 832, height: 480, num-frames: 17, num-inference-steps: 20}
  launches: {baseline: 3, checkpoints: [1, 3]}
  timeout: 60s
cases:
"""


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ray]:
    """Two nodes, `a` (the head) and `b`, with two GPUs each, for tests that leave them as they are."""
    ray = Ray(tmp_path_factory.mktemp("ray"))
    try:
        ray.add("a")
        ray.add("b")
        yield ray
    finally:
        ray.close()


@pytest.fixture
def suite(two: Ray, tmp_path: Path) -> Suite:
    """A project on those two nodes."""
    two.forget()
    return project(tmp_path, two)


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ray]:
    """A cluster without a node yet, for a test that breaks it."""
    ray = Ray(tmp_path_factory.mktemp("own"))
    try:
        yield ray
    finally:
        ray.close()
        wait_for(lambda: not left_of(ray.folder), otherwise="\n".join(left_of(ray.folder)))


def project(root: Path, ray: Ray) -> Suite:
    """An empty project."""
    (root / "pytest.ini").write_text("[pytest]\n")
    return Suite(root=root, ray=ray)
