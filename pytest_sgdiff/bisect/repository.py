"""What a bisection asks of git, and the folders that it checks commits out into.

The checkout of the user, its branch, its index and its refs are left alone: commits are checked out into worktrees of
their own, and which one is next git says by `rev-list --bisect-all`, as `git bisect` itself does, without its state. No
hook of the repository runs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_sgdiff.errors import OptionError, SgdiffError

_OPTIONS = (
    *("-c", f"core.hooksPath={os.devnull}"),
    *("-c", "core.fsmonitor=false"),
    *("-c", "gc.auto=0"),
    *("-c", "advice.detachedHead=false"),
)
# Whoever calls this from a hook or an alias of git has them set (git-rev-parse(1), --local-env-vars).
_LOCAL = (
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT", "GIT_DIR"),
    *("GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE", "GIT_INDEX_FILE"),
    *("GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_COMMON_DIR"),
)

_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


class GitError(SgdiffError):
    """git refused; the message has its words."""


@dataclass(frozen=True)
class Repository:
    """A checkout, or a bare repository. `first_parent`: of a merge only the branch that it was merged into counts."""

    top: Path
    first_parent: bool = False

    def commit(self, option: str, rev: str) -> str:
        """The full id of the commit that `rev` names.

        Raises:
            OptionError: it names none; the message has the `option`.
        """
        why = f"names no commit of {self.top}"
        if rev.startswith("^"):
            why = "a ^ in front excludes commits: leave it out"
        elif ".." in rev:
            why = f"{why}: name one, and no range"
        wrong = OptionError(f"{option} {rev}: {why}")
        # What begins with a dash would be an option of git.
        if not rev or rev.startswith("-") or any(sign in rev for sign in "\0\n"):
            raise wrong
        try:
            named = _ask(self.top, "rev-parse", "--verify", "--quiet", rev).strip()
            if not _ID.fullmatch(named):
                raise wrong
            # Of a tag, which is no commit itself.
            return _ask(self.top, "rev-parse", "--verify", "--quiet", f"{named}^{{commit}}").strip()
        except GitError:
            raise wrong from None

    def check_order(self, good: str, bad: str) -> None:
        """Raises OptionError unless `good` is an ancestor of `bad`: what else is between them is no line of commits."""
        if good == bad:
            raise OptionError(f"--good and --bad are one commit, {good[:12]}: name two")
        if _git(self.top, "merge-base", "--is-ancestor", good, bad).returncode == 0:
            return
        if _git(self.top, "merge-base", "--is-ancestor", bad, good).returncode == 0:
            raise OptionError(f"--bad {bad[:12]} is an ancestor of --good {good[:12]}: exchange them")
        found = _git(self.top, "merge-base", good, bad).stdout.strip()
        fix = (
            f"give where they part, --good {found[:12]}"
            if found
            else "fetch the history between them (git fetch --unshallow)"
        )
        raise OptionError(f"--good {good[:12]} is no ancestor of --bad {bad[:12]}: {fix}")

    def left(self, bad: str, good: Collection[str]) -> tuple[str, ...]:
        """The commits any of which may be the first bad one, `bad` among them; the one that halves them best first, and
        `bad` last. A commit that contains none of the good ones is none of them: it may be slower because it lacks a
        gain of theirs. So of a branch from before them only the merge is judged."""
        options = ["--bisect-all", *(["--first-parent"] if self.first_parent else [])]
        lines = _ask(self.top, "rev-list", *options, bad, "--not", *sorted(good)).splitlines()
        later = {bad}
        for one in good:
            later.update(_ask(self.top, "rev-list", "--ancestry-path", f"{one}..{bad}").split())
        found = [line.split()[0] for line in lines if line]
        return (*(one for one in found if one != bad and one in later), bad)

    def title(self, commit: str) -> str:
        """The first line of its message."""
        return _ask(self.top, "log", "-1", "--no-show-signature", "--format=%s", commit).strip()

    def parents(self, commit: str) -> tuple[str, ...]:
        """Its parents, the one that it was merged into first."""
        return tuple(_ask(self.top, "rev-list", "--parents", "-1", commit).split()[1:])

    def add_worktree(self, folder: Path, commit: str) -> None:
        """Check a commit out into a new folder. Raises GitError."""
        _ask(self.top, "worktree", "add", "--detach", "--force", "--quiet", str(folder), commit)

    def checkout(self, folder: Path, commit: str, *, clean: bool) -> None:
        """Check another commit out into such a folder. What git does not know of is removed, and with `clean` also what
        it ignores. Raises GitError."""
        _ask(folder, "checkout", "--detach", "--force", "--quiet", commit)
        _ask(folder, "clean", "-ffdxq" if clean else "-ffdq")

    def worktrees(self) -> tuple[Path, ...]:
        """The folders of all worktrees that git has noted, also of such as are gone; none where git cannot tell."""
        lines = _git(self.top, "worktree", "list", "--porcelain").stdout.splitlines()
        return tuple(Path(line.removeprefix("worktree ")) for line in lines if line.startswith("worktree "))

    def remove_worktrees(self, folders: Iterable[Path]) -> None:
        """Remove such folders, and what git noted of them. Of what cannot be removed nothing is said here, and what git
        noted of any other worktree stays: its folder may be on a disk that is not there now."""
        for folder in folders:
            remove = ("worktree", "remove", "--force", "--force", str(folder))
            done = _git(self.top, *remove)
            shutil.rmtree(folder, ignore_errors=True)
            if done.returncode != 0:
                # Git refuses a folder that is damaged, but not one that is gone.
                _git(self.top, *remove)


def repository(option: str, path: Path, *, first_parent: bool) -> Repository:
    """The repository that a folder is in.

    Raises:
        OptionError: it is in none; the message has the `option`.
    """
    if not path.is_dir():
        raise OptionError(f"{option} {path}: no such folder")
    try:
        top = _ask(path, "rev-parse", "--git-common-dir").strip()
        shown = _git(path, "rev-parse", "--show-toplevel").stdout.strip()
    except GitError as error:
        raise OptionError(f"{option} {path}: is in no git repository ({error})") from None
    # A bare repository has no checkout.
    return Repository(Path(shown) if shown else (path / top).resolve(), first_parent=first_parent)


def _ask(top: Path, *words: str) -> str:
    """What git prints. Raises GitError with its words."""
    done = _git(top, *words)
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split()) or f"exit code {done.returncode}"
        raise GitError(f"git {words[0]}: {said}")
    return done.stdout


def _git(top: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["git", *_OPTIONS, "-C", str(top), *words]
    try:
        return subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment(), check=False)
    except OSError as error:
        raise GitError(f"git cannot be run: {error.strerror or error}") from None


def environment(environ: Mapping[str, str] | None = None, drop: Sequence[str] = ()) -> dict[str, str]:
    """The variables of a process that is to see the repository of its own folder."""
    given = os.environ if environ is None else environ
    kept = {name: value for name, value in given.items() if name not in _LOCAL and name not in drop}
    return {**kept, "GIT_TERMINAL_PROMPT": "0"}
