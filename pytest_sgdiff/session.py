"""One process's part of a run: what the fixtures ask for. Made only in runs that measure (or show commands)."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sgdiff import assets, baselines, commands, gpus, machine, needs, recordings, runner, sources
from pytest_sgdiff.advice import advise
from pytest_sgdiff.data import (
    Advice,
    Baseline,
    Case,
    CaseResult,
    EngineInfo,
    Machine,
    MetricClass,
    Workload,
)
from pytest_sgdiff.engines.dialect import NEWEST, complaints
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.errors import BaselineError, EngineNotFoundError, LeaseError
from pytest_sgdiff.extensions import Extensions
from pytest_sgdiff.files import file_name
from pytest_sgdiff.items import CASE
from pytest_sgdiff.job import Job, Source, unmeasured
from pytest_sgdiff.redact import redact
from pytest_sgdiff.reports.junit import properties
from pytest_sgdiff.rules import Prior
from pytest_sgdiff.schedule import CaseNeed
from pytest_sgdiff.settings import Settings
from pytest_sgdiff.suiteprior import suite_priors
from pytest_sgdiff.wire import to_plain
from pytest_sgdiff.workload import workload

if TYPE_CHECKING:
    from pytest_sgdiff.gpus.leases import Lease

RESULT = pytest.StashKey[dict[str, Any]]()
"""On an item: its result as plain builtins, ready to cross to the controller."""


class Session:
    """Settings, the GPU pool and the engine of this process, and the measuring of a case with them."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        pool: gpus.Pool | None,
        notify: Callable[..., None],
        claims: Path,
    ) -> None:
        self.config, self.settings, self.pool, self.notify, self._claims = config, settings, pool, notify, claims
        self.extensions = Extensions(config)
        self._decided: dict[str, CaseResult] = {}
        self._fitted: dict[tuple[Path, Machine], Mapping[MetricClass, Prior]] = {}

    @cached_property
    def engine_info(self) -> EngineInfo:
        """The engine of `--sgdiff-engine-cmd` and its version, read once."""
        return machine.engine_info(self.settings.engine_cmd)

    @cached_property
    def base_info(self) -> EngineInfo:
        """The engine of `--sgdiff-against` and its version."""
        return machine.engine_info(self.settings.against)

    def lease(self, item: pytest.Item, case: Case) -> AbstractContextManager[Lease]:
        """GPUs for the case, held until the context ends. Skips or fails the test if it cannot be launched here;
        hardware that stays busy is `inconclusive: environment`, which says nothing of the engine."""
        if self.pool is None:
            pytest.fail("no GPU pool: --sgdiff-gpus is not set", pytrace=False)
        needs.settle(case, self.settings, self.pool.eligible, lambda: self.engine_info.version)
        try:
            self._refuse_recorded(case, machine.machine_of(self.pool.eligible.gpus[: case.gpus]))
            return self.pool.lease(
                case.gpus,
                estimate_s=self.estimate_s(case),
                timeout_s=self.settings.gpu_timeout_s,
                on_wait=lambda message: self.notify(sources.waiting(case, message)),
                tag=case.id,
            )
        except LeaseError as error:
            result = self._busy(item, case, error)
            item.stash[RESULT] = to_plain(result)
            if "inconclusive" in self.settings.fail_on:
                pytest.fail(result.reason, pytrace=False)
            pytest.skip(f"inconclusive: {result.reason}")
        except BaselineError as error:
            # Only the message: that one error led to another says nothing to whoever mends the file.
            raise pytest.fail.Exception(str(error), pytrace=False) from None

    def need_of(self, item: pytest.Item) -> CaseNeed | None:
        """What the schedule must know of an item; None for a test that is no case."""
        case = item.stash.get(CASE, None)
        return None if case is None else CaseNeed(node_id=item.nodeid, gpus=case.gpus, estimate_s=self.estimate_s(case))

    def estimate_s(self, case: Case) -> float | None:
        """How long the case takes by its baseline's launches, None if there is none yet: one launch of an unchanged
        engine at a gate, all those of a recording or of the first A/B look."""
        launch_s = self._launch_s(case)
        if launch_s is None:
            return None
        launches = {"update": case.launches.baseline, "against": 2 * runner.PAIR_LOOKS[0]}
        return launch_s * launches.get(self.settings.mode, 1.2)

    def _launch_s(self, case: Case) -> float | None:
        """How long a launch took for the baseline: the median of its launches."""
        if self.pool is None:
            return None
        where = machine.machine_of(self.pool.eligible.gpus[: case.gpus])
        try:
            baseline = baselines.find(self.settings.baselines, where, case.id)
        except BaselineError:
            # It only orders and shows: the case itself says what is wrong with the file.
            return None
        walls = [entry.wall_s for entry in baseline.measurement.launches if entry.wall_s] if baseline else []
        return sorted(walls)[len(walls) // 2] if walls else None

    def measure(self, item: pytest.Item, case: Case, lease: Lease | None, folder: Path) -> CaseResult:
        """Launch or replay the case and judge it. A case that was decided once is not measured again: a rerun of the
        same test gets the same answer, so that no retry turns a regression green."""
        if self.settings.update == "missing" and self.settings.replay is not None:
            told = (launch.machine for launch in recordings.read_launches(self.settings.replay, case.id))
            self._refuse_recorded(case, next(filter(None, told), None) or baselines.only_machine(folder, case.id))
        try:
            result = self._decided.get(item.nodeid) or self._measure(item, case, lease, folder)
        except LeaseError as error:
            # GPUs are leased, but others would not leave the host to the launch.
            result = self._busy(item, case, error)
        if result.outcome != "inconclusive":
            self._decided[item.nodeid] = result
        item.stash[RESULT] = to_plain(result)
        item.user_properties.extend(properties(result))
        return result

    def _measure(self, item: pytest.Item, case: Case, lease: Lease | None, folder: Path) -> CaseResult:
        engine = self.extensions.engine(case)
        advice = self.advice(case) if self.settings.live else ()
        if any(one.level == "error" for one in advice):
            pytest.fail("\n".join(str(one) for one in advice), pytrace=False)
        found, hashes = self._assets(case)
        workload_now = workload(case, asset_hashes=hashes)
        live = partial(self._live, item, case, engine, lease, workload_now, found)
        recorded = self.settings.replay
        job = Job(
            case=case,
            source=live(base=False) if recorded is None else sources.ReplaySource(recorded, case),
            engine=engine,
            workload=workload_now,
            baseline_for=lambda machine_: self._find(folder, machine_, case.id),
            only_machine=lambda: baselines.only_machine(folder, case.id),
            other_machines=lambda: baselines.others(folder, case.id),
            extra_metrics=lambda dump: self.extensions.metrics(case, dump),
            priors_for=lambda machine_: self._priors(folder, machine_),
            isolation=self.settings.isolation,
            extend=self.settings.update == "extend",
            compared=case.id in self._compared(item),
            gpu_indices=() if lease is None else lease.indices,
            renew=redact(self._renew(item, case), os.environ),
            command=redact(self.command_text(case), os.environ),
        )
        result = self._run(job, live)
        warnings = tuple(f"{one.message} [{one.slug}]" for one in advice)
        kept = None if result.folder is None else self._near(result.folder)
        # The test's own id: a repeated case, or one with a parametrized fixture, is several tests.
        return replace(result, node_id=item.nodeid, warnings=(*result.warnings, *warnings), folder=kept)

    def _run(self, job: Job, live: Callable[..., Source]) -> CaseResult:
        if self.settings.mode == "update":
            return runner.record(job)
        if self.settings.mode == "against" and self.settings.live:
            return runner.against(replace(job, source=live(base=True)), job)
        return runner.gate(job)

    def _live(
        self,
        item: pytest.Item,
        case: Case,
        engine: Engine,
        lease: Lease | None,
        workload_now: Workload,
        found: Mapping[str, Path],
        *,
        base: bool,
    ) -> sources.LiveSource:
        if lease is None:
            pytest.fail(f"{item.nodeid}: no lease; an override of `sgdiff_gpus` must give a lease", pytrace=False)
        if self.settings.out is None:
            raise AssertionError("a live run keeps its launches")
        out = self._folder_of(item, case, self.settings.out)
        return sources.LiveSource(
            case=case,
            engine=engine,
            info=self.base_info if base else self.engine_info,
            lease=lease,
            out=out / "against" if base else out,
            session=self.settings.run_id,
            isolation=self.settings.isolation,
            workload=workload_now,
            notify=self.notify,
            assets=found,
            change_command=lambda command: self.extensions.command(case, command),
            change_environment=self.extensions.environment,
            of=self._launches_at_most(case),
            exact=self.settings.mode == "update",
            expected_s=self._launch_s(case),
            host_timeout_s=self.settings.gpu_timeout_s,
            label=("base engine" if base else "current engine") if self.settings.mode == "against" else "",
        )

    def _folder_of(self, item: pytest.Item, case: Case, out: Path) -> Path:
        """Where the test keeps its launches: `out`, but for all tests of a case after the first (a case repeated, or
        in two Python tests) a folder of their own below it. They may run at the same time, in several workers."""
        worker = getattr(self.config, "workerinput", {}).get("workerid", "main")
        owner = f"{item.nodeid}@{worker}"
        claim = self._claims / f"{file_name(case.id)}.owner"
        claim.parent.mkdir(exist_ok=True)
        try:
            with claim.open("x", encoding="utf-8") as file:
                file.write(owner)
        except FileExistsError:
            if claim.read_text(encoding="utf-8") != owner:
                return out / "again" / re.sub(r"[^\w.-]+", "_", owner)
        return out

    def _launches_at_most(self, case: Case) -> int:
        if self.settings.mode == "update":
            return case.launches.baseline
        return runner.PAIR_LOOKS[-1] if self.settings.mode == "against" else case.launches.looks[-1]

    def _assets(self, case: Case) -> tuple[Mapping[str, Path], Mapping[str, str]]:
        if not self.settings.live:
            return {}, {}
        found = assets.resolve_assets(case, self.settings.assets)
        return found, assets.asset_hashes(found)

    def _compared(self, item: pytest.Item) -> frozenset[str]:
        """Ids of the cases of this run that stand on either side of a `faster_than`, both of which are in it."""
        cases = [case for other in item.session.items if (case := other.stash.get(CASE, None)) is not None]
        ids = {case.id for case in cases}
        pairs = [{case.id, case.faster_than.case} for case in cases if case.faster_than is not None]
        return frozenset().union(*(pair for pair in pairs if pair <= ids))

    def _busy(self, item: pytest.Item, case: Case, error: LeaseError) -> CaseResult:
        result = unmeasured(case, f"environment: {error}", renew=redact(self._renew(item, case), os.environ))
        return replace(result, node_id=item.nodeid)

    def _refuse_recorded(self, case: Case, machine_: Machine | None) -> None:
        """`--sgdiff-update=missing` leaves alone what has launches; a published number is none."""
        if self.settings.update != "missing" or machine_ is None:
            return
        found = self._find(self.settings.baselines, machine_, case.id)
        if found is not None and found.kind == "recorded":
            pytest.skip(f"{case.location}: has a baseline for {machine_.slug}; --sgdiff-update renews it")

    def _find(self, folder: Path, machine_: Machine, case_id: str) -> Baseline | None:
        replaced = self.settings.update == "all"
        return (baselines.find_replaceable if replaced else baselines.find)(folder, machine_, case_id)

    def _priors(self, folder: Path, machine_: Machine) -> Mapping[MetricClass, Prior]:
        """What the suite's baselines on the machine say of its noise: read when the first case is judged, then kept,
        so that every case of the run and every worker judges by the same."""
        key = (folder, machine_)
        if key not in self._fitted:
            self._fitted[key] = suite_priors(baselines.suite(folder, machine_))
        return self._fitted[key]

    def _near(self, path: str) -> str:
        """The path as people type it: relative to the root where it lies below."""
        return (
            str(Path(path).relative_to(self.settings.root)) if Path(path).is_relative_to(self.settings.root) else path
        )

    def _renew(self, item: pytest.Item, case: Case) -> str:
        """The command that records a baseline for the case, with this run's own places; in an A/B run, which a baseline
        does not change, the one that compares the launches of both engines."""
        settings = self.settings
        if settings.mode == "against" and settings.out is not None:
            now = self._folder_of(item, case, settings.out)
            folders = (recordings.launch_folder(out, case.id, 0).parent for out in (now / "against", now))
            return shlex.join(["sgdiff", "compare", *(self._near(str(folder)) for folder in folders)])
        words = ["pytest"]
        words.append(
            f"--sgdiff-gpus={settings.gpus}"
            if settings.replay is None
            else f"--sgdiff-replay={self._near(str(settings.replay))}"
        )
        if settings.live and settings.engine_cmd != ("sglang",):
            words.append(f"--sgdiff-engine-cmd={shlex.join(settings.engine_cmd)}")
        if settings.baselines != settings.root / "baselines":
            words.append(f"--sgdiff-baselines={self._near(str(settings.baselines))}")
        return shlex.join([*words, "--sgdiff-update", case.node_id if CASE in item.stash else item.nodeid])

    def command_text(self, case: Case) -> str:
        """The case's command line as a person would type it, with the environment variables that it adds."""
        return commands.text(case, self.extensions.engine(case), self._info_to_show, self.settings.assets)

    @cached_property
    def _info_to_show(self) -> EngineInfo:
        # A command can be shown, and a recording judged, where no engine is installed.
        try:
            return self.engine_info
        except EngineNotFoundError:
            return EngineInfo(command=self.settings.engine_cmd, version=NEWEST)

    def show_command(self, item: pytest.Item, case: Case) -> None:
        """`--sgdiff-dry-run`: put the command line on the item's report."""
        item.stash[RESULT] = {"command": self.command_text(case), "advice": [str(one) for one in self.advice(case)]}

    def advice(self, case: Case) -> tuple[Advice, ...]:
        """What is known against the case, in general and on this engine's version; errors of the version first."""
        version = self._info_to_show.version
        products = tuple(gpu.name for gpu in self.pool.eligible.gpus) if self.pool else case.requires.gpu
        refused = tuple(
            Advice(level=one.level, slug=one.slug, message=one.message, location=case.at(one.key))
            for one in complaints(case, version)
        )
        # A flag that the version refuses may be wrong in general too: the version's word is the more exact one.
        places = {one.location for one in refused} - {case.location}
        general = advise(case, engine_version=version, gpu_products=products)
        return (*refused, *(one for one in general if one.location not in places))
