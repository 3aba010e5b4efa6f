"""Which shard measures what: the longest first, and what belongs together in one shard."""

from __future__ import annotations

from pytest_sgdiff.plugin.split import Piece, split


def piece(name: str, seconds: float, *beside: str, gpus: int = 1) -> Piece:
    return Piece(name=name, seconds=seconds, gpu_seconds=seconds * gpus, beside=beside)


def test_the_longest_go_first_each_to_the_shard_that_has_least() -> None:
    pieces = [piece("a", 300.0), piece("b", 500.0), piece("c", 100.0), piece("d", 200.0), piece("e", 50.0)]
    assert split(pieces, 2) == {"b": 1, "a": 2, "d": 2, "c": 1, "e": 2}


def test_of_equally_long_ones_the_wider_goes_first() -> None:
    assert split([piece("a", 10.0), piece("b", 10.0, gpus=4), piece("c", 10.0)], 3) == {"b": 1, "a": 2, "c": 3}


def test_a_case_and_the_one_that_it_must_beat_stay_together_also_through_others() -> None:
    pieces = [piece("a", 10.0, "b"), piece("b", 10.0), piece("c", 10.0, "b"), piece("d", 10.0), piece("e", 10.0, "x")]
    found = split(pieces, 5)
    assert found["a"] == found["b"] == found["c"]
    assert len({found[name] for name in "ade"}) == 3


def test_more_shards_than_cases_leave_some_without_any() -> None:
    assert split([piece("a", 10.0), piece("b", 20.0)], 999_999) == {"b": 1, "a": 2}
    assert split([], 3) == {}
