"""Recordings of shards joined to one: each launch once, all or nothing, and nothing is decided in silence.

Everything is read and compared before anything is written. The merged recording then grows in a folder of its own
beside the place where it is to be, and takes that place in one step.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from pytest_sgdiff.data import Conflict, LostShard, LostTest, Merged, Selection, Shard, ShardReport
from pytest_sgdiff.errors import MergeConflictError, RecordingError
from pytest_sgdiff.files.data_files import (
    DOCUMENT_LIMIT,
    DataFileError,
    case_id,
    copy,
    kind,
    make_folder,
    names,
    onto_disk,
    opened,
    read_bytes,
)
from pytest_sgdiff.files.run_folders import AGAIN, CANDIDATES, OF_A_LAUNCH
from pytest_sgdiff.recordings import shards
from pytest_sgdiff.recordings.store import AGAINST, RECORD

HALF: Final = ".sgdiff-merging-"
"""How the name of a folder begins in which a merged recording grows. One that lies around is left of a killed process,
and may be removed."""

EXCUSED: Final = frozenset({"recorded", "engine-version", "gpus", "skipped"})
"""Why a shard may have no result of a test without anything being wrong: it has a baseline already, its own
`requires` leaves it out there, or it is skipped by a mark of its own."""

Key = tuple[str, ...]
"""Where a launch lies in a recording, case and number last: `("against", "tiny", "0")`."""


@dataclass
class Found:
    """One recording, read. `launches` are folders by their key, `files` the reports and selections by their name."""

    root: Path
    reports: dict[str, ShardReport] = field(default_factory=dict)
    selection: Selection | None = None
    launches: dict[Key, Path] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not self.launches and not self.reports

    @property
    def numbers(self) -> frozenset[int]:
        """The shards that the folder has the reports of."""
        return frozenset(report.shard.number for report in self.reports.values())


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
        found = [_read(folder, selections) for folder in _distinct(folders)]
        full = [one for one in found if not one.empty]
        if not full:
            raise RecordingError(
                f"{', '.join(map(str, folders))}: no recording is there; name the folders that runs with "
                "--sgdiff-shard wrote (--sgdiff-out)"
            )
        conflicts = [
            *(c for one in full for c in one.conflicts),
            *_of_shards(full),
            *_of_places(full),
            *_of_launches(full),
        ]
        if conflicts:
            raise MergeConflictError(conflicts)
        together = _together(full)
        strays = _strays(full, together)
        plan = _plan(full, strays)
        there = _is_there(plan, place)
        if not there:
            _write(plan, place)
        return _result(folders, full, together, strays, plan, there_already=there)
    except DataFileError as error:
        raise RecordingError(str(error)) from None
    except OSError as error:
        raise RecordingError(f"{error.filename}: cannot be read: {error.strerror or error}") from None


# ------------------------------------------------------------------------------------------------------------ reading


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


def _read(root: Path, selections: dict[str, Selection]) -> Found:
    """What a folder holds; nothing if it is not there."""
    found = Found(root)
    if not root.exists():
        return found
    if not root.is_dir():
        raise RecordingError(f"{root}: is no folder; name the folder that --sgdiff-out wrote")
    found.reports = {name: shards.read_report(root, name) for name in shards.report_names(root)}
    if found.reports and (together := shards.read_shards(root, selections)):
        found.selection = together.selection
    found.files = list(found.reports)
    found.files += sorted({shards.selection_name(report.selection) for report in found.reports.values()})
    _read_folder(found, root, ())
    return found


def _read_folder(found: Found, folder: Path, prefix: Key) -> None:
    """The launches below a folder that holds the folders of cases."""
    for name in names(folder, below=found.root):
        path, what = folder / name, kind(folder / name, below=found.root)
        if what == "folder" and name == AGAINST and AGAINST not in prefix:
            _read_folder(found, path, (*prefix, name))
        elif what == "folder" and name == AGAIN and not prefix:
            for test in names(path, below=found.root):
                _read_folder(found, path / test, (name, test))
        elif what == "folder" and not (name == CANDIDATES and not prefix):
            _read_case(found, path, (*prefix, name))
        elif what == "link":
            names(path, below=found.root)  # which says that it is one
        elif name not in found.files:
            found.left_out.append(path)


def _read_case(found: Found, folder: Path, key: Key) -> None:
    inner = names(folder, below=found.root)
    launches = 0
    for name in inner:
        path, what = folder / name, kind(folder / name, below=found.root)
        if what == "link":
            names(path, below=found.root)  # which says that it is one
        if what != "folder" or not name.isdecimal():
            found.left_out.append(path)
            continue
        launches += 1
        own = (*key, str(int(name)))
        if (other := found.launches.setdefault(own, path)) != path:
            found.conflicts.append(
                Conflict(code="launch", paths=(str(other), str(path)), case=case_id(folder.name), said=("", ""))
            )
    if not inner:
        found.left_out.append(folder)


def files_of(folder: Path, below: Path) -> tuple[str, ...]:
    """The names of the files of a launch that are copied.

    Raises DataFileError: a link in the folder, something in place of a file, or a document that is too large.
    """
    found = []
    for name in names(folder, below=below):
        what = kind(folder / name, below=below)
        if what == "link":
            names(folder / name, below=below)  # which says that it is one
        if OF_A_LAUNCH.fullmatch(name) and what is not None:
            with opened(folder / name, below=below) as descriptor:
                size = 0 if descriptor is None else os.fstat(descriptor).st_size
            if size > DOCUMENT_LIMIT and not name.endswith(".log"):
                raise DataFileError(
                    folder / name, "too-large", f"has more than {DOCUMENT_LIMIT} bytes, which no real file has"
                )
            found.append(name)
    return tuple(found)


# ---------------------------------------------------------------------------------------------------------- conflicts


def _of_shards(found: Sequence[Found]) -> Iterator[Conflict]:
    """What the reports of shards say against each other."""
    told = [(one, name, report) for one in found for name, report in one.reports.items()]
    if not told:
        return
    first, first_name, first_report = told[0]
    for other, name, report in told[1:]:
        paths = (str(first.root / first_name), str(other.root / name))
        two = (first_report.shard, report.shard)
        if report.shard.of != first_report.shard.of:
            yield Conflict(code="shard-count", paths=paths, shards=two)
        elif report.selection != first_report.selection and first.selection and other.selection:
            yield from _of_selections(first.selection, other.selection, paths)
        for variable in sorted({*report.job} & {*first_report.job}):
            if report.job[variable] != first_report.job[variable]:
                said = (f"{variable}={first_report.job[variable]}", f"{variable}={report.job[variable]}")
                yield Conflict(code="job", paths=paths, shards=two, said=said)
    by_shard: dict[Shard, tuple[str, ShardReport]] = {}
    for one, name, report in told:
        path = str(one.root / name)
        its_path, earlier = by_shard.setdefault(report.shard, (path, report))
        if report != earlier:
            said = (earlier.run, report.run)
            yield Conflict(code="shard-twice", paths=(its_path, path), shards=(report.shard,), said=said)


def _of_selections(one: Selection, other: Selection, paths: tuple[str, str]) -> Iterator[Conflict]:
    """In what two selections differ; each difference once."""
    mine, theirs = ({row.test: row for row in selection.tests} for selection in (one, other))
    for test in sorted({*mine} | {*theirs}):
        a, b = mine.get(test), theirs.get(test)
        if a is None or b is None:
            said = ("selected" if a else "", "selected" if b else "")
            yield Conflict(code="selection", paths=paths, case=test, said=said)
        elif a.definition != b.definition:
            yield Conflict(code="definition", paths=paths, case=test)
        elif a.shard != b.shard:
            two = (Shard(number=a.shard, of=one.of), Shard(number=b.shard, of=other.of))
            yield Conflict(code="assignment", paths=paths, case=test, shards=two)


def _of_places(found: Sequence[Found]) -> Iterator[Conflict]:
    """Launches that lie where they do not belong: with a shard that does not have their case."""
    of_cases: dict[int, dict[str | None, int]] = {}
    for one in found:
        if one.selection is None:
            continue
        if id(one.selection) not in of_cases:  # which most have in common
            of_cases[id(one.selection)] = {row.case: row.shard for row in one.selection.tests if row.case}
        of_case = of_cases[id(one.selection)]
        for case, folder in sorted({(case_id(key[-2]), path.parent) for key, path in one.launches.items()}):
            number = of_case.get(case)
            if number is not None and number not in one.numbers:
                shard = Shard(number=number, of=one.selection.of)
                paths = (str(folder), str(one.root / next(iter(one.reports))))
                yield Conflict(code="other-shard", paths=paths, case=case, shards=(shard,))


def _of_launches(found: Sequence[Found]) -> Iterator[Conflict]:
    """Launches that contradict each other."""
    where: dict[Key, list[tuple[Found, Path]]] = defaultdict(list)
    for one in found:
        for key, path in one.launches.items():
            where[key].append((one, path))
    cases: dict[Key, dict[Path, list[tuple[Key, Found, Path]]]] = defaultdict(lambda: defaultdict(list))
    for key, places in where.items():
        (first, path), *others = places
        for other, its_path in others:
            if not _alike(path, first.root, its_path, other.root):
                yield Conflict(code="launch", paths=(str(path), str(its_path)), case=case_id(key[-2]))
        for one, its_path in places:
            cases[key[:-1]][one.root].append((key, one, its_path))
    for key, roots in cases.items():
        if len(roots) > 1:
            yield from _of_case(case_id(key[-1]), [entry for entries in roots.values() for entry in entries])


def _of_case(case: str, launches: Sequence[tuple[Key, Found, Path]]) -> Iterator[Conflict]:
    """Launches of one case in several folders: of one run, and each under one number."""
    numbers: dict[bytes, tuple[Key, Path]] = {}
    runs: dict[str, Path] = {}
    for key, one, path in launches:
        if record := _record(path, one.root):
            its_key, its_path = numbers.setdefault(record, (key, path))
            if its_key != key:
                yield Conflict(code="renumbered", paths=(str(its_path), str(path)), case=case)
                return
        runs.setdefault(_session(record) or "none is named", path)
    if len(runs) > 1:
        (run, path), (other, its_path), *_ = runs.items()
        yield Conflict(code="two-runs", paths=(str(path), str(its_path)), case=case, said=(run, other))


def _record(folder: Path, below: Path) -> bytes:
    return read_bytes(folder / RECORD, below=below) or b""


def _session(record: bytes) -> str | None:
    """The run that a launch belongs to; None where its record does not say so, or cannot be read."""
    with contextlib.suppress(ValueError, RecursionError):
        session = json.loads(record).get("session") if record.lstrip()[:1] == b"{" else None
        return session if isinstance(session, str) else None
    return None


def _alike(folder: Path, below: Path, other: Path, other_below: Path) -> bool:
    """Whether two launches are the same, byte for byte."""
    mine = files_of(folder, below)
    return mine == files_of(other, other_below) and all(
        _same_content(folder / name, below, other / name, other_below) for name in mine
    )


def _same_content(path: Path, below: Path, other: Path, other_below: Path) -> bool:
    with opened(path, below=below) as first, opened(other, below=other_below) as second:
        if first is None or second is None or os.fstat(first).st_size != os.fstat(second).st_size:
            return False
        while True:
            # A regular file gives all that was asked for, but at its end.
            parts = os.read(first, 1 << 20), os.read(second, 1 << 20)
            if parts[0] != parts[1]:
                return False
            if not parts[0]:
                return True


# ------------------------------------------------------------------------------------------------------------ writing


def _together(found: Sequence[Found]) -> shards.Shards | None:
    reports = {report.shard.number: report for one in found for report in one.reports.values()}
    selection = next((one.selection for one in found if one.selection is not None), None)
    there = Counter("/".join(key[:-1]) for key in {key for one in found for key in one.launches})
    return None if selection is None else shards.Shards(selection, reports, lambda: there)


def _strays(found: Sequence[Found], together: shards.Shards | None) -> frozenset[Key]:
    """Launches of cases that no shard had to measure, as an earlier run left them in a folder that was used again."""
    if together is None:
        return frozenset()
    selected = {row.case for row in together.selection.tests}
    if None in selected:  # a test in Python, whose case nobody knows here
        return frozenset()
    return frozenset(key for one in found for key in one.launches if case_id(key[-2]) not in selected)


def _plan(found: Sequence[Found], strays: frozenset[Key]) -> Mapping[Path, tuple[Path, Path] | None]:
    """Every file of the merged recording, by its way from there -> where it is now, and below which folder; None for a
    folder of a launch that holds no file."""
    plan: dict[Path, tuple[Path, Path] | None] = {}
    for one in found:
        for name in one.files:
            plan.setdefault(Path(name), (one.root / name, one.root))
        for key, path in one.launches.items():
            folder = Path(*key[:-1], f"{int(key[-1]):02d}")
            if key in strays or folder in plan:
                continue
            plan[folder] = None
            plan.update({folder / name: (path / name, one.root) for name in files_of(path, one.root)})
    return plan


def _is_there(plan: Mapping[Path, tuple[Path, Path] | None], place: Path) -> bool:
    """Whether the merged recording is there already, as it would be written.

    Raises RecordingError if anything else is there.
    """
    there = set(_ways(place, place)) if place.is_dir() else set()
    if not there:
        return False
    wanted = set(plan) | {parent for way in plan for parent in way.parents if parent != Path()}
    same = there == wanted and all(
        _same_content(source[0], source[1], place / way, place) for way, source in plan.items() if source is not None
    )
    if not same:
        raise RecordingError(f"{place}: is not empty, and holds something else; name another folder with --out")
    return True


def _ways(folder: Path, root: Path) -> Iterator[Path]:
    for name in names(folder, below=root):
        yield (folder / name).relative_to(root)
        if kind(folder / name, below=root) == "folder":
            yield from _ways(folder / name, root)


def _write(plan: Mapping[Path, tuple[Path, Path] | None], place: Path) -> None:
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


def _refuse_too_much(plan: Mapping[Path, tuple[Path, Path] | None], place: Path) -> None:
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


# ------------------------------------------------------------------------------------------------------- what is said


def _result(
    folders: Sequence[Path],
    found: Sequence[Found],
    together: shards.Shards | None,
    strays: frozenset[Key],
    plan: Mapping[Path, tuple[Path, Path] | None],
    *,
    there_already: bool,
) -> Merged:
    launches = [way for way, source in plan.items() if source is None]
    there = {one.root for one in found}
    merged = Merged(
        cases=len({way.parent.name for way in launches}),
        launches=len(launches),
        absent=tuple(str(folder) for folder in _distinct(folders) if folder not in there),
        plain=tuple(str(one.root) for one in found if not one.reports),
        damaged=tuple(_damaged(found)),
        strays=tuple(sorted({str(path) for one in found for key, path in one.launches.items() if key in strays})),
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
    """The tests of shards that reported which have no result, but for those that need none, and cases of which launches
    are missing."""
    for number in sorted(together.reports):
        for row in together.tests_of(number):
            gap = together.gap(row.test, row.case or row.test)
            if gap is not None and gap.unmeasured is not None and gap.unmeasured.gap not in EXCUSED:
                yield LostTest(test=row.test, gap=gap)
    # By their cases: which one a test in Python has, nobody knows here.
    yield from (LostTest(test=case, gap=gap) for case, gap in together.incomplete.items())


def _damaged(found: Sequence[Found]) -> Iterator[str]:
    """Launches whose record is there and is no JSON. They are joined as they are: the judge says what they are."""
    for one in found:
        for path in one.launches.values():
            if kind(path / RECORD, below=one.root) is not None:
                try:
                    json.loads(_record(path, one.root))
                except (ValueError, RecursionError):
                    yield str(path / RECORD)


def copy_case(root: Path, out: Path, case_folder: str) -> None:
    """Copy the launches of a case to another recording, those of the base engine too.

    Raises RecordingError if they cannot be read or written.
    """
    try:
        for side in ("", AGAINST):
            folder = root / side / case_folder
            if kind(folder, below=root) != "folder":
                continue
            for name in names(folder, below=root):
                if name.isdecimal() and kind(folder / name, below=root) == "folder":
                    target = out / side / case_folder / name
                    make_folder(target, below=out)
                    for file in files_of(folder / name, root):
                        copy(folder / name / file, target / file, below=root, into=out)
    except DataFileError as error:
        raise RecordingError(str(error)) from None
    except OSError as error:
        raise RecordingError(f"{out}: cannot be written: {error.strerror or error}; make room") from None
