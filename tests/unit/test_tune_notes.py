"""The words for what `sgdiff tune` says beside its result."""

from __future__ import annotations

from typing import get_args

from pytest_sgdiff.data import Dropped, Standing, Tuned, TuneNote, TuneNoteCode
from pytest_sgdiff.reports.tune_notes import note
from pytest_sgdiff.tuning.notes import nothing_usable
from tests.golden import check_golden


def test_the_words_of_each_note() -> None:
    notes = (
        TuneNote(code="cut", path=".sgdiff/tune/tiny/state.jsonl", line=7),
        TuneNote(code="not-retried", variants=("fa", "sage")),
        TuneNote(code="not-written", path="cases/mine.yaml", why="nothing"),
        TuneNote(code="not-written", path="cases/mine.yaml", why="budget"),
        TuneNote(code="memory", variants=("low-vram",), memory_mib=45320.3),
    )
    assert {one.code for one in notes} == set(get_args(TuneNoteCode))
    check_golden("tune_said", (f"{one.code}: {note(one, lambda name: f'<{name}>')}" for one in notes))


def test_the_least_memory_is_that_of_the_smallest_variant_that_needs_too_much() -> None:
    large = Dropped(code="memory")
    standings = (
        Standing(variant="a", memory_mib=9000.0, dropped=large),
        Standing(variant="b", memory_mib=8000.0, dropped=large),
        Standing(variant="fails", memory_mib=1000.0, dropped=Dropped(code="failed")),
    )
    tuned = Tuned(code="nothing", standings=standings, confidence=0.95, within=0.02)
    assert list(nothing_usable(tuned, write=None)) == [TuneNote(code="memory", variants=("b",), memory_mib=8000.0)]
    late = Tuned(code="budget", standings=(), confidence=0.95, within=0.02)
    assert list(nothing_usable(late, write="x.yaml")) == [TuneNote(code="not-written", path="x.yaml", why="budget")]
