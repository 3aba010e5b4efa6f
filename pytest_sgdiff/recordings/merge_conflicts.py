"""What recordings that are to be joined say against each other."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pytest_sgdiff.data import Conflict, Selection, Shard, ShardReport
from pytest_sgdiff.files.data_files import case_id, opened, read_bytes
from pytest_sgdiff.files.run_folders import AGAIN
from pytest_sgdiff.recordings.launch_files import files_of, session_of
from pytest_sgdiff.recordings.layout import Key, folder_of_test
from pytest_sgdiff.recordings.merge_read import Found
from pytest_sgdiff.recordings.shards import selection_name
from pytest_sgdiff.recordings.store import RECORD


def conflicts(found: Sequence[Found]) -> Iterator[Conflict]:
    """All of it, of what belongs together first to single launches last. Raises DataFileError as `files_of`."""
    owners = Owners()
    for one in found:
        yield from one.conflicts
    yield from _of_shards(found)
    for one in found:
        yield from _of_places(one, owners)
        yield from _of_runs(one, owners)
    yield from _of_launches(found)
    yield from _of_traces(found)


class Owners:
    """Which shard measures what lies at a key. Most recordings have one selection in common, which is read once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Mapping[str, int], Mapping[str, int]]] = {}

    def shard_of(self, key: Key, selection: Selection) -> int | None:
        """The number of the shard; None of what nobody was to measure, and of a test in Python that has no folder of
        its own, as recordings of older versions have it."""
        known = self._known.get(id(selection))
        if known is None:
            of_cases = {row.case: row.shard for row in selection.tests if row.case is not None}
            of_tests = {folder_of_test(row.test): row.shard for row in selection.tests if row.case is None}
            known = self._known[id(selection)] = of_cases, of_tests
        if key[0] == AGAIN and (number := known[1].get(key[1])) is not None:
            return number
        return known[0].get(case_id(key[-2]))


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
            differ = [*_of_selections(first.selection, other.selection, paths)]
            # A judge compares the files, whatever it is that they differ in.
            said = (selection_name(first_report.selection), selection_name(report.selection))
            yield from differ or [Conflict(code="selection-file", paths=paths, shards=two, said=said)]
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
        elif (a.definition, a.case) != (b.definition, b.case):
            yield Conflict(code="definition", paths=paths, case=test)
        elif a.shard != b.shard:
            two = (Shard(number=a.shard, of=one.of), Shard(number=b.shard, of=other.of))
            yield Conflict(code="assignment", paths=paths, case=test, shards=two)


def _of_places(one: Found, owners: Owners) -> Iterator[Conflict]:
    """Launches that lie where they do not belong: with a shard that does not have their case."""
    if one.selection is None:
        return
    for key, folder in sorted({(key[:-1], path.parent) for key, path in one.launches.items()}):
        number = owners.shard_of((*key, ""), one.selection)
        if number is not None and number not in one.by_number:
            shard = Shard(number=number, of=one.selection.of)
            paths = (str(folder), str(one.root / next(iter(one.reports))))
            yield Conflict(code="other-shard", paths=paths, case=case_id(key[-1]), shards=(shard,))


def _of_runs(one: Found, owners: Owners) -> Iterator[Conflict]:
    """Launches of another run than that of their shard, one for each folder of a case: an earlier run left them, or
    somebody put them there."""
    if one.selection is None:
        return
    told: set[tuple[Key, str]] = set()
    by_number = one.by_number
    for key, path in sorted(one.launches.items()):
        session = session_of(path, one.root)
        number = owners.shard_of(key, one.selection)
        # Of a launch that nobody was to measure any of the shards may be meant.
        may_be = [by_number[number]] if number in by_number else [*by_number.values()]
        if session is None or any(_made(report, session) for _, report in may_be) or (key[:-1], session) in told:
            continue
        told.add((key[:-1], session))
        name, report = may_be[0]
        yield Conflict(
            code="other-run",
            paths=(str(path), str(one.root / name)),
            case=case_id(key[-2]),
            shards=(report.shard,),
            said=(session, report.run),
        )


def _made(report: ShardReport, session: str) -> bool:
    """Whether a launch of that run may be the shard's. One that replays says whose launches it has when it ends, and
    one of an older version says neither that nor whether it replays."""
    if report.replayed is None:
        return True
    if report.replayed:
        return not report.finished or session in report.sessions
    return session == report.run.partition("@")[0]


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
        if record := read_bytes(path / RECORD, below=one.root):
            its_key, its_path = numbers.setdefault(record, (key, path))
            if its_key != key:
                yield Conflict(code="renumbered", paths=(str(its_path), str(path)), case=case)
                return
        runs.setdefault(session_of(path, one.root) or "none is named", path)
    if len(runs) > 1:
        (run, path), (other, its_path), *_ = runs.items()
        yield Conflict(code="two-runs", paths=(str(path), str(its_path)), case=case, said=(run, other))


def _of_traces(found: Sequence[Found]) -> Iterator[Conflict]:
    """Traces of one launch that differ."""
    where: dict[Key, tuple[Found, Path]] = {}
    for one in found:
        for key, path in one.traces.items():
            other, its_path = where.setdefault(key, (one, path))
            if its_path != path and not same_content(its_path, other.root, path, one.root):
                yield Conflict(code="launch", paths=(str(its_path), str(path)), case=case_id(key[-3]))


def _alike(folder: Path, below: Path, other: Path, other_below: Path) -> bool:
    """Whether two launches are the same, byte for byte."""
    mine = files_of(folder, below)
    return mine == files_of(other, other_below) and all(
        same_content(folder / name, below, other / name, other_below) for name in mine
    )


def same_content(path: Path, below: Path, other: Path, other_below: Path) -> bool:
    """Whether two files hold the same, below the folders that were named. Raises DataFileError."""
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
