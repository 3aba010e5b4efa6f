"""`sgdiff bisect` on the real engine: of two commits the second gives its transformer more and wider layers."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from tests.engine.conftest import CASE, Checkpoint, Forked
from tests.realproject import Project

pytestmark = pytest.mark.engine

SLOWER = """
import runpy
import sys

# The same command line; each of its steps is more work.
sys.argv[1:] = [word.replace("/baseline/", "/slower/") for word in sys.argv[1:]]
sys.argv[0] = {plain!r}
runpy.run_path({plain!r}, run_name="__main__")
"""
WHO = {f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: pathlib.Path, *words: str) -> str:
    env = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": os.devnull}
    return subprocess.run(["git", *words], cwd=folder, env=env, capture_output=True, text=True, check=True).stdout


def commit(folder: pathlib.Path, engine: str, title: str) -> str:
    """A commit whose setup makes this command."""
    (folder / "engine.in").write_text(f"{pathlib.Path(engine).read_text()}# {title}\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", title)
    return git(folder, "rev-parse", "HEAD").strip()


def test_the_commit_with_slower_layers_is_found(
    engine: str, plain: str, forked: Forked, checkpoint: Checkpoint, tmp_path: pathlib.Path
) -> None:
    checkpoint("slower")
    program = tmp_path / "slower.py"
    program.write_text(SLOWER.format(plain=plain))
    slower = forked(str(program), "slower-layers-sglang")
    sources, folder = tmp_path / "engine", tmp_path / "project"
    sources.mkdir()
    folder.mkdir()
    git(sources, "init", "--quiet", "--initial-branch=main", ".")
    good, bad = commit(sources, engine, "good"), commit(sources, slower, "more and wider layers")
    (folder / "pytest.ini").write_text("[pytest]\n")
    case = CASE.format(model=checkpoint("baseline")).replace("num-inference-steps: 8", "num-inference-steps: 4")
    Project(folder=folder, engine=engine, gpus="none").write_case(case)
    done = subprocess.run(
        [
            *(
                str(pathlib.Path(sys.executable).with_name("sgdiff")),
                "bisect",
                "--good",
                good,
                "--bad",
                "main",
                "--case",
                "tiny_wan",
            ),
            *("--repo", str(sources), "--setup", "cp engine.in sglang && chmod +x sglang"),
            *("--engine-cmd", "{worktree}/sglang", "--format", "json"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    end = json.loads(done.stdout)
    assert (end["code"], end["first"]["commit"], end["first"]["title"]) == ("found", bad, "more and wider layers")
    assert end["path"] == []
    assert end["parent"] is None  # that the one is slower than the other was proven before the search
    assert end["first"]["evidence"][-1]["ratio"] > 3
    assert end["error"] < 0.05
    # Of the commits nothing is left but what was found out.
    assert git(sources, "worktree", "list").count("\n") == 1
    assert git(sources, "status", "--porcelain") == ""
