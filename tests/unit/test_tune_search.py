"""The search for the quickest variant: what it launches, drops, ranks and refuses, on times that are written down here.
`benchmarks/tune.py` has the rates of many."""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from pytest_sgdiff.data import Dropped, Standing, Tried, TuneLeft
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.tuning.search import Race, front

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NOISE = (1.0, 1.003, 0.998, 1.001, 0.999, 1.002, 0.997)
"""What launches take beside each other where nothing holds them up."""
Times = Mapping[str, Iterable[float]]


def steady(ms: float) -> Iterable[float]:
    return (ms * factor for factor in itertools.cycle(NOISE))


def run(race: Race, times: Times, *, memory: Mapping[str, float | None] | None = None) -> list[str]:
    """The race to its end: the variants in the order in which they were launched."""
    left = {name: iter(own) for name, own in times.items()}
    launched = []
    while race.over is None:
        names = race.next(1)
        assert names, "nothing is under way, so there is something to launch"
        for name in names:
            launched.append(name)
            race.add(Tried(variant=name, ms=next(left[name]), memory_mib=(memory or {}).get(name), gpu_s=60.0))
    return launched


def standing(race: Race, name: str) -> Standing:
    return next(one for one in race.tuned().standings if one.variant == name)


def code(race: Race, name: str) -> str | None:
    dropped = standing(race, name).dropped
    return None if dropped is None else dropped.code


# --------------------------------------------------------------------------------------------------- what is launched


def test_all_are_launched_once_in_their_order_before_any_is_launched_again() -> None:
    race = Race(["c", "a", "b"])
    launched = run(race, {"c": steady(100), "a": steady(101), "b": steady(99)})
    assert launched[:3] == ["c", "a", "b"]


@pytest.mark.parametrize("others", [1, 2, 7, 30])
def test_what_is_twice_as_slow_has_one_launch(others: int) -> None:
    names = [f"slow{i}" for i in range(others)]
    race = Race([*names, "fast"])
    launched = run(race, {"fast": steady(100), **{name: steady(200) for name in names}})
    assert launched == [*names, "fast"]
    assert race.over == "decided"
    assert {code(race, name) for name in names} == {"slower"}
    assert standing(race, names[0]).dropped == Dropped(code="slower", by="fast")


def test_equal_ones_end_as_equal_and_do_not_eat_launches() -> None:
    race = Race(["a", "b", "slow"])
    launched = run(race, {"a": steady(100), "b": steady(100.2), "slow": steady(150)})
    assert race.over == "equal"
    assert len(launched) <= 8
    a, b = standing(race, "a"), standing(race, "b")
    assert (a.group, b.group, standing(race, "slow").group) == (1, 1, 2)
    assert race.tuned().standings[0].ratio_high is not None
    assert race.tuned().standings[0].ratio_high <= 1.02


def test_all_that_look_alike_are_launched_in_one_round() -> None:
    race = Race(list("abcdefgh"))
    for name in race.next(9):
        race.add(Tried(variant=name, ms=100 + 0.1 * ord(name)))
    assert sorted(race.next(9)) == list("abcdefgh")


def test_slots_are_a_limit_and_what_is_under_way_is_not_named_again() -> None:
    race = Race(["a", "b", "c"])
    assert race.next(2) == ("a", "b")
    assert race.next(2) == ("c",)
    assert race.next(2) == ()
    assert race.over is None
    race.put_back("b")
    assert race.next(0) == ()
    assert race.next(5) == ("b",)


def test_noise_without_end_stops_at_the_most_launches() -> None:
    wild = [1.0, 1.4, 0.8, 1.2, 0.7, 1.3]
    race = Race(["a", "b"], most_launches=4)
    launched = run(race, {name: (100 * factor for factor in itertools.cycle(wild)) for name in ("a", "b")})
    assert race.over == "launches"
    assert sorted(launched) == ["a"] * 4 + ["b"] * 4


def test_a_smaller_tolerance_asks_for_more_launches() -> None:
    spent = []
    for within in (0.05, 0.01):
        race = Race(["a", "b"], within=within, most_launches=30)
        spent.append(len(run(race, {"a": steady(100), "b": steady(100.1)})))
        assert race.over == "equal"
    assert spent[0] < spent[1]


# ---------------------------------------------------------------------------------------------------- what is dropped


def test_memory_drops_at_the_first_launch_however_quick_it_is() -> None:
    race = Race(["small", "large", "unknown"], memory_mib=40_000)
    times = {"small": steady(100), "large": steady(50), "unknown": steady(160)}
    launched = run(race, times, memory={"small": 30_000, "large": 40_001, "unknown": None})
    assert launched.count("large") == 1
    assert code(race, "large") == "memory"
    assert code(race, "unknown") == "slower"
    first = race.tuned().standings[0]
    assert (first.variant, first.memory_mib) == ("small", 30_000)
    assert standing(race, "large").group is None
    assert standing(race, "large").ms == pytest.approx(50, rel=0.002)
    assert standing(race, "unknown").memory_mib is None


def test_a_peak_that_is_not_reported_is_not_below_the_limit_nor_above_it() -> None:
    race = Race(["a"], memory_mib=1)
    run(race, {"a": steady(100)})
    assert (code(race, "a"), race.over) == (None, "decided")


def test_what_cannot_be_used_is_not_launched_again_and_ranks_last() -> None:
    race = Race(["broken", "a", "b"])
    assert race.next(1) == ("broken",)
    race.drop("broken", Dropped(code="failed", why="out of memory"))
    launched = run(race, {"a": steady(100), "b": steady(150)})
    assert "broken" not in launched
    last = race.tuned().standings[-1]
    assert (last.variant, last.launches, last.ms, last.group) == ("broken", 0, None, None)
    assert last.dropped == Dropped(code="failed", why="out of memory")


@pytest.mark.parametrize("why", ["failed", "memory"])
def test_what_is_slower_than_one_that_cannot_be_used_races_again(why: str) -> None:
    race = Race(["best", "second", "third"], memory_mib=100)
    for name, ms in (("best", 100), ("second", 250), ("third", 252)):
        race.add(Tried(variant=name, ms=ms))
    assert (code(race, "second"), race.over) == ("slower", "decided")
    race = Race(["best", "equal", "second", "third"], memory_mib=100)
    for name, ms in (("best", 100), ("equal", 100.2), ("second", 250), ("third", 251)):
        race.add(Tried(variant=name, ms=ms))
    assert (code(race, "second"), race.over) == ("slower", None)
    for name in ("best", "equal"):
        if why == "failed":
            race.drop(name, Dropped(code="failed"))
        else:
            race.add(Tried(variant=name, ms=100, memory_mib=101))
    run(race, {"second": steady(250), "third": steady(251)})
    assert {code(race, "second"), code(race, "third")} == {None}
    assert race.over == "equal"
    assert race.tuned().standings[0].variant == "second"


def test_a_variant_dropped_before_the_noise_was_known_races_again() -> None:
    race = Race(["a", "b", "c", "d", "far"])
    for name, ms in (("a", 100), ("b", 101), ("c", 102), ("d", 103), ("far", 210)):
        race.add(Tried(variant=name, ms=ms))
    assert code(race, "far") == "slower"
    wild = {"a": 230, "b": 240, "c": 235, "d": 245}
    while race.over is None and code(race, "far") == "slower":
        for name in race.next(1):
            race.add(Tried(variant=name, ms=wild[name]))
    assert code(race, "far") is None
    assert race.over is None


def test_a_host_that_holds_up_launches_is_not_believed_after_one() -> None:
    """The quickest one's first launch is held up by a third, as others are in the launches that follow."""
    race = Race(["a", "b", "c", "best"])
    times = {
        "a": [105, 140, 105.3, *[105.1] * 9],
        "b": [106, 106.2, 141, *[106.1] * 9],
        "c": [107, 143, 107.1, *[107.2] * 9],
        "best": [135, 100, 100.3, *[100.1] * 9],
    }
    run(race, times)
    assert race.tuned().standings[0].variant == "best"
    assert race.over == "decided"


def test_one_even_launch_each_is_enough_where_uneven_ones_have_another() -> None:
    """The case is launched twice, as a search does; the others are 8 % slower, or look so."""

    def launches(lost: float | None) -> list[str]:
        race = Race(["a", "b", "c", "d"])
        for ms in (100.0, 100.2):
            race.add(Tried(variant="a", ms=ms, lost=0.0))
        launched = []
        while names := race.next(1):
            launched.append(names[0])
            race.add(Tried(variant=names[0], ms=100.1 if names == ("a",) else 108.0, lost=lost))
        return launched

    assert launches(0.0) == ["b", "c", "d"]
    assert len(launches(0.02)) > len(launches(0.0))
    assert set(launches(0.02)) == {"a", "b", "c", "d"}


def test_if_nothing_can_be_used_there_is_nothing() -> None:
    race = Race(["a", "b"])
    race.drop("a", Dropped(code="failed"))
    race.drop("b", Dropped(code="disturbed"))
    assert race.over == "nothing"
    assert race.next(4) == ()
    assert race.tuned().code == "nothing"


# ------------------------------------------------------------------------------------------------------ what is ranked


def test_groups_are_those_that_are_not_told_apart() -> None:
    race = Race(["slow", "first", "alike", "twin"])
    times = {"slow": steady(200), "first": steady(100), "alike": steady(140), "twin": steady(140.3)}
    run(race, times)
    found = {one.variant: one.group for one in race.tuned().standings}
    assert found == {"first": 1, "alike": 2, "twin": 2, "slow": 3}
    assert [one.variant for one in race.tuned().standings] == ["first", "alike", "twin", "slow"]


def test_what_may_still_be_the_quickest_ranks_before_what_cannot() -> None:
    """`held` has one launch, which may have been held up; `proven` has two."""
    race = Race(["first", "proven", "held", "alike"])
    for _ in range(2):
        for name in race.next(4):
            race.add(Tried(variant=name, ms={"first": 100, "proven": 110, "held": 130, "alike": 100.1}[name]))
    assert standing(race, "held").launches == 1
    assert code(race, "proven") == "slower"
    found = [(one.variant, one.group) for one in race.tuned().standings]
    assert found == [("first", 1), ("alike", 1), ("held", 1), ("proven", 2)]


def test_intervals_hold_the_ratio_and_one_launch_is_no_proof_of_its_own_time() -> None:
    race = Race(["a", "c", "b"])
    assert run(race, {"a": steady(100), "b": steady(300), "c": steady(100.2)}).count("b") == 1
    a, _, b = race.tuned().standings
    assert (a.ratio, a.ratio_low) == (1.0, 1.0)
    assert b.ratio == pytest.approx(3, rel=0.01)
    assert b.ratio_low is not None
    assert b.ratio_high is not None
    assert 1.0 < b.ratio_low < 2.8, "a single launch may have been held up"
    assert 3.0 < b.ratio_high < 3.2


def test_variants_that_were_never_launched_stand_in_their_order() -> None:
    tuned = Race(["b", "a"]).tuned()
    assert [one.variant for one in tuned.standings] == ["b", "a"]
    assert {one.ms for one in tuned.standings} == {None}
    assert (tuned.launches, tuned.gpu_s) == (0, 0)


@pytest.mark.parametrize(
    ("figures", "expected"),
    [
        ({"a": (100, 40), "b": (110, 30), "c": (120, 35), "d": (130, 20)}, ("a", "b", "d")),
        ({"a": (100, 40), "b": (100, 30)}, ("b",)),
        ({"a": (100, None), "b": (110, 30), "c": (None, 10)}, ("b",)),
        ({}, ()),
    ],
)
def test_the_front_has_no_variant_that_another_one_beats_at_both(figures, expected) -> None:
    standings = [Standing(variant=name, ms=ms, memory_mib=mib) for name, (ms, mib) in figures.items()]
    assert front(standings) == expected


def test_the_front_has_what_is_slower_and_not_what_cannot_be_used() -> None:
    standings = [
        Standing(variant="a", ms=100, memory_mib=40),
        Standing(variant="b", ms=200, memory_mib=20, dropped=Dropped(code="slower", by="a")),
        Standing(variant="c", ms=50, memory_mib=80, dropped=Dropped(code="memory")),
        Standing(variant="d", ms=50, memory_mib=10, dropped=Dropped(code="failed")),
    ]
    assert front(standings) == ("a", "b")


# ----------------------------------------------------------------------------------------------------- how it is ended


def test_a_budget_ends_it_and_launches_that_come_later_count() -> None:
    race = Race(["a", "b"])
    race.next(2)
    race.add(Tried(variant="a", ms=100, gpu_s=50))
    assert (race.over, race.tuned().code) == (None, "budget")
    race.stop()
    assert (race.over, race.next(2), race.left()) == ("budget", (), TuneLeft(launches=0, gpu_s=0))
    race.add(Tried(variant="b", ms=90, gpu_s=40))
    tuned = race.tuned()
    assert (tuned.code, tuned.launches, tuned.gpu_s) == ("budget", 2, 90)
    assert tuned.standings[0].variant == "b"


def test_what_is_left_is_first_one_launch_of_each() -> None:
    race = Race(["a", "b", "c"])
    assert race.left() == TuneLeft(launches=3, gpu_s=None)
    race.add(Tried(variant="a", ms=100, gpu_s=60))
    assert race.left() == TuneLeft(launches=2, gpu_s=120)
    race.add(Tried(variant="b", ms=100.1, gpu_s=40))
    left = race.left()
    assert left.launches > 1
    assert left.gpu_s is not None
    assert left.gpu_s >= 50


@pytest.mark.parametrize("ms", [0.0, -1.0, math.nan, math.inf])
def test_a_time_that_is_none_is_an_error(ms: float) -> None:
    race = Race(["a"])
    with pytest.raises(ValueError, match="ms is no time"):
        race.add(Tried(variant="a", ms=ms))
    assert (race.over, race.tuned().launches) == (None, 0)


@pytest.mark.parametrize(
    "figures", [{"memory_mib": -1.0}, {"memory_mib": math.nan}, {"gpu_s": math.nan}, {"lost": 1.5}, {"lost": -0.1}]
)
def test_other_figures_that_are_none_are_errors_too(figures: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        Race(["a"]).add(Tried(variant="a", ms=1.0, **figures))


def test_a_variant_of_another_race_is_an_error() -> None:
    with pytest.raises(ValueError, match="b is no variant of this race"):
        Race(["a"]).add(Tried(variant="b", ms=1.0))
    with pytest.raises(ValueError, match="b is no variant of this race"):
        Race(["a"]).drop("b", Dropped(code="failed"))


@pytest.mark.parametrize(
    "asked",
    [
        {"variants": []},
        {"variants": ["a", "a"]},
        {"variants": ["a"], "confidence": 1.0},
        {"variants": ["a"], "within": 0.0},
        {"variants": ["a"], "most_launches": 0},
        {"variants": ["a"], "memory_mib": math.nan},
    ],
)
def test_a_race_that_cannot_be_run_is_refused(asked) -> None:
    with pytest.raises(ValueError):
        Race(**asked)


def test_a_prior_of_more_noise_asks_for_more() -> None:
    times = {"a": 100, "b": 108, "c": 112, "d": 116, "e": 120}
    quiet, noisy = (
        len(run(Race(list(times), prior=Prior(cv0=cv)), {name: steady(ms) for name, ms in times.items()}))
        for cv in (0.002, 0.05)
    )
    assert quiet < noisy


# ------------------------------------------------------------------------------------------------------- the guarantee


@pytest.mark.parametrize("noise", ["steps", "public nights", "steps on held-up hosts", "requests with pauses"])
def test_measured_noise_leaves_the_right_one_for_two_launches_in_five(
    noise: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    tune = importlib.import_module("tune")
    pools = tune.NOISES[noise]()
    held = tune.held([tune.space(seed, 12, pools) for seed in range(900, 925)])
    assert held.right == 1
    assert held.dropped == 0
    assert held.ended == 1
    assert held.launches <= 0.4 * tune.GRID * 12


# ------------------------------------------------------------------------- launches that were chosen under other limits


def test_an_end_within_other_limits_is_reconsidered_after_each_round_that_came_later() -> None:
    race = Race(["a", "b"], within=0.3)
    for round_, b in ((1, 100.5), (2, 60.0)):
        race.add(Tried(variant="a", ms=100.0, lost=0.0), round_=round_)
        race.add(Tried(variant="b", ms=b, lost=0.0), round_=round_)
        if round_ == 1:
            assert (race.over, race.round) == ("equal", 2)
    assert (race.over, race.round) == ("decided", 3)


def test_rounds_stay_what_they_were_where_this_race_waits_for_another_variant() -> None:
    """Else launches of all rounds would count as those of one, and what drifted between them as noise."""
    race = Race(["a", "b", "large"], most_launches=20)
    race.add(Tried(variant="large", ms=99.5, memory_mib=50000.0), round_=1)
    for round_ in range(1, 7):
        drift = 1.1**round_
        for name, ms in (("a", 100.0), ("b", 101.0)):
            race.add(Tried(variant=name, ms=ms * drift * NOISE[round_]), round_=round_)
    # Both are known to be 1 % apart, whatever drifts.
    assert race.round >= 6
    found = standing(race, "b")
    assert found.ratio is not None
    assert math.isclose(found.ratio / (standing(race, "a").ratio or 0.0), 1.01, rel_tol=1e-3)


def test_one_that_has_no_launch_any_more_is_launched_before_anything_is_decided() -> None:
    race = Race(["a", "b", "forgotten"])
    for round_ in (1, 2, 3):
        race.add(Tried(variant="a", ms=100.0), round_=round_)
    race.add(Tried(variant="b", ms=200.0), round_=1)
    assert race.next(9) == ("forgotten",)
    race.add(Tried(variant="forgotten", ms=50.0))
    run(race, {"a": steady(100), "forgotten": steady(50)})
    assert (race.over, standing(race, "forgotten").group) == ("decided", 1)


def test_a_launch_after_the_end_is_in_a_round_of_its_own_at_whose_end_it_is_decided_again() -> None:
    race = Race(["a", "b"])
    run(race, {"a": steady(100), "b": steady(300)})
    assert (race.over, race.round) == ("decided", 2)
    race.add(Tried(variant="b", ms=90.0), round_=2)
    assert race.over is None
    with pytest.raises(ValueError, match="round"):
        race.add(Tried(variant="a", ms=290.0), round_=0)
