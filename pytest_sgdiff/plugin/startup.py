"""Start of a run that measures: settle the settings, open the GPU pool, register what collects results."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sgdiff import gpus, machine
from pytest_sgdiff.data import Environment
from pytest_sgdiff.errors import ClusterError, EngineNotFoundError, OptionError, SgdiffError
from pytest_sgdiff.files import data_files, temp_dirs
from pytest_sgdiff.files.run_folders import PARENT, RunFolder, hold, prune
from pytest_sgdiff.plugin.asked import refuse_contradictions, refuse_idle, refuse_repeats, shows_only
from pytest_sgdiff.plugin.bisect_codes import SKIP, BisectCodes, bisecting, refuse
from pytest_sgdiff.plugin.collect import CASE
from pytest_sgdiff.plugin.controller import Results
from pytest_sgdiff.plugin.fixtures import SESSION
from pytest_sgdiff.plugin.live import StatusBoard, own_status_folder, status_folder, status_writer
from pytest_sgdiff.plugin.new_line import new_line
from pytest_sgdiff.plugin.option_values import Renamed
from pytest_sgdiff.plugin.publish import ready_to_publish
from pytest_sgdiff.plugin.role import NEEDS, POOL, Role, role
from pytest_sgdiff.plugin.session import Session
from pytest_sgdiff.plugin.settings import Settings, read_settings
from pytest_sgdiff.plugin.shards import Sharding, free_for_shard
from pytest_sgdiff.plugin.terminal import Terminal
from pytest_sgdiff.plugin.worker import Dropped, Sender
from pytest_sgdiff.plugin.xdist import GpuSchedule, ParkItems, workers_for
from pytest_sgdiff.recordings import layout
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.redact import redact
from pytest_sgdiff.reports import cluster_text, merge_text
from pytest_sgdiff.reports.numbers import plural

if TYPE_CHECKING:
    from pytest_sgdiff.cluster.lease import ClusterPool

CLUSTER: pytest.StashKey[ClusterPool] = pytest.StashKey()
"""On the config: the cluster of the run, once its nodes were asked."""

PARTS = (
    "sgdiff-dropped",
    "sgdiff-earlier-launches",
    "sgdiff-engine-flags",
    "sgdiff-exit-codes",
    "sgdiff-fixtures",
    "sgdiff-one-file",
    "sgdiff-own-folder",
    "sgdiff-park",
    "sgdiff-results",
    "sgdiff-schedule",
    "sgdiff-sender",
    "sgdiff-sharding",
    "sgdiff-status",
    "sgdiff-terminal",
    "sgdiff-tuning",
    "sgdiff-xdist",
)
"""Names under which parts of the plugin are registered: all of them."""


def start(config: pytest.Config, *, run_id: str) -> None:
    """Put a `Session` on the config and register the plugins of this process.

    Raises:
        pytest.UsageError: an option is wrong, no GPU is there, or the engine is not.
    """
    own = role(config)
    try:
        if own.leads:
            _refuse_parts(config)
            typed = [str(word) for word in config.invocation_params.args]
            refuse_repeats(typed)
            refuse_contradictions(typed, lambda name: config.getoption(name, None), os.environ)
        settings = _settings(config, run_id)
        if own.leads and settings.mode == "off" and not shows_only(config):
            refuse_idle(typed)
        if own.leads and settings.measuring:
            ready_to_publish(settings)
            free_for_shard(settings)
        pool = _pool(config, settings, own.given.get(POOL)) if settings.live and not shows_only(config) else None
        notify = status_writer(settings, worker=own.worker)
        say = partial(_say, config)
        session = Session(config, settings, pool, notify, claims=status_folder(settings), say=say)
        if own.leads and not shows_only(config):
            # Their mistakes stop the run before the first launch.
            _ = session.acceptances
        header = _header(settings, pool, session, collect_only=shows_only(config)) if own.leads else ()
        if header:
            header += tuple(map(_renamed_text, settings.renamed))
        # Made first: it holds the schedule's file too. A replay takes no time that anybody would want to follow.
        board = StatusBoard(config, settings) if settings.live and own.leads else None
        if pool is not None:
            own_status_folder(settings)
    except EngineNotFoundError as error:
        # Of a bisection: this commit gave no engine that runs.
        refuse(config, OptionError(redact(str(error), os.environ)), code=SKIP)
    except ClusterError as error:
        refuse(config, OptionError(redact(cluster_text.message(error), os.environ)))
    except SgdiffError as error:
        refuse(config, OptionError(redact(str(error), os.environ)))
    config.stash[SESSION] = session
    config.pluginmanager.register(Sender(), "sgdiff-sender")
    dropped = Dropped()
    config.pluginmanager.register(dropped, "sgdiff-dropped")
    if settings.shard is not None:
        # Before what counts the tests that are left, and what adds one for xdist.
        config.pluginmanager.register(Sharding(session, settings.shard), "sgdiff-sharding")
    if not shows_only(config):
        config.pluginmanager.register(EngineFlags(session), "sgdiff-engine-flags")
        if settings.live or settings.records_shard:
            config.pluginmanager.register(EarlierLaunches(session), "sgdiff-earlier-launches")
    if pool is not None:
        _register_schedule(config, session, pool, own)
    if own.leads:
        size = 0 if pool is None else pool.eligible.total
        accepted = () if shows_only(config) else session.acceptances
        results = Results(
            config, settings, header, dropped=dropped, gpus_at_most=size, acceptances=accepted, today=session.today
        )
        config.pluginmanager.register(results, "sgdiff-results")
        config.pluginmanager.register(Terminal(results), "sgdiff-terminal")
        if bisecting(config):
            config.pluginmanager.register(BisectCodes(results), "sgdiff-exit-codes")
        if settings.measuring and not shows_only(config):
            config.pluginmanager.register(OwnFolder(settings), "sgdiff-own-folder")
    if board is not None:
        config.pluginmanager.register(board, "sgdiff-status")


def _refuse_parts(config: pytest.Config) -> None:
    """Without one of its parts the plugin would measure and not report, or report and not fail."""
    for part in PARTS:
        if config.pluginmanager.is_blocked(part):
            raise OptionError(
                f"-p no:{part} switches off a part of pytest-sgdiff that every report needs: leave it out "
                "(-p no:sgdiff switches off the whole plugin)"
            )


class OwnFolder:
    """On the controller: the run's folder below `.sgdiff/`, and what has been there for longer than anybody asked; or
    the recording that is replayed or written over, which no other run is to remove meanwhile."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder: RunFolder | None = None
        self._removed: tuple[str, ...] = ()
        self._held: list[int] = []
        candidates = settings.mode == "update" and settings.ci and settings.out is None
        if settings.out == settings.own_folder or candidates:
            self._folder = RunFolder(settings.own_folder)
        for folder in (settings.replay, settings.out):
            with contextlib.suppress(OSError):
                lock = None if folder in (None, settings.own_folder) else hold(folder)
                self._held += [] if lock is None else [lock]

    def pytest_sessionfinish(self) -> None:
        """Remove the oldest runs, unless this one has left nothing that would take their place."""
        keep = self._settings.keep
        if self._folder is not None and keep is not None and not self._folder.empty:
            folder = self._folder.folder
            self._removed = prune(folder.parent, keep=keep, but=folder.name)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say what is gone."""
        if self._removed:
            count = plural(len(self._removed), "older run")
            terminalreporter.write_line(
                f"sgdiff: {count} removed from {PARENT}/, which keeps the newest {self._settings.keep} (--sgdiff-keep)"
            )

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Give the folders free."""
        if self._folder is not None:
            self._folder.close()
        for lock in self._held:
            os.close(lock)
        self._held.clear()


class EngineFlags:
    """In the processes that collect: has the engines asked for their flags, where that is needed, before the first case
    gets GPUs. Of several workers one asks, and the others wait for its answer."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """With the cases that were selected."""
        self._session.ask_engines(item.stash[CASE] for item in session.items if CASE in item.stash)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Without launches there is no progress to show, so that nothing else removes what processes shared."""
        settings = self._session.settings
        if not settings.live and role(session.config).leads:
            shutil.rmtree(status_folder(settings), ignore_errors=True)


def _say(config: pytest.Config, text: str) -> None:
    """A line for whoever waits; a worker has nobody."""
    terminal = config.pluginmanager.getplugin("terminalreporter")
    if terminal is not None:
        new_line(config)
        terminal.write_line(f"sgdiff: {text}")


class EarlierLaunches:
    """In the processes that collect: forgets what an earlier run left of the cases that this one is to measure, before
    any is. A case that then gets no GPU, or whose worker dies, would else be replayed with launches of another day."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Under xdist before the controller is told of the collection: it hands out nothing until all workers are."""
        out = self._session.settings.out
        if out is None or not self._is_first(session.config):
            return
        selected = {item.stash[CASE].id for item in session.items if CASE in item.stash}
        # The folder is the shard's own: what is there of other shards' cases is of a run that was split otherwise.
        others = () if self._session.selection is None else self._session.selection.tests
        selected |= {row.case for row in others if row.case is not None}
        for case_id in selected:
            # Of a folder that cannot be read or written the launch itself tells, and of what may not be removed.
            with contextlib.suppress(OSError, SgdiffError):
                recordings.forget_case(out, case_id)
        whole = self._session.settings.records_shard
        # Of tests in Python, whose cases are known when they run only.
        own = {layout.folder_of_test(item.nodeid) for item in session.items if CASE not in item.stash}
        with contextlib.suppress(OSError, SgdiffError):
            # Of several tests of a case, and in a shard of tests in Python that other shards have, too.
            for key, what in layout.entries(out):
                case_id = data_files.case_id(key[-1])
                if what == "folder" and (whole or case_id in selected or {*key[1:2]} & own):
                    with contextlib.suppress(OSError, SgdiffError):
                        recordings.forget_case(out.joinpath(*key[:-1]), case_id)
        if out == self._session.settings.own_folder:
            return
        for item in session.items:
            if CASE not in item.stash and "sgdiff" in getattr(item, "fixturenames", ()):
                # A test that gets no GPU leaves nothing in it, and is not judged by launches that others leave.
                with contextlib.suppress(OSError, SgdiffError):
                    data_files.make_folder(layout.own_place(out, item.nodeid), below=out)

    def _is_first(self, config: pytest.Config) -> bool:
        """Whether no other process of the run was here: a worker in place of a dead one comes when others measure."""
        if role(config).leads:
            return True
        claim = self._session.claims / "forgotten"
        temp_dirs.ours(claim.parent)
        try:
            claim.touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def workers_at_most(config: pytest.Config) -> int | None:
    """As many xdist workers as can hold leases; None where nothing is launched, so that xdist decides.

    Raises:
        pytest.UsageError: as `start`.
    """
    try:
        settings = _settings(config, run_id="")
        if settings.cluster is not None and settings.live:
            found = _cluster(config, settings)
            return max(workers_for(found.eligible), len(found.nodes))
        return workers_for(gpus.resolve(_spec(settings))) if settings.live else None
    except ClusterError as error:
        raise pytest.UsageError(cluster_text.message(error)) from None
    except SgdiffError as error:
        raise pytest.UsageError(str(error)) from None


def _register_schedule(config: pytest.Config, session: Session, pool: gpus.Pool | ClusterPool, own: Role) -> None:
    """The GPU-aware schedule of xdist's controller, and its counterpart in the workers."""
    if own.kind == "worker":
        needs = own.given.get(NEEDS)
        if needs:
            config.pluginmanager.register(ParkItems(needs, session.need_of), "sgdiff-park")
    elif own.kind == "controller":
        # Workers write their needs while they collect, before any of them reports progress.
        needs_path = str(own_status_folder(session.settings) / "needs.json")
        schedule = GpuSchedule(pool.eligible, run_id=pool.run_id, needs_path=needs_path, folder=pool.folder)
        config.pluginmanager.register(schedule, "sgdiff-schedule")


def _settings(config: pytest.Config, run_id: str) -> Settings:
    def ini(name: str) -> object:
        # pytest 9.0 and 9.1 raise TypeError for a native TOML value of another type than the option's.
        try:
            value: object = config.getini(name)
        except TypeError as error:
            raise pytest.UsageError(f"{name}: {error}") from None
        return value

    return read_settings(
        option=config.getoption,
        ini=ini,
        env=os.environ,
        root=config.rootpath,
        cwd=Path(config.invocation_params.dir),
        run_id=run_id,
    )


def handed(session: Session) -> dict[str, Any]:
    """What the controller tells its workers of its pool: their GPUs, whatever is idle by the time they start, and why
    there are no more; of a cluster its nodes."""
    if session.pool is None:
        return {}
    if not isinstance(session.pool, gpus.Pool):
        return session.pool.handed
    return {"gpus": session.pool.eligible.handoff, "note": session.pool.eligible.note}


def _spec(settings: Settings) -> str:
    if settings.gpus is None:
        raise AssertionError("a live run says on which GPUs")
    return settings.gpus


def _cluster(config: pytest.Config, settings: Settings) -> ClusterPool:
    """The cluster of the run, asked once by this process."""
    from pytest_sgdiff.cluster.lease import ClusterPool

    if CLUSTER not in config.stash:
        config.stash[CLUSTER] = ClusterPool.found(
            settings.cluster or "auto",
            engine=settings.engine_cmd,
            base=settings.against,
            run_id=settings.run_id,
            environ=os.environ,
        )
        config.add_cleanup(config.stash[CLUSTER].broken)
    return config.stash[CLUSTER]


def _pool(config: pytest.Config, settings: Settings, handed: Mapping[str, Any] | None) -> gpus.Pool | ClusterPool:
    if settings.cluster is not None:
        from pytest_sgdiff.cluster.lease import ClusterPool

        if handed:
            pool = ClusterPool.of_handed(settings.cluster, handed, run_id=settings.run_id)
            config.add_cleanup(pool.broken)
            return pool
        found = _cluster(config, settings)
        found.run_id = settings.run_id
        return found
    spec = _spec(settings)
    eligible = (
        gpus.resolve(spec) if not handed else replace(gpus.resolve(handed["gpus"]), spec=spec, note=handed["note"])
    )
    return gpus.Pool(
        eligible, run_id=settings.run_id, folder=None if settings.lock_dir is None else str(settings.lock_dir)
    )


def _header(
    settings: Settings, pool: gpus.Pool | ClusterPool | None, session: Session, *, collect_only: bool
) -> tuple[str, ...]:
    if settings.mode == "dry-run":
        return ("dry run: command lines are shown, nothing is measured",)
    if settings.replay is not None:
        recording, baselines = settings.near(settings.replay), settings.near(settings.baselines)
        against = settings.replay / recordings.AGAINST
        base = f", base engine in {settings.near(against)}" if settings.mode == "replay" and against.is_dir() else ""
        joined = () if session.shards is None else (merge_text.shards(session.shards),)
        return (f"replay of {recording}{base}, baselines in {baselines}", *joined)
    if collect_only or pool is None:
        return ()
    # Versions are asked for here, so that a missing engine stops the run before the first case.
    engine = session.engine_info
    base = f"baselines in {settings.near(settings.baselines)}"
    if settings.mode == "against":
        base = f"base engine: {shlex.join(session.base_info.command)}"
    if isinstance(pool, gpus.Pool):
        lines = [f"{_pool_text(pool)}, sglang {engine.version}, {base}"]
        told = machine.environment(pool.eligible.gpus, engine=engine, sync_stages=False, reader=pool.reader)
        lines.append(_machine_text(told))
    else:
        lines = [f"{cluster_text.header(pool.address, pool.nodes)}, sglang {engine.version}, {base}"]
    if settings.out is not None:
        lines.append(f"launches are kept in {settings.near(settings.out)}")
    return tuple(lines)


def _renamed_text(renamed: Renamed) -> str:
    return (
        f"note: {renamed.option}={renamed.old} is now {renamed.option}={renamed.new}: use the new name, the next "
        "release does not accept the old one"
    )


def _machine_text(told: Environment) -> str:
    """What every launch will be recorded with, as far as it is known: settings that change figures are seen at once."""
    facts = {
        "CUDA": told.cuda,
        "power limit": told.power_limit_w and f"{told.power_limit_w:.0f} W",
        "SM clock up to": told.sm_clock_max_mhz and f"{told.sm_clock_max_mhz} MHz",
        "memory clock up to": told.mem_clock_max_mhz and f"{told.mem_clock_max_mhz} MHz",
        "persistence mode": {True: "on", False: "off", None: None}[told.persistence],
        "CPU": told.cpu_model and f"{told.cpu_model} ({told.cpu_count} usable)",
        "torch": told.torch_version,
    }
    return ", ".join(f"{name} {fact}" for name, fact in facts.items() if fact)


def _pool_text(pool: gpus.Pool) -> str:
    eligible = pool.eligible
    if not eligible.gpus:
        return "no GPUs" + (f" ({eligible.note})" if eligible.note else "")
    names = sorted({gpu.name for gpu in eligible.gpus})
    told = "; ".join(filter(None, (eligible.driver and f"driver {eligible.driver}", eligible.note)))
    return f"{eligible.size} x {' / '.join(names)}" + (f" ({told})" if told else "")
