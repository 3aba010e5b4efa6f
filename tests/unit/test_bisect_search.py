"""The search for the first bad commit: what is judged next, what is never judged twice, and how it may end."""

from __future__ import annotations

import math
from collections.abc import Collection
from pathlib import Path

import pytest

from pytest_sgdiff.bisect.book import NAME, Book
from pytest_sgdiff.bisect.search import Compared, Search, aim_of, error_of
from pytest_sgdiff.data import Aim, Bisected, Judged, Pairs, SkipCode
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.reports import bisect_text

SLOW = Pairs(ratio=1.08, low=1.06, high=1.10, allow=0.012, detect=0.042, pairs=5, checkpoints=2)
FAST = Pairs(ratio=1.0, low=0.99, high=1.01, allow=0.012, detect=0.042, pairs=3, checkpoints=1)


class Line:
    """Commits 0 to `last`, one behind the other."""

    def left(self, bad: str, good: Collection[str]) -> tuple[str, ...]:
        first, last = max(map(int, good)) + 1, int(bad)
        found = [str(one) for one in range(first, last)]
        return (*sorted(found, key=lambda one: abs(int(one) - (first + last) / 2 + 0.5)), bad)

    def title(self, commit: str) -> str:
        return f"commit {commit}"

    def parents(self, commit: str) -> tuple[str, ...]:
        return (str(int(commit) - 1),)


class Bench:
    """Commits from `slow` on are slow; `skips` says which cannot be judged. `asked` is what was compared."""

    def __init__(self, slow: int, skips: dict[str, SkipCode] | None = None, *, parents_alike: bool = False) -> None:
        self.slow, self.skips, self.parents_alike = slow, skips or {}, parents_alike
        self.asked: list[tuple[str, str]] = []
        self.aims: list[Aim | None] = []

    def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
        self.asked.append((base, candidate))
        self.aims.append(aim)
        for commit, side in ((base, "base"), (candidate, "candidate")):
            if commit in self.skips:
                return Compared(verdict="skip", skip=self.skips[commit], side=side)  # type: ignore[arg-type]
        beside = self.parents_alike and int(candidate) - int(base) == 1
        if int(base) < self.slow <= int(candidate) and not beside:
            return Compared(verdict="bad", metric="denoise_core", pairs=SLOW)
        return Compared(verdict="good", metric="denoise_core", pairs=FAST)


def search(bench: Bench, *, last: int = 20, folder: Path | None = None) -> Bisected:
    return Search(Line(), bench, Book(folder, {}), case="tiny", good="0", bad=str(last)).run()


@pytest.mark.parametrize("slow", [1, 2, 7, 13, 19, 20])
def test_the_first_slow_commit_is_found_in_few_steps_and_compared_with_its_parent(slow: int) -> None:
    bench = Bench(slow)
    end = search(bench)
    assert (end.code, end.first and end.first.commit) == ("found", str(slow))
    assert len(end.path) <= math.ceil(math.log2(20))
    assert bench.asked[0] == ("0", "20")
    # The parent of the first commit is the good one, with which it was compared already.
    assert end.parent_is_good == (slow == 1)
    assert bench.asked[-1] == (str(slow - 1), str(slow))
    assert len(set(bench.asked)) == len(bench.asked)
    # First by the case's own margins, then by those that follow from what was seen.
    first, *others = bench.aims
    assert first is None
    assert all(aim is not None and (aim.gate, aim.metric) == (("denoise",), "denoise_core") for aim in others)


def test_how_sure_it_is_follows_from_the_rates_of_the_rule() -> None:
    end = search(Bench(13))
    good = sum(one.verdict == "good" for one in end.path)
    bad = 1 + sum(one.verdict == "bad" for one in end.path)
    assert end.error == pytest.approx(good * 0.02 + bad * 2 * 1e-4)
    assert end.parent_error == pytest.approx(2e-4)
    assert error_of([Judged(commit="1", title="", verdict="good", evidence=(FAST,) * 60)]) == 1.0


def test_commits_that_cannot_be_judged_are_skipped() -> None:
    end = search(Bench(7, {"10": "setup-failed", "9": "invalid", "3": "no-engine"}))
    assert (end.code, end.first and end.first.commit) == ("found", "7")
    assert {one.skip for one in end.path if one.verdict == "skip"} <= {"setup-failed", "invalid", "no-engine"}


def test_where_only_such_are_left_all_of_them_are_named() -> None:
    end = search(Bench(10, {"8": "setup-failed", "9": "undecided"}))
    assert (end.code, end.first and end.first.commit) == ("among", "10")
    assert {one.commit for one in end.suspects} == {"8", "9", "10"}
    assert end.parent is None


def test_a_parent_that_does_not_run_leaves_the_commit_unconfirmed_by_it() -> None:
    """It lies before the good commits, so that nobody had to judge it."""

    class Merged(Line):
        def parents(self, commit: str) -> tuple[str, ...]:
            return ("5", "other")

    end = Search(Merged(), Bench(7, {"5": "setup-failed"}), Book(None, {}), case="tiny", good="0", bad="8").run()
    assert (end.code, end.parent and end.parent.blame, end.parent_error) == ("unconfirmed", "base", None)
    assert "could not be compared with its own parent" in bisect_text.summary(end)[0]


def test_a_parent_that_the_pairs_cannot_tell_apart_leaves_it_unconfirmed() -> None:
    class Unclear(Bench):
        def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
            found = super().compare(base, candidate, aim)
            return found if base == "0" else Compared(verdict="skip", skip="undecided", pairs=FAST)

    end = search(Unclear(7))
    assert (end.code, end.first and end.first.commit) == ("unconfirmed", "7")


@pytest.mark.parametrize(
    ("slow", "skips", "code"),
    [
        (99, {}, "not-slower"),
        (7, {"20": "undecided"}, "undecided"),
        (7, {"20": "disturbed"}, "undecided"),
        (7, {"20": "setup-failed"}, "bad-unusable"),
        (7, {"20": "not-measured"}, "bad-unusable"),
        (7, {"0": "invalid"}, "good-unusable"),
    ],
)
def test_it_ends_before_it_begins_where_the_bad_commit_is_not_proven_slower(
    slow: int, skips: dict[str, SkipCode], code: str
) -> None:
    end = search(Bench(slow, skips))
    assert (end.code, end.first, end.path) == (code, None, ())


def test_a_good_engine_that_stops_working_ends_it_and_is_not_remembered(tmp_path: Path) -> None:
    class Breaks(Bench):
        def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
            if len(self.asked) == 2:
                self.skips = {"0": "invalid"}
            return super().compare(base, candidate, aim)

    end = search(Breaks(7), folder=tmp_path)
    assert (end.code, end.path[-1].blame, end.first) == ("good-unusable", "base", None)
    assert search(Bench(7), folder=tmp_path).code == "found"


def test_a_commit_that_is_as_fast_as_its_parent_is_not_called_found() -> None:
    assert search(Bench(7, parents_alike=True)).code == "unconfirmed"


def test_what_the_pairs_cannot_tell_is_judged_once_more() -> None:
    class Slow(Bench):
        def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
            found = super().compare(base, candidate, aim)
            again = self.asked.count((base, candidate)) > 1
            return found if again else Compared(verdict="skip", skip="undecided", pairs=FAST)

    bench = Slow(7)
    end = search(bench)
    assert (end.code, end.first and end.first.commit) == ("found", "7")
    assert end.first is not None
    # Both comparisons may have erred.
    assert end.first.checkpoints == FAST.checkpoints + SLOW.checkpoints


def test_a_part_of_the_slowdown_is_said_to_be_one() -> None:
    class Twice(Bench):
        def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
            found = super().compare(base, candidate, aim)
            half = Pairs(ratio=1.03, low=1.02, high=1.04, pairs=5, checkpoints=2)
            return Compared(verdict="bad", metric="denoise_core", pairs=half) if candidate == "7" else found

    assert search(Twice(7)).partial
    assert not search(Bench(7)).partial


def test_what_is_known_is_not_judged_again_after_a_kill(tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    class Dies(Bench):
        def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
            if len(self.asked) == 3:
                raise KilledError
            return super().compare(base, candidate, aim)

    first = Dies(13, {"10": "setup-failed"})
    with pytest.raises(KilledError):
        search(first, folder=tmp_path)
    second = Bench(13, {"10": "setup-failed"})
    end = search(second, folder=tmp_path)
    assert (end.code, end.first and end.first.commit) == ("found", "13")
    assert not set(first.asked) & set(second.asked)
    third = Bench(13)
    assert search(third, folder=tmp_path) == end
    assert third.asked == []


@pytest.mark.parametrize("skip", ["setup-failed", "no-engine", "checkout-failed", "not-measured"])
def test_a_parent_that_did_not_run_is_asked_again_by_the_next_command(tmp_path: Path, skip: SkipCode) -> None:
    broken = Bench(10, {"9": skip, "8": "invalid"})
    assert search(broken, folder=tmp_path).code == "among"
    # Within one command nothing is asked twice.
    assert len(set(broken.asked)) == len(broken.asked)
    still = Bench(10, {"9": skip})
    end = search(still, folder=tmp_path)
    assert (end.code, still.asked) == ("among", [("0", "9")])
    assert {one.commit for one in end.suspects} == {"8", "9", "10"}
    mended = Bench(10)
    end = search(mended, folder=tmp_path)
    assert (end.code, end.first and end.first.commit) == ("found", "10")
    assert mended.asked == [("0", "9"), ("9", "10")]
    assert [one.commit for one in end.path].count("9") == 1


def test_what_a_launch_itself_shows_is_not_asked_again(tmp_path: Path) -> None:
    assert search(Bench(10, {"9": "invalid"}), folder=tmp_path).code == "among"
    again = Bench(10)
    assert (search(again, folder=tmp_path).code, again.asked) == ("among", [])


def test_the_ends_are_compared_more_often_than_others() -> None:
    class Unclear(Bench):
        def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
            found = super().compare(base, candidate, aim)
            fourth = candidate != "20" or self.asked.count((base, candidate)) == 4
            return found if fourth else Compared(verdict="skip", skip="undecided", pairs=FAST)

    end = search(Unclear(7))
    assert (end.code, end.whole and len(end.whole.evidence)) == ("found", 4)


def test_the_parent_is_compared_more_often_than_others() -> None:
    class Unclear(Bench):
        def compare(self, base: str, candidate: str, aim: Aim | None) -> Compared:
            found = super().compare(base, candidate, aim)
            fourth = base == "0" or self.asked.count((base, candidate)) == 4
            return found if fourth else Compared(verdict="skip", skip="undecided", pairs=FAST)

    end = search(Unclear(7))
    assert (end.code, end.parent and len(end.parent.evidence)) == ("found", 4)
    assert end.parent is not None
    # All four may have erred.
    assert end.parent.checkpoints == 3 * FAST.checkpoints + SLOW.checkpoints


@pytest.mark.parametrize("text", ["{", "[]", '{"schema": 2}', '{"schema": 1, "judged": 3}', "\udcff"])
def test_a_damaged_state_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(SgdiffError, match="--restart"):
        Book(tmp_path, {})


def test_trouble_of_the_machine_is_not_remembered(tmp_path: Path) -> None:
    assert search(Bench(7, {"10": "disturbed", "20": "disturbed"}), folder=tmp_path).code == "undecided"
    assert search(Bench(7, {"10": "disturbed"}), folder=tmp_path).code == "found"
    again = Bench(7)
    search(again, folder=tmp_path)
    assert again.asked == [("0", "10")]


@pytest.mark.parametrize(
    ("metric", "kind", "pairs", "aim"),
    [
        ("denoise_steps", "primary", SLOW, (("denoise",), 0.015, 0.045)),
        ("e2e", "primary", SLOW, (("e2e",), 0.015, 0.045)),
        ("stage:TextEncodingStage", "stage", SLOW, (("stage:TextEncodingStage",), 0.015, 0.045)),
        ("peak_memory", "memory", SLOW, (("peak_memory",), 0.015, 0.045)),
        # How often a pause comes is judged by the margins of the case.
        ("pause", "pause", Pairs(pairs=5, checkpoints=2), (("denoise", "e2e"), None, None)),
        ("denoise_excess", "pause", Pairs(pairs=5, checkpoints=2), (("denoise",), None, None)),
        ("mine", "stage", SLOW, (("mine",), 0.015, 0.045)),
    ],
)
def test_commits_are_judged_by_what_made_the_bad_one_slower(
    metric: str, kind: str, pairs: Pairs, aim: tuple[object, float | None, float | None]
) -> None:
    found = aim_of(Compared(verdict="bad", metric=metric, metric_class=kind, pairs=pairs))  # type: ignore[arg-type]
    assert found.metric == metric
    assert (found.gate, found.allow, found.detect) == (aim[0], pytest.approx(aim[1]), pytest.approx(aim[2]))
