"""Asks an installed engine which flags it has: `sglang generate --help`, once per installed engine.

The real engine imports torch for it and takes 20 to 50 s, so the answer is kept below `$XDG_CACHE_HOME/pytest-sgdiff`
(`~/.cache/pytest-sgdiff`), under a key made from the engine's version, its command, and the size and time of the files
behind it: the command's own and, where its Python can be asked, the sources of its flags. Of several processes one
asks and the others wait. Where that folder cannot be used, the answer is kept for the run alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pytest_sgdiff import machine
from pytest_sgdiff.data import Case, EngineInfo, Flag
from pytest_sgdiff.engine_version import engine_version
from pytest_sgdiff.engines.flags.check import has_flags, lacks_flags
from pytest_sgdiff.engines.flags.help_text import flags_in
from pytest_sgdiff.engines.flags.lookup import flags_of
from pytest_sgdiff.errors import WireError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.files.locks import try_lock
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.redact import redact

TIMEOUT_S = 180.0
"""How long an engine may take to print its help; it is ended then."""

_SCHEMA = 1
_MOST_BYTES = 4 * 1024 * 1024
# Where the engine's argument parsers are made, below its package: what a checkout installed with `pip install -e`
# changes without a new version.
_SOURCES = (
    "multimodal_gen/runtime/server_args.py",
    "multimodal_gen/runtime/server_args/*.py",
    "multimodal_gen/runtime/entrypoints/cli/*.py",
    "multimodal_gen/configs/sample/*.py",
    "multimodal_gen/configs/pipeline_configs/base.py",
)
_PROBE = (
    "import glob, importlib.util as u, json, os, sys\n"
    "spec = u.find_spec('sglang')\n"
    "folders = list(spec.submodule_search_locations or ()) if spec else []\n"
    f"found = [p for f in folders for s in {_SOURCES!r} for p in sorted(glob.glob(os.path.join(glob.escape(f), s)))]\n"
    "print(json.dumps([[p, os.stat(p).st_mtime_ns, os.stat(p).st_size] for p in found]))"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What an engine said of its flags, None if it said nothing that can be read; `why` says why. `lasting` is
    False for an answer of another day that may be over although nothing shows it."""

    flags: Mapping[str, Flag] | None
    why: str = ""
    lasting: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """The document in a cache."""

    version: str
    flags: Mapping[str, Flag]
    schema: int = _SCHEMA


def ask(
    info: EngineInfo,
    *,
    run_folder: Path,
    again: bool = False,
    say: Callable[[str], None] = lambda text: None,
    timeout_s: float = TIMEOUT_S,
    abandoned: Callable[[], bool] = lambda: False,
) -> Answer:
    """The flags of the engine, from the cache or from itself. `again`: from itself, unless another process of this run
    has asked anew already. `run_folder` is shared by the processes of the run; `say` is told before the engine is
    asked. Raises only KeyboardInterrupt, once nobody waits for the answer any more (`abandoned`)."""
    key, sealed = key_of(info, abandoned)
    lasting = sealed or engine_version(info.version).meaning != "source"
    run, cache = _usable(run_folder), _usable(cache_folder(os.environ))
    failed = None if run is None else run / f"engine-help-{key}.failed"
    renewed = None if run is None else run / f"engine-help-{key}.json"
    path = renewed if cache is None else cache / f"{key}.json"
    with contextlib.nullcontext() if path is None else _alone(path.with_suffix(".lock"), timeout_s + 30.0):
        if failed is not None and (told := _read_text(failed)) is not None:
            return Answer(flags=None, why=told)
        known = renewed if again else path
        if known is not None and (kept := _kept(known)) is not None:
            return Answer(flags=kept, lasting=lasting or again)
        command = redact(shlex.join((*info.command, "generate", "--help")), os.environ)
        say(f"asking the engine for its flags, once for this version, up to {timeout_s:g} s: {command}")
        text, why = _help(info.command, timeout_s, abandoned)
        flags = None if text is None else flags_in(text)
        if flags is None:
            why = why or "its output is not a list of flags"
            if failed is not None:
                _write(failed, why)
            return Answer(flags=None, why=why)
        document = json.dumps(to_plain(_Kept(version=info.version, flags=flags)))
        for place in filter(None, dict.fromkeys((path, renewed))):
            _write(place, document)
        return Answer(flags=flags)


class AskedEngines:
    """The engines of a run, with the flags that they said they have, where it took that to know. `elsewhere` asks those
    that are not on this machine."""

    def __init__(
        self,
        run_folder: Path,
        say: Callable[[str], None],
        elsewhere: Callable[[EngineInfo], Answer] | None = None,
        *,
        abandoned: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ask = partial(ask, run_folder=run_folder, say=say, abandoned=abandoned)
        self._elsewhere = elsewhere
        self._answers: dict[tuple[str, ...], Answer] = {}

    def of(self, info: EngineInfo) -> EngineInfo:
        """The engine with its flags, or as it is where it was not asked."""
        answer = self._answers.get(info.command)
        return info if answer is None else replace(info, flags=answer.flags)

    def why(self, info: EngineInfo) -> str:
        """Why the engine, which was asked, said nothing of its flags; else empty."""
        answer = self._answers.get(info.command)
        return "" if answer is None else answer.why

    def ask(self, info: EngineInfo, cases: Sequence[Case]) -> None:
        """Ask the engine if the tables do not settle what it would do with these cases: they were not made from its
        version, or a case has a flag that is not in them. A build from source whose files are out of sight, as in a
        container, is asked anew before a flag is refused that it lacked when it was asked."""
        cases = [case for case in cases if has_flags(case)]
        failed = info.command in self._answers and self._answers[info.command].flags is None
        if failed or not cases:
            return
        flags = flags_of(self.of(info))
        missing = any(lacks_flags(case, flags) for case in cases)
        if info.command not in self._answers:
            if flags.version.known and not missing:
                return
            self._answers[info.command] = self._asked(info)
            flags = flags_of(self.of(info))
            missing = any(lacks_flags(case, flags) for case in cases)
        answer = self._answers[info.command]
        if missing and answer.flags is not None and not answer.lasting:
            self._answers[info.command] = self._asked(info, again=True)

    def _asked(self, info: EngineInfo, *, again: bool = False) -> Answer:
        return self._ask(info, again=again) if self._elsewhere is None else self._elsewhere(info)


def cache_folder(environ: Mapping[str, str]) -> Path | None:
    """This user's folder for what engines said, None where there is no home."""
    named = environ.get("XDG_CACHE_HOME") or ""
    # A relative one is invalid by the specification.
    if not os.path.isabs(named):
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            return None
        named = os.path.join(home, ".cache")
    return Path(named) / "pytest-sgdiff" / "engine-flags"


def key_of(info: EngineInfo, abandoned: Callable[[], bool] = lambda: False) -> tuple[str, bool]:
    """A name for the installed engine, which is another as soon as anything of it is that can be seen; and whether the
    sources of its flags can be."""
    command = shutil.which(info.command[0]) if info.command else None
    seen: list[object] = [info.version, info.torch, info.command, *map(_stat, (command, *info.command[1:]))]
    python = None if command is None else machine.interpreter_of(command)
    sources = None if python is None else machine.output_of([*python, "-c", _PROBE], cwd="/", abandoned=abandoned)
    key = hashlib.sha256(json.dumps([*seen, sources]).encode()).hexdigest()[:24]
    return key, "server_args" in (sources or "")


def _stat(path: str | None) -> tuple[str, int, int] | None:
    try:
        real = os.path.realpath(path or "")
        told = os.stat(real)
    except (OSError, ValueError):
        return None
    return (real, told.st_mtime_ns, told.st_size) if stat.S_ISREG(told.st_mode) else None


def _help(command: Sequence[str], timeout_s: float, abandoned: Callable[[], bool]) -> tuple[str | None, str]:
    """What `generate --help` prints, and why it is nothing."""
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    environment.pop("FORCE_COLOR", None)
    words = [*command, "generate", "--help"]
    return machine.printed(words, timeout_s=timeout_s, env=environment, abandoned=abandoned)


@contextlib.contextmanager
def _alone(path: Path, timeout_s: float) -> Iterator[None]:
    """Nobody else asks meanwhile, as far as that can be had: a lock that is not given in time, or no file, is none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError:
        yield
        return
    try:
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                if try_lock(opened):
                    break
            time.sleep(0.1)
        yield
    finally:
        os.close(opened)


def _usable(folder: Path | None) -> Path | None:
    """The folder, made if it was not there, if this user can write to it and nobody else can."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        told = os.stat(folder)
    except OSError:
        return None
    own = told.st_uid == os.geteuid() and not told.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return folder if own and os.access(folder, os.W_OK | os.X_OK) else None


def _kept(path: Path) -> Mapping[str, Flag] | None:
    """The flags in a file of the cache; None if there is none, or it is torn or of another schema."""
    text = _read_text(path)
    try:
        kept = from_plain(_Kept, json.loads(text or ""))
    except (ValueError, RecursionError, WireError):
        return None
    return kept.flags if kept.schema == _SCHEMA and "model-path" in kept.flags else None


def _read_text(path: Path) -> str | None:
    try:
        opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with open(opened, "rb") as file:
        told = os.fstat(opened)
        if not stat.S_ISREG(told.st_mode) or told.st_uid != os.geteuid():
            return None
        try:
            return file.read(_MOST_BYTES).decode(errors="replace")
        except OSError:
            return None


def _write(path: Path, text: str) -> None:
    # What cannot be kept is asked again.
    with contextlib.suppress(OSError, data_files.DataFileError):
        data_files.write(path, text, below=path.parent)
