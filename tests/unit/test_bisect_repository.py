"""What a bisection asks of git: hostile names, which commit is next, and the checkout of the user left alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_sgdiff.bisect import repository as module
from pytest_sgdiff.bisect.repository import GitError, Repository, repository
from pytest_sgdiff.errors import OptionError

WHO = {f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


def git(folder: Path, *words: str) -> str:
    env = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    words = ("-c", f"core.hooksPath={os.devnull}", *words)
    return subprocess.run(["git", *words], cwd=folder, env=env, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """0 - 1 - 2 - 3 - merge - 5, where the merge brings a branch of two commits from 1; a tag for each title."""
    folder = tmp_path_factory.mktemp("engine")
    git(folder, "init", "--quiet", "--initial-branch=main", ".")

    def commit(title: str) -> None:
        (folder / "engine").write_text(title)
        (folder / f"{title}.txt").write_text(title)
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", f"commit {title}")
        git(folder, "tag", f"t{title}")

    for title in "01":
        commit(title)
    git(folder, "checkout", "--quiet", "-b", "side")
    for title in ("a", "b"):
        commit(title)
    git(folder, "checkout", "--quiet", "main")
    for title in "23":
        commit(title)
    git(folder, "merge", "--quiet", "-X", "ours", "-m", "merge side", "side")
    git(folder, "tag", "tmerge")
    commit("5")
    # Each of them would leave a trace.
    for hook in ("post-checkout", "post-commit", "reference-transaction", "post-index-change", "post-rewrite"):
        path = folder / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch '{folder}/../ran-{hook}'\n")
        path.chmod(0o755)
    return folder


def titles(commits: Repository, ids: tuple[str, ...]) -> list[str]:
    return [commits.title(one).split()[-1] for one in ids]


@pytest.mark.parametrize(
    "rev", ["--upload-pack=x", "-h", "", "nowhere", "t0\0", "t0\nt1", "t0^{tree}", "t0..t5", "--all"]
)
def test_what_names_no_commit_is_refused(history: Path, rev: str) -> None:
    with pytest.raises(OptionError, match="--good"):
        Repository(history).commit("--good", rev)


def test_revisions_are_named_as_git_names_them(history: Path) -> None:
    commits = repository("--repo", history / ".", first_parent=False)
    assert commits.title(commits.commit("--good", "t5~2")) == "commit 3"
    assert commits.title(commits.commit("--good", ":/merge")) == "merge side"


def test_the_order_of_the_two_is_checked(history: Path) -> None:
    commits = Repository(history)
    at = {title: commits.commit("--good", f"t{title}") for title in "0123ab5"}
    commits.check_order(at["0"], at["5"])
    for good, bad, said in (("5", "5", "one commit"), ("5", "0", "exchange"), ("a", "3", at["1"][:12])):
        with pytest.raises(OptionError, match=said):
            commits.check_order(at[good], at[bad])


def test_what_halves_the_rest_comes_first_and_the_bad_one_last(history: Path) -> None:
    commits = Repository(history)
    good, bad = commits.commit("--good", "t0"), commits.commit("--bad", "t5")
    left = titles(commits, commits.left(bad, {good}))
    assert left[-1] == "5"
    assert sorted(left[:-1]) == ["1", "2", "3", "a", "b", "side"]
    assert left[0] in ("3", "b")
    # Once the branch is known to be good, it is out of the question, and so is what it comes from.
    assert sorted(titles(commits, commits.left(bad, {good, commits.commit("--good", "tb")}))) == ["2", "3", "5", "side"]
    own = Repository(history, first_parent=True)
    assert sorted(titles(own, own.left(bad, {good}))) == ["1", "2", "3", "5", "side"]
    merge = commits.commit("--bad", "tmerge")
    assert titles(commits, commits.parents(merge)) == ["3", "b"]
    assert commits.left(merge, set(commits.parents(merge))) == (merge,)


def test_commits_of_a_branch_from_before_the_good_one_are_left_out(history: Path) -> None:
    commits = Repository(history)
    good, bad = commits.commit("--good", "t2"), commits.commit("--bad", "t5")
    left = titles(commits, commits.left(bad, {good}))
    assert (sorted(left[:-1]), left[-1]) == (["3", "side"], "5")


def test_a_history_of_its_own_that_was_merged_is_left_out(tmp_path: Path) -> None:
    """Its first commit has no parent to compare it with."""
    git(tmp_path, "init", "--quiet", "--initial-branch=main", ".")
    for title in ("good", "later"):
        git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", title)
    git(tmp_path, "checkout", "--quiet", "--orphan", "other")
    git(tmp_path, "commit", "--quiet", "--allow-empty", "-m", "root")
    git(tmp_path, "checkout", "--quiet", "main")
    git(tmp_path, "merge", "--quiet", "--allow-unrelated-histories", "-m", "merge", "other")
    commits = Repository(tmp_path)
    good, bad = commits.commit("--good", "HEAD~2"), commits.commit("--bad", "HEAD")
    assert titles(commits, commits.left(bad, {good})) == ["later", "merge"]


def test_signatures_are_no_part_of_a_title(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    ask = module._ask

    def told(top: Path, *words: str) -> str:
        asked.append(words)
        return ask(top, *words)

    monkeypatch.setattr(module, "_ask", told)
    assert Repository(history).title("t2") == "commit 2"
    assert "--no-show-signature" in asked[0]


def test_commits_are_checked_out_beside_the_checkout_which_is_left_alone(
    history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (history / "engine").write_text("work in progress")
    (history / "untracked").write_text("mine")
    before = (git(history, "status", "--porcelain"), git(history, "for-each-ref"), git(history, "rev-parse", "HEAD"))
    # As where the command is called from a hook.
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    commits = Repository(history)
    tree = tmp_path / "trees" / "a b"
    commits.add_worktree(tree, commits.commit("--good", "t2"))
    assert (tree / "engine").read_text() == "2"
    (tree / "engine").write_text("changed by the setup")
    (tree / "built.o").write_text("stale")
    (tree / ".gitignore").write_text("kept\n")
    commits.checkout(tree, commits.commit("--good", "ta"), clean=False)
    assert (tree / "engine").read_text() == "a"
    assert not (tree / "built.o").exists()
    with pytest.raises(GitError, match="checkout"):
        commits.checkout(tree, "f" * 40, clean=False)
    commits.remove_worktrees([tree, tmp_path / "never made"])
    monkeypatch.undo()
    assert not tree.exists()
    assert git(history, "worktree", "list").count("\n") == 1
    after = (git(history, "status", "--porcelain"), git(history, "for-each-ref"), git(history, "rev-parse", "HEAD"))
    assert after == before
    assert list(history.parent.glob("ran-*")) == []


def test_worktrees_of_others_stay_noted_where_their_folder_is_absent(history: Path, tmp_path: Path) -> None:
    commits = Repository(history)
    commit = commits.commit("--good", "t2")
    others, own, gone, damaged = (tmp_path / name for name in ("others", "own", "gone", "damaged"))
    for tree in (others, own, gone, damaged):
        commits.add_worktree(tree, commit)
    others.rename(tmp_path / "unmounted")
    shutil.rmtree(gone)
    (damaged / ".git").write_text("nothing")
    commits.remove_worktrees([own, gone, damaged])
    assert [path.name for path in commits.worktrees()] == [history.name, "others"]
    (tmp_path / "unmounted").rename(others)
    assert git(others, "status", "--porcelain") == ""
    commits.remove_worktrees([others])


def test_what_is_ignored_stays_for_the_next_build_unless_all_is_to_be_clean(history: Path, tmp_path: Path) -> None:
    commits, tree = Repository(history), tmp_path / "tree"
    commits.add_worktree(tree, commits.commit("--good", "t2"))
    exclude = history / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    exclude.write_text("cache\n")
    (tree / "cache").write_text("objects")
    commits.checkout(tree, commits.commit("--good", "t3"), clean=False)
    assert (tree / "cache").exists()
    commits.checkout(tree, commits.commit("--good", "t3"), clean=True)
    assert not (tree / "cache").exists()
    commits.remove_worktrees([tree])


def test_a_folder_without_a_repository_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(OptionError, match="--repo"):
            repository("--repo", path, first_parent=False)
