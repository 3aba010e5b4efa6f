"""What was typed, against what the environment and the configuration add to it."""

from __future__ import annotations

import pytest

from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.plugin.asked import refuse_contradictions, refuse_repeats


def refused(typed: str, env: str = "", **options: object) -> bool:
    variables = dict(pair.split("=") for pair in env.split())
    try:
        refuse_contradictions(typed.split(), options.get, variables)
    except OptionError:
        return True
    return False


@pytest.mark.parametrize("variable", ["SGDIFF_DRY_RUN=1", "SGDIFF_UPDATE=all", "SGDIFF_AGAINST=x", "SGDIFF_REPLAY=x"])
def test_the_environment_makes_nothing_else_of_a_gate(variable: str) -> None:
    assert refused("--sgdiff-gpus=4 -m nightly", variable)
    assert refused("--sgdiff-gpus 4", variable)
    assert not refused("-m nightly", f"{variable} SGDIFF_GPUS=4")
    assert not refused("@words", variable)


@pytest.mark.parametrize(
    ("typed", "env"),
    [
        ("--sgdiff-update", "SGDIFF_GPUS=4"),
        ("--sgdiff-update", "SGDIFF_REPLAY=x"),
        ("--sgdiff-against=x", "SGDIFF_GPUS=4"),
        ("--sgdiff-gpus=4 --sgdiff-update", "SGDIFF_UPDATE=missing"),
        ("--sgdiff-gpus=4 --sgdiff-dry-run", "SGDIFF_UPDATE=all SGDIFF_AGAINST=x"),
        ("--sgdiff-gpus=4", "SGDIFF_DRY_RUN=0"),
    ],
)
def test_what_says_where_or_says_the_same_is_no_contradiction(typed: str, env: str) -> None:
    assert not refused(typed, env)


def test_options_that_nobody_typed_are_those_of_addopts() -> None:
    assert refused("--sgdiff-gpus=4", sgdiff_dry_run=True)
    assert refused("--sgdiff-replay=x", sgdiff_update="all")
    assert not refused("--sgdiff-gpus=4 --sgdiff-update=all", sgdiff_update="all")
    assert refused("--sgdiff-gpus=4", collectonly=True)
    assert not refused("--sgdiff-gpus=4 --co", collectonly=True)
    assert not refused("--sgdiff-gpus=4 --collect-only", collectonly=True)


@pytest.mark.parametrize(
    "typed",
    [
        "--sgdiff-replay=a --sgdiff-replay=b",
        "--sgdiff-replay a --sgdiff-replay=b",
        "--sgdiff-fail-on=improved --sgdiff-fail-on=inconclusive",
    ],
)
def test_no_value_of_two_is_dropped_without_a_word(typed: str) -> None:
    with pytest.raises(OptionError, match="is given twice"):
        refuse_repeats(typed.split())


@pytest.mark.parametrize(
    "typed",
    [
        "--sgdiff-replay=a --sgdiff-replay=a",
        "--sgdiff-update --sgdiff-update=missing",
        "--sgdiff-gpus=1 cases --sgdiff-gpus=2",
        "--sgdiff-baselines=usual --sgdiff-baselines=own",
        "--sgdiff-report=a.md --sgdiff-report=a.html --sgdiff-files=a --sgdiff-files=b",
        "--sgdiff-dry-run --sgdiff-dry-run",
        "--sgdiff-out=a -- --sgdiff-out=b",
    ],
)
def test_a_value_may_be_repeated_and_some_options_take_several(typed: str) -> None:
    refuse_repeats(typed.split())
