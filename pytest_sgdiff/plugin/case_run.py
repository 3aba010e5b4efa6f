"""One test on its way from its case to a result: launched on leased GPUs or replayed, then judged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sgdiff import baselines, engine_commits
from pytest_sgdiff.baselines import references
from pytest_sgdiff.cases import assets
from pytest_sgdiff.data import (
    Attribution,
    Case,
    CaseResult,
    Launch,
    Machine,
    MetricClass,
    Profiled,
    Warned,
    Workload,
)
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.errors import HistoryError, LeaseError
from pytest_sgdiff.files import data_files
from pytest_sgdiff.files.wire import to_plain
from pytest_sgdiff.gpus import Lease
from pytest_sgdiff.history.store import nights
from pytest_sgdiff.judging.inherited import inherited
from pytest_sgdiff.judging.power import recorded_at_most
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.suite_prior import with_nights
from pytest_sgdiff.judging.workload import workload
from pytest_sgdiff.plugin import judged, next_command, profiled, skips
from pytest_sgdiff.plugin.collect import CASE
from pytest_sgdiff.plugin.kept_launches import RecordedTest, folder_in
from pytest_sgdiff.plugin.leasing import busy
from pytest_sgdiff.plugin.session import RESULT, Session
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.redact import NAMES, Redaction
from pytest_sgdiff.reports.junit import properties
from pytest_sgdiff.runner import command_line
from pytest_sgdiff.runner.ab import PAIR_LOOKS, against
from pytest_sgdiff.runner.accepting import with_the_rest
from pytest_sgdiff.runner.gate import gate
from pytest_sgdiff.runner.job import Job
from pytest_sgdiff.runner.live import LiveSource
from pytest_sgdiff.runner.record import record
from pytest_sgdiff.runner.replay import ReplaySource, of_two_measurements, with_gap
from pytest_sgdiff.runner.side_by_side import SideBySide

if TYPE_CHECKING:
    from pytest_sgdiff.cluster.lease import ClusterLease
    from pytest_sgdiff.cluster.source import ClusterSource

    AnyLease = Lease | ClusterLease


def measure(session: Session, item: pytest.Item, case: Case, lease: AnyLease | None, folder: Path) -> CaseResult:
    """Launch or replay the case, judge it against the baselines in `folder`, and put the result on the item. A case
    that was decided once is not measured again: a rerun of the same test gets the same answer, so that no retry turns
    a regression green."""
    measuring = Measuring(session, item, case, lease)
    recorded = measuring.recorded
    if session.settings.update == "missing" and recorded is not None:
        machine = recorded.machine or session.only_machine(folder, case.id)
        session.refuse_recorded(item, case, () if machine is None else (machine,))
    gap = None if session.shards is None else session.shards.gap(item.nodeid, case.id)
    if gap is not None:
        skips.as_in_its_shard(item, case, gap, session.settings)
    try:
        result = session.decided.get(item.nodeid) or measuring.result(folder)
    except LeaseError as error:
        # GPUs are leased, but others would not leave the host to the launch.
        result = busy(item, case, error)
    if gap is not None:
        result = with_gap(result, gap, planned=measuring.planned)
    if session.settings.records_shard and recorded is not None and session.settings.out is not None:
        recorded.copy(session.settings.out, claims=session.claims)
    item.stash[RESULT] = to_plain(result)
    # The pictures are for the report, once: neither a rerun nor this process has any use for them.
    result = _without_pictures(result)
    if result.outcome != "inconclusive":
        session.decided.setdefault(item.nodeid, result)
        result = session.decided[item.nodeid]
    item.user_properties.extend(properties(result))
    return result


def _without_pictures(result: CaseResult) -> CaseResult:
    if result.quality is None:
        return result
    return replace(result, quality=replace(result.quality, views=(), reference=None))


class Measuring:
    """What belongs to one test that is measured: its case, its lease, and what is `recorded` of it where a recording is
    replayed."""

    def __init__(self, session: Session, item: pytest.Item, case: Case, lease: AnyLease | None) -> None:
        self.session, self.settings, self.item, self.case, self.lease = session, session.settings, item, case, lease
        self.recorded = None if self.settings.replay is None else RecordedTest(self.settings.replay, item, case.id)
        self._on_cluster: list[ClusterSource] = []
        self._noise: dict[Machine, Mapping[MetricClass, Prior]] = {}

    def result(self, folder: Path) -> CaseResult:
        """Measured now, and judged against the baselines in `folder`."""
        session, settings, case = self.session, self.settings, self.case
        engine = session.extensions.engine(case)
        advice = session.allowed(case) if settings.live else ()
        found = assets.resolve_assets(case, settings.assets) if settings.live else {}
        redaction = Redaction({**os.environ, **case.env})
        workload_now = workload(case, asset_hashes=assets.asset_hashes(found), redaction=redaction)
        replayed = self._replayed
        took = replayed[0].environment.inherited or {} if replayed else inherited(os.environ, besides=case.env)
        lines = [one for one in session.acceptances if one.case == case.id]
        job = Job(
            case=case,
            acceptances=tuple(one for one in lines if not one.expired(session.today)),
            expired_acceptances=tuple(one for one in lines if one.expired(session.today)),
            source=self._launches(engine, workload_now, found) if settings.replay is None else ReplaySource(replayed),
            engine=engine,
            workload=workload_now,
            baseline_for=lambda machine: session.find(folder, machine, case.id),
            only_machine=lambda: session.only_machine(folder, case.id),
            other_machines=lambda: baselines.others(folder, case.id),
            extra_metrics=lambda dump: session.extensions.metrics(case, dump),
            priors_for=lambda machine: self._priors(folder, machine),
            reference_for=references.read,
            isolation=settings.isolation,
            extend=settings.update == "extend",
            compared=self._compared,
            problems=of_two_measurements(replayed),
            gpu_indices=() if self.lease is None else self.lease.indices,
            next_command=self._next_command(),
            replayed=self._too_few(),
            command=command_line.text(case, engine, session.info_to_show, settings.assets, inherited=took),
        )

        def base() -> LiveSource | ClusterSource:
            return self._launches(engine, workload_now, found, base=True)

        result = with_the_rest(job, self._run(job, base))
        warnings = tuple(Warned(code="advice", advice=one) for one in advice)
        if lost := tuple(loss for source in self._on_cluster for loss in source.losses):
            warnings = (Warned(code="lost-launches", losses=lost), *warnings)
        kept = None if result.folder is None else self.settings.near(result.folder)
        # The test's own id: a repeated case, or one with a parametrized fixture, is several tests.
        named = replace(
            result,
            node_id=self.item.nodeid,
            attribution=self._attribution(result),
            warnings=(*result.warnings, *warnings),
            folder=kept,
        )
        # Whatever of it goes where: reports, the terminal, a baseline, another process.
        judged_now = redaction.record(named, keep=NAMES)
        if not profiled.wanted(settings, result):
            return judged_now
        # Ctrl-C ends the profiled launch, and the verdict stands.
        with judged.keeping(session.claims, replace(judged_now, profile=Profiled(code="interrupted"))):
            if self.recorded is None:
                shown = profiled.launched(session, case, result, folder, job.source, base)
            else:
                against_base = bool(self._base_replayed)
                shown = profiled.replayed(session, case, result, folder, self.recorded, against=against_base)
        return replace(judged_now, profile=redaction.record(shown, keep=NAMES))

    def _priors(self, folder: Path, machine: Machine) -> Mapping[MetricClass, Prior]:
        """What the suite's baselines say of the noise, and the case's own history of its drift between nights: of the
        runs on that machine of the work that the baseline is of."""
        if machine not in self._noise:
            suite, kept = self.session.priors(folder, machine), self.settings.history
            baseline = self.session.find(folder, machine, self.case.id) if kept and kept.is_file() else None
            self._noise[machine] = suite
            if kept is not None and baseline is not None:
                # That a history is unusable is said when this run is to be appended to it.
                with contextlib.suppress(HistoryError):
                    digest = baseline.measurement.workload.digest
                    judged = frozenset() if self.recorded is None else self.recorded.sessions
                    own = nights(kept, case=self.case.id, machine=machine.slug, workload=digest, but=judged)
                    self._noise[machine] = with_nights(suite, own, baseline)
        return self._noise[machine]

    @property
    def _replayed(self) -> tuple[Launch, ...]:
        """The launches that are replayed."""
        return () if self.recorded is None else self.recorded.launches

    @property
    def _base_replayed(self) -> tuple[Launch, ...]:
        """The base engine's launches, where an A/B run is replayed."""
        return () if self.recorded is None or self.settings.mode != "replay" else self.recorded.of_base

    def _run(self, job: Job, base: Callable[[], LiveSource | ClusterSource]) -> CaseResult:
        if self.settings.mode == "update":
            return record(job)
        if self.settings.mode == "against" and self.settings.live:
            then, now = base(), job.source
            if self.case.side_by_side and isinstance(now, LiveSource) and isinstance(then, LiveSource):
                both = SideBySide(then, now, now.lease)
                return against(replace(job, source=both.base), replace(job, source=both.now))
            return against(replace(job, source=then), job)
        if self._base_replayed:
            source, problems = ReplaySource(self._base_replayed), of_two_measurements(self._base_replayed)
            return against(replace(job, source=source, problems=problems), job)
        return gate(job)

    def _attribution(self, result: CaseResult) -> Attribution | None:
        """Where the change lies, with the titles of the engine's commits if its checkout is here."""
        found = result.attribution
        if found is None or found.commits is None:
            return found
        checkout = None
        if self.settings.live:
            base = self.session.base_info if self.settings.mode == "against" else None
            checkout = self.session.engine_info.checkout or (None if base is None else base.checkout)
        return replace(found, commits=engine_commits.between(found.commits, checkout))

    def _launches(
        self, engine: Engine, workload_now: Workload, found: Mapping[str, Path], *, base: bool = False
    ) -> LiveSource | ClusterSource:
        """Launches of the current engine, or of the base engine of an A/B run."""
        session, settings, case = self.session, self.settings, self.case
        if self.lease is None:
            pytest.fail(f"{self.item.nodeid}: no lease; an override of `sgdiff_gpus` must give a lease", pytrace=False)
        if settings.out is None:
            raise AssertionError("a live run keeps its launches")
        out = self._folder_in(settings.out) / (recordings.AGAINST if base else "")
        data_files.make_folder(out, below=settings.out)
        same: dict[str, Any] = {
            "case": case,
            "engine": engine,
            "info": session.base_info if base else session.engine_info,
            "out": out,
            "session": settings.run_id,
            "isolation": settings.isolation,
            "workload": workload_now,
            "notify": session.notify,
            "assets": found,
            "change_command": lambda command: session.extensions.command(case, command),
            "change_environment": session.extensions.environment,
            "abandoned": session.abandoned,
            "of": self._launches_at_most(),
            "exact": settings.mode == "update" and self._recorded_at_most == case.recorded_launches,
            "expected_s": session.launch_s(case),
            "host_timeout_s": settings.gpu_timeout_s,
            "side": ("base" if base else "current") if settings.mode == "against" else None,
        }
        if isinstance(self.lease, Lease):
            return LiveSource(lease=self.lease, keep_bytes=settings.keep_outputs_bytes, **same)
        from pytest_sgdiff.cluster.source import ClusterSource

        source = ClusterSource(lease=self.lease, **same)
        self._on_cluster.append(source)
        return source

    @property
    def _compared(self) -> bool:
        return self.case.id in self.session.compared(self.item.session.items)

    @property
    def planned(self) -> int:
        """How many launches the gate of a recording takes whatever the first ones show; 0 where they may settle it."""
        gated = self.settings.mode != "update" and not self._base_replayed
        return self.case.launches.looks[-1] if self._compared and gated else 0

    @property
    def _recorded_at_most(self) -> int:
        return recorded_at_most(self.case.launches.baseline, self.case.recorded_launches)

    def _launches_at_most(self) -> int:
        if self.settings.mode == "update":
            return self._recorded_at_most
        return PAIR_LOOKS[-1] if self.settings.mode == "against" else self.case.launches.looks[-1]

    def _folder_in(self, out: Path) -> Path:
        return folder_in(out, self.item, self.case.id, claims=self.session.claims)

    def _next_command(self) -> str:
        """What to type about a result: what records a baseline, or, in an A/B run, which no baseline changes, what
        compares the launches of both engines."""
        settings, case = self.settings, self.case
        if settings.mode == "against" and settings.out is not None:
            return next_command.comparing(settings, case, self._folder_in(settings.out))
        if self._base_replayed and self.recorded is not None:
            return next_command.comparing(settings, case, self.recorded.place)
        # A recording that does not do for a baseline does not do the second time.
        launches = self._too_few() is not None or settings.mode == "update"
        named = case.node_id if CASE in self.item.stash else self.item.nodeid
        return next_command.recording(settings, case, named, replay=None if launches else settings.replay)

    def _too_few(self) -> int | None:
        """How many launches the replayed recording of one engine has if they are too few for a baseline; else None."""
        made = len(self._replayed)
        few = self.recorded is not None and not self._base_replayed and made < self.case.recorded_launches
        return made if few else None
