"""The merged recording: which files it has, and how it appears, all at once or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pytest_sgdiff.errors import RecordingError
from pytest_sgdiff.files.data_files import copy, kind, make_folder, names, onto_disk, opened
from pytest_sgdiff.recordings.launch_files import files_of
from pytest_sgdiff.recordings.layout import Key
from pytest_sgdiff.recordings.merge_conflicts import same_content
from pytest_sgdiff.recordings.merge_read import Found

HALF: Final = ".sgdiff-merging-"
"""How the name of a folder begins in which a merged recording grows. One that lies around is left of a killed process,
and may be removed."""

Plan = Mapping[Path, tuple[Path, Path] | None]
"""Every file of the merged recording, by its way from there -> where it is now, and below which folder; None for a
folder of a launch."""


def plan_of(found: Sequence[Found], strays: frozenset[Key]) -> Plan:
    """What the merged recording is to have; launches of `strays`, by the keys of their cases, are left out.

    Raises DataFileError as `files_of`."""
    plan: dict[Path, tuple[Path, Path] | None] = {}
    for one in found:
        for name in one.files:
            plan.setdefault(Path(name), (one.root / name, one.root))
        for key, path in one.launches.items():
            folder = Path(*key[:-1], f"{int(key[-1]):02d}")
            if key[:-1] in strays or folder in plan:
                continue
            plan[folder] = None
            plan.update({folder / name: (path / name, one.root) for name in files_of(path, one.root)})
        for key, path in one.traces.items():
            if key[:-2] not in strays:
                plan.setdefault(Path(*key), (path, one.root))
    return plan


def is_there(plan: Plan, place: Path) -> bool:
    """Whether the merged recording is there already, as it would be written.

    Raises RecordingError if anything else is there.
    """
    there = set(_ways(place, place)) if place.is_dir() else set()
    if not there:
        return False
    wanted = set(plan) | {parent for way in plan for parent in way.parents if parent != Path()}
    same = there == wanted and all(
        same_content(source[0], source[1], place / way, place) for way, source in plan.items() if source is not None
    )
    if not same:
        raise RecordingError(f"{place}: is not empty, and holds something else; name another folder with --out")
    return True


def _ways(folder: Path, root: Path) -> Iterator[Path]:
    for name in names(folder, below=root):
        yield (folder / name).relative_to(root)
        if kind(folder / name, below=root) == "folder":
            yield from _ways(folder / name, root)


def write(plan: Plan, place: Path) -> None:
    """Write the recording beside its place, then move it there in one step.

    Raises RecordingError if it cannot be written; then, and if this is interrupted, nothing of it stays.
    """
    half = place.parent / f"{HALF}{secrets.token_hex(6)}"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _refuse_too_much(plan, place)
        half.mkdir()
        try:
            for way, source in plan.items():
                if source is None:
                    make_folder(half / way, below=half)
                else:
                    copy(source[0], half / way, below=source[1], into=half)
            for made in (*plan, *{parent for way in plan for parent in way.parents}):
                onto_disk(half / made)
            os.rename(half, place)
            onto_disk(place.parent)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise RecordingError(f"{place}: something else was put there meanwhile; name another --out") from None
        why = error.strerror or error
        raise RecordingError(
            f"{place}: cannot be written: {why}; make room, or name another folder with --out"
        ) from None


def _refuse_too_much(plan: Plan, place: Path) -> None:
    """Refuse what the disk has no room for before it is filled: a file may claim any size."""
    size = 0
    for source in plan.values():
        if source is not None:
            with opened(source[0], below=source[1]) as descriptor:
                size += 0 if descriptor is None else os.fstat(descriptor).st_size
    free = shutil.disk_usage(place.parent).free
    if size > free:
        raise RecordingError(
            f"{place}: the recordings have {size >> 20} MiB, and {free >> 20} MiB are free there; make room, or name "
            "another folder with --out"
        )
