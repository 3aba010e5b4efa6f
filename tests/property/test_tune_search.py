"""Laws of the search for the quickest variant, whatever its launches take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_sgdiff.data import Dropped, Tried
from pytest_sgdiff.tuning.search import Race

QUICK = settings(max_examples=25, derandomize=True)
NAMES = "abcdefg"
MOST = 4
LIMIT_MIB = 100.0
ENDS = {"decided", "equal", "launches", "nothing"}
MEMORY = st.sampled_from([None, 50.0, 90.0, 90.0, 90.0, LIMIT_MIB + 1])
Event = Tried | tuple[str, Dropped]


@dataclass
class Host:
    """Launches as hypothesis draws them: near a time of each variant's own, now and then of another world. Some fail or
    need too much memory."""

    data: st.DataObject
    times: dict[str, float]
    events: list[Event] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)

    def launch(self, race: Race, name: str) -> None:
        fate = self.data.draw(st.integers(0, 19))
        self.rounds.append(race.round)
        if fate == 0:
            dropped = Dropped(code=self.data.draw(st.sampled_from(["failed", "disturbed"])))
            self.events.append((name, dropped))
            race.drop(name, dropped)
            return
        factor = self.data.draw(st.floats(0.98, 1.02) if fate > 2 else st.floats(1e-3, 1e3))
        memory = self.data.draw(st.sampled_from([None, 50.0, 90.0, 90.0, LIMIT_MIB + 1 if fate == 1 else 80.0]))
        tried = Tried(variant=name, ms=self.times[name] * factor, memory_mib=memory, gpu_s=1.0)
        self.events.append(tried)
        race.add(tried)


def new(count: int) -> Race:
    return Race(NAMES[:count], memory_mib=LIMIT_MIB, most_launches=MOST)


def replayed(events: list[Event], count: int) -> Race:
    race = new(count)
    for event in events:
        if isinstance(event, Tried):
            race.add(event)
        else:
            race.drop(*event)
    return race


@QUICK
@given(st.data(), st.integers(1, 5), st.integers(1, 3))
def test_it_ends_never_names_a_dropped_one_and_follows_from_its_launches(data, count, slots) -> None:
    """To the end: at each point all that was added makes the same race, and says the same of it."""
    race = new(count)
    host = Host(data, {name: data.draw(st.floats(1, 4)) for name in NAMES[:count]})
    cut = data.draw(st.integers(0, 12))
    named: Counter[str] = Counter()
    while race.over is None:
        names = race.next(slots)
        assert 0 < len(names) <= slots
        dropped = {one.variant for one in race.tuned().standings if one.dropped is not None}
        assert not dropped & set(names)
        for name in data.draw(st.permutations(names)):
            named[name] += 1
            host.launch(race, name)
        if len(host.events) >= cut:
            cut = 10_000
            other = replayed(host.events, count)
            assert other.tuned() == race.tuned()
            assert other.left() == race.left()
            assert other.next(99) == race.next(99)
            race = replayed(host.events, count)
    assert race.over in ENDS
    assert max(named.values()) <= MOST
    assert race.next(9) == ()
    assert replayed(host.events, count).tuned() == race.tuned()


@QUICK
@given(st.data(), st.integers(2, 4))
def test_the_order_of_the_launches_of_a_round_does_not_matter(data, count) -> None:
    times = {name: data.draw(st.floats(1, 2)) for name in NAMES[:count]}
    one, other = new(count), new(count)
    while one.over is None:
        names = one.next(99)
        assert sorted(other.next(99)) == sorted(names)
        launches = [
            Tried(variant=name, ms=times[name] * data.draw(st.floats(0.95, 1.05)), memory_mib=data.draw(MEMORY))
            for name in names
        ]
        for tried in launches:
            one.add(tried)
        for tried in data.draw(st.permutations(launches)):
            other.add(tried)
        assert other.tuned() == one.tuned()
        assert other.over == one.over


@QUICK
@given(st.data(), st.integers(1, len(NAMES)), st.integers(0, 20))
def test_what_is_said_is_in_order_at_any_time(data, count, spent) -> None:
    """Each variant stands once, the first of the groups first, and every figure lies in its interval."""
    race = new(count)
    host = Host(data, {name: data.draw(st.floats(1, 4)) for name in NAMES[:count]})
    for _ in range(spent):
        for name in race.next(1):
            host.launch(race, name)
    tuned = race.tuned()
    assert sorted(one.variant for one in tuned.standings) == sorted(NAMES[:count])
    groups = [one.group for one in tuned.standings if one.group is not None]
    assert groups == sorted(groups)
    assert set(groups) == set(range(1, max(groups, default=0) + 1))
    assert [one.group is None for one in tuned.standings] == sorted(one.group is None for one in tuned.standings)
    for one in tuned.standings:
        assert (one.ms is None) == (one.launches == 0)
        if one.ms is not None:
            assert one.low <= one.ms <= one.high
        if one.ratio is not None:
            assert one.ratio_low <= one.ratio <= one.ratio_high
        if one.group is not None:
            assert one.ratio_low >= 1 or one.ratio < 1
        if one.dropped is not None and one.dropped.code == "slower":
            assert one.group is not None
            assert one.group > 1
    if tuned.standings[0].group == 1:
        assert tuned.standings[0].ratio == 1


LIMITS = st.fixed_dictionaries(
    {
        "memory_mib": st.sampled_from([None, 60.0, 85.0, LIMIT_MIB, 200.0]),
        "within": st.sampled_from([0.001, 0.02, 0.3]),
        "most_launches": st.integers(1, 2 * MOST),
    }
)


@QUICK
@given(st.data(), st.integers(1, 5), LIMITS, st.sets(st.sampled_from(NAMES)))
def test_what_was_measured_within_other_limits_counts_and_is_judged_by_the_new_ones(data, count, limits, again) -> None:
    """No launch is lost, the race ends, and what may be used is what would be if it had been so from the start. Those
    of which launches that did not count are forgotten (`again`) are launched again. Once more it is the same race."""
    race = new(count)
    host = Host(data, {name: data.draw(st.floats(1, 4)) for name in NAMES[:count]})
    while race.over is None:
        for name in race.next(2):
            host.launch(race, name)
        if race.over is not None and data.draw(st.booleans()) and len(host.events) < 30:
            # As for a picture of it.
            host.launch(race, NAMES[0])
    kept = [
        (event, round_)
        for event, round_ in zip(host.events, host.rounds, strict=True)
        if isinstance(event, Tried) or event[0] not in again
    ]

    def added(events: list[tuple[Event, int]], **limits) -> Race:
        made = Race(NAMES[:count], **limits)
        for event, round_ in events:
            if isinstance(event, Tried):
                made.add(event, round_=round_)
            else:
                made.drop(*event)
        return made

    same = added(list(zip(host.events, host.rounds, strict=True)), memory_mib=LIMIT_MIB, most_launches=MOST)
    assert (same.over, same.tuned(), same.round) == (race.over, race.tuned(), race.round)

    other = added(kept, **limits)
    known = [event for event, _ in kept if isinstance(event, Tried)]
    seen = {event if isinstance(event, str) else event.variant for event in known}
    seen |= {event[0] for event, _ in kept if not isinstance(event, Tried)}
    named: Counter[str] = Counter()
    host.events, host.rounds = [event for event, _ in kept], [round_ for _, round_ in kept]
    before = Counter(one.variant for one in known)
    while other.over is None:
        names = other.next(2)
        assert names
        for name in names:
            named[name] += 1
            host.launch(other, name)
    tuned = other.tuned()
    assert set(NAMES[:count]) - seen <= set(named)
    assert all(before[name] + more <= max(limits["most_launches"], before[name]) for name, more in named.items())
    tried = [event for event in host.events if isinstance(event, Tried)]
    assert tuned.launches == len(tried) >= len(known)
    limit = limits["memory_mib"]
    failed = {event[0] for event in host.events if not isinstance(event, Tried)}
    large = {one.variant for one in tried if limit is not None and (one.memory_mib or 0.0) > limit}
    assert {one.variant for one in tuned.standings if one.given_up} == failed | large
    assert added(list(zip(host.events, host.rounds, strict=True)), **limits).tuned() == tuned
