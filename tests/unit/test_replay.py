"""Where a replayed launch enters."""

from __future__ import annotations

from pytest_sgdiff.data import Launch, Machine
from pytest_sgdiff.runner.replay import ReplaySource

H200 = Machine(kind="gpu", product="NVIDIA H200", count=1)


def launch(number: int, machine: Machine | None) -> Launch:
    """A recorded launch of which only this is of interest."""
    return Launch(case="wan", number=number, argv=(), env={}, machine=machine)


def test_a_launch_that_names_no_machine_was_made_where_the_others_were() -> None:
    source = ReplaySource([launch(0, None), launch(1, H200)])
    replayed = [source.launch(alone=False) for _ in range(3)]
    assert [None if one is None else (one.number, one.machine) for one in replayed] == [(0, H200), (1, H200), None]


def test_launches_of_which_none_names_a_machine_name_none() -> None:
    first = ReplaySource([launch(0, None)]).launch(alone=True)
    assert first is not None
    assert first.machine is None
