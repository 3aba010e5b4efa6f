"""Builds the engines of commits in worktrees, and has pytest compare them: an A/B run of the case, as any other."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_sgdiff.bisect.repository import GitError, Repository, environment
from pytest_sgdiff.bisect.search import Compared
from pytest_sgdiff.data import Aim, Pairs, SkipCode
from pytest_sgdiff.errors import EngineNotFoundError, SgdiffError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.launch import child
from pytest_sgdiff.machine import engine_info
from pytest_sgdiff.runner.ab import PAIR_LOOKS

WORKTREE = "{worktree}"
"""Stands for the folder of a commit in the engine's command."""
SETTINGS = "SGDIFF_BISECT"
"""The variable in which `pytest_sgdiff.plugin.bisected` reads what is to be judged."""
_REPORT_LIMIT = 1 << 26


class ComparisonError(SgdiffError):
    """pytest says nothing of the commits: its command is wrong, or it failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How engines are made and compared: `setup` is a command of the shell, run in the worktree; `engine_cmd` what is
    launched; `test` the node id of the case, `gpus` its GPUs, `arguments` more of pytest's. `allow` is the smallest
    slowdown that counts, a fraction, None for that of the case. `clean`: what git ignores is removed before each
    setup."""

    setup: str
    setup_timeout_s: float
    engine_cmd: tuple[str, ...]
    test: str
    gpus: str
    cwd: Path
    allow: float | None = None
    clean: bool = False
    arguments: tuple[str, ...] = ()


@dataclass
class Workshop:
    """Two worktrees below `folder`, one for each side of a comparison; logs, reports and launches stay in it.
    `inherits` are descriptors that pytest is to keep open as long as it runs."""

    repository: Repository
    plan: Plan
    folder: Path
    inherits: Sequence[int] = ()
    _built: dict[str, tuple[str, Compared | None]] = field(default_factory=dict)

    @property
    def _worktrees(self) -> Path:
        # Of this process alone: what a killed one started may still write to its own.
        return self.folder / f"worktrees-{os.getpid()}"

    def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
        """Build both, and judge the pairs. Raises ComparisonError where pytest cannot say anything."""
        for side, commit in (("base", base), ("candidate", candidate)):
            if (trouble := self._build(side, commit)) is not None:
                return trouble
        return self._judge(f"{base[:12]}-{candidate[:12]}", aim)

    def close(self) -> None:
        """Remove the worktrees, also those that a killed bisection left here."""
        left = [path for path in self.folder.glob("worktrees-*") if path.is_dir() and not path.is_symlink()]
        here = [tree for path in left for tree in sorted(path.iterdir())]
        own = self.folder.resolve()
        gone = [
            tree
            for tree in self.repository.worktrees()
            if tree.parent.parent == own and tree.parent.name.startswith("worktrees-") and not tree.exists()
        ]
        self.repository.remove_worktrees([*here, *gone])
        for path in left:
            shutil.rmtree(path, ignore_errors=True)

    def _build(self, side: str, commit: str) -> Compared | None:
        """Have the engine of a commit in the worktree of a side; what keeps it from being there."""
        known = self._built.get(side)
        if known is not None and known[0] == commit:
            return known[1]
        tree = self._worktrees / side
        trouble: Compared | None = None
        # Whatever ends this in the middle leaves nothing that would be taken for built.
        self._built.pop(side, None)
        try:
            if tree.is_dir():
                self.repository.checkout(tree, commit, clean=self.plan.clean)
            else:
                tree.parent.mkdir(parents=True, exist_ok=True)
                self.repository.add_worktree(tree, commit)
        except GitError as error:
            trouble = _skipped("checkout-failed", str(error), side)
        else:
            trouble = self._set_up(side, commit, tree)
        self._built[side] = commit, trouble
        return trouble

    def _set_up(self, side: str, commit: str, tree: Path) -> Compared | None:
        if self.plan.setup and (trouble := self._run_setup(side, commit, tree)) is not None:
            return trouble
        try:
            engine_info(self._engine(side))
        except EngineNotFoundError as error:
            return _skipped("no-engine", str(error), side)
        return None

    def _run_setup(self, side: str, commit: str, tree: Path) -> Compared | None:
        log = self.folder / "logs" / f"{commit[:12]}.setup.log"
        code = child.run(
            ["/bin/sh", "-c", self.plan.setup],
            log=log,
            below=self.folder,
            cwd=tree,
            env=environment(),
            timeout_s=self.plan.setup_timeout_s,
        )
        if code == 0:
            return None
        ended = f"took longer than {self.plan.setup_timeout_s:g} s" if code is None else f"ended with exit code {code}"
        return _skipped("setup-failed", f"the setup command {ended}: {log}", side)

    def _engine(self, side: str) -> tuple[str, ...]:
        tree = str(self._worktrees / side)
        return tuple(word.replace(WORKTREE, tree) for word in self.plan.engine_cmd)

    def _judge(self, name: str, aim: Aim | None) -> Compared:
        number = next(n for n in range(1, 1 << 20) if not (self.folder / "runs" / f"{name}.{n}").exists())
        out = self.folder / "runs" / f"{name}.{number}"
        report, log = out / "report.json", self.folder / "logs" / f"{name}.{number}.pytest.log"
        words = [
            *(sys.executable, "-m", "pytest", self.plan.test),
            *("-p", "pytest_sgdiff.plugin.bisected", "-o", f"cache_dir={self.folder / 'cache'}"),
            f"--sgdiff-gpus={self.plan.gpus}",
            f"--sgdiff-against={shlex.join(self._engine('base'))}",
            f"--sgdiff-engine-cmd={shlex.join(self._engine('candidate'))}",
            f"--sgdiff-out={out}",
            f"--sgdiff-report={report}",
            *("--sgdiff-exit-codes=bisect", "-o", "sgdiff_history="),
            # What the project's `addopts` choose for other runs does not deselect the case.
            *("-m", "", "-k", ""),
            *self.plan.arguments,
        ]
        told = {**judged_by(aim, self.plan.allow), "parent": os.getpid()}
        code = child.run(
            words,
            log=log,
            below=self.folder,
            cwd=self.plan.cwd,
            env={
                **environment(drop=child.OF_OTHER_RUNS),
                SETTINGS: json.dumps(told),
            },
            inherits=self.inherits,
        )
        if code is None or code < 0 or code >= child.NOTHING_SAID:
            raise ComparisonError(f"pytest could not compare the two (exit code {code}):", *self._tail(log))
        raw = data_files.read_bytes(report, below=self.folder, at_most=_REPORT_LIMIT)
        if raw is None:
            raise ComparisonError(f"pytest wrote no report (exit code {code}):", *self._tail(log))
        return compared(json.loads(raw), aim)

    def _tail(self, log: Path) -> list[str]:
        return child.tail(log, below=self.folder).splitlines()


def judged_by(aim: Aim | None, allow: float | None) -> Mapping[str, Any]:
    """What `pytest_sgdiff.plugin.bisected` is told."""
    if aim is None:
        return {"gate": None, "allow": allow, "detect": None}
    return {"gate": list(aim.gate), "allow": aim.allow, "detect": aim.detect}


def compared(report: Mapping[str, Any], aim: Aim | None) -> Compared:
    """What a JSON report of an A/B run says of the candidate."""
    if not report["cases"]:
        why = "; ".join(case["why"] for case in report["unmeasured"]) or "the case was not measured"
        return _skipped("not-measured", why, "candidate")
    case = report["cases"][0]
    side = "base" if case["reason_figures"].get("side") == "base" else "candidate"
    skips: Mapping[str, SkipCode] = {"invalid": "invalid", "no-baseline": "not-comparable"}
    if case["outcome"] in skips:
        return _skipped(skips[case["outcome"]], case["reason"], side)
    # Another picture is no slowdown: the verdicts are there all the same.
    if case["reason_code"] not in ("verdicts", "picture-changed"):
        return _skipped("disturbed", case["reason"], side)
    verdict = _deciding(case, aim)
    if verdict is None:
        return _skipped("not-comparable", case["reason"], side)
    pairs = len([launch for launch in case["launches"] if launch["excluded"] is None])
    figures = Pairs(
        **{name: verdict[name] for name in ("ratio", "low", "high", "allow", "detect")},
        pairs=pairs,
        checkpoints=sum(look <= pairs for look in PAIR_LOOKS),
    )
    about = {"metric": verdict["metric"], "metric_class": verdict["metric_class"], "pairs": figures}
    if verdict["outcome"] == "regressed":
        return Compared(verdict="bad", **about)
    if verdict["outcome"] in ("pass", "improved"):
        return Compared(verdict="good", **about)
    return Compared(verdict="skip", skip="undecided", why=verdict["why"], **about)


def _deciding(case: Mapping[str, Any], aim: Aim | None) -> Mapping[str, Any] | None:
    """The verdict that a commit is judged by: the one that the bisection is about; without one, of those that share the
    outcome of the case the primary one, else one of time, else the largest."""
    verdicts: list[Mapping[str, Any]] = case["verdicts"]
    if aim is not None:
        own = [one for one in verdicts if one["metric"] == aim.metric]
        # The core of the steps, or their sum: what stands for denoising depends on the launches.
        return next(iter([*own, *(one for one in verdicts if one["primary"])]), None)
    same = [one for one in verdicts if one["outcome"] == case["outcome"]]

    def rank(one: Mapping[str, Any]) -> tuple[bool, bool, float]:
        return one["primary"], one["metric_class"] not in ("memory", "pause"), abs((one["ratio"] or 1) - 1)

    return max(same, key=rank, default=next((one for one in verdicts if one["primary"]), None))


def _skipped(code: SkipCode, why: str, side: str) -> Compared:
    return Compared(verdict="skip", skip=code, why=why, side="base" if side == "base" else "candidate")
