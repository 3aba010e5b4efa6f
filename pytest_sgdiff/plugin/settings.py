"""Options, environment and ini values as one frozen `Settings`.

Precedence: command line, then environment (`SGDIFF_ENGINE_CMD` for `--sgdiff-engine-cmd`), then ini. This module
knows no pytest: `startup.py` hands it three look-up functions. What a value means is in `option_values.py`, and what
several mean together in `options_together.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_sgdiff.data import Outcome, Shard
from pytest_sgdiff.errors import OptionError
from pytest_sgdiff.files.run_folders import PARENT
from pytest_sgdiff.isolation import Isolation
from pytest_sgdiff.options import CASE_FILES, SETTINGS, Setting
from pytest_sgdiff.plugin import option_values as values
from pytest_sgdiff.plugin import options_together as together
from pytest_sgdiff.plugin.option_values import Profile, Renamed, Update
from pytest_sgdiff.plugin.options_together import Mode


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
    update: Update | None
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
    update = values.update(text["sgdiff_update"])
    mode = together.mode_of(text, update, dry_run=switches["sgdiff_dry_run"])
    values.exit_codes(option("sgdiff_exit_codes"))
    together.refuse_bisect_codes(option("sgdiff_exit_codes"), mode)
    replay, typed_out = values.replay(text["sgdiff_replay"], cwd), text["sgdiff_out"]
    out = None if typed_out is None else (cwd / typed_out).resolve()
    if mode != "off":
        values.stays_inside(root / ".sgdiff", root, "--sgdiff-out" if out is None else None)
        values.stays_inside(root / "baselines", root, None if text["sgdiff_baselines"] else "--sgdiff-baselines")
    assets, history, lock_dir = text["sgdiff_assets"], text["sgdiff_history"], text["sgdiff_lock_dir"]
    isolation, renamed = values.isolation(text["sgdiff_isolation"], update=update)
    shard = None if text["sgdiff_shard"] is None else values.shard(text["sgdiff_shard"])
    if shard is not None and typed_out is not None:
        together.refuse_same_folder(typed_out, out, replay)
    keep_outputs_bytes = values.kept_bytes(text["sgdiff_keep_outputs"] or "0")
    cluster = values.cluster(text["sgdiff_cluster"])
    if cluster is not None:
        keeping = _named("sgdiff_keep_outputs", option, env)
        together.refuse_on_nodes(
            lock_dir=option("sgdiff_lock_dir"), keep_outputs_bytes=keep_outputs_bytes, keeping=keeping
        )
    reports = tuple(values.report(cwd / path, root) for path in values.many(option("sgdiff_report")))
    history_file = None if history is None else values.history(root / history, root)
    together.refuse_same_file(reports, history_file)
    if out is None and replay is None and mode in ("gate", "update", "against"):
        out = root / PARENT / run_id
    return Settings(
        mode=mode,
        root=root,
        cwd=cwd,
        gpus=text["sgdiff_gpus"],
        replay=replay,
        update=update,
        against=values.command("--sgdiff-against", text["sgdiff_against"] or "", cwd),
        out=out,
        keep=values.keep(text["sgdiff_keep"] or "20"),
        profile=values.profile(text["sgdiff_profile"]),
        keep_outputs_bytes=keep_outputs_bytes,
        baselines=root / (text["sgdiff_baselines"] or "baselines"),
        assets=None if assets is None else (root / assets).resolve(),
        engine_cmd=values.command("--sgdiff-engine-cmd", text["sgdiff_engine_cmd"] or "sglang", cwd),
        fail_on=values.fail_on(option("sgdiff_fail_on"), ini("sgdiff_fail_on"), strict=switches["sgdiff_strict"]),
        isolation=isolation,
        strict=switches["sgdiff_strict"],
        accept=values.accept(values.many(option("sgdiff_accept")), values.many(ini("sgdiff_accept")), root, cwd),
        reports=reports,
        history=history_file,
        gpu_timeout_s=values.gpu_timeout_s(text["sgdiff_gpu_timeout"] or "3600"),
        lock_dir=None if lock_dir is None else root / lock_dir,
        files=values.many(option("sgdiff_files")) or values.many(ini("sgdiff_files")) or CASE_FILES,
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
        return values.switched_on(setting, told)
    return setting.ini is not None and bool(ini(setting.dest))


def _named(dest: str, option: Callable[[str], object], env: Mapping[str, str]) -> str:
    """Where a setting has its value from, as it is written there."""
    setting = next(one for one in SETTINGS if one.dest == dest)
    if (typed := option(dest)) is not None:
        return f"{setting.option}={typed}"
    if (told := setting.in_environment(env)) is not None:
        return f"{setting.variable}={told} in the environment"
    return f"{dest} in the configuration"
