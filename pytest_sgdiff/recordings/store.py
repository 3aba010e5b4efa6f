"""Recorded launches: what `--sgdiff-out` writes and `--sgdiff-replay` reads.

`ROOT/<case>/<NN>/` with `perf.json` (the dump as the engine wrote it), `engine.log` and `launch.json` (everything else
that is known of the launch). Of a server there are a `perf_<N>.json` for each request, and
`ending.log`. `output_<N>.png` are small pictures of the outputs; `outputs/` has the files themselves, where they were
to be kept. No other form is read: docs/recordings.md says how launches of one's own are put into it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_sgdiff.data import GpuEvent, Launch, OutputFile, OutputSample
from pytest_sgdiff.errors import ForeignLaunchError, RecordingError, WireError
from pytest_sgdiff.files import json_text
from pytest_sgdiff.files.data_files import (
    TEMPORARY,
    DataFileError,
    case_id,
    file_name,
    kind,
    make_folder,
    names,
    onto_disk,
    read_bytes,
    remove,
    write,
)
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.launch.log_text import read_log
from pytest_sgdiff.launch.run import ENDING_LOG

SCHEMA = 1
DUMP, LOG, RECORD = "perf.json", "engine.log", "launch.json"
AGAINST = "against"
"""The folder of a recording that holds the base engine's launches."""

PROFILE, TRACES = "profile", "traces"
"""The folder of a recording that holds profiled launches, by case, and in that of a case the one with their traces."""
TRACE_KEPT = 256 << 20
"""Bytes of a trace (gzipped, as the engine writes it) that is kept as an artifact."""

OUTPUTS = "outputs"
"""The folder in that of a launch with the files that the engine wrote, if they were to be kept."""

WORK = "work"
"""The folder in that of a launch in which the engine runs; removed when it has ended."""

_ELSEWHERE = ("log", "dump", "folder")
_OF_REQUEST = re.compile(r"perf_(\d+)\.json", re.ASCII)
_OF_OUTPUT = re.compile(r"output_(\d+)\.png", re.ASCII)
"""Fields of a launch that are files of their own, or follow from where they lie."""


def launch_folder(root: Path, case: str, number: int) -> Path:
    """The folder of one launch, `ROOT/<case>/<NN>`."""
    return root / file_name(case) / f"{number:02d}"


def new_launch_folder(root: Path, case: str, number: int) -> Path:
    """Make the folder of a launch that is about to be made, `ROOT/<case>/<NN>`, with an empty log in it: so whatever a
    killed run leaves can be distinguished from other people's files.

    Raises RecordingError: it cannot be written, a link is in the way, or files that are not of a launch.
    """
    folder = launch_folder(root, case, number)
    with _written(folder):
        make_folder(folder, below=root)
        if found := names(folder, below=root):
            raise RecordingError(f"{folder}: contains {found[0]}, which does not belong to a launch; {_ELSEWHERE_FIX}")
        write(folder / LOG, "", below=root)
    return folder


def write_launch(root: Path, launch: Launch) -> Path:
    """Keep a launch; gives its folder. `launch.json` comes last: a folder that has it is whole.

    The log of a launch that was made in this very folder is there, whole, and is left as it is: `launch.log` may be
    only part of it. Secrets are the launch's matter: what comes here was redacted. Raises RecordingError if it cannot
    be written.
    """
    folder = launch_folder(root, launch.case, launch.number)
    requests = tuple(replace(one, dump=None) for one in launch.requests)
    samples = None if launch.samples is None else tuple(replace(one, picture=b"") for one in launch.samples)
    alone = replace(launch, log="", dump=None, folder=None, requests=requests, samples=samples)
    plain = to_plain(alone, omit_defaults=True)
    with _written(folder):
        make_folder(folder, below=root)
        numbered_files = (
            name for name in names(folder, below=root) if _OF_REQUEST.fullmatch(name) or _OF_OUTPUT.fullmatch(name)
        )
        for stale in (RECORD, DUMP, *numbered_files):
            remove(folder / stale, below=root)
        if launch.folder == str(folder):
            onto_disk(folder / LOG)
        else:
            write(folder / LOG, to_plain(launch.log), below=root)
        if launch.dump is not None:
            write(folder / DUMP, to_plain(launch.dump), below=root)
        for one in launch.requests:
            if one.dump is not None:
                write(folder / _dump_of(one.number), to_plain(one.dump), below=root)
        for place, sample in enumerate(launch.samples or ()):
            if sample.picture:
                write(folder / _picture_of(place), sample.picture, below=root)
        write(folder / RECORD, json_text.write({**plain, "schema": SCHEMA}), below=root)
    return folder


def write_part(root: Path, folder: Path, name: str, content: bytes) -> None:
    """Write a file of a launch as it is, before `write_launch` has the launch whole. Raises RecordingError."""
    with _written(folder):
        write(folder / name, content, below=root)


def keep_outputs(folder: Path, launch: Launch, written: Path, at_most: int) -> tuple[OutputFile, ...] | None:
    """Move the files that a launch wrote below `written` into its folder, as many as have `at_most` bytes together;
    gives its outputs, which say what was kept. Raises RecordingError."""
    kept, left = [], at_most
    for one in launch.outputs or ():
        source = written / one.name
        keep = one.size_bytes <= left and source.is_file() and not source.is_symlink()
        if keep:
            left -= one.size_bytes
            with _written(folder):
                target = folder / OUTPUTS / one.name
                make_folder(target.parent, below=folder)
                os.replace(source, target)
        kept.append(replace(one, kept=keep))
    return None if launch.outputs is None else tuple(kept)


def _picture_of(output: int) -> str:
    """The file with the picture of an output."""
    return f"output_{output}.png"


def _dump_of(request: int) -> str:
    """The file with the dump of a request to a server."""
    return f"perf_{request}.json"


_ELSEWHERE_FIX = "move it away, or name another folder with --sgdiff-out"


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """What keeps a launch from being written, with the fix."""
    try:
        yield
    except DataFileError as error:
        raise RecordingError(f"{folder}: cannot be written: {error}; {_ELSEWHERE_FIX}") from None
    except OSError as error:
        fix = "make room, or name another folder with --sgdiff-out"
        raise RecordingError(f"{folder}: cannot be written: {error.strerror or error}; {fix}") from None


def forget_launches(root: Path, case: str) -> None:
    """Remove the launches of an earlier run from a case's folder: judged again, they would pass for this run's.

    Only folders that hold a launch of this plugin and nothing else are removed; what is no launch stays as it is.
    Raises RecordingError, before anything is removed, for a link in the case's folder, and for a launch that this
    plugin did not make or beside which other files lie.
    """
    with _readable():
        found = [folder for _, folder in _launch_folders(root / file_name(case), below=root)]
        ours = []
        for folder in found:
            if not is_launch(folder, below=root):
                continue
            if strange := _strange(folder, root):
                raise RecordingError(
                    f"{folder}: contains a launch and {strange}, which this plugin did not write; {_ELSEWHERE_FIX}"
                )
            ours.append(folder)
    for folder in ours:
        # It goes down by descriptors, and removes links instead of following them.
        shutil.rmtree(folder, ignore_errors=True)


def forget_case(root: Path, case: str) -> None:
    """Remove everything that an earlier run left of a case: its launches, those of the base engine, and profiled ones.
    Raises as `forget_launches`."""
    forget_launches(root, case)
    if kind(root / AGAINST, below=root) == "folder":
        forget_launches(root / AGAINST, case)
    forget_profile(root, case)


def forget_profile(root: Path, case: str) -> None:
    """Remove what an earlier run left of the profiled launches of a case, of the base engine's too. Raises as
    `forget_launches`; traces are removed by their name."""
    for out in (root / PROFILE, root / PROFILE / AGAINST):
        with _readable():
            if kind(out, below=root) != "folder":
                return
            forget_launches(out, case)
            forget_traces(out, case, below=root)


def forget_traces(out: Path, case: str, *, below: Path) -> None:
    """Remove the traces in the folder of a profiled case. Raises DataFileError and OSError."""
    folder = out / file_name(case) / TRACES
    if kind(folder, below=below) == "folder":
        for name in names(folder, below=below):
            if is_trace(name) and kind(folder / name, below=below) in ("file", "link"):
                remove(folder / name, below=below)


def is_trace(name: str) -> bool:
    """Whether a file is named as the engine names its traces."""
    return ".trace.json" in name


def _strange(folder: Path, root: Path) -> str | None:
    """The first name in a launch's folder that this plugin does not write there; None if it wrote all of them."""
    for name in names(folder, below=root):
        ours = name in (RECORD, DUMP, LOG, ENDING_LOG) or name.startswith(TEMPORARY) or _OF_REQUEST.fullmatch(name)
        ours = ours or _OF_OUTPUT.fullmatch(name)
        if kind(folder / name, below=root) != ("folder" if name in (WORK, OUTPUTS) else "file" if ours else None):
            return name
    return None


def case_ids(root: Path) -> tuple[str, ...]:
    """The cases that a recording holds, sorted. Raises RecordingError if there is no such folder, and for a link."""
    _must_be(root)
    with _readable():
        folders = [root / name for name in names(root, below=root)]
        return tuple(sorted(case_id(folder.name) for folder in folders if _launch_folders(folder, below=root)))


def is_launch(folder: Path, *, below: Path) -> bool:
    """Whether a folder holds one launch, of whatever form, so that none is passed over in silence: `read_launch` says
    of which it can be read. `below` is the folder that was named. Raises DataFileError."""
    return any(
        (name in (DUMP, RECORD) or name.endswith(".log")) and kind(folder / name, below=below) != "folder"
        for name in names(folder, below=below)
    )


def is_case(folder: Path) -> bool:
    """Whether a folder holds the launches of one case, in numbered folders. Raises DataFileError, RecordingError."""
    return any(is_launch(inner, below=folder) for _, inner in _launch_folders(folder, below=folder))


def case_of(folder: Path) -> str:
    """The case id that a folder of launches is named after."""
    return case_id(folder.resolve().name)


def read_launches(root: Path, case: str, *, below: Path | None = None) -> tuple[Launch, ...]:
    """The launches of a case in the order of their folders' numbers, none if it was not recorded. `below` is the folder
    that was named, where `root` lies in it: no link is followed from there on.

    Raises RecordingError naming the folder, or the file with its line, and the fix.
    """
    _must_be(root)
    below = below or root
    with _readable():
        folders = _launch_folders(root / file_name(case), below=below)
    return tuple(read_launch(folder, case=case, number=number, below=below) for number, folder in folders)


def read_launch(folder: Path, *, case: str, number: int, below: Path | None = None) -> Launch:
    """One launch from its folder; `case` and `number` are those of the folder's name, which wins over what is in it.
    `below` is the folder that was named, if it is not this one.

    Raises RecordingError, with file, line and fix, for what is no launch or is damaged, and ForeignLaunchError for a
    launch without a record that is none of a killed run of this plugin.
    """
    below = below or folder
    with _readable():
        if not is_launch(folder, below=below):
            raise RecordingError(
                f"{folder}: is not a launch: it has neither {RECORD} nor {DUMP} nor a log; remove it from the recording"
            )
        if kind(folder / RECORD, below=below) is not None:
            launch = _read_record(folder / RECORD, below)
        elif foreign := _foreign(folder, below):
            raise ForeignLaunchError(folder, foreign)
        else:
            launch = Launch(case=case, number=number, argv=())
    return replace(
        launch,
        case=case,
        number=number,
        log=_text_of(folder / LOG, below=below, read=read_log) or "",
        dump=_text_of(folder / DUMP, below=below),
        folder=str(folder),
        requests=tuple(
            replace(one, dump=_text_of(folder / _dump_of(one.number), below=below)) for one in launch.requests
        ),
        samples=None
        if launch.samples is None
        else tuple(_with_picture(one, folder / _picture_of(place), below) for place, one in enumerate(launch.samples)),
    )


def _with_picture(sample: OutputSample, path: Path, below: Path) -> OutputSample:
    """The sample with its picture, or without one where the recording lacks it."""
    if sample.flaw or sample.kind not in ("image", "video"):
        return sample
    try:
        picture = read_bytes(path, below=below)
    except DataFileError as error:
        raise RecordingError(str(error)) from None
    return replace(sample, picture=picture) if picture else replace(sample, flaw="missing", said=path.name)


def _foreign(folder: Path, below: Path) -> str | None:
    """What in a folder without a record no killed run of this plugin left there; None if one left all of it: the log
    that it began, and nothing of what is written after the launch."""
    inside = names(folder, below=below)
    if LOG not in inside or DUMP in inside:
        return DUMP if DUMP in inside else next(name for name in inside if name.endswith(".log"))
    return _strange(folder, below)


def _must_be(root: Path) -> None:
    if not root.is_dir():
        raise RecordingError(f"{root}: no such folder; --sgdiff-replay needs a folder that --sgdiff-out wrote")


@contextmanager
def _readable() -> Iterator[None]:
    """What keeps a recording from being read: a link in it, or the system."""
    try:
        yield
    except DataFileError as error:
        raise RecordingError(str(error)) from None


def _read_record(path: Path, below: Path) -> Launch:
    text = _text_of(path, below=below) or ""
    fix = "remove the launch from the recording, or record it again"
    try:
        document = json_text.read(text)
    except json_text.JsonTextError as error:
        raise RecordingError(f"{path}:{error.line}: {error} ({fix})") from None
    try:
        return from_plain(Launch, _current(document.value), unknown="ignore")
    except WireError as error:
        raise RecordingError(f"{path}:{document.line(error.path)}: {error} ({fix})") from None


def _current(document: Any) -> Any:
    """The record without its schema number; fields that a newer version added are ignored."""
    if not isinstance(document, Mapping):
        return document
    schema = document.get("schema")
    if schema != SCHEMA or isinstance(schema, bool):
        raise WireError(f"schema: must be {SCHEMA}, got {json.dumps(schema)}: read it with the version that wrote it")
    record = {key: value for key, value in document.items() if key not in ("schema", *_ELSEWHERE)}
    watch = record.get("watch")
    if isinstance(watch, Mapping) and "gpu_events" not in watch and isinstance(lines := watch.get("events"), list):
        # An older recording has a line of text for each.
        events = [to_plain(GpuEvent.of_text(line)) for line in lines if isinstance(line, str)]
        record["watch"] = {**watch, "gpu_events": events}
    return record


def _text_of(path: Path, *, below: Path, read: Callable[..., str | None] | None = None) -> str | None:
    """What a file of a launch says, None if it is not there. Raises RecordingError if it cannot be read."""
    try:
        return (read or _whole)(path, below=below)
    except FileNotFoundError:
        return None
    except DataFileError as error:
        raise RecordingError(str(error)) from None


def _whole(path: Path, *, below: Path) -> str | None:
    content = read_bytes(path, below=below)
    return None if content is None else content.decode("utf-8", "replace")


def numbered(folder: Path, *, below: Path) -> list[tuple[int, Path]]:
    """The numbered folders of a case with their numbers, in order. Raises RecordingError for a link among them."""
    with _readable():
        return _launch_folders(folder, below=below)


def _launch_folders(folder: Path, *, below: Path) -> list[tuple[int, Path]]:
    """The numbered folders in a case's folder; none if that is a file. Raises DataFileError for a link among them, or
    in place of the case's folder."""
    if folder != below and kind(folder, below=below) not in ("folder", "link"):
        return []
    found = [folder / name for name in names(folder, below=below) if name.isdecimal()]
    kinds = {path: kind(path, below=below) for path in found}
    for path, what in kinds.items():
        if what == "link":
            names(path, below=below)  # which says that it is one
    return sorted((int(path.name), path) for path, what in kinds.items() if what == "folder")
