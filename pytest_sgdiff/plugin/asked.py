"""What the user typed, against what the environment and the configuration add to it.

A gate that silently turns into something else is green for no reason: what a run does must be said where the run is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.options import SETTINGS, Setting

if TYPE_CHECKING:
    import pytest

TURNS: Mapping[str, frozenset[str]] = {
    "dry-run": frozenset({"gpus", "cluster", "replay", "against", "update"}),
    "update": frozenset({"gpus", "cluster", "replay", "against"}),
    "replay": frozenset({"gpus", "cluster", "against"}),
    "against": frozenset({"gpus", "cluster", "replay", "update"}),
    "shard": frozenset({"gpus", "cluster", "replay", "against", "update", "dry-run"}),
}
"""Flags that make something else of a run -> those by which a command line asks for what it then is not."""

SHOWS: Mapping[str, tuple[str, ...]] = {
    "collectonly": ("--collect-only", "--co"),
    "showfixtures": ("--fixtures", "--funcargs"),
    "show_fixtures_per_test": ("--fixtures-per-test",),
    "markers": ("--markers",),
    "setupplan": ("--setup-plan",),
    "cacheshow": ("--cache-show",),
}
"""pytest's options that show something and run no test: name -> how they are typed."""


def shows_only(config: pytest.Config) -> bool:
    """Whether the run shows what is there instead of running it."""
    return any(config.getoption(name, None) for name in SHOWS if name != "setupplan")


ADDS = frozenset({"replay", "fail-on", "shard"})
"""Flags whose second value means both: a second recording, a further outcome, another shard. Of any other option the
last value that is typed holds, as everywhere, so that a script can have defaults."""


def refuse_repeats(typed: Sequence[str]) -> None:
    """Refuse a command line that gives one of ADDS twice, with two values: one of them would be dropped without a
    word.

    Raises:
        OptionError: names the option and both values.
    """
    for setting in (one for one in SETTINGS if one.flag in ADDS):
        values = list(dict.fromkeys(_values(setting, typed)))
        if len(values) > 1:
            several = f"; several outcomes go into one, separated by commas: {setting.option}={','.join(values)}"
            raise OptionError(
                f"{setting.option} is given twice, with {' and '.join(values)}: it takes one value, leave one out"
                + (several if setting.ini == "args" else "")
            )


def _values(setting: Setting, words: Sequence[str]) -> Iterator[str]:
    """What the words give the option, in their order; of an option whose value may be left out, what that means."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--":
            return
        if word.startswith(f"{setting.option}="):
            yield word.partition("=")[2]
        elif word == setting.option:
            yield setting.const if setting.nargs == "?" and setting.const is not None else following


JUDGES = frozenset({"strict", "fail-on", "accept", "exit-codes", "report", "history", "profile", "shard"})
"""Options that nobody types who does not want a measurement."""


def refuse_contradictions(typed: Sequence[str], option: Callable[[str], object], env: Mapping[str, str]) -> None:
    """Refuse a run whose command line asks for a measurement, and whose environment or configuration (`addopts`,
    PYTEST_ADDOPTS) turns it into something else. `typed` are the words of the command line, `option` gives the value
    of an option wherever it was given.

    Raises:
        OptionError: names what turns the run, and the fix.
    """
    if any(word.startswith("@") for word in typed):
        return  # the words of a file: nobody can tell here which options it holds
    by_flag = {setting.flag: setting for setting in SETTINGS}
    asked = {flag for flag, setting in by_flag.items() if _typed(setting, typed)}
    if not asked & TURNS["dry-run"] or "dry-run" in asked:
        return
    asks = ", ".join(sorted(by_flag[flag].option for flag in asked & TURNS["dry-run"]))
    for flag, turned in TURNS.items():
        setting = by_flag[flag]
        if flag in asked or not asked & turned:
            continue
        if option(setting.dest) is not None:
            where = f"{setting.option} in `addopts` or PYTEST_ADDOPTS"
        elif told := setting.in_environment(env):
            where = f"{setting.variable}={told} in the environment"
        else:
            continue
        raise OptionError(f"{where} contradicts the command line ({asks}): remove it, or type {setting.option} too")
    for name, words in SHOWS.items():
        if option(name) and not any(word in words for word in typed):
            raise OptionError(
                f"{words[0]} in `addopts` or PYTEST_ADDOPTS measures nothing, which contradicts the command line "
                f"({asks}): remove it, or type {words[0]} too"
            )


def refuse_idle(typed: Sequence[str]) -> None:
    """Refuse a command line that judges, reports or splits a measurement, in a run that makes none: all would be
    skipped, and exit with 0.

    Raises:
        OptionError: names the option, and those that measure.
    """
    for setting in SETTINGS:
        if setting.flag in JUDGES and _typed(setting, typed):
            raise OptionError(
                f"{setting.option} measures nothing by itself: add --sgdiff-gpus=N to launch the engine, "
                "--sgdiff-replay=DIR to judge recorded launches, or --sgdiff-dry-run to print command lines"
            )


def _typed(setting: Setting, words: Sequence[str]) -> bool:
    return any(word == setting.option or word.startswith(f"{setting.option}=") for word in words)
