"""Options, environment and ini values as one frozen `Settings`.

Precedence: command line, then environment (`SGDIFF_ENGINE_CMD` for `--sgdiff-engine-cmd`), then ini. This module
knows no pytest: `startup.py` hands it three look-up functions.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pytest_sgdiff.cases.accepted import FILE as ACCEPT_FILE
from pytest_sgdiff.data import OUTCOMES, Outcome, Shard
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files.data_files import leads_out
from pytest_sgdiff.files.run_folders import PARENT
from pytest_sgdiff.isolation import FORMERLY_ALONE, ISOLATIONS, Isolation
from pytest_sgdiff.options import CASE_FILES, OFF, SETTINGS, Setting

Mode = Literal["off", "gate", "update", "replay", "against", "dry-run"]
Profile = Literal["regressed", "all"]
PROFILES: tuple[Profile, ...] = ("regressed", "all")
REPORT_SUFFIXES = (".html", ".json", ".md", ".csv", ".txt", ".prom", ".lp", ".asv.json", ".benchmark.json")
EXIT_CODES = ("pytest", "bisect")
UPDATES = ("all", "missing", "extend")
ON = ("1", "true", "yes", "on")
FAILING: frozenset[Outcome] = frozenset({"regressed", "invalid", "no-baseline"})
"""Outcomes that fail a case whatever `--sgdiff-fail-on` says (they fail the run as pytest failures)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """A value of an option that was given by the name that it had in an earlier version."""

    option: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Everything that was asked for. Paths are absolute; `cwd` is where pytest was called, `out` None
    where nothing is to be kept; `cluster` is the address of the Ray cluster whose nodes launch, `auto` for the one that
    is found; `accept` are the files with accepted slowdowns; `keep` is how many runs are kept that have a folder of
    their own, None for all; `renamed` are the values that were given by an old name."""

    mode: Mode
    root: Path
    cwd: Path
    gpus: str | None
    replay: Path | None
    update: Literal["all", "missing", "extend"] | None
    against: tuple[str, ...]
    out: Path | None
    keep: int | None
    profile: Profile | None
    keep_outputs_bytes: int
    baselines: Path
    assets: Path | None
    engine_cmd: tuple[str, ...]
    fail_on: frozenset[Outcome]
    isolation: Isolation
    strict: bool
    accept: tuple[Path, ...]
    reports: tuple[Path, ...]
    history: Path | None
    gpu_timeout_s: float
    lock_dir: Path | None
    files: tuple[str, ...]
    ci: bool
    run_id: str
    cluster: str | None = None
    renamed: tuple[Renamed, ...] = ()
    shard: Shard | None = None

    @property
    def records_shard(self) -> bool:
        """True if the run is a shard that leaves a recording. A replay leaves one where it was told where."""
        return self.shard is not None and self.measuring and self.out is not None

    @property
    def measuring(self) -> bool:
        """True if cases are to be launched or replayed."""
        return self.mode in ("gate", "update", "replay", "against")

    @property
    def own_folder(self) -> Path:
        """The folder that the run has for itself unless it is told another."""
        return self.root / PARENT / self.run_id

    @property
    def live(self) -> bool:
        """True if engines will be launched."""
        return self.replay is None and self.mode in ("gate", "update", "against")

    def near(self, path: Path | str) -> str:
        """The path as people type it: relative to the root where it lies below."""
        return str(Path(path).relative_to(self.root)) if Path(path).is_relative_to(self.root) else str(path)

    def typed(self, path: Path | str) -> str:
        """The path for a command that is typed in the folder where pytest was called."""
        return os.path.relpath(path, self.cwd) if Path(path).is_relative_to(self.root) else str(path)

    def typed_id(self, node_id: str) -> str:
        """A node id, whose file pytest names from the root, for such a command."""
        file, colons, test = node_id.partition("::")
        return f"{self.typed(self.root / file)}{colons}{test}"

    def typed_places(self, *, assets: bool) -> tuple[str, ...]:
        """The options of such a command for the folders that are not where they are looked for; those of an option lie
        below the root. `assets`: whether files are needed from theirs."""
        words = []
        if self.baselines != self.root / "baselines":
            words.append(f"--sgdiff-baselines={self.near(self.baselines)}")
        if assets and self.assets is not None:
            words.append(f"--sgdiff-assets={self.near(self.assets)}")
        return tuple(words)


def read_settings(
    *,
    option: Callable[[str], object],
    ini: Callable[[str], object],
    env: Mapping[str, str],
    root: Path,
    cwd: Path,
    run_id: str,
) -> Settings:
    """Settle every setting.

    Raises:
        OptionError: a value is wrong, or two options contradict each other; the message names the fix.
    """
    for setting in SETTINGS:
        if setting.empty(option(setting.dest)):
            raise OptionError(
                f"{setting.option} has an empty value, as of a shell variable that is not set: give one, or leave the "
                "option out"
            )
    text = {setting.dest: _text(setting, option, ini, env) for setting in SETTINGS}
    switches = {s.dest: _switch(s, option, ini, env) for s in SETTINGS if s.switch}
    update = text["sgdiff_update"]
    if update is not None and update not in UPDATES:
        raise OptionError(f"--sgdiff-update={update}: unknown, use one of {', '.join(UPDATES)}")
    mode = _mode(text, update, dry_run=switches["sgdiff_dry_run"])
    _exit_codes(option("sgdiff_exit_codes"), mode)
    out = text["sgdiff_out"]
    default_out = (
        root / PARENT / run_id if mode in ("gate", "update", "against") and not text["sgdiff_replay"] else None
    )
    replay = text["sgdiff_replay"]
    if replay is not None and not (cwd / replay).is_dir():
        raise OptionError(
            f"--sgdiff-replay={replay}: no such folder; give one that a run wrote with --sgdiff-out "
            "(DIR/<case id>/<NN>/perf.json, engine.log, launch.json)"
        )
    if mode != "off":
        _stays_inside(root / ".sgdiff", root, "--sgdiff-out" if out is None else None)
        _stays_inside(root / "baselines", root, None if text["sgdiff_baselines"] else "--sgdiff-baselines")
    assets, history, lock_dir = text["sgdiff_assets"], text["sgdiff_history"], text["sgdiff_lock_dir"]
    isolation, renamed = _isolation(text["sgdiff_isolation"], update=update)
    shard = None if text["sgdiff_shard"] is None else _shard(text["sgdiff_shard"])
    if shard and replay and out and (cwd / out).resolve() == (cwd / replay).resolve():
        raise OptionError(f"--sgdiff-out={out}: is the recording that is replayed; name another folder for the shard")
    keep_outputs_bytes = _size(text["sgdiff_keep_outputs"] or "0")
    cluster = _cluster(text["sgdiff_cluster"], lock_dir=option("sgdiff_lock_dir"))
    if cluster is not None and keep_outputs_bytes:
        raise OptionError(
            f"{_named('sgdiff_keep_outputs', option, env)} keeps files that a launch writes, and --sgdiff-cluster "
            "launches on nodes, which do not send them: leave it out, or add --sgdiff-keep-outputs=0 to this command"
        )
    reports = tuple(_report(cwd / path, root) for path in _many(option("sgdiff_report")))
    told_history = None if history is None else _told_file(root / history, root, "--sgdiff-history")
    _apart(reports, told_history)
    return Settings(
        mode=mode,
        root=root,
        cwd=cwd,
        gpus=text["sgdiff_gpus"],
        replay=None if replay is None else (cwd / replay).resolve(),
        update=update,  # type: ignore[arg-type]  # checked against UPDATES above
        against=_command("--sgdiff-against", text["sgdiff_against"] or "", cwd),
        out=default_out if out is None else (cwd / out).resolve(),
        keep=_keep(text["sgdiff_keep"] or "20"),
        profile=_profile(text["sgdiff_profile"]),
        keep_outputs_bytes=keep_outputs_bytes,
        baselines=root / (text["sgdiff_baselines"] or "baselines"),
        assets=None if assets is None else (root / assets).resolve(),
        engine_cmd=_command("--sgdiff-engine-cmd", text["sgdiff_engine_cmd"] or "sglang", cwd),
        fail_on=_fail_on(option("sgdiff_fail_on"), ini("sgdiff_fail_on"), strict=switches["sgdiff_strict"]),
        isolation=isolation,
        strict=switches["sgdiff_strict"],
        accept=_accept(_many(option("sgdiff_accept")), _many(ini("sgdiff_accept")), root, cwd),
        reports=reports,
        history=told_history,
        gpu_timeout_s=_seconds(text["sgdiff_gpu_timeout"] or "3600"),
        lock_dir=None if lock_dir is None else root / lock_dir,
        files=_many(option("sgdiff_files")) or _many(ini("sgdiff_files")) or CASE_FILES,
        ci=bool(env.get("CI")),
        cluster=cluster,
        run_id=run_id,
        renamed=renamed,
        shard=shard,
    )


def _text(
    setting: Setting, option: Callable[[str], object], ini: Callable[[str], object], env: Mapping[str, str]
) -> str | None:
    if setting.switch or setting.variable is None:
        return None
    value = option(setting.dest)
    if value is None:
        value = setting.in_environment(env)
    if value is None and setting.ini is not None:
        value = ini(setting.dest) or None
    return None if value is None else str(value)


def _switch(
    setting: Setting, option: Callable[[str], object], ini: Callable[[str], object], env: Mapping[str, str]
) -> bool:
    if option(setting.dest):
        return True
    if told := setting.in_environment(env):
        if told.lower() not in ON:
            raise OptionError(f"{setting.variable}={told}: use one of {', '.join(ON)} or {', '.join(OFF)}")
        return True
    return setting.ini is not None and bool(ini(setting.dest))


def _command(option: str, text: str, cwd: Path) -> tuple[str, ...]:
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


def _many(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else (str(value),)


def _named(dest: str, option: Callable[[str], object], env: Mapping[str, str]) -> str:
    """Where a setting has its value from, as it is written there."""
    setting = next(one for one in SETTINGS if one.dest == dest)
    if (typed := option(dest)) is not None:
        return f"{setting.option}={typed}"
    if (told := setting.in_environment(env)) is not None:
        return f"{setting.variable}={told} in the environment"
    return f"{dest} in the configuration"


def _cluster(address: str | None, *, lock_dir: object) -> str | None:
    if address is None:
        return None
    if "://" in address:
        raise OptionError(
            f"--sgdiff-cluster={address}: give the address of the cluster's head, HOST:PORT, or 'auto'; Ray's client "
            "(ray://) cannot be used: run pytest on a node of the cluster, as `ray job submit` does"
        )
    if lock_dir is not None:
        raise OptionError(
            "--sgdiff-lock-dir names a folder of this machine, and --sgdiff-cluster launches on others: leave it out, "
            "and set SGDIFF_LOCK_DIR on the nodes before `ray start`, if their default does not do"
        )
    return address


def _mode(text: Mapping[str, str | None], update: str | None, *, dry_run: bool) -> Mode:
    gpus, replay, against = text["sgdiff_gpus"], text["sgdiff_replay"], text["sgdiff_against"]
    cluster = text["sgdiff_cluster"]
    if gpus is not None and cluster is not None:
        raise OptionError(
            f"--sgdiff-gpus={gpus} are GPUs of this machine, and --sgdiff-cluster={cluster} launches on the nodes of a "
            "cluster, where a case gets as many GPUs as it asks for: leave one of them out (or unset SGDIFF_GPUS, "
            "SGDIFF_CLUSTER)"
        )
    if dry_run:
        return "dry-run"
    if replay is not None and cluster is not None:
        raise OptionError("--sgdiff-replay judges recorded launches and uses no node: leave --sgdiff-cluster out")
    gpus = gpus or cluster
    if replay is not None:
        if gpus is not None:
            raise OptionError("--sgdiff-replay judges recorded launches and uses no GPU: leave --sgdiff-gpus out")
        if against is not None:
            raise OptionError("--sgdiff-replay has no engine to launch: leave --sgdiff-against out")
        # An update from a recording is a baseline of real launches too, so `replay` yields to `update` there.
        return "replay" if update is None else "update"
    if against is not None:
        if gpus is None:
            raise OptionError("--sgdiff-against needs --sgdiff-gpus or --sgdiff-cluster, which says what to launch on")
        if update is not None:
            raise OptionError(
                "--sgdiff-against compares two engines and records no baseline: leave --sgdiff-update out"
            )
        return "against"
    if update is not None:
        if gpus is None:
            raise OptionError(
                "--sgdiff-update needs --sgdiff-gpus (or --sgdiff-cluster, or --sgdiff-replay): without it nothing is "
                "measured"
            )
        return "update"
    return "off" if gpus is None else "gate"


def _exit_codes(chosen: object, mode: Mode) -> None:
    """Refuse exit codes of a bisection for a run that judges nothing: 0 would call every commit good."""
    if chosen not in (None, *EXIT_CODES):
        raise OptionError(f"--sgdiff-exit-codes={chosen}: unknown, use one of {', '.join(EXIT_CODES)}")
    if chosen == "bisect" and mode not in ("gate", "replay", "against"):
        raise OptionError(
            "--sgdiff-exit-codes=bisect is for a run that judges: give --sgdiff-gpus=N, without --sgdiff-dry-run and "
            "--sgdiff-update"
        )


def _fail_on(option: object, ini: object, *, strict: bool) -> frozenset[Outcome]:
    words = [word for item in _many(option) or _many(ini) for word in item.replace(",", " ").split()]
    known: dict[str, Outcome] = {outcome: outcome for outcome in OUTCOMES}
    for word in words:
        if word not in known:
            raise OptionError(f"--sgdiff-fail-on={word}: no such outcome, use {', '.join(OUTCOMES)}")
    chosen = frozenset(known[word] for word in words)
    return FAILING | chosen | (frozenset({known["inconclusive"]}) if strict else frozenset())


def _accept(typed: Sequence[str], ini: Sequence[str], root: Path, cwd: Path) -> tuple[Path, ...]:
    """The files with accepted slowdowns: those that were named, or the one of the project, if it is there."""
    named = tuple(cwd / name for name in typed) or tuple(root / name for name in ini)
    words = typed or ini
    if "none" in words:
        if len(words) > 1:
            raise OptionError("--sgdiff-accept=none reads nothing: leave the other --sgdiff-accept out")
        return ()
    own = root / ACCEPT_FILE
    return named or ((own,) if os.path.lexists(own) else ())


def _stays_inside(path: Path, root: Path, option: str | None) -> None:
    """Refuse a link out of the project in a place that nobody named: it may have come with somebody's change."""
    if option is not None and (end := leads_out(path, of=root)) is not None:
        raise OptionError(f"{path}: is a link out of {root}, to {end}: remove it, or name that folder with {option}")


def _told_file(path: Path, root: Path, option: str) -> Path:
    """A file that will be written, by its name; a link may lead to any place in the project."""
    if (end := leads_out(path, of=root)) is not None:
        raise OptionError(f"{option}={path.name}: is a link out of {root}, to {end}: remove it, or name that file")
    # The name is kept as it was given: a link may lead to a file of any name, and the suffix chooses the format.
    return path.parent.resolve() / path.name


def report_suffix(path: Path) -> str | None:
    """The one of REPORT_SUFFIXES that chooses the format of a report, the longest that fits; None if none does."""
    fitting = [suffix for suffix in REPORT_SUFFIXES if len(path.name) > len(suffix) and path.name.endswith(suffix)]
    return max(fitting, key=len, default=None)


def _report(path: Path, root: Path) -> Path:
    if report_suffix(path) is None:
        raise OptionError(
            f"--sgdiff-report={path.name}: the suffix chooses the format, use {', '.join(REPORT_SUFFIXES)}"
        )
    return _told_file(path, root, "--sgdiff-report")


def _apart(reports: Sequence[Path], history: Path | None) -> None:
    """Each file is written for itself: what came second would take the place of the first."""
    places = {} if history is None else {os.path.realpath(history): f"--sgdiff-history={history.name}"}
    for report in dict.fromkeys(reports):
        told, place = f"--sgdiff-report={report.name}", os.path.realpath(report)
        if (other := places.setdefault(place, told)) is not told:
            raise OptionError(f"{told}: is the file of {other}, too: give each its own")


def _isolation(value: str | None, *, update: str | None) -> tuple[Isolation, tuple[Renamed, ...]]:
    if value is None:
        return "alone" if update is not None else "confirm", ()
    if value in FORMERLY_ALONE:
        return "alone", (Renamed(option="--sgdiff-isolation", old=value, new="alone"),)
    for isolation in ISOLATIONS:
        if value == isolation:
            return isolation, ()
    raise OptionError(f"--sgdiff-isolation={value}: unknown, use one of {', '.join(ISOLATIONS)}")


def _profile(value: str | None) -> Profile | None:
    for one in PROFILES:
        if value == one:
            return one
    if value is not None:
        raise OptionError(f"--sgdiff-profile={value}: unknown, use one of {', '.join(PROFILES)}")
    return None


def _keep(value: str) -> int | None:
    if value == "all":
        return None
    if not (value.isascii() and value.isdecimal() and int(value[:9]) > 0):
        raise OptionError(f"--sgdiff-keep={value}: must be a number of runs from 1 on, or 'all'")
    return int(value[:9])


def _size(value: str) -> int:
    units = {"": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3}
    match = re.fullmatch(r"(\d{1,12}) ?(KB|MB|GB)?", value.strip(), re.ASCII | re.IGNORECASE)
    if match is None:
        raise OptionError(f"--sgdiff-keep-outputs={value}: must be a size such as 200MB, 1GB, or 0 for none")
    return int(match[1]) * units[(match[2] or "").upper()]


def _shard(value: str) -> Shard:
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", value, re.ASCII)
    shard = None if match is None else Shard(number=int(match[1]), of=int(match[2]))
    if shard is None or not 1 <= shard.number <= shard.of:
        raise OptionError(f"--sgdiff-shard={value}: must be K/N, such as 2/4: part K, from 1 to N, of N parts")
    return shard


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise OptionError(f"--sgdiff-gpu-timeout={value}: must be a number of seconds above 0")
    return seconds
