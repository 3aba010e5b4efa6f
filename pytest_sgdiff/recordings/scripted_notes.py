"""What a script noted of a launch: `meta.json` beside its dump and logs.

Everything may be absent or null, and what is not listed is ignored; docs/recordings.md explains the keys.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_sgdiff.errors import RecordingError, WireError
from pytest_sgdiff.files import json_text
from pytest_sgdiff.files.data_files import DataFileError, read_bytes
from pytest_sgdiff.files.wire import from_plain

_ALIASES = {
    "cmd": "argv",
    "returncode": "rc",
    "start_utc": "start",
    "started_at": "start",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class NotedGpu:
    """The GPU as a script noted it: product name, UUID, driver version, how many, persistence mode (0 or 1)."""

    name: str | None = None
    uuid: str | None = None
    driver: str | None = None
    count: int = 1
    persistence: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotedProcess:
    """A process that a script saw on the GPU."""

    pid: int
    used_mib: int | None = None
    cmdline: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NotedForeign:
    """A process that a script started beside the launch, and what it saw on the GPU before and after."""

    pid: int
    what: str | None = None
    seen_before: tuple[NotedProcess, ...] = ()
    seen_after: tuple[NotedProcess, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Notes:
    """The `meta.json` of a script, as docs/recordings.md explains it; times are ISO 8601 text, `wall_s` is seconds."""

    argv: tuple[str, ...] = ()
    rc: int | None = None
    start: str | None = None
    end: str | None = None
    wall_s: float | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    env_extra: Mapping[str, str] | None = None
    gpu: NotedGpu | None = None
    versions: Mapping[str, Any] = field(default_factory=dict)
    host: Mapping[str, Any] | None = None
    before: Mapping[str, Any] | None = None
    foreign: NotedForeign | None = None
    contend: bool = False


def read_notes(path: Path, *, below: Path) -> Notes:
    """The notes in a file, none if it is not there. Raises RecordingError naming file, line and cure."""
    text = text_of(path, below=below)
    if text is None:
        return Notes()
    cure = "correct it, or delete it: a launch can be read without"
    try:
        document = json_text.read(text)
    except json_text.JsonTextError as error:
        raise RecordingError(f"{path}:{error.line}: {error} ({cure})") from None
    plain = document.value
    if isinstance(plain, dict):
        plain = {_ALIASES.get(key, key): value for key, value in _told(plain).items()}
        if isinstance(plain.get("argv"), str):
            try:
                plain["argv"] = shlex.split(plain["argv"])
            except ValueError as error:
                key = next(key for key in document.value if _ALIASES.get(key, key) == "argv")
                why = f"{key}: is no command line: {error}"
                raise RecordingError(f"{path}:{document.line((key,))}: {why} ({cure})") from None
    try:
        return from_plain(Notes, plain, unknown="ignore")
    except WireError as error:
        raise RecordingError(f"{path}:{document.line(error.path)}: {error} ({cure})") from None


def _told(value: Any) -> Any:
    """Without the entries that are null, which scripts write for what they do not know."""
    if isinstance(value, dict):
        return {key: _told(item) for key, item in value.items() if item is not None}
    return value


def text_of(path: Path, *, below: Path, read: Callable[..., str | None] | None = None) -> str | None:
    """What a file of a launch says, None if it is not there; `below` is the folder that was named, below which no link
    is followed. Raises RecordingError if it cannot be read."""
    try:
        return (read or _whole)(path, below=below)
    except FileNotFoundError:
        return None
    except DataFileError as error:
        raise RecordingError(str(error)) from None


def _whole(path: Path, *, below: Path) -> str | None:
    # Carriage returns are kept: the engine's progress bars are drawn with them.
    content = read_bytes(path, below=below)
    return None if content is None else content.decode("utf-8", "replace")
