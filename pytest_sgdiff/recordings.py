"""Recorded launches: what `--sgdiff-out` writes and `--sgdiff-replay` reads.

`ROOT/<case>/<NN>/` with `perf.json` (the dump as the engine wrote it), `engine.log` and `launch.json` (everything else
that is known of the launch). Folders that scripts made are understood as well: `pytest_sgdiff.scriptedrecordings`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_sgdiff import jsontext
from pytest_sgdiff.data import Launch
from pytest_sgdiff.errors import RecordingError, WireError
from pytest_sgdiff.files import case_id, file_name, onto_disk, write_atomically
from pytest_sgdiff.logtext import read_log
from pytest_sgdiff.scriptednotes import text_of
from pytest_sgdiff.scriptedrecordings import META, scripted_launch
from pytest_sgdiff.wire import from_plain, to_plain

SCHEMA = 1
DUMP, LOG, RECORD = "perf.json", "engine.log", "launch.json"

_ELSEWHERE = ("log", "dump", "folder")
"""Fields of a launch that are files of their own, or follow from where they lie."""


def launch_folder(root: Path, case: str, number: int) -> Path:
    """The folder of one launch, `ROOT/<case>/<NN>`."""
    return root / file_name(case) / f"{number:02d}"


def write_launch(root: Path, launch: Launch) -> Path:
    """Keep a launch; gives its folder. `launch.json` comes last: a folder that has it is whole.

    The log of a launch that was made in this very folder is there, whole, and is left as it is: `launch.log` may be
    only part of it. Secrets are the launcher's matter: what comes here was redacted. Raises RecordingError if it cannot
    be written.
    """
    folder = launch_folder(root, launch.case, launch.number)
    plain = to_plain(replace(launch, log="", dump=None, folder=None), omit_defaults=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in (RECORD, DUMP):
            (folder / stale).unlink(missing_ok=True)
        if launch.folder == str(folder):
            onto_disk(folder / LOG)
        else:
            write_atomically(folder / LOG, to_plain(launch.log))
        if launch.dump is not None:
            write_atomically(folder / DUMP, to_plain(launch.dump))
        write_atomically(folder / RECORD, jsontext.write({**plain, "schema": SCHEMA}))
    except OSError as error:
        cure = "make room, or name another folder with --sgdiff-out"
        raise RecordingError(f"{folder}: cannot be written: {error.strerror or error}; {cure}") from None
    return folder


def forget_launches(root: Path, case: str) -> None:
    """Remove the launches of an earlier run from a case's folder: judged again, they would pass for this run's."""
    for _, folder in _launch_folders(root / file_name(case)):
        shutil.rmtree(folder, ignore_errors=True)


def case_ids(root: Path) -> tuple[str, ...]:
    """The cases that a recording holds, sorted. Raises RecordingError if there is no such folder."""
    if not root.is_dir():
        raise RecordingError(f"{root}: no such folder; --sgdiff-replay takes one that --sgdiff-out wrote")
    return tuple(
        sorted(case_id(folder.name) for folder in root.iterdir() if folder.is_dir() and _launch_folders(folder))
    )


def is_launch(folder: Path) -> bool:
    """Whether a folder holds one launch."""
    return any(
        path.name in (DUMP, RECORD, META) or path.suffix == ".log" for path in folder.iterdir() if path.is_file()
    )


def is_case(folder: Path) -> bool:
    """Whether a folder holds the launches of one case, in numbered folders."""
    return any(is_launch(inner) for _, inner in _launch_folders(folder))


def case_of(folder: Path) -> str:
    """The case id that a folder of launches is named after."""
    return case_id(folder.resolve().name)


def read_launches(root: Path, case: str) -> tuple[Launch, ...]:
    """The launches of a case in the order of their folders' numbers, none if it was not recorded.

    Raises RecordingError naming the folder, or the file with its line, and the cure.
    """
    if not root.is_dir():
        raise RecordingError(f"{root}: no such folder; --sgdiff-replay takes one that --sgdiff-out wrote")
    return tuple(read_launch(folder, case=case, number=n) for n, folder in _launch_folders(root / file_name(case)))


def read_launch(folder: Path, *, case: str, number: int) -> Launch:
    """One launch from its folder; `case` and `number` are those of the folder's name, which wins over what is in it.

    Raises RecordingError, with file, line and cure, for what is no launch or is spoilt.
    """
    if not is_launch(folder):
        raise RecordingError(
            f"{folder}: is no launch: it has neither {RECORD} nor {DUMP} nor a log; take it out of the recording"
        )
    if not (folder / RECORD).exists():
        return scripted_launch(folder, case=case, number=number)
    launch = _read_record(folder / RECORD)
    return replace(
        launch,
        case=case,
        number=number,
        log=text_of(folder / LOG, read=read_log) or "",
        dump=text_of(folder / DUMP),
        folder=str(folder),
    )


def _read_record(path: Path) -> Launch:
    text = text_of(path) or ""
    cure = "take the launch out of the recording, or record it anew"
    try:
        document = jsontext.read(text)
    except jsontext.JsonTextError as error:
        raise RecordingError(f"{path}:{error.line}: {error} ({cure})") from None
    try:
        return from_plain(Launch, _current(document.value), unknown="ignore")
    except WireError as error:
        raise RecordingError(f"{path}:{document.line(error.path)}: {error} ({cure})") from None


def _current(document: Any) -> Any:
    """The record without its schema number; fields that a newer version added are ignored."""
    if not isinstance(document, Mapping):
        return document
    schema = document.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        raise WireError(f"schema: must be {SCHEMA}, got {json.dumps(schema)}: read it with the version that wrote it")
    return {key: value for key, value in document.items() if key not in ("schema", *_ELSEWHERE)}


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """The numbered folders of a case with their numbers, in order."""
    return _launch_folders(folder)


def _launch_folders(folder: Path) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    numbered = [(int(path.name), path) for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    return sorted(numbered)
