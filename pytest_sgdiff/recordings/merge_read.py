"""What the recordings hold that are to be joined. Everything is looked at before anything is compared or written."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pytest_sgdiff.data import Conflict, Selection, ShardReport
from pytest_sgdiff.errors import RecordingError
from pytest_sgdiff.files.data_files import case_id, kind, names
from pytest_sgdiff.recordings import shards
from pytest_sgdiff.recordings.launch_files import others_in, traces_of
from pytest_sgdiff.recordings.layout import Key, entries
from pytest_sgdiff.recordings.store import PROFILE, TRACES


@dataclass
class Found:
    """One recording, read. `launches` are folders by their key, which ends with the launch's number, `traces` the files
    of profiled launches by theirs, `files` the reports and selections by their name."""

    root: Path
    reports: dict[str, ShardReport] = field(default_factory=dict)
    selection: Selection | None = None
    launches: dict[Key, Path] = field(default_factory=dict)
    traces: dict[Key, Path] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not self.launches and not self.reports

    @property
    def by_number(self) -> dict[int, tuple[str, ShardReport]]:
        """The shards that the folder has the reports of: number -> file and report."""
        return {report.shard.number: (name, report) for name, report in self.reports.items()}


def read(root: Path, selections: dict[str, Selection]) -> Found:
    """What a folder holds; nothing if it is not there. `selections` are those that were read already.

    Raises RecordingError for a report or a selection that is damaged, and DataFileError for what must not be read.
    """
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
    for key, what in entries(root):
        path = root.joinpath(*key)
        if what == "folder":
            _read_case(found, path, key)
        elif what == "link":
            names(path, below=root)  # which says that it is one
        elif len(key) > 1 or key[0] not in found.files:
            found.left_out.append(path)
    return found


def _read_case(found: Found, folder: Path, key: Key) -> None:
    inner = names(folder, below=found.root)
    for name in inner:
        path, what = folder / name, kind(folder / name, below=found.root)
        if what == "link":
            names(path, below=found.root)  # which says that it is one
        if what == "folder" and name == TRACES and PROFILE in key[:-1]:
            _read_traces(found, path, (*key, name))
        elif what != "folder" or not name.isdecimal():
            found.left_out.append(path)
        else:
            own = (*key, str(int(name)))
            if (other := found.launches.setdefault(own, path)) != path:
                found.conflicts.append(
                    Conflict(code="launch", paths=(str(other), str(path)), case=case_id(folder.name), said=("", ""))
                )
            found.left_out += [path / other for other in others_in(path, found.root)]
    if not inner:
        found.left_out.append(folder)


def _read_traces(found: Found, folder: Path, key: Key) -> None:
    traces = traces_of(folder, found.root)
    found.traces.update({(*key, name): folder / name for name in traces})
    found.left_out += [folder / name for name in names(folder, below=found.root) if name not in traces]
