"""`sgdiff bisect` from its command line, on a repository of three commits whose engines nobody builds."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_sgdiff.bisect.search import Compared
from pytest_sgdiff.bisect.workshop import Workshop
from pytest_sgdiff.cli import main
from pytest_sgdiff.data import Aim, Pairs

CASE = "cases:\n  tiny: {model: m, gpus: 2, args: {seed: 1}}\n"
WHO = {f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
COMMAND = ["bisect", "--good", "t0", "--bad", "t2", "--case", "tiny", "--repo", "engine"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "tiny.yaml").write_text(CASE)
    engine = tmp_path / "engine"
    engine.mkdir()
    env = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": os.devnull}

    def git(*words: str) -> None:
        subprocess.run(["git", *words], cwd=engine, env=env, check=True, capture_output=True)

    git("init", "--quiet", ".")
    for number in range(3):
        git("commit", "--quiet", "--allow-empty", "-m", f"\x1b[31mcommit {number}\x1b[0m")
        git("tag", f"t{number}")
    return tmp_path


def judging(monkeypatch: pytest.MonkeyPatch, judge: Callable[[str], Compared]) -> list[str]:
    """Have candidates judged by their title; which were."""
    asked: list[str] = []

    def compare(self: Workshop, base: str, candidate: str, aim: Aim | None) -> Compared:
        asked.append(self.repository.title(candidate))
        return judge(asked[-1])

    monkeypatch.setattr(Workshop, "compare", compare)
    return asked


def slow_from(first: int) -> Callable[[str], Compared]:
    def judge(title: str) -> Compared:
        slow = any(f"commit {number}" in title for number in range(first, 3))
        pairs = Pairs(ratio=1.08 if slow else 1.0, low=1.07, high=1.09, pairs=5, checkpoints=2)
        return Compared(verdict="bad" if slow else "good", metric="denoise", pairs=pairs)

    return judge


def test_the_commit_is_named_and_the_state_is_kept(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = judging(monkeypatch, slow_from(2))
    assert main(COMMAND) == 0
    said = capsys.readouterr()
    assert "commit 2" in said.out.splitlines()[0]
    # A title gives no orders to a terminal.
    assert "\x1b" not in said.out + said.err
    assert len(asked) == 3
    assert main([*COMMAND, "--format", "json"]) == 0
    assert len(asked) == 3
    end = json.loads(capsys.readouterr().out)
    assert (end["code"], len(end["path"])) == ("found", 1)
    assert main([*COMMAND, "--restart"]) == 0
    assert len(asked) == 6
    # With other options it is another bisection.
    assert main([*COMMAND, "--allow", "2%"]) == 0
    assert len(asked) == 9
    assert (project / ".sgdiff" / "bisect" / ".gitignore").read_text().endswith("*\n")


def test_what_ends_without_a_commit_is_1(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judging(monkeypatch, slow_from(3))
    assert main(COMMAND) == 1


def test_an_interrupt_removes_the_worktrees(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(title: str) -> Compared:
        (folder,) = (project / ".sgdiff" / "bisect").glob("tiny-*")
        (folder / "worktrees-1" / "base").mkdir(parents=True)
        raise KeyboardInterrupt

    judging(monkeypatch, interrupt)
    assert main(COMMAND) == 130
    assert list((project / ".sgdiff" / "bisect").glob("tiny-*/worktrees-*")) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--good", "nowhere"], "names no commit"),
        (["--good=--all"], "names no commit"),
        (["--good", "^HEAD~1"], "leave it out"),
        (["--bad", "^HEAD"], "leave it out"),
        (["--good", "HEAD~1..HEAD"], "no range"),
        (["--good", "HEAD^!"], "names no commit"),
        (["--good", "HEAD^@"], "names no commit"),
        (["--good", "t2"], "one commit"),
        (["--good", "t2", "--bad", "t0"], "exchange"),
        (["--case", "tinny"], "did you mean tiny?"),
        (["--repo", "cases"], "in no git repository"),
        (["--repo", "none"], "no such folder"),
        (["--engine-cmd", "sglang"], "{worktree}"),
        (["--engine-cmd", "'{worktree}"], "quotation"),
        (["--allow", "2"], "percentage"),
        (["--allow=-1%"], "percentage"),
        (["--allow", "nan%"], "percentage"),
        (["--setup-timeout", "0"], "above 0"),
    ],
)
def test_a_wrong_command_is_2_and_names_the_option(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main([*COMMAND, *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert words[0].partition("=")[0] in error
