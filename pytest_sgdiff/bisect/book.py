"""What a bisection has found out, in a file: after Ctrl-C or a kill the same command goes on from there."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_sgdiff.data import Aim, Judged
from pytest_sgdiff.errors import SgdiffError, WireError
from pytest_sgdiff.files import data_files, json_text
from pytest_sgdiff.files.wire import from_plain, to_plain

SCHEMA = 1
NAME = "state.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """`options` say of what bisection it is. `whole` is the bad commit against the good one, `aim` what all others are
    judged by, `judged` the commits against the good one, and `parents` commits against their own parent."""

    schema: int = SCHEMA
    options: dict[str, str] = field(default_factory=dict)
    whole: Judged | None = None
    aim: Aim | None = None
    judged: tuple[Judged, ...] = ()
    parents: tuple[Judged, ...] = ()


class Book:
    """The state in its file below a folder; without a folder it is in memory alone."""

    def __init__(self, folder: Path | None, options: dict[str, str]) -> None:
        """Raises SgdiffError if the file is damaged, or of another version."""
        self._folder = folder
        self.state = State(options=options)
        if folder is not None and (raw := data_files.read_bytes(folder / NAME, below=folder)) is not None:
            self.state = _read(raw, folder / NAME)

    def judged(self, commit: str) -> Judged | None:
        """What is known of a commit against the good one."""
        return next((one for one in self.state.judged if one.commit == commit), None)

    def parent(self, commit: str) -> Judged | None:
        """What is known of a commit against its parent."""
        return next((one for one in self.state.parents if one.commit == commit), None)

    def note_whole(self, whole: Judged, aim: Aim | None) -> None:
        """Keep the comparison of the two ends, and what follows from it."""
        self._keep(replace(self.state, whole=whole, aim=aim))

    def note(self, judged: Judged) -> None:
        """Keep what was found out about a commit, in place of what was before."""
        others = (one for one in self.state.judged if one.commit != judged.commit)
        self._keep(replace(self.state, judged=(*others, judged)))

    def note_parent(self, judged: Judged) -> None:
        """Keep what was found out about a commit and its parent."""
        self._keep(replace(self.state, parents=(*self.state.parents, judged)))

    def _keep(self, state: State) -> None:
        self.state = state
        if self._folder is not None:
            data_files.write(self._folder / NAME, json_text.write(to_plain(state)) + "\n", below=self._folder)


def _read(raw: bytes, path: Path) -> State:
    import json

    try:
        state = from_plain(State, json.loads(raw))
    except (ValueError, RecursionError, WireError) as error:
        raise SgdiffError(f"{path}: is damaged ({error}): begin anew with --restart") from None
    if state.schema != SCHEMA:
        raise SgdiffError(f"{path}: was written by another version: begin anew with --restart")
    return state
