"""The launches of one test in a folder that keeps them: where the test puts its own, and what a recording that is
replayed has of it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import pytest

from pytest_sgdiff.data import Launch, Machine
from pytest_sgdiff.files import data_files, temp_dirs
from pytest_sgdiff.files.data_files import file_name
from pytest_sgdiff.plugin.collect import CASE
from pytest_sgdiff.plugin.role import role
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.recordings.launch_files import copy_case
from pytest_sgdiff.recordings.layout import own_place


def folder_in(out: Path, item: pytest.Item, case_id: str, *, claims: Path) -> Path:
    """Where the test keeps its launches. Tests in Python have a folder of their own below `out`, whatever other
    tests there are: some other test, in another run or shard, may have their case. So have all tests of a case
    repeated after the first, which may run at the same time, in several workers: these settle in `claims` which of
    them is the first."""
    own = own_place(out, item.nodeid)
    test, worker = item.nodeid, role(item.config).worker
    for place in (own,) if CASE not in item.stash else (out, own):
        owner = _owner(claims / f"{file_name(case_id) if place == out else own.name}.owner", f"{test}@{worker}")
        if owner == f"{test}@{worker}":
            return place
        if owner.rpartition("@")[0] == test:
            break
    # Another worker runs, or ran, the same test.
    return own.with_name(f"{own.name}_{worker}")


def _owner(claim: Path, asks: str) -> str:
    """Whose a place is: of the first that asked."""
    temp_dirs.ours(claim.parent)
    try:
        with claim.open("x", encoding="utf-8") as file:
            file.write(asks)
    except FileExistsError:
        return claim.read_text(encoding="utf-8")
    return asks


class RecordedTest:
    """What a recording has of one test, read when it is asked for. It raises RecordingError then."""

    def __init__(self, recording: Path, item: pytest.Item, case_id: str) -> None:
        self._recording, self._item, self._case_id = recording, item, case_id

    @property
    def place(self) -> Path:
        """Where in the recording the launches of the test lie: as `folder_in` has it. Those of a test in Python lie
        among the others where an older version recorded them, or somebody put them there."""
        own = own_place(self._recording, self._item.nodeid)
        if data_files.kind(own, below=self._recording) != "folder":
            return self._recording
        folder = own / file_name(self._case_id)
        if CASE in self._item.stash and not recordings.numbered(folder, below=self._recording):
            return self._recording
        return own

    @cached_property
    def launches(self) -> tuple[Launch, ...]:
        """The launches, of the current engine where two were compared."""
        return recordings.read_launches(self.place, self._case_id, below=self._recording)

    @cached_property
    def of_base(self) -> tuple[Launch, ...]:
        """The base engine's launches, of the run that the others are of; empty where no two engines were compared."""
        folder = self.place / recordings.AGAINST
        found = recordings.read_launches(folder, self._case_id, below=self._recording) if folder.is_dir() else ()
        runs = {launch.session for launch in self.launches}
        return tuple(launch for launch in found if not runs or launch.session in runs)

    @property
    def machine(self) -> Machine | None:
        """The machine that the launches name; None where they name none."""
        return next((launch.machine for launch in self.launches if launch.machine), None)

    @property
    def sessions(self) -> frozenset[str]:
        """The runs that the launches name."""
        return frozenset(launch.session for launch in self.launches if launch.session)

    def copy(self, out: Path, *, claims: Path) -> None:
        """Copy the launches to the recording `out` of a shard, where the test would keep its own."""
        place, own = self.place, folder_in(out, self._item, self._case_id, claims=claims)
        copy_case(place, own, file_name(self._case_id), below=self._recording, into=out)
