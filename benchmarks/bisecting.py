"""How often `sgdiff bisect` names the right commit, on repositories of stand-in engines with noise.

    python benchmarks/bisecting.py [--runs 30] [--commits 40] [--seed 1] [--rows 1,2]

Each run makes a git repository with branches and merges, in which one commit makes the engine slower, some do not
build, some fall back to another backend, and the others differ by less than 0.3 %. The search and the git are real, and
so is the rule that judges the pairs: only the launches are drawn. They vary by the CV that is printed, and one in fifty
is an outlier of 5 to 20 %.

Where the commit before the slow one does not run, no measurement can tell the two apart: the best answer names both.
Such repositories are counted apart. Seeds are taken in order until `--runs` others have run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import subprocess
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_sgdiff.bisect.book import Book
from pytest_sgdiff.bisect.repository import Repository, environment
from pytest_sgdiff.bisect.search import Compared, Search
from pytest_sgdiff.bisect.workshop import compared, judged_by
from pytest_sgdiff.data import (
    Aim,
    Bisected,
    Case,
    Environment,
    Launch,
    Location,
    Machine,
    MetricChoice,
    Problem,
    Reading,
    Run,
    Watch,
    Workload,
)
from pytest_sgdiff.plugin.bisected import choice
from pytest_sgdiff.reports.json import JsonReport
from pytest_sgdiff.runner.ab import against
from pytest_sgdiff.runner.job import Job

CV, OUTLIERS, DRIFT = 0.008, 0.02, 0.003
BROKEN, FALLS_BACK, MERGES = 0.08, 0.05, 0.15
MACHINE = Machine(kind="gpu", product="NVIDIA H200", count=1)
WORK = Workload(digest="d")
ROWS = (
    (CV, 0.05, None),
    (CV, 0.08, None),
    (CV, 0.15, None),
    (0.015, 0.15, None),
    (0.004, 0.03, None),
    (0.004, 0.03, 0.005),
)
"""CV, slowdown and `--allow` of each row."""
CASE = Case(name="wan", location=Location(path="cases/wan.yaml", line=4, column=3), model="m")


class Stand:
    """A repository whose commits hold what their engine takes (ms), or that it does not build or falls back; `slow` is
    the commit that made it slower by `size`."""

    tellable = True

    def __init__(self, folder: Path, draws: random.Random, *, commits: int, size: float) -> None:
        self.folder, self._draws = folder, draws
        self._git("init", "--quiet", "--initial-branch=main", ".")
        self.good = self._commit("base", ms=1000.0)
        at, done = draws.randrange(2, commits), 1
        ms = {"main": 1000.0}
        while done < commits:
            branch = ms["main"]
            if draws.random() < MERGES and done + 4 < commits:
                self._git("checkout", "--quiet", "-b", f"side{done}")
                length = draws.randrange(1, 4)
                for _ in range(length):
                    branch = self._next(branch, done, at, size)
                    done += 1
                side = f"side{done - length}"
                self._git("checkout", "--quiet", "main")
                self._git("merge", "--quiet", "--no-ff", "-X", "theirs", "-m", f"merge {side}", side)
                ms["main"] = branch
                done += 1
                if done - 1 == at:  # the merge has taken its place
                    at += 1
            else:
                ms["main"] = self._next(branch, done, at, size)
                done += 1
        self.bad = self._commit("head", ms=ms["main"])

    def _next(self, ms: float, number: int, at: int, size: float) -> float:
        if number == at:
            ms *= 1 + size
            self.slow = self._commit(f"{number}: slower", ms=ms)
            return ms
        draw = self._draws.random()
        state = "broken" if draw < BROKEN else "fallback" if draw < BROKEN + FALLS_BACK else ""
        # No sum of them is a slowdown of its own.
        self._commit(str(number), ms=ms * (1 + self._draws.uniform(-DRIFT, DRIFT)), state=state)
        return ms

    def _commit(self, title: str, *, ms: float, state: str = "") -> str:
        (self.folder / "engine.json").write_text(json.dumps({"ms": ms, "state": state, "title": title}))
        self._git("add", "engine.json")
        self._git("commit", "--quiet", "-m", title)
        return self._git("rev-parse", "HEAD").strip()

    def has_runnable_parent(self) -> bool:
        """Whether the commit before the slow one runs, so that the two can be told apart."""
        parents = self._git("rev-list", "--parents", "-1", self.slow).split()[1:]
        return not any(self.engine(parent)["state"] for parent in parents)

    def engine(self, commit: str) -> dict[str, Any]:
        engine: dict[str, Any] = json.loads(self._git("show", f"{commit}:engine.json"))
        return engine

    def _git(self, *words: str) -> str:
        who = {f"GIT_{role}_{what}": "x@y" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        env = {**environment(), **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(["git", *words], cwd=self.folder, env=env, capture_output=True, text=True, check=True)
        return done.stdout


@dataclass
class Draws:
    """Launches of an engine, drawn. One that falls back says so."""

    ms: float
    state: str
    draws: random.Random
    cv: float
    count: int = 0

    def launch(self, *, alone: bool) -> Launch:
        took = self.ms * math.exp(self.draws.gauss(0, self.cv))
        if self.draws.random() < OUTLIERS:
            took *= 1 + self.draws.uniform(0.05, 0.2)
        self.count += 1
        return Launch(
            case="wan",
            number=self.count - 1,
            argv=("sglang",),
            log=json.dumps({"ms": took, "state": self.state}),
            environment=Environment(gpu_uuids=("GPU-1",), sync_stages=True, engine_version="0.5.17"),
            watch=Watch(alone=True),
            session="s",
            machine=MACHINE,
            workload=WORK,
        )


class Reads:
    """Reads what was drawn."""

    name = "drawn"

    def command(self, case: Any, *, info: Any, files: Any, ports: Any) -> Any:
        raise AssertionError("nothing is launched here")

    def read(self, launch: Launch, case: Any) -> Reading:
        told = json.loads(launch.log)
        nothing: dict[str, Any] = {"dump": None, "pipeline": "WanPipeline", "warmup": "proven"}
        if told["state"] == "fallback":
            return Reading(**nothing, backend="diffusers", problems=(Problem(kind="invalid", code="diffusers-ran"),))
        ms = told["ms"]
        return Reading(**nothing, backend="sglang", metrics={"denoise": ms, "e2e": ms * 1.05 + 20})


@dataclass
class Drawn:
    """Compares commits by drawn launches, judged as an A/B run judges them."""

    stand: Stand
    draws: random.Random
    cv: float = CV
    allow: float | None = None
    pairs: int = 0

    def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
        sides = [self.stand.engine(commit) for commit in (base, candidate)]
        for engine, side in zip(sides, ("base", "candidate"), strict=True):
            if engine["state"] == "broken":
                return Compared(verdict="skip", skip="setup-failed", side=side)  # type: ignore[arg-type]
        case = replace(CASE, metrics=choice(MetricChoice(), dict(judged_by(aim, self.allow))))
        jobs = [
            Job(
                case=case,
                source=Draws(engine["ms"], engine["state"], self.draws, self.cv),
                engine=Reads(),
                workload=WORK,
                baseline_for=lambda machine: None,
                only_machine=lambda: None,
                other_machines=tuple,
            )
            for engine in sides
        ]
        result = against(jobs[0], jobs[1])
        run = Run(started_at="", elapsed_s=0.0, command="", plugin_version="", results=(result,))
        found = compared(json.loads(JsonReport().render(run)), aim)
        self.pairs += found.pairs.pairs
        return found


def bisected(
    seed: int, *, commits: int, size: float, cv: float = CV, allow: float | None = None
) -> tuple[Bisected, Stand, Drawn]:
    """One bisection of a repository that follows from the seed; whether it can be told which commit it was stands in
    `Stand.tellable`."""
    with tempfile.TemporaryDirectory(prefix="sgdiff-bisecting-") as folder:
        stand = Stand(Path(folder), random.Random(seed), commits=commits, size=size)
        bench = Drawn(stand, random.Random(seed + 1_000_000), cv, allow)
        repository = Repository(Path(folder))
        search = Search(repository, bench, Book(None, {}), case="wan", good=stand.good, bad=stand.bad)
        stand.tellable = stand.has_runnable_parent()
        return search.run(), stand, bench


def outcome(end: Bisected, stand: Stand) -> str:
    """How it ended: `right` with the commit, `among` others that do not run, `wrong` with another one, or its code."""
    if end.code == "found" and end.first is not None:
        return "right" if end.first.commit == stand.slow else "wrong"
    if end.code == "among":
        return "right among others" if stand.slow in {one.commit for one in end.suspects} else "wrong"
    return end.code


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--commits", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", default="", help="which rows of the table, from 1 (default: all)")
    chosen = parser.parse_args()
    rows = [int(row) - 1 for row in chosen.rows.split(",") if row] or list(range(len(ROWS)))
    for cv, size, allow in (ROWS[row] for row in rows):
        ends: Counter[str] = Counter()
        untellable: Counter[str] = Counter()
        pairs = runs = 0
        for seed in itertools.count(chosen.seed):
            end, stand, bench = bisected(seed, commits=chosen.commits, size=size, cv=cv, allow=allow)
            runs, pairs = runs + 1, pairs + bench.pairs
            (ends if stand.tellable else untellable)[outcome(end, stand)] += 1
            if sum(ends.values()) == chosen.runs:
                break
        stated = "" if allow is None else f", --allow {100 * allow:g}%"
        print(
            f"{100 * size:4.0f} % slower, CV {100 * cv:.1f} %{stated}: {_told(ends)}; {pairs / runs:.0f} pairs; where "
            f"the commit before does not run: {_told(untellable) or 'none'}",
            flush=True,
        )


def _told(ends: Counter[str]) -> str:
    return ", ".join(f"{word} {count}" for word, count in ends.most_common())


if __name__ == "__main__":
    main()
