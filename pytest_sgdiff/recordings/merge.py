"""Recordings of shards joined to one: each launch once, all or nothing, and nothing is decided in silence.

Everything is read (`merge_read`) and compared (`merge_conflicts`) before anything is written. The merged recording then
grows in a folder of its own beside the place where it is to be, and takes that place in one step (`merge_write`).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pytest_sgdiff.data import LostShard, LostTest, Merged, Selection, Shard
from pytest_sgdiff.errors import MergeConflictError, RecordingError
from pytest_sgdiff.files.data_files import DataFileError, case_id, kind, read_bytes
from pytest_sgdiff.recordings import merge_write, shards
from pytest_sgdiff.recordings.layout import Key
from pytest_sgdiff.recordings.merge_conflicts import conflicts
from pytest_sgdiff.recordings.merge_read import Found, read
from pytest_sgdiff.recordings.store import PROFILE, RECORD

EXCUSED: Final = frozenset({"recorded", "engine-version", "gpus", "skipped"})
"""Why a shard may have no result of a test without anything being wrong: it has a baseline already, its own
`requires` leaves it out there, or it is skipped by a mark of its own."""


def merge(folders: Sequence[Path], out: Path) -> Merged:
    """Join the recordings in `folders` to one in `out`.

    A shard that never reported is no error: what there is is joined, and the result says what is missing.

    Raises:
        MergeConflictError: recordings contradict each other; it has every conflict. Nothing was written.
        RecordingError: a folder holds what is not to be read (a link, a device, a file that is too large), nothing at
            all is there, `out` holds something else already, or the disk is full. Nothing was written.
    """
    place = Path(os.path.realpath(out))
    try:
        _refuse_place(folders, out, place)
        selections: dict[str, Selection] = {}
        found = [read(folder, selections) for folder in _distinct(folders)]
        full = [one for one in found if not one.empty]
        if not full:
            raise RecordingError(
                f"{', '.join(map(str, folders))}: no recording is there; name the folders that runs with "
                "--sgdiff-shard wrote (--sgdiff-out)"
            )
        if against := [*conflicts(full)]:
            raise MergeConflictError(against)
        together = _together(full)
        strays = _strays(full, together)
        plan = merge_write.plan_of(full, strays)
        there = merge_write.is_there(plan, place)
        if not there:
            merge_write.write(plan, place)
        return _result(folders, full, together, strays, plan, there_already=there)
    except DataFileError as error:
        raise RecordingError(str(error)) from None
    except OSError as error:
        raise RecordingError(f"{error.filename}: cannot be read: {error.strerror or error}") from None


def _distinct(folders: Sequence[Path]) -> Iterator[Path]:
    """A folder that is named twice counts once."""
    seen: set[str] = set()
    for folder in folders:
        if (real := os.path.realpath(folder)) not in seen:
            seen.add(real)
            yield folder


def _refuse_place(folders: Sequence[Path], out: Path, place: Path) -> None:
    for folder in folders:
        real = Path(os.path.realpath(folder))
        if place == real or place.is_relative_to(real):
            raise RecordingError(f"{out}: lies in {folder}, which is to be merged; name another folder with --out")
        if real.is_relative_to(place):
            raise RecordingError(f"{out}: holds {folder}, which is to be merged; name another folder with --out")
    if place.exists() and not place.is_dir():
        raise RecordingError(f"{out}: is no folder; name another one with --out")


def _together(found: Sequence[Found]) -> shards.Shards | None:
    reports = {report.shard.number: report for one in found for report in one.reports.values()}
    selection = next((one.selection for one in found if one.selection is not None), None)
    there = Counter("/".join(key[:-1]) for key in {key for one in found for key in one.launches})
    return None if selection is None else shards.Shards(selection, reports, lambda: there)


def _strays(found: Sequence[Found], together: shards.Shards | None) -> frozenset[Key]:
    """The folders of cases that no shard had to measure, as an earlier run left them in one that was used again."""
    if together is None:
        return frozenset()
    selected = {row.case for row in together.selection.tests}
    if None in selected:  # a test in Python, whose case nobody knows here
        return frozenset()
    keys = {key[:-1] for one in found for key in one.launches} | {key[:-2] for one in found for key in one.traces}
    return frozenset(key for key in keys if case_id(key[-1]) not in selected)


def _result(
    folders: Sequence[Path],
    found: Sequence[Found],
    together: shards.Shards | None,
    strays: frozenset[Key],
    plan: merge_write.Plan,
    *,
    there_already: bool,
) -> Merged:
    launches = [way for way, source in plan.items() if source is None]
    judged = [way for way in launches if PROFILE not in way.parts[:-2]]
    there = {one.root for one in found}
    merged = Merged(
        cases=len({way.parent.name for way in judged}),
        launches=len(judged),
        profiled=len(launches) - len(judged),
        absent=tuple(str(folder) for folder in _distinct(folders) if folder not in there),
        plain=tuple(str(one.root) for one in found if not one.reports),
        damaged=tuple(_damaged(found)),
        strays=tuple(sorted({str(path) for one in found for key, path in one.launches.items() if key[:-1] in strays})),
        left_out=tuple(str(path) for one in found for path in one.left_out),
        there_already=there_already,
    )
    if together is None:
        return merged
    of = together.selection.of
    return replace(
        merged,
        of=of,
        reported=tuple(sorted(together.reports)),
        unreported=tuple(
            LostShard(shard=Shard(number=one, of=of), tests=together.tests_of(one)) for one in together.unreported
        ),
        unfinished=tuple(Shard(number=one, of=of) for one in together.unfinished),
        gaps=tuple(_gaps(together)),
    )


def _gaps(together: shards.Shards) -> Iterator[LostTest]:
    """The tests of shards that reported which have no result, but for those that need none, and those of which launches
    are missing."""
    for number in sorted(together.reports):
        for row in together.tests_of(number):
            gap = together.gap(row.test, row.case or row.test)
            if gap is not None and gap.unmeasured is not None and gap.unmeasured.gap not in EXCUSED:
                yield LostTest(test=row.test, gap=gap)
    yield from (LostTest(test=name, gap=gap) for name, gap in together.incomplete)


def _damaged(found: Sequence[Found]) -> Iterator[str]:
    """Launches whose record is there and is no JSON. They are joined as they are: the judge says what they are."""
    for one in found:
        for path in one.launches.values():
            if kind(path / RECORD, below=one.root) is not None:
                try:
                    json.loads(read_bytes(path / RECORD, below=one.root) or b"")
                except (ValueError, RecursionError):
                    yield str(path / RECORD)
