"""A search from its first launch to its last, with a bench that measures nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from pytest_sgdiff.data import (
    Case,
    Dropped,
    Problem,
    Quality,
    Space,
    Tried,
    Tuned,
    TuneLaunch,
    TuneStep,
    Variant,
)
from pytest_sgdiff.tuning.book import NAME, Book
from pytest_sgdiff.tuning.search import Race
from pytest_sgdiff.tuning.tune import Search, launch_order
from tests import factories
from tests.tuning_space import space_of

CASE = Case(name="tiny", location=factories.location(), model="m", gpus=1)
TIMES = {"as-written": 1016.0, "slow": 1320.0, "quick": 711.0, "alike-1": 864.0, "alike-2": 864.0, "large": 508.0}
SIZES = {"quick": 20000.0, "large": 50000.0}
FAILED = Dropped(code="failed", problem=Problem(kind="invalid", code="diffusers-ran"))
DISTURBED = Dropped(code="disturbed")
KILLED = Dropped(code="failed", problem=Problem(kind="launch-failed", code="signal"))


@dataclass
class Pretended:
    """A bench on which each launch takes `launch_s` of the clock. `dropped` are variants whose tries come to nothing,
    in order; `interrupts` is the round in which Ctrl-C comes once the first variant has ended."""

    launch_s: float = 10.0
    dropped: dict[str, list[Dropped]] = field(default_factory=dict)
    interrupts: int = 0
    slow: dict[str, float] = field(default_factory=dict)
    rounds: list[tuple[str, ...]] = field(default_factory=list)
    ended: dict[int, tuple[TuneLaunch, ...]] = field(default_factory=dict)
    lasted: dict[int, float] = field(default_factory=dict)
    now: float = 0.0

    def next_round(self) -> int:
        return len(self.rounds) + 1

    def measure(self, number: int, variants: Sequence[Variant], *, timeout_s: float | None) -> tuple[TuneLaunch, ...]:
        self.rounds.append(tuple(one.name for one in variants))
        if number == self.interrupts:
            self.now += self.launch_s
            self.ended[number] = (self._launch(number, variants[0].name),)
            raise KeyboardInterrupt
        took = max(self.slow.get(one.name, self.launch_s) for one in variants)
        self.now += took if timeout_s is None else min(took, timeout_s)
        if timeout_s is not None and took > timeout_s:
            return ()
        return tuple(self._launch(number, one.name) for one in variants)

    def known(self, number: int, variants: Sequence[Variant], *, took_s: float | None = None) -> tuple[TuneLaunch, ...]:
        return self.ended.get(number, ())

    def known_rounds(self) -> tuple[int, ...]:
        return tuple(range(1, len(self.rounds) + 1))

    def launched(self, number: int) -> frozenset[str]:
        ids = {one.name: one.case.id for one in space_of(CASE).variants}
        return frozenset(ids[name] for name in self.rounds[number - 1])

    def lasted_s(self, number: int) -> float:
        return self.lasted.get(number, 0.0)

    def _launch(self, number: int, name: str) -> TuneLaunch:
        bad = self.dropped.get(name)
        told: dict[str, Any] = {"round": number, "variant": name, "took_s": self.launch_s}
        if bad or name not in TIMES:
            return TuneLaunch(dropped=bad.pop(0) if bad else FAILED, **told)
        return TuneLaunch(tried=Tried(variant=name, ms=TIMES[name], memory_mib=SIZES.get(name, 3000.0)), **told)


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., Search]:
    def made(
        bench: Pretended,
        space: Space | None = None,
        *,
        gpus: int = 1,
        limits: Mapping[str, Any] = MappingProxyType({"memory_mib": 40960.0}),
        **more: Any,
    ) -> Search:
        space = space or space_of(CASE)
        return Search(
            space=space,
            chooser=Race([one.name for one in space.variants], **limits),
            bench=bench,  # type: ignore[arg-type]
            book=Book(tmp_path, {}),
            gpus=gpus,
            clock=lambda: bench.now,
            **more,
        )

    return made


def codes(tuned: Tuned) -> dict[str, str]:
    return {one.variant: one.dropped.code for one in tuned.standings if one.dropped is not None}


def test_the_best_is_found(search: Callable[..., Search]) -> None:
    steps: list[TuneStep] = []
    bench = Pretended()
    tuned = search(bench, say=steps.append).run()
    assert (tuned.code, tuned.standings[0].variant) == ("decided", "quick")
    groups = {one.variant: one.group for one in tuned.standings}
    assert groups["alike-1"] == groups["alike-2"] == 2
    assert {name: code for name, code in codes(tuned).items() if code != "slower"} == {
        "large": "memory",
        "falls-back": "failed",
        "crashes": "failed",
    }
    # The step before each launch estimates what is left, as soon as one is known.
    begun = [step for step in steps if step.came is None]
    assert begun[0].left_s is None
    assert begun[1].left_s == 10.0 * begun[1].left
    assert sum(step.came is not None for step in steps) == len(bench.rounds)


def test_the_case_itself_is_launched_twice_before_all_others(search: Callable[..., Search]) -> None:
    bench = Pretended()
    search(bench).run()
    assert bench.rounds[:3] == [("as-written",), ("as-written",), ("slow",)]


def test_a_case_that_needs_too_much_memory_is_not(
    search: Callable[..., Search], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SIZES, "as-written", 50000.0)
    bench = Pretended()
    search(bench).run()
    assert bench.rounds.count(("as-written",)) == 1


def test_variants_run_at_the_same_time_where_they_have_room(search: Callable[..., Search]) -> None:
    bench = Pretended()
    space = space_of(CASE, {"slow": "", "quick": "", "alike-1": "", "alike-2": ""}, gpus={"quick": 4, "alike-1": 2})
    search(bench, space, gpus=4).run()
    needs = {one.name: one.case.gpus for one in space.variants}
    assert all(sum(needs[name] for name in names) <= 4 for names in bench.rounds)
    assert bench.rounds[0] == ("as-written", "slow", "alike-1")
    assert max(map(len, bench.rounds)) > 1
    assert {name for names in bench.rounds for name in names} == set(needs)


def test_a_disturbed_variant_has_another_try_and_no_third(search: Callable[..., Search]) -> None:
    bench = Pretended(dropped={"slow": [DISTURBED], "quick": [DISTURBED, DISTURBED]})
    tuned = search(bench, space_of(CASE, {"slow": "", "quick": ""})).run()
    assert codes(tuned)["quick"] == "disturbed"
    assert codes(tuned)["slow"] == "slower"
    assert bench.rounds.count(("quick",)) == 2


def test_an_engine_that_somebody_killed_has_another_try_and_no_third(search: Callable[..., Search]) -> None:
    bench = Pretended(dropped={"as-written": [KILLED], "quick": [KILLED], "slow": [KILLED, KILLED]})
    tuned = search(bench, space_of(CASE, {"slow": "", "quick": ""})).run()
    assert codes(tuned) == {"slow": "failed", "as-written": "slower"}
    assert tuned.standings[0].variant == "quick"
    assert bench.rounds.count(("slow",)) == 2


def test_no_launch_begins_that_is_not_expected_to_end_in_time(search: Callable[..., Search]) -> None:
    bench = Pretended()
    tuned = search(bench, budget_s=35.0).run()
    # Of three the first is begun although nobody knows how long it takes; a fourth would end after 40 s.
    assert (tuned.code, len(bench.rounds), bench.now) == ("budget", 3, 30.0)


def test_what_compiles_has_its_first_launch_after_all_others() -> None:
    compiled = replace(CASE, args={"enable-torch-compile": True})

    def order(written: Case, *, others: bool) -> tuple[str, ...]:
        named = ("as-written", written), ("compile", compiled), ("fa", compiled if others else CASE)
        variants = tuple(Variant(name=name, case=case) for name, case in named)
        return launch_order(replace(space_of(CASE), variants=variants))

    assert order(CASE, others=False) == ("as-written", "fa", "compile")
    # That the case compiles itself is no reason to measure it last.
    assert order(compiled, others=False) == ("as-written", "fa", "compile")
    assert order(compiled, others=True) == ("as-written", "compile", "fa")


def test_a_launch_that_takes_longer_than_all_before_is_ended_in_time(search: Callable[..., Search]) -> None:
    bench = Pretended(slow={"slow": 100.0})
    tuned = search(bench, budget_s=35.0).run()
    assert (tuned.code, bench.now) == ("budget", 35.0)
    assert [one.launches for one in tuned.standings] == [2] + [0] * 7


def test_a_second_command_has_the_time_that_the_first_has_left(search: Callable[..., Search]) -> None:
    search(Pretended(), budget_s=35.0).run()
    again = Pretended(rounds=[()] * 3)
    assert search(again, budget_s=55.0).run().code == "budget"
    assert len(again.rounds) - 3 == 2


def test_what_ended_before_an_interrupt_is_known_afterwards(search: Callable[..., Search]) -> None:
    bench = Pretended(interrupts=3)
    with pytest.raises(KeyboardInterrupt):
        search(bench, gpus=2).run()
    before = list(bench.rounds)
    assert before[2] == ("alike-1", "alike-2")
    bench.interrupts = 0
    tuned = search(bench, gpus=2).run()
    assert tuned.standings[0].variant == "quick"
    # The one that had ended is not launched for what is known of it.
    assert bench.rounds[3][0] == "alike-2"


def test_what_a_killed_command_left_is_read_first(search: Callable[..., Search], tmp_path: Path) -> None:
    bench = Pretended()
    Book(tmp_path, {}).begin(1, ["as-written", "slow"])
    bench.rounds.append(("as-written", "slow"))
    bench.ended[1] = (bench._launch(1, "slow"),)
    search(bench, gpus=2).run()
    assert "slow" not in bench.rounds[1]


def test_what_is_known_is_not_launched_again(search: Callable[..., Search]) -> None:
    first = search(Pretended()).run()
    bench = Pretended()
    assert search(bench).run() == first
    assert bench.rounds == []


def test_a_lossless_variant_that_draws_another_picture_is_given_up(search: Callable[..., Search]) -> None:
    def drew(variant: Variant) -> Quality:
        return Quality(code="changed" if variant.name == "quick" else "same")

    bench = Pretended()
    tuned = search(bench, drew=drew).run()
    assert codes(tuned)["quick"] == "picture"
    assert tuned.standings[0].variant in ("alike-1", "alike-2")
    # The case itself is launched twice before it is said, since its own launches may differ.
    at = bench.rounds.index(("quick",))
    assert bench.rounds[: at + 2].count(("as-written",)) == 2
    # It is not launched for that again.
    again = Pretended()
    assert search(again, drew=drew).run() == tuned
    assert again.rounds == []


def test_what_differs_as_much_as_launches_of_the_case_itself_is_no_other_picture(search: Callable[..., Search]) -> None:
    bench = Pretended()

    def drew(variant: Variant) -> Quality:
        launches = sum("as-written" in names for names in bench.rounds)
        return Quality(code="changed" if launches < 2 else "same")

    # The two are launched at the same time first, so the case itself is launched once more for this.
    tuned = search(bench, space_of(CASE, {"quick": ""}), gpus=2, drew=drew).run()
    assert tuned.standings[0].variant == "quick"
    assert bench.rounds[:2] == [("as-written", "quick"), ("as-written",)]


@pytest.mark.parametrize(("settles_at", "launches"), [(2, 2), (3, 3), (9, 4)])
def test_the_case_itself_is_launched_until_it_is_known_what_it_draws(
    search: Callable[..., Search], settles_at: int, launches: int
) -> None:
    """Else two launches of it that differ would allow any variant to draw anything."""
    bench = Pretended()
    at: list[int] = []

    def count() -> int:
        return sum("as-written" in names for names in bench.rounds)

    def drew(variant: Variant) -> Quality:
        at.append(count())
        return Quality(code="changed" if count() == launches else "same")

    found = search(bench, space_of(CASE, {"quick": ""}), drew=drew, settled=lambda: count() >= settles_at).run()
    assert at[-1] == launches
    assert codes(found)["quick"] == "picture"
    assert bench.rounds[: launches + 1] == [("as-written",)] * 2 + [("quick",)] + [("as-written",)] * (launches - 2)


def test_a_damaged_picture_of_the_case_itself_gives_it_up_the_second_time_alone(
    search: Callable[..., Search],
) -> None:
    black = Dropped(code="failed", problem=Problem(kind="invalid", code="blank-output", cause="blank"))
    space = space_of(CASE, {"quick": "", "slow": ""})
    for count, others in ((1, []), (2, ["as-written"])):
        bench = Pretended(dropped={"as-written": [black] * count, "slow": [black]}, rounds=[()] * 100 * (count - 1))
        made = search(bench, space)
        made.book = Book(made.book._folder / str(count), {})
        given_up = [one.variant for one in made.run().standings if one.given_up]
        # Any other variant is given up for it at once.
        assert given_up == [*others, "slow"]


def test_a_lossy_variant_may_draw_what_it_likes(search: Callable[..., Search]) -> None:
    space = space_of(CASE, {"quick": ""})
    lossy = replace(space.variants[1], settings=(replace(space.variants[1].settings[0], lossy=True),))
    tuned = search(
        Pretended(), replace(space, variants=(space.variants[0], lossy)), drew=lambda one: Quality(code="changed")
    ).run()
    assert tuned.standings[0].variant == "quick"


def test_a_case_that_cannot_be_launched_itself_is_searched_all_the_same(search: Callable[..., Search]) -> None:
    space = space_of(CASE, {"slow": "", "quick": ""})
    bench = Pretended()
    tuned = search(bench, replace(space, variants=space.variants[1:]), drew=lambda one: Quality(code="changed")).run()
    assert tuned.standings[0].variant == "quick"
    assert all("as-written" not in names for names in bench.rounds)


@pytest.mark.parametrize("ends", ["in-time", "interrupted", "killed"])
def test_what_came_to_nothing_counts_for_the_budget(search: Callable[..., Search], tmp_path: Path, ends: str) -> None:
    bench = Pretended(slow={"as-written": 100.0}, launch_s=36.0)
    if ends == "in-time":
        search(bench, budget_s=35.0).run()
    elif ends == "interrupted":
        bench.interrupts = 1
        with pytest.raises(KeyboardInterrupt):
            search(bench, budget_s=35.0).run()
        bench.ended.clear()
    else:
        Book(tmp_path, {}).begin(1, ["as-written"])
        bench.rounds.append(("as-written",))
        bench.lasted[1] = 36.0
    for _ in range(2):
        again = search(bench, budget_s=35.5 if ends != "in-time" else 35.0)
        assert again.run().code == "budget"
        assert again.used_s >= 35.0
    assert len(bench.rounds) == 1


def test_pictures_are_compared_where_an_earlier_command_was_interrupted_meanwhile(
    search: Callable[..., Search],
) -> None:
    def interrupted(variant: Variant) -> Quality:
        if variant.name == "quick":
            raise KeyboardInterrupt
        return Quality(code="same")

    def drew(variant: Variant) -> Quality:
        return Quality(code="changed" if variant.name == "quick" else "same")

    bench = Pretended()
    with pytest.raises(KeyboardInterrupt):
        search(bench, drew=interrupted).run()
    tuned = search(bench, drew=drew).run()
    assert codes(tuned)["quick"] == "picture"
    assert tuned.standings[0].variant in ("alike-1", "alike-2")


def test_a_search_that_was_over_goes_on_where_its_best_draws_another_picture(search: Callable[..., Search]) -> None:
    space = space_of(CASE, {"quick": "", "slow": "", "alike-1": ""})
    first = search(Pretended(), space, drew=lambda one: Quality(code="same")).run()
    assert (first.code, first.standings[0].variant) == ("decided", "quick")
    drew = {"quick": Quality(code="changed")}
    tuned = search(Pretended(rounds=[()] * 50), space, drew=lambda one: drew.get(one.name)).run()
    assert (tuned.code, tuned.standings[0].variant) == ("decided", "alike-1")
    assert codes(tuned)["slow"] == "slower"


def test_with_other_limits_what_was_measured_stands_and_only_what_is_missing_is_launched(
    search: Callable[..., Search],
) -> None:
    """As with --memory, --within and --launches in another command."""
    space = space_of(CASE, {"quick": "", "alike-1": "", "large": ""})
    first = search(Pretended(), space).run()
    assert (first.standings[0].variant, codes(first)["large"]) == ("quick", "memory")
    count = {one.variant: one.launches for one in first.standings}

    def again(**limits: Any) -> tuple[Tuned, list[tuple[str, ...]]]:
        bench = Pretended(rounds=[()] * 100)
        return search(bench, space, limits={"memory_mib": 40960.0, **limits}).run(), bench.rounds[100:]

    # What was the best needs too much now: those that were slower than it race again, and it is launched no more.
    tuned, rounds = again(memory_mib=10000.0)
    assert tuned.standings[0].variant == "alike-1"
    assert codes(tuned)["quick"] == codes(tuned)["large"] == "memory"
    assert not {("quick",), ("large",)} & set(rounds)
    # What was too large is the quickest of all.
    tuned, rounds = again(memory_mib=None)
    assert (tuned.code, tuned.standings[0].variant, codes(tuned)["quick"]) == ("decided", "large", "slower")
    assert tuned.launches >= sum(count.values())
    # Here nothing is missing.
    tuned, rounds = again(memory_mib=None, within=0.3)
    assert (tuned.standings[0].variant, rounds) == ("large", [])


def test_a_round_whose_folder_is_gone_gives_its_number_to_no_other(search: Callable[..., Search]) -> None:
    space = space_of(CASE, {"quick": "", "large": ""})
    search(Pretended(), space).run()
    made = search(Pretended(), space, limits={})
    made.run()
    numbers = [one.begun for one in made.book.begun]
    assert numbers == sorted(set(numbers))


def test_a_retried_variant_is_launched_again_and_no_other_one(search: Callable[..., Search]) -> None:
    bench = Pretended(dropped={"quick": [FAILED], "slow": [FAILED]})
    space = space_of(CASE, {"slow": "", "quick": "", "alike-1": ""})
    first = search(bench, space)
    assert codes(first.run())["quick"] == "failed"
    spent_s, before = first.used_s, len(bench.rounds)
    for had in (("quick",), ()):
        again = search(bench, space, retry=("quick", "alike-1"))
        tuned = again.run()
        # Neither what counts is forgotten, nor what is not named.
        assert again.retried == had
        assert (tuned.standings[0].variant, codes(tuned)["slow"]) == ("quick", "failed")
    assert bench.rounds[before] == ("quick",)
    # The time of the try that is forgotten stays spent.
    assert again.used_s > spent_s


def test_a_try_that_failed_in_a_round_that_was_killed_is_retried_too(search: Callable[..., Search]) -> None:
    bench = Pretended(interrupts=1)
    bench.dropped = {"as-written": [FAILED]}
    space = space_of(CASE, {"quick": ""})
    with pytest.raises(KeyboardInterrupt):
        search(bench, space).run()
    bench.interrupts = 0
    again = search(bench, space, retry=["as-written"])
    assert codes(again.run()) == {"as-written": "slower"}
    assert again.retried == ("as-written",)


def test_the_gpus_are_filled_with_what_the_round_still_has_to_launch(search: Callable[..., Search]) -> None:
    plays = {"slow": "", "alike-1": "", "quick": "", "alike-2": ""}
    space = space_of(CASE, plays, gpus={"slow": 4, "alike-1": 4, "quick": 2, "alike-2": 2})
    bench = Pretended()
    search(bench, space, gpus=4).run()
    # The second launch of the case as it is written, too, is beside others.
    assert bench.rounds[:3] == [("as-written", "quick"), ("as-written", "alike-2"), ("slow",)]


def test_what_compiles_has_its_first_launch_beside_nothing_that_others_wait_for(search: Callable[..., Search]) -> None:
    plays = {"slow": "", "quick": "", "alike-1": ""}
    space = space_of(CASE, plays, gpus={"slow": 2, "quick": 1, "alike-1": 1})
    compiled = replace(space.variants[2].case, args={"enable-torch-compile": True})
    variants = [replace(one, case=compiled) if one.name == "quick" else one for one in space.variants]
    space = replace(space, variants=tuple(variants))
    bench = Pretended()
    made = search(bench, space, gpus=2)
    made.chooser = Race(launch_order(space))
    made.run()
    assert bench.rounds[:3] == [("as-written", "alike-1"), ("as-written",), ("slow",)]
    assert bench.rounds[3] == ("quick",)


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("cut", ["came", "spent", "begun"])
def test_a_state_that_was_cut_off_goes_on_without_a_launch_too_many(
    search: Callable[..., Search], tmp_path: Path, cut: str, half: bool
) -> None:
    """The line may have been being written, or the file was copied while it was."""
    bench, space = Pretended(), space_of(CASE, {"quick": "", "crashes": ""})
    tuned = search(bench, space).run()
    rounds = list(bench.rounds)
    bench.ended = {one.round: (one,) for one in Book(tmp_path, {}).launches}
    lines = (tmp_path / NAME).read_text().splitlines(keepends=True)
    last = max(at for at, line in enumerate(lines) if line.startswith(f'{{"{cut}"'))
    (tmp_path / NAME).write_text("".join(lines[:last]) + lines[last][: 14 if half else 0])
    made = search(bench, space)
    assert made.book.cut == (last + 1 if half else None)
    assert made.run() == tuned
    assert bench.rounds == rounds
    again = search(bench, space)
    assert (again.book.cut, again.run(), bench.rounds) == (None, tuned, rounds)
