"""Where a launch of now is made: one more launch of the engine on leased GPUs, watched, and kept as a recording."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sgdiff import machine
from pytest_sgdiff.data import Command, Environment, Launch, LaunchFiles, OutputSample, Service
from pytest_sgdiff.engines.load import says_loaded
from pytest_sgdiff.engines.outputs import measured, saves
from pytest_sgdiff.engines.stages import LOADING, stage_reached
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.gpus import Lease
from pytest_sgdiff.gpus.wait_reasons import Wait
from pytest_sgdiff.judging.inherited import assigned, inherited
from pytest_sgdiff.judging.workload import with_inherited
from pytest_sgdiff.launch.run import run
from pytest_sgdiff.launch.scratch import scratch
from pytest_sgdiff.lint.reserved_flags import PERF_LOG_DIR, owned
from pytest_sgdiff.quality.extra import missing
from pytest_sgdiff.quality.sampling import samples
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.redact import NAMES, Redaction
from pytest_sgdiff.runner.source import LaunchSource
from pytest_sgdiff.watch import Watcher

if TYPE_CHECKING:
    from pytest_sgdiff.launch.client import Client

SYNC_STAGES = "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING"


@dataclass(kw_only=True)
class LiveSource(LaunchSource):
    """Launches of one case on leased GPUs.

    `guarded` are the folders that go with a launch if this process dies, which then ends the launch too; None leaves
    that to the next run. `profiled`: the profiler is on. The files that a launch writes are kept up to `keep_bytes`
    together.
    """

    lease: Lease
    profiled: bool = False
    keep_bytes: int = 0
    guarded: tuple[str, ...] | None = None
    _client: Client | None = None
    _stage: str = ""
    _cpus: frozenset[int] = frozenset()

    def launch(self, *, alone: bool) -> Launch | None:
        """Launch the engine once more and wait for its end."""
        number, folder = self.begun()
        work = folder / recordings.WORK
        files = LaunchFiles(
            workdir=str(work),
            output_dir=str(work / "outputs"),
            perf_dump=str(work / "perf.json"),
            perf_log_dir=str(work / "perf-log"),
            config=str(work / "config.json"),
            assets={flag: str(path) for flag, path in self.assets.items()},
        )
        asked = self.engine.command(self.case, info=self.info, files=files, ports=self.lease.usable_ports())
        if owned_names := [name for name in owned(asked.env) if name != PERF_LOG_DIR]:
            raise SgdiffError(
                f"{self.case.location}: the adapter of the engine '{self.case.engine}' sets {', '.join(owned_names)}, "
                "which the plugin sets for every launch: drop it there"
            )
        command = self.change_command(asked)
        # What a hook adds reaches the engine too, and is not said by the case either.
        child = {name: value for name, value in os.environ.items() if name not in command.unset} | dict(command.env)
        redaction = Redaction(child)
        # `--sgdiff-engine-cmd` may begin with `env NAME=value`, which wins over everything.
        by_command = assigned(command.argv)
        took = inherited(child, besides=asked.env) | inherited(by_command)
        took = redaction.env(took)
        client = self._client = None if command.service is None else _client_of(command.service)
        enter = self.lease.alone if alone else self.lease.shared
        with enter(timeout_s=self.host_timeout_s, on_wait=self._wait), scratch() as (tmp, tmp_fd):
            self._tell(LOADING)
            watcher = Watcher(
                self.lease.gpus,
                reader=self.lease.reader if self.lease.gpus else None,
                owns=self.lease.owns,
                co_runners=self.lease.co_runners,
                to_be_alone=alone,
                isolation=self.isolation,
            )
            with watcher:
                ended = run(
                    command,
                    files=files,
                    log=folder / recordings.LOG,
                    timeout_s=self.case.timeout_s,
                    env={**os.environ, **tmp, **self.lease.env()},
                    pass_fds=(*self.lease.pass_fds, tmp_fd),
                    abandoned=self.abandoned,
                    cpus=self.lease.cpus,
                    on_line=self._follow,
                    on_start=self._started,
                    attendant=client,
                    guarded=None if self.guarded is None else (*self.guarded, tmp["TMPDIR"]),
                )
            self.lease.wait_until_free(timeout_s=60.0, on_wait=self._wait)
        launch = Launch(
            case=self.case.id,
            number=number,
            argv=redaction.words(command.argv),
            env=redaction.env(command.env),
            started_at=ended.started_at,
            started_ns=ended.started_ns,
            wall_s=ended.wall_s,
            ending=ended.ending,
            returncode=ended.returncode,
            log=ended.log,
            dump=ended.dump,
            stale_dump=ended.stale_dump,
            outputs=ended.outputs,
            machine=machine.machine_of(self.lease.gpus),
            environment=self._environment(command, took),
            watch=watcher.watch,
            workload=with_inherited(self.workload, took),
            session=self.session,
            folder=str(folder),
            served=None if client is None else client.served,
            requests=() if client is None else client.requests,
        )
        if ended.returncode == 0 or ended.ending == "stopped":
            launch = replace(launch, samples=self._samples(launch, files.output_dir))
        if self.keep_bytes:
            launch = replace(
                launch, outputs=recordings.keep_outputs(folder, launch, Path(files.output_dir), self.keep_bytes)
            )
        launch = redaction.record(launch, keep=NAMES)
        recordings.write_launch(self.out, launch)
        shutil.rmtree(work, ignore_errors=True)
        return launch

    def _samples(self, launch: Launch, folder: str) -> tuple[OutputSample, ...] | None:
        """What the measured requests drew; None where nobody is to look at it, or can."""
        if self.case.quality.mode == "off" or not saves(self.case) or missing():
            return None
        return samples(folder, measured(launch))

    def _environment(self, command: Command, took: Mapping[str, str]) -> Environment:
        sync = command.env.get(SYNC_STAGES, os.environ.get(SYNC_STAGES, "")) in ("1", "true", "True")
        return self.change_environment(
            machine.environment(
                self.lease.gpus,
                engine=self.info,
                sync_stages=sync,
                reader=self.lease.reader,
                launch_cpus=self._cpus,
                inherited=took,
            )
        )

    def _started(self, pid: int) -> None:
        self.lease.launched(pid)
        # Asked of the kernel: what it was to be bound to may not be what it may use. Unless it is gone already.
        with contextlib.suppress(OSError):
            self._cpus = frozenset(os.sched_getaffinity(pid))

    def _follow(self, line: str) -> None:
        if self._client is not None and says_loaded(line):
            self._client.loaded()
        stage = stage_reached(line, self._stage)
        if stage != self._stage:
            self._tell(stage)

    def _wait(self, wait: Wait) -> None:
        self._tell("", waits_for=str(wait))

    def _tell(self, stage: str, *, waits_for: str = "") -> None:
        self._stage = stage
        gpus = self.lease.indices
        self.tell(stage=stage, gpus=gpus, launch=self.number, waits_for=waits_for, profiled=self.profiled)


def _client_of(service: Service) -> Client:
    # It brings an event loop, which no other launch needs.
    from pytest_sgdiff.launch.client import Client

    return Client(service)
