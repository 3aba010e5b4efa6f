"""What the value of one option means, wherever it was given: a function for each option whose text is more than a name.

Each raises OptionError for a value that means nothing; the message names the option and the fix.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_sgdiff.cases.accepted import FILE as ACCEPT_FILE
from pytest_sgdiff.data import OUTCOMES, Outcome, Shard
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files.data_files import leads_out
from pytest_sgdiff.isolation import FORMERLY_ALONE, ISOLATIONS, Isolation
from pytest_sgdiff.options import OFF, Setting

Profile = Literal["regressed", "all"]
PROFILES: tuple[Profile, ...] = ("regressed", "all")
Update = Literal["all", "missing", "extend"]
UPDATES: tuple[Update, ...] = ("all", "missing", "extend")
EXIT_CODES = ("pytest", "bisect")
REPORT_SUFFIXES = (".html", ".json", ".md", ".csv", ".txt", ".prom", ".lp", ".asv.json", ".benchmark.json")
ON = ("1", "true", "yes", "on")
FAILING: frozenset[Outcome] = frozenset({"regressed", "invalid", "no-baseline"})
"""Outcomes that fail a case whatever `--sgdiff-fail-on` says (they fail the run as pytest failures)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """A value of an option that was given by the name that it had in an earlier version."""

    option: str
    old: str
    new: str


def switched_on(setting: Setting, told: str) -> bool:
    """Whether the variable of a switch sets it. `told` is none of OFF, which are as if it were not set."""
    if told.lower() not in ON:
        raise OptionError(f"{setting.variable}={told}: use one of {', '.join(ON)} or {', '.join(OFF)}")
    return True


def update(value: str | None) -> Update | None:
    """Which baselines are written."""
    for one in UPDATES:
        if value == one:
            return one
    if value is not None:
        raise OptionError(f"--sgdiff-update={value}: unknown, use one of {', '.join(UPDATES)}")
    return None


def command(option: str, text: str, cwd: Path) -> tuple[str, ...]:
    """The words of an engine's command; a path in place of its name is one from the folder where pytest was called,
    since launches have folders of their own."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        reason = str(error).lower()
        raise OptionError(f"{option}={text}: {reason}; the value is split into words as a shell does") from None
    if words and "/" in words[0] and (cwd / words[0]).exists():
        words[0] = str(cwd / words[0])
    return tuple(words)


def many(value: object) -> tuple[str, ...]:
    """The texts of an option that may be given several times."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else (str(value),)


def cluster(address: str | None) -> str | None:
    """The address of a Ray cluster."""
    if address is not None and "://" in address:
        raise OptionError(
            f"--sgdiff-cluster={address}: give the address of the cluster's head, HOST:PORT, or 'auto'; Ray's client "
            "(ray://) cannot be used: run pytest on a node of the cluster, as `ray job submit` does"
        )
    return address


def replay(folder: str | None, cwd: Path) -> Path | None:
    """The folder of a recording."""
    if folder is None:
        return None
    if not (cwd / folder).is_dir():
        raise OptionError(
            f"--sgdiff-replay={folder}: no such folder; give one that a run wrote with --sgdiff-out "
            "(DIR/<case id>/<NN>/perf.json, engine.log, launch.json)"
        )
    return (cwd / folder).resolve()


def exit_codes(chosen: object) -> None:
    """Refuse what names no kind of exit codes."""
    if chosen not in (None, *EXIT_CODES):
        raise OptionError(f"--sgdiff-exit-codes={chosen}: unknown, use one of {', '.join(EXIT_CODES)}")


def fail_on(option: object, ini: object, *, strict: bool) -> frozenset[Outcome]:
    """The outcomes that fail a case: FAILING, those that were named, and `inconclusive` in a `strict` run."""
    words = [word for item in many(option) or many(ini) for word in item.replace(",", " ").split()]
    known: dict[str, Outcome] = {outcome: outcome for outcome in OUTCOMES}
    for word in words:
        if word not in known:
            raise OptionError(f"--sgdiff-fail-on={word}: no such outcome, use {', '.join(OUTCOMES)}")
    chosen = frozenset(known[word] for word in words)
    return FAILING | chosen | (frozenset({known["inconclusive"]}) if strict else frozenset())


def accept(typed: Sequence[str], ini: Sequence[str], root: Path, cwd: Path) -> tuple[Path, ...]:
    """The files with accepted slowdowns: those that were named, or the one of the project, if it is there."""
    named = tuple(cwd / name for name in typed) or tuple(root / name for name in ini)
    words = typed or ini
    if "none" in words:
        if len(words) > 1:
            raise OptionError("--sgdiff-accept=none reads nothing: leave the other --sgdiff-accept out")
        return ()
    own = root / ACCEPT_FILE
    return named or ((own,) if os.path.lexists(own) else ())


def stays_inside(path: Path, root: Path, option: str | None) -> None:
    """Refuse a link out of the project in a place that nobody named: it may have come with somebody's change. `option`
    is the one that would name another place; None where it has."""
    if option is not None and (end := leads_out(path, of=root)) is not None:
        raise OptionError(f"{path}: is a link out of {root}, to {end}: remove it, or name that folder with {option}")


def report_suffix(path: Path) -> str | None:
    """The one of REPORT_SUFFIXES that chooses the format of a report, the longest that fits; None if none does."""
    fitting = [suffix for suffix in REPORT_SUFFIXES if len(path.name) > len(suffix) and path.name.endswith(suffix)]
    return max(fitting, key=len, default=None)


def report(path: Path, root: Path) -> Path:
    """The file of a report."""
    if report_suffix(path) is None:
        raise OptionError(
            f"--sgdiff-report={path.name}: the suffix chooses the format, use {', '.join(REPORT_SUFFIXES)}"
        )
    return _told_file(path, root, "--sgdiff-report")


def history(path: Path, root: Path) -> Path:
    """The file of a history."""
    return _told_file(path, root, "--sgdiff-history")


def _told_file(path: Path, root: Path, option: str) -> Path:
    """A file that will be written, by its name; a link may lead to any place in the project."""
    if (end := leads_out(path, of=root)) is not None:
        raise OptionError(f"{option}={path.name}: is a link out of {root}, to {end}: remove it, or name that file")
    # The name is kept as it was given: a link may lead to a file of any name, and the suffix chooses the format.
    return path.parent.resolve() / path.name


def isolation(value: str | None, *, update: str | None) -> tuple[Isolation, tuple[Renamed, ...]]:
    """The isolation mode, and the former name by which it was given. A baseline is recorded alone unless told else."""
    if value is None:
        return "alone" if update is not None else "confirm", ()
    if value in FORMERLY_ALONE:
        return "alone", (Renamed(option="--sgdiff-isolation", old=value, new="alone"),)
    for isolation in ISOLATIONS:
        if value == isolation:
            return isolation, ()
    raise OptionError(f"--sgdiff-isolation={value}: unknown, use one of {', '.join(ISOLATIONS)}")


def profile(value: str | None) -> Profile | None:
    """Which cases are launched with the engine's profiler."""
    for one in PROFILES:
        if value == one:
            return one
    if value is not None:
        raise OptionError(f"--sgdiff-profile={value}: unknown, use one of {', '.join(PROFILES)}")
    return None


def keep(value: str) -> int | None:
    """How many runs are kept; None for all."""
    if value == "all":
        return None
    if not (value.isascii() and value.isdecimal() and int(value[:9]) > 0):
        raise OptionError(f"--sgdiff-keep={value}: must be a number of runs from 1 on, or 'all'")
    return int(value[:9])


def kept_bytes(value: str) -> int:
    """Bytes of a launch's outputs that are kept."""
    units = {"": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
    match = re.fullmatch(r"(\d{1,12}) ?(KB|MB|GB)?", value.strip(), re.ASCII | re.IGNORECASE)
    if match is None:
        raise OptionError(f"--sgdiff-keep-outputs={value}: must be a size such as 200MB, 1GB, or 0 for none")
    return int(match[1]) * units[(match[2] or "").upper()]


def shard(value: str) -> Shard:
    """A part of the selected cases."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", value, re.ASCII)
    shard = None if match is None else Shard(number=int(match[1]), of=int(match[2]))
    if shard is None or not 1 <= shard.number <= shard.of:
        raise OptionError(f"--sgdiff-shard={value}: must be K/N, such as 2/4: part K, from 1 to N, of N parts")
    return shard


def gpu_timeout_s(value: str) -> float:
    """Seconds to wait for GPUs."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise OptionError(f"--sgdiff-gpu-timeout={value}: must be a number of seconds above 0")
    return seconds
