"""The examples for Slurm and Kubernetes: what they start, with stand-ins for the scheduler, runs and is judged."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_sgdiff.cli import main
from pytest_sgdiff.data import Launch
from pytest_sgdiff.recordings import shards
from pytest_sgdiff.recordings.store import write_launch
from tests.plugin.conftest import CASE, Project

EXAMPLES = Path(__file__).parents[2] / "examples" / "cluster"

MORE = ("small", "other", "more")
CASES = CASE + "".join(
    f"""
  {name}:
    marks: [nightly]
    model: Wan-AI/Wan2.1-T2V-1.3B-Diffusers
    args: {{prompt: a cat, width: 832, height: 480, num-frames: 17, num-inference-steps: 20, seed: 42}}
"""
    for name in MORE
)

STAND_INS = {
    "srun": 'shift; exec "$@"',
    "tini": 'shift; exec "$@"',
    "pytest": 'printf "%s\\n" "$@" > "$SAID/pytest"; exit ${PYTEST_ENDS:-0}',
    "sgdiff": 'printf "%s\\n" "$@" > "$SAID/sgdiff"; exit ${SGDIFF_ENDS:-0}',
}


class Cluster:
    """A scheduler's commands as stand-ins, and what the programs that it starts were given."""

    def __init__(self, project: Project) -> None:
        self.project, self._bin, self._said = project, project.root / "bin", project.root / "said"
        self._said.mkdir()
        for name, text in STAND_INS.items():
            project.write(f"bin/{name}", f"#!/bin/sh\n{text}\n").chmod(0o755)

    def starts(self, *command: str | Path, **variables: str) -> tuple[int, dict[str, list[str]]]:
        """The exit code of a job's command, and the words that `pytest` and `sgdiff` were given by it."""
        for path in self._said.iterdir():
            path.unlink()
        given = {"PATH": f"{self._bin}:{os.environ['PATH']}", "SAID": str(self._said), **variables}
        done = subprocess.run(command, cwd=self.project.root, env={**os.environ, **given}, check=False, timeout=60)
        return done.returncode, {path.name: path.read_text().splitlines() for path in self._said.iterdir()}

    def run(self, words: list[str]) -> pytest.RunResult:
        """Run what `pytest` was given, in this process: without workers, and with recorded launches for its GPUs."""
        at = words.index("-n") if "-n" in words else len(words)
        kept = self.project.root / "kept"
        recorded = {"--sgdiff-gpus=all": f"--sgdiff-replay={kept}"}
        return self.project.run(*(recorded.get(word, word) for word in (*words[:at], *words[at + 2 :])))


@pytest.fixture
def cluster(project: Project) -> Cluster:
    project.write("cases/tiny.yaml", CASES)
    for case in ("tiny", *MORE):
        write_launch(project.root / "kept", Launch(case=case, number=0, argv=("sglang",), returncode=0, session="one"))
    return Cluster(project)


def test_an_array_of_slurm_jobs_of_which_one_dies_is_judged_as_a_whole(cluster: Cluster) -> None:
    root = cluster.project.root
    job = {"SLURM_SUBMIT_DIR": str(root), "SLURM_ARRAY_JOB_ID": "17", "SLURM_JOB_ID": "21"}
    for task in ("1", "2", "4"):
        code, said = cluster.starts("bash", EXAMPLES / "slurm-array.sh", **job, SLURM_ARRAY_TASK_ID=task)
        assert code == 0
        cluster.run(said["pytest"])
    code, said = cluster.starts("bash", EXAMPLES / "slurm-judge.sh", "17", **job, SGDIFF_ENDS="1")
    assert code == 1
    assert main(said["sgdiff"]) == 1
    assert cluster.run(said["pytest"]).ret == pytest.ExitCode.TESTS_FAILED
    found = shards.read_shards(root / "recordings" / "17" / "merged-21")
    assert found is not None
    assert (found.unreported, found.unfinished) == ((3,), ())
    # The shard that died is run again, for the same job.
    again = {**job, "SLURM_ARRAY_JOB_ID": "18", "SLURM_JOB_ID": "22", "SLURM_ARRAY_TASK_ID": "3"}
    _, said = cluster.starts("bash", EXAMPLES / "slurm-array.sh", "17", **again)
    cluster.run(said["pytest"])
    _, said = cluster.starts("bash", EXAMPLES / "slurm-judge.sh", "17", **again)
    assert main(said["sgdiff"]) == 0


@pytest.mark.parametrize(("merged", "judged", "ends"), [(0, 0, 0), (0, 1, 1), (1, 0, 1), (2, 0, 2)])
def test_a_judge_fails_if_anything_is_missing(cluster: Cluster, merged: int, judged: int, ends: int) -> None:
    ending = {"SGDIFF_ENDS": str(merged), "PYTEST_ENDS": str(judged)}
    judges = [("bash", EXAMPLES / "slurm-judge.sh", "17"), tuple(containers("judge")["judge"]["command"])]
    for judge in judges:
        code, said = cluster.starts(*judge, **ending, SLURM_SUBMIT_DIR=".", SLURM_JOB_ID="21")
        assert code == ends
        assert ("pytest" in said) == (merged < 2)


def containers(step: str) -> Mapping[str, Any]:
    """The containers of the Job of one step, by name; the night has a name."""
    text = (EXAMPLES / "kubernetes.yaml").read_text().replace("NIGHT", "2026-11-30")
    (job,) = (one for one in yaml.safe_load_all(text) if one["metadata"]["labels"]["step"] == step)
    return {one["name"]: one for one in job["spec"]["template"]["spec"]["containers"]}


def test_each_index_of_the_kubernetes_job_is_a_shard(cluster: Cluster) -> None:
    shard = containers("measure")["shard"]
    parts = []
    for index in range(4):
        code, said = cluster.starts(*shard["command"], JOB_COMPLETION_INDEX=str(index))
        assert code == 0
        parts += [word for word in said["pytest"] if word.startswith(("--sgdiff-shard", "--sgdiff-out"))]
    assert parts[::2] == [f"--sgdiff-shard={number}/4" for number in range(1, 5)]
    assert parts[1::2] == [f"--sgdiff-out=/out/2026-11-30/{index}" for index in range(4)]


def test_shellcheck_has_nothing_to_say() -> None:
    program = Path(sys.executable).parent / "shellcheck"
    scripts = sorted(EXAMPLES.glob("*.sh"))
    assert len(scripts) == 2
    done = subprocess.run([program, *scripts], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout
