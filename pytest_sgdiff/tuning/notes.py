"""What `sgdiff tune` says beside its result: why no file is written, what would do, what is not tried again. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_sgdiff.data import Tuned, TuneNote


def nothing_usable(tuned: Tuned, *, write: str | None) -> Iterator[TuneNote]:
    """Of a search without a variant to recommend: that the file it was to `write` is not written, and the least memory
    with which one could be used, if memory is what they lack."""
    if write is not None:
        yield TuneNote(code="not-written", path=write, why=tuned.code)
    large = [
        (one.memory_mib, one.variant)
        for one in tuned.standings
        if one.dropped is not None and one.dropped.code == "memory" and one.memory_mib is not None
    ]
    if large:
        memory_mib, variant = min(large)
        yield TuneNote(code="memory", variants=(variant,), memory_mib=memory_mib)


def not_retried(asked: Sequence[str], retried: Sequence[str]) -> Iterator[TuneNote]:
    """The variants that were to be tried again, and of which no try had come to nothing."""
    if names := tuple(name for name in asked if name not in retried):
        yield TuneNote(code="not-retried", variants=names)
