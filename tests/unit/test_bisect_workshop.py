"""What is built and run for a comparison, and what its report says of a commit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_sgdiff.bisect import workshop
from pytest_sgdiff.bisect.repository import GitError, Repository
from pytest_sgdiff.bisect.workshop import ComparisonError, Plan, Workshop, compared
from pytest_sgdiff.data import Aim, CaseResult, EngineInfo, MetricChoice, Reason, Unmeasured
from pytest_sgdiff.errors import EngineNotFoundError
from pytest_sgdiff.launch import child
from pytest_sgdiff.plugin.bisected import choice
from pytest_sgdiff.reports.json import JsonReport
from tests import factories

AIM = Aim(metric="e2e", gate=("e2e",), allow=0.02, detect=0.06)
GOOD, SLOW, OPEN = factories.result(), factories.regressed(), factories.undecided()


def report(*results: CaseResult, **changes: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(JsonReport().render(factories.run(*results, **changes)))
    return told


def test_without_an_aim_the_metric_is_the_one_that_regressed() -> None:
    found = compared(report(SLOW), None)
    assert (found.verdict, found.metric, found.metric_class) == ("bad", "denoise", "primary")
    assert (found.pairs.ratio, found.pairs.pairs, found.pairs.checkpoints) == (pytest.approx(1.053, abs=1e-3), 5, 2)
    assert compared(report(GOOD), None).verdict == "good"


def test_with_an_aim_other_metrics_do_not_matter() -> None:
    """Memory grows as well: that is another commit's fault."""
    more = factories.verdict("peak_memory", outcome="regressed", now=25000.0, low=1.1, high=1.2)
    other = replace(GOOD, outcome="regressed", decided_by=("peak_memory",), verdicts=(*GOOD.verdicts[:-1], more))
    assert compared(report(other), AIM).verdict == "good"
    assert compared(report(SLOW), AIM).metric == "e2e"
    assert compared(report(SLOW), AIM).verdict == "bad"
    # Of another commit the sum of the steps may stand for denoising, where it was the core.
    assert compared(report(SLOW), Aim(metric="denoise_core", gate=("denoise",))).metric == "denoise"


def test_another_picture_is_no_slowdown() -> None:
    changed = replace(GOOD, outcome="regressed", reason=Reason(code="picture-changed"), decided_by=())
    assert compared(report(changed), AIM).verdict == "good"
    assert compared(report(changed), None).verdict == "good"


@pytest.mark.parametrize(
    ("result", "skip", "side"),
    [
        (factories.fallback(), "invalid", "candidate"),
        (factories.fallback(reason=Reason(code="problem", side="base")), "invalid", "base"),
        (factories.without_baseline(), "not-comparable", "candidate"),
        (OPEN, "undecided", "candidate"),
        (replace(OPEN, reason=Reason(code="environment", disturbed=3), verdicts=()), "disturbed", "candidate"),
        (replace(OPEN, verdicts=()), "not-comparable", "candidate"),
    ],
)
def test_what_says_nothing_of_a_commit_is_skipped(result: CaseResult, skip: str, side: str) -> None:
    found = compared(report(result), None)
    assert (found.verdict, found.skip, found.side) == ("skip", skip, side)
    left_out = report(results=(), unmeasured=(Unmeasured(node_id="cases/a.yaml::b", why="skipped: no GPU"),))
    assert compared(left_out, None).skip == "not-measured"


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"gate": None, "allow": None, "detect": None}, MetricChoice(primary="e2e", allow=0.1)),
        ({"gate": None, "allow": 0.01, "detect": None}, MetricChoice(primary="e2e", allow=0.01)),
        (
            {"gate": ["denoise"], "allow": 0.02, "detect": 0.06},
            MetricChoice(gate=("denoise",), allow={"denoise": 0.02}, detect={"denoise": 0.06}),
        ),
        (
            {"gate": ["peak_memory"], "allow": 0.02, "detect": 0.06},
            MetricChoice(
                primary="e2e", gate=("peak_memory",), allow={"peak_memory": 0.02}, detect={"peak_memory": 0.06}
            ),
        ),
        (
            {"gate": ["denoise", "e2e"], "allow": None, "detect": None},
            MetricChoice(gate=("denoise", "e2e"), allow=0.1),
        ),
    ],
)
def test_the_case_is_judged_by_what_the_bisection_is_about(told: dict[str, Any], wanted: MetricChoice) -> None:
    assert choice(MetricChoice(primary="e2e", allow=0.1), told) == wanted


class Tree(Repository):
    """Worktrees that hold what `broken` says of their commit."""

    def add_worktree(self, folder: Path, commit: str) -> None:
        if commit.startswith("f"):
            raise GitError("git worktree: no")
        folder.mkdir()
        self.checkout(folder, commit, clean=False)

    def checkout(self, folder: Path, commit: str, *, clean: bool) -> None:
        (folder / "commit").write_text(commit)


OF_OTHERS = [
    f"SGDIFF_{name}"
    for name in (
        *("AGAINST", "CLUSTER", "DRY_RUN", "ENGINE_CMD", "GPUS", "HISTORY", "KEEP", "KEEP_OUTPUTS", "OUT", "PROFILE"),
        *("REPLAY", "SHARD", "STRICT", "UPDATE"),
    )
]
"""What says which run it is, and what it leaves."""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A workshop whose setup is the shell's own, and whose pytest is not run: `ran` are its command lines."""
    plan = Plan(
        setup='test "$(cat commit)" != 1 && echo built > "engine of mine"',
        setup_timeout_s=60.0,
        engine_cmd=("{worktree}/engine of mine", "--at={worktree}"),
        test="cases/tiny.yaml::tiny",
        gpus="2",
        cwd=tmp_path,
        arguments=("--sgdiff-assets=a",),
    )
    monkeypatch.setattr(workshop, "engine_info", lambda command: EngineInfo(command=command, version="0.5.17"))
    for name in (*OF_OTHERS, "SGDIFF_LOCK_DIR", "GIT_DIR"):
        monkeypatch.setenv(name, "elsewhere")
    return Workshop(Tree(tmp_path), plan, tmp_path)


def stand_in(
    monkeypatch: pytest.MonkeyPatch, text: str | None, code: int
) -> list[tuple[Sequence[str], dict[str, Any]]]:
    """Have pytest write this report and end with this code; what it was given."""
    ran: list[tuple[Sequence[str], dict[str, Any]]] = []
    run = child.run

    def instead(words: Sequence[str], **options: Any) -> int | None:
        if words[0] == "/bin/sh":
            return run(words, **options)
        ran.append((words, options))
        (path,) = [word.partition("=")[2] for word in words if word.startswith("--sgdiff-report=")]
        if text is not None:
            Path(path).parent.mkdir(parents=True)
            Path(path).write_text(text)
        return code

    monkeypatch.setattr(child, "run", instead)
    return ran


def test_both_are_built_and_given_to_pytest(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = stand_in(monkeypatch, json.dumps(report(SLOW)), 1)
    assert shop.compare("0", "2", AIM).verdict == "bad"
    ((words, options),) = ran
    trees = [f"{shop.folder}/worktrees-" in word for word in words]
    assert sum(trees) == 2
    # A path with a space is one word of the command.
    assert any(word.startswith("--sgdiff-against='") and "base/engine of mine'" in word for word in words)
    assert any(word.startswith("--sgdiff-engine-cmd='") and "candidate/engine of mine'" in word for word in words)
    # What `addopts` of the project choose does not deselect the case.
    assert [words[words.index(option, 3) + 1] for option in ("-m", "-k")] == ["", ""]
    assert {"cases/tiny.yaml::tiny", "--sgdiff-gpus=2", "--sgdiff-exit-codes=bisect", "--sgdiff-assets=a"} <= set(words)
    env: Mapping[str, str] = options["env"]
    assert not {*OF_OTHERS, "GIT_DIR"} & set(env)
    assert env["SGDIFF_LOCK_DIR"] == "elsewhere"
    told = json.loads(env[workshop.SETTINGS])
    assert (told["gate"], told["allow"], told["detect"]) == (["e2e"], 0.02, 0.06)


def test_an_engine_is_built_once_for_as_long_as_it_is_compared(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand_in(monkeypatch, json.dumps(report(GOOD)), 0)
    for candidate in "232":
        assert shop.compare("0", candidate, AIM).verdict == "good"
    assert sorted(path.name for path in (tmp_path / "logs").glob("*.setup.log")) == [
        "0.setup.log",
        "2.setup.log",
        "3.setup.log",
    ]
    (trees,) = tmp_path.glob("worktrees-*")
    assert (trees / "base" / "commit").read_text() == "0"
    monkeypatch.setattr(Repository, "remove_worktrees", lambda self, folders: [_remove(one) for one in folders])
    shop.close()
    assert list(tmp_path.glob("worktrees-*")) == []


def test_own_worktrees_whose_folder_is_gone_are_forgotten_and_no_others(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    noted = (tmp_path / "worktrees-7" / "base", tmp_path / "mine" / "base", tmp_path.parent / "worktrees-7" / "base")
    removed: list[Path] = []
    monkeypatch.setattr(Repository, "worktrees", lambda self: noted)
    monkeypatch.setattr(Repository, "remove_worktrees", lambda self, folders: removed.extend(folders))
    shop.close()
    assert removed == [noted[0]]


def _remove(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


def test_what_does_not_build_is_skipped_and_not_launched(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = stand_in(monkeypatch, "", 0)
    for base, candidate, side in (("0", "1", "candidate"), ("1", "2", "base")):
        found = shop.compare(base, candidate, AIM)
        assert (found.skip, found.side) == ("setup-failed", side)
    shop.plan = replace(shop.plan, setup="sleep 60", setup_timeout_s=0.01)
    assert shop.compare("3", "2", AIM).skip == "setup-failed"
    assert ran == []


def test_what_is_no_engine_and_what_cannot_be_checked_out_is_skipped(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shop.compare("f", "2", AIM).skip == "checkout-failed"

    def missing(command: Sequence[str]) -> EngineInfo:
        raise EngineNotFoundError("no engine")

    monkeypatch.setattr(workshop, "engine_info", missing)
    found = shop.compare("0", "2", AIM)
    assert (found.skip, found.side, found.why) == ("no-engine", "base", "no engine")


@pytest.mark.parametrize(("code", "text"), [(132, None), (130, "{}"), (125, None), (-9, None)])
def test_a_pytest_that_says_nothing_of_the_commit_ends_it(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, code: int, text: str | None
) -> None:
    stand_in(monkeypatch, text, code)
    with pytest.raises(ComparisonError):
        shop.compare("0", "2", AIM)
