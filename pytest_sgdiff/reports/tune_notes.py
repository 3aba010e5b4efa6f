"""The words for what `sgdiff tune` says beside its result. The one place that has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from pytest_sgdiff.data import TuneCode, TuneNote, TuneNoteCode


def note(one: TuneNote, shown: Callable[[str], str] = str) -> str:
    """A note, with variants called as `shown` calls them."""
    return _NOTES[one.code](one, ", ".join(map(shown, one.variants)))


_WHY: Mapping[TuneCode, str] = {
    "nothing": "no variant can be used",
    "budget": "the time was used up before a variant was measured that can be used",
}


def _not_written(one: TuneNote, _: str) -> str:
    why = "there is no variant to recommend" if one.why is None else _WHY.get(one.why, "no variant can be used")
    return f"--write {one.path}: the file is not written: {why}"


def _memory(one: TuneNote, names: str) -> str:
    least = math.ceil(one.memory_mib or 0.0)
    return f"--memory: the smallest amount with which a measured variant fits is {least}MiB, for {names}"


_NOTES: Mapping[TuneNoteCode, Callable[[TuneNote, str], str]] = {
    "cut": lambda one, _: (
        f"{one.path}:{one.line}: this last line is incomplete and was left out; what is known of its round is read "
        "from the files of the round"
    ),
    "not-retried": lambda _, names: f"--retry: no launch of {names} failed, so there is none to try again",
    "not-written": _not_written,
    "memory": _memory,
}
