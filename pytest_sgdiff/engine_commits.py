"""The engine's checkout: its commit, and the titles of the commits between two of them.

git is asked to read, and nothing else: no hook, pager, signature program, monitor or fetch of missing objects runs, and
it ends within seconds.
"""

from __future__ import annotations

import os
import re

from pytest_sgdiff.data import EngineCommits
from pytest_sgdiff.files.programs import ask

COMMIT = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
TITLES = 20
"""So many titles are kept; of more the count is given."""
TITLE_CHARS = 120
TIMEOUT_S = 10.0

_READ_ONLY = (
    *("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false"),
    *("-c", "protocol.allow=never", "--no-pager", "--no-optional-locks", "--no-replace-objects"),
)
_QUIET = {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_CONFIG_NOSYSTEM": "1"}


def head(checkout: str) -> str | None:
    """The commit that is checked out there; None without git or a repository."""
    told = _git(checkout, "rev-parse", "--verify", "--quiet", "HEAD")
    found = (told or "").strip()
    return found if COMMIT.fullmatch(found) else None


def between(commits: EngineCommits, checkout: str | None) -> EngineCommits:
    """The commits with the titles that the checkout has of them, or with why there are none."""
    from dataclasses import replace

    if checkout is None:
        return replace(commits, lack="no-checkout")
    sides = (commits.then, commits.now)
    if not all(COMMIT.fullmatch(side) for side in sides):
        return replace(commits, lack="unknown-commit")
    known = [_git(checkout, "rev-parse", "--verify", "--quiet", f"{side}^{{commit}}") for side in sides]
    then, now = ((told or "").strip() for told in known)
    if not COMMIT.fullmatch(then) or not COMMIT.fullmatch(now):
        return replace(commits, lack="unknown-commit" if head(checkout) else "no-checkout")
    count = _git(checkout, "rev-list", "--count", f"{then}..{now}")
    log = _git(checkout, "log", f"--max-count={TITLES}", "--no-show-signature", "--format=%h %s", f"{then}..{now}")
    base = _git(checkout, "merge-base", then, now)
    if count is None or log is None:
        return replace(commits, lack="unknown-commit")
    return replace(
        commits,
        titles=tuple(line[:TITLE_CHARS] for line in log.splitlines()),
        count=int(count) if count.strip().isdecimal() else None,
        back=(base or "").strip() != then,
    )


def _git(checkout: str, *words: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")} | _QUIET
    answer = ask(["git", *_READ_ONLY, "-C", checkout, *words], timeout_s=TIMEOUT_S, env=environment)
    return answer.out if answer.code == 0 else None
