"""What a shard leaves beside its launches: which part of which selection it is, and what became of each of its tests.

`ROOT/shard-2-of-4.json` is the shard's own report, written before its first launch and again when it ends.
`ROOT/selection-<digest>.json` is the whole selection, the same file for every shard. So whoever has the report of one
shard knows what the others had to measure, and a shard of which there is no report did not run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, TypeVar

from pytest_sgdiff.data import Reason, SelectedTest, Selection, Shard, ShardGap, ShardReport, Unmeasured
from pytest_sgdiff.errors import RecordingError, WireError
from pytest_sgdiff.files import json_text
from pytest_sgdiff.files.data_files import DataFileError, case_id, kind, names, read_bytes, remove, write
from pytest_sgdiff.files.run_folders import AGAIN, PROFILE
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.recordings.launch_files import session_of
from pytest_sgdiff.recordings.layout import Key, entries, folder_of_test

SCHEMA: Final = 1
REPORT: Final = re.compile(r"shard-([1-9]\d{0,5})-of-([1-9]\d{0,5})\.json", re.ASCII)
SELECTION: Final = re.compile(r"selection-([0-9a-f]{16})\.json", re.ASCII)

T = TypeVar("T")


def report_name(shard: Shard) -> str:
    """`shard-2-of-4.json`"""
    return f"shard-{shard.number}-of-{shard.of}.json"


def selection_name(digest: str) -> str:
    """`selection-0123456789abcdef.json`"""
    return f"selection-{digest}.json"


def begin(root: Path, selection: Selection, report: ShardReport) -> None:
    """Write the selection, and that the shard has begun, in place of what an earlier run of it left.

    Raises RecordingError if they cannot be written, and for the report of another shard: each has a folder of its own.
    """
    text = selection_text(selection)
    digest = digest_of(text)
    refuse_others(root, report.shard)
    with_digest = replace(report, selection=digest)
    try:
        for name in _names(root):
            if SELECTION.fullmatch(name) and name != selection_name(digest):
                remove(root / name, below=root)
        write(root / selection_name(digest), text, below=root)
        _write_report(root, with_digest)
    except (OSError, DataFileError) as error:
        raise _unwritten(root, error) from None


def refuse_others(root: Path, shard: Shard) -> None:
    """Refuse a folder that holds the report of another shard.

    What an earlier run of that one left could not be told from what this job's leaves. Raises RecordingError.
    """
    for name in _names(root):
        if (match := REPORT.fullmatch(name)) and name != report_name(shard):
            raise RecordingError(
                f"{root}: holds the recording of shard {match[1]}/{match[2]}: give each shard a folder of its own "
                "(--sgdiff-out), and remove what an earlier job left there"
            )


def end(
    root: Path,
    shard: Shard,
    ran: Iterable[str],
    unmeasured: Iterable[Unmeasured],
    unlaunched: Mapping[str, Reason] | None = None,
) -> None:
    """Write what became of the shard's tests; of others nothing is kept.

    Raises RecordingError if its report is not there or not writable.
    """
    report = read_report(root, report_name(shard))
    own = {row.test for row in read_selection(root, report.selection).tests if row.shard == shard.number}
    try:
        done = replace(
            report,
            finished=True,
            ran=tuple(sorted(ran)),
            unmeasured=tuple(one for one in unmeasured if one.node_id in own),
            launches=_counts(root),
            unlaunched=unlaunched or {},
            sessions=_sessions(root) if report.replayed else (),
        )
        _write_report(root, done)
    except (OSError, DataFileError) as error:
        raise _unwritten(root, error) from None


def _launches(root: Path) -> Iterator[tuple[Key, list[Path]]]:
    """The launches in each folder of a case, but for profiled ones, which decide nothing."""
    for key, what in entries(root):
        if what != "folder" or PROFILE in key[:-1]:
            continue
        folder = root.joinpath(*key)
        inner = [folder / one for one in names(folder, below=root) if one.isdecimal()]
        if found := [one for one in inner if kind(one, below=root) == "folder"]:
            yield key, found


def _counts(root: Path) -> Mapping[str, int]:
    """How many launches lie in each folder of a case, by its way from the root."""
    return {"/".join(key): len(found) for key, found in _launches(root)}


def _sessions(root: Path) -> tuple[str, ...]:
    """The runs of which launches lie there, empty for what names none."""
    told = {session_of(one, root) for _, found in _launches(root) for one in found}
    return tuple(sorted(session for session in told if session is not None))


def counts(root: Path) -> Mapping[str, int]:
    """Likewise. Raises RecordingError for a folder that cannot be read."""
    try:
        return _counts(root)
    except DataFileError as error:
        raise RecordingError(str(error)) from None


def _write_report(root: Path, report: ShardReport) -> None:
    plain = {**to_plain(report, omit_defaults=True), "schema": SCHEMA}
    write(root / report_name(report.shard), json_text.write(plain), below=root)


def _unwritten(root: Path, error: Exception) -> RecordingError:
    why = getattr(error, "strerror", None) or error
    return RecordingError(f"{root}: the report of the shard cannot be written: {why}")


def selection_text(selection: Selection) -> str:
    """The selection as its file has it: the same text, byte for byte, wherever it is worked out."""
    return json_text.write({**to_plain(selection, omit_defaults=True), "schema": SCHEMA})


def digest_of(text: str) -> str:
    """The 16 hex digits that a selection's file is named by."""
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:16]


def report_names(root: Path) -> tuple[str, ...]:
    """The names of the shards' reports in a recording, by number. Raises RecordingError for a folder that cannot be
    read."""
    found = [(int(match[2]), int(match[1]), name) for name in _names(root) if (match := REPORT.fullmatch(name))]
    return tuple(name for *_, name in sorted(found))


def read_report(root: Path, name: str) -> ShardReport:
    """A shard's report. Raises RecordingError, with file, line and fix, for one that is missing or damaged."""
    report = _parsed(ShardReport, _content(root / name, root), root / name)
    if report_name(report.shard) != name or report.shard.number > report.shard.of:
        raise RecordingError(f"{root / name}: is the report of shard {report.shard}; {_FIX}")
    if not SELECTION.fullmatch(selection_name(report.selection)):
        raise RecordingError(f"{root / name}: selection: must be 16 hex digits; {_FIX}")
    return report


def read_selection(root: Path, digest: str, known: dict[str, Selection] | None = None) -> Selection:
    """The selection of that digest. `known` are those that were read already, and gets this one: all shards of a job
    have the same, and one may name ten thousand tests.

    Raises RecordingError for one that is missing, damaged, or was changed.
    """
    name = selection_name(digest)
    content = _content(root / name, root)
    if hashlib.sha256(content).hexdigest()[:16] != digest:
        raise RecordingError(f"{root / name}: was changed, or is incomplete: its content has another digest; {_FIX}")
    if known is not None and digest in known:
        return known[digest]
    selection = _parsed(Selection, content, root / name)
    if not all(1 <= one.shard <= selection.of for one in selection.tests):
        raise RecordingError(f"{root / name}: names a shard that is none of 1 to {selection.of}; {_FIX}")
    if known is not None:
        known[digest] = selection
    return selection


_FIX = "get the recording of that shard again, or run the shard again"


def _content(path: Path, root: Path) -> bytes:
    try:
        content = read_bytes(path, below=root)
    except DataFileError as error:
        raise RecordingError(str(error)) from None
    if content is None:
        raise RecordingError(f"{path}: is not there; {_FIX}")
    return content


def _parsed(cls: type[T], content: bytes, path: Path) -> T:
    text = content.decode("utf-8", "replace")
    try:
        return from_plain(cls, _current(json.loads(text)), unknown="ignore")
    except (ValueError, RecursionError, WireError) as error:
        raise RecordingError(f"{path}{_line(text, error)}: {_why(text, error)}; {_FIX}") from None


def _line(text: str, error: Exception) -> str:
    """Where in the file it is wrong. Found out only then: a selection may have ten thousand lines."""
    try:
        document = json_text.read(text)
    except json_text.JsonTextError as mistake:
        return f":{mistake.line}"
    return f":{document.line(error.path)}" if isinstance(error, WireError) else ""


def _why(text: str, error: Exception) -> str:
    try:
        json_text.read(text)
    except json_text.JsonTextError as mistake:
        return str(mistake)
    return str(error)


def _current(document: Any) -> Any:
    if not isinstance(document, Mapping):
        return document
    schema = document.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        raise WireError(f"schema: must be {SCHEMA}, got {json.dumps(schema)}: read it with the version that wrote it")
    return {key: value for key, value in document.items() if key != "schema"}


def _names(root: Path) -> list[str]:
    try:
        return names(root, below=root)
    except DataFileError as error:
        raise RecordingError(str(error)) from None


class Shards:
    """The shards of a recording: what all of them were to measure, and the `reports` of those that ran, by number.
    `there` counts the launches that are here, by the folder of their case."""

    def __init__(
        self, selection: Selection, reports: Mapping[int, ShardReport], there: Callable[[], Mapping[str, int]]
    ) -> None:
        self.selection, self.reports, self._there = selection, reports, there

    @property
    def unreported(self) -> tuple[int, ...]:
        """Numbers of the shards that nobody has heard of."""
        return tuple(number for number in range(1, self.selection.of + 1) if number not in self.reports)

    @property
    def unfinished(self) -> tuple[int, ...]:
        """Numbers of those that began and did not end."""
        return tuple(number for number, report in sorted(self.reports.items()) if not report.finished)

    def tests_of(self, number: int) -> tuple[SelectedTest, ...]:
        """What a shard had to measure."""
        return self._by_shard.get(number, ())

    @cached_property
    def _by_shard(self) -> Mapping[int, tuple[SelectedTest, ...]]:
        found: dict[int, list[SelectedTest]] = defaultdict(list)
        for one in self.selection.tests:
            found[one.shard].append(one)
        return {number: tuple(tests) for number, tests in found.items()}

    @cached_property
    def _by_name(self) -> Mapping[str, SelectedTest]:
        # A test's own id wins. A case has the same id wherever pytest's root is.
        of_cases = {one.case: one for one in self.selection.tests if one.case is not None}
        return {**of_cases, **{one.test: one for one in self.selection.tests}}

    @cached_property
    def _ran(self) -> frozenset[str]:
        return frozenset(test for report in self.reports.values() for test in report.ran)

    @cached_property
    def _unmeasured(self) -> Mapping[str, Unmeasured]:
        return {one.node_id: one for report in self.reports.values() for one in report.unmeasured}

    @property
    def incomplete(self) -> Iterable[tuple[str, ShardGap]]:
        """Of what launches are missing that its shard has recorded: cases, and tests in Python."""
        return ((test or case, gap) for (_, test, case), gap in sorted(self._short.items()) if gap is not None)

    @cached_property
    def _short(self) -> Mapping[tuple[int, str, str], ShardGap | None]:
        """For each shard, test in Python that has a folder of its own (else empty) and case whether launches are
        missing."""
        selected = {one.case for one in self.selection.tests}
        own = {folder_of_test(one.test): one.test for one in self.selection.tests if one.case is None}
        told: dict[tuple[int, str, str], list[tuple[int, int]]] = defaultdict(list)
        for number, report in self.reports.items():
            for way, count in (report.launches or {}).items():
                first, _, rest = way.partition("/")
                test, case = own.get(rest.partition("/")[0], ""), case_id(way.rpartition("/")[2])
                test = test if first == AGAIN else ""
                # What no shard had to measure was left by an earlier run.
                if test or case in selected or None in selected:
                    told[number, test, case].append((min(self._there_now.get(way, 0), count), count))
        return {
            (number, test, case): ShardGap(
                shard=Shard(number=number, of=self.selection.of),
                began=True,
                launches=sum(there for there, _ in sides),
                of=sum(count for _, count in sides),
            )
            if any(there < count for there, count in sides)
            else None
            for (number, test, case), sides in told.items()
        }

    def _missing(self, selected: SelectedTest, case: str) -> ShardGap | None:
        """Whether launches of a test are missing that has a result."""
        own = (selected.shard, selected.test if selected.case is None else "", case)
        # Recordings of older versions have no folder for a test in Python.
        return self._short.get(own if own in self._short else (selected.shard, "", case))

    @cached_property
    def _there_now(self) -> Mapping[str, int]:
        return self._there()

    def gap(self, test: str, case: str) -> ShardGap | None:
        """Why a test, or else the test of that case, has no result of its shard, or not all its launches; None if
        nothing is missing, or it is of no shard."""
        selected = self._by_name.get(test) or self._by_name.get(case)
        if selected is None:
            return None
        shard = Shard(number=selected.shard, of=self.selection.of)
        report = self.reports.get(selected.shard)
        if report is not None and (reason := report.unlaunched.get(selected.test)):
            return ShardGap(shard=shard, began=True, unlaunched=reason)
        if selected.test in self._ran:
            return self._missing(selected, case)
        if report is None or not report.finished:
            return ShardGap(shard=shard, began=report is not None)
        # Taken out of the run after the split, as by `--lf`.
        not_run = Unmeasured(node_id=selected.test, why="not run")
        return ShardGap(shard=shard, began=True, unmeasured=self._unmeasured.get(selected.test, not_run))


def read_shards(root: Path, known: dict[str, Selection] | None = None) -> Shards | None:
    """The shards of a recording; None if it is none of shards. `known` as for `read_selection`.

    Raises RecordingError for a damaged report, and for reports that do not belong together.
    """
    reports = [read_report(root, name) for name in report_names(root)]
    if not reports:
        return None
    first = reports[0]
    for other in reports[1:]:
        if other.selection != first.selection or other.shard.of != first.shard.of:
            raise RecordingError(
                f"{root}: {report_name(first.shard)} and {report_name(other.shard)} are of different selections; put "
                "the recordings of each job into folders of their own, and join them with `sgdiff merge`"
            )
    selection = read_selection(root, first.selection, known)
    if selection.of != first.shard.of:
        raise RecordingError(f"{root / selection_name(first.selection)}: is of {selection.of} shards; {_FIX}")
    return Shards(selection, {report.shard.number: report for report in reports}, partial(counts, root))
