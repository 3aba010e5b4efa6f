"""One test on its way from its case to a result: launched on leased GPUs or replayed, then judged."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sgdiff import baselines, engine_commits
from pytest_sgdiff.baselines import profiles, references
from pytest_sgdiff.cases import assets
from pytest_sgdiff.data import (
    Attribution,
    Case,
    CaseResult,
    Launch,
    Machine,
    MetricClass,
    Profiled,
    ProfileSummary,
    ShardGap,
    Warned,
    Workload,
)
from pytest_sgdiff.engines.protocol import Engine
from pytest_sgdiff.errors import HistoryError, LeaseError
from pytest_sgdiff.files import data_files, temp_dirs
from pytest_sgdiff.files.data_files import file_name
from pytest_sgdiff.files.wire import to_plain
from pytest_sgdiff.gpus import Lease
from pytest_sgdiff.history.store import nights
from pytest_sgdiff.judging.inherited import inherited
from pytest_sgdiff.judging.power import recorded_at_most
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.suite_prior import with_nights
from pytest_sgdiff.judging.workload import workload
from pytest_sgdiff.plugin import judged, skips
from pytest_sgdiff.plugin.collect import CASE
from pytest_sgdiff.plugin.leasing import busy
from pytest_sgdiff.plugin.role import role
from pytest_sgdiff.plugin.session import HAS_BASELINE, RESULT, Session
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.recordings.launch_files import copy_case
from pytest_sgdiff.recordings.layout import own_place
from pytest_sgdiff.redact import NAMES, Redaction
from pytest_sgdiff.reports import merge_text
from pytest_sgdiff.reports.junit import properties
from pytest_sgdiff.runner import command_line, profile
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
    if session.settings.update == "missing" and session.settings.replay is not None:
        machine = measuring.recorded_on or session.only_machine(folder, case.id)
        session.refuse_recorded(item, case, () if machine is None else (machine,))
    gap = None if session.shards is None else session.shards.gap(item.nodeid, case.id)
    if gap is not None:
        _as_in_its_shard(session, item, case, gap)
    try:
        result = session.decided.get(item.nodeid) or measuring.result(folder)
    except LeaseError as error:
        # GPUs are leased, but others would not leave the host to the launch.
        result = busy(item, case, error)
    if gap is not None:
        result = with_gap(result, gap, planned=measuring.planned)
    if session.settings.records_shard and session.settings.replay is not None and session.settings.out is not None:
        measuring.copy_recorded(session.settings.replay, session.settings.out)
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


def _as_in_its_shard(session: Session, item: pytest.Item, case: Case, gap: ShardGap) -> None:
    """Skip a case that its shard could not run for what the case itself requires, or had no need to record: with one
    run for all it would be skipped, too. Fails what the case requires with `--sgdiff-strict`."""
    lack = None if gap.unmeasured is None else gap.unmeasured.gap
    if lack == "recorded" and session.settings.update == "missing":
        item.stash[HAS_BASELINE] = True
        pytest.skip(merge_text.gap(gap))
    if lack in ("engine-version", "gpus"):
        item.stash[skips.LACK] = lack
        text = f"{case.at('requires')}: {merge_text.gap(gap)}"
        if session.settings.strict:
            pytest.fail(text, pytrace=False)
        pytest.skip(text)


class Measuring:
    """What belongs to one test that is measured: its case, its lease, and the folder that keeps its launches."""

    def __init__(self, session: Session, item: pytest.Item, case: Case, lease: AnyLease | None) -> None:
        self.session, self.settings, self.item, self.case, self.lease = session, session.settings, item, case, lease
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
        recorded = self._recorded
        took = recorded[0].environment.inherited or {} if recorded else inherited(os.environ, besides=case.env)
        lines = [one for one in session.acceptances if one.case == case.id]
        job = Job(
            case=case,
            acceptances=tuple(one for one in lines if not one.expired(session.today)),
            expired_acceptances=tuple(one for one in lines if one.expired(session.today)),
            source=self._launches(engine, workload_now, found) if settings.replay is None else ReplaySource(recorded),
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
            problems=of_two_measurements(recorded),
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
        if not self._to_be_profiled(result):
            return judged_now
        # Ctrl-C ends the profiled launch, and the verdict stands.
        with judged.keeping(session.claims, replace(judged_now, profile=Profiled(code="interrupted"))):
            profiled = self._profile(result, job, folder, base)
        return replace(judged_now, profile=redaction.record(profiled, keep=NAMES))

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
                    judged = {launch.session for launch in self._recorded if launch.session}
                    own = nights(kept, case=self.case.id, machine=machine.slug, workload=digest, but=judged)
                    self._noise[machine] = with_nights(suite, own, baseline)
        return self._noise[machine]

    @cached_property
    def _recorded(self) -> tuple[Launch, ...]:
        """The launches that are replayed."""
        replay = self.settings.replay
        if replay is None:
            return ()
        return recordings.read_launches(self._place_in(replay), self.case.id, below=replay)

    def _place_in(self, recording: Path) -> Path:
        """Where in a recording the launches of this test lie: as `_folder_in` has it. Those of a test in Python lie
        among the others where an older version recorded them, or somebody put them there."""
        own = own_place(recording, self.item.nodeid)
        if data_files.kind(own, below=recording) != "folder":
            return recording
        if CASE in self.item.stash and not recordings.numbered(own / file_name(self.case.id), below=recording):
            return recording
        return own

    def copy_recorded(self, recording: Path, out: Path) -> None:
        """Copy the launches of this test to the recording of its shard. Raises RecordingError."""
        copy_case(self._place_in(recording), self._folder_in(out), file_name(self.case.id), below=recording, into=out)

    @property
    def recorded_on(self) -> Machine | None:
        """The machine that the launches that are replayed name; None where they name none."""
        return next((launch.machine for launch in self._recorded if launch.machine), None)

    @cached_property
    def _base_recorded(self) -> tuple[Launch, ...]:
        """The base engine's launches, where an A/B run is replayed: those of the run that the others are of."""
        if self.settings.replay is None or self.settings.mode != "replay":
            return ()
        folder = self._place_in(self.settings.replay) / recordings.AGAINST
        launches = recordings.read_launches(folder, self.case.id, below=self.settings.replay) if folder.is_dir() else ()
        runs = {launch.session for launch in self._recorded}
        return tuple(launch for launch in launches if not runs or launch.session in runs)

    def _run(self, job: Job, base: Callable[[], LiveSource | ClusterSource]) -> CaseResult:
        if self.settings.mode == "update":
            return record(job)
        if self.settings.mode == "against" and self.settings.live:
            then, now = base(), job.source
            if self.case.side_by_side and isinstance(now, LiveSource) and isinstance(then, LiveSource):
                both = SideBySide(then, now, now.lease)
                return against(replace(job, source=both.base), replace(job, source=both.now))
            return against(replace(job, source=then), job)
        if self._base_recorded:
            source, problems = ReplaySource(self._base_recorded), of_two_measurements(self._base_recorded)
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

    def _to_be_profiled(self, result: CaseResult) -> bool:
        """Whether somebody asked for what the engine's profiler shows of the case."""
        wanted = self.settings.profile
        if wanted is None or not result.measured or result.outcome == "invalid":
            return False
        return wanted != "regressed" or (result.outcome == "regressed" and not result.recorded)

    def _profile(
        self, result: CaseResult, job: Job, folder: Path, base: Callable[[], LiveSource | ClusterSource]
    ) -> Profiled | None:
        """What the engine's profiler shows of the case: it is launched once more, and so is the base engine of an A/B
        run. None where a recording has no trace of it."""
        settings = self.settings
        kept: Callable[[], ProfileSummary | Profiled] | None = None
        if settings.mode != "update" and result.machine is not None:
            digest = "" if result.workload is None else result.workload.digest
            kept = partial(profile.kept_beside, partial(self._kept_profile, folder, result.machine), digest)
        if settings.replay is not None:
            sessions = {launch.session for launch in self._recorded if launch.session}
            told = profile.replayed(
                self._place_in(settings.replay),
                self.case.id,
                sessions=sessions,
                against=bool(self._base_recorded),
                kept=kept,
            )
            return None if told is None else self._near(told)
        other = base() if settings.mode == "against" else None
        if not isinstance(job.source, LiveSource) or not isinstance(other, LiveSource | None):
            # The trace would lie on a node of the cluster.
            return Profiled(code="unsupported-cluster")
        return self._near(profile.profile(result, job.source, base=other, kept=kept))

    def _near(self, told: Profiled) -> Profiled:
        """With the names of traces as people type them."""
        traces = (None if path is None else self.settings.near(path) for path in (told.trace, told.base_trace))
        trace, base_trace = traces
        return replace(told, trace=trace, base_trace=base_trace)

    def _kept_profile(self, folder: Path, machine: Machine) -> tuple[str, ProfileSummary] | None:
        """The digest and figures of the profile that was recorded with the case's baseline; None if there is none."""
        found = profiles.load(profiles.path_of(folder, machine, self.case.id), below=folder)
        baseline = self.session.find(folder, machine, self.case.id)
        if found is None or baseline is None or found.session not in baseline.recorded.sessions:
            return None
        return found.workload, found.summary

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
        gated = self.settings.mode != "update" and not self._base_recorded
        return self.case.launches.looks[-1] if self._compared and gated else 0

    @property
    def _recorded_at_most(self) -> int:
        return recorded_at_most(self.case.launches.baseline, self.case.recorded_launches)

    def _launches_at_most(self) -> int:
        if self.settings.mode == "update":
            return self._recorded_at_most
        return PAIR_LOOKS[-1] if self.settings.mode == "against" else self.case.launches.looks[-1]

    def _folder_in(self, out: Path) -> Path:
        """Where the test keeps its launches. Tests in Python have a folder of their own below `out`, whatever other
        tests there are: some other test, in another run or shard, may have their case. So have all tests of a case
        repeated after the first, which may run at the same time, in several workers."""
        own = own_place(out, self.item.nodeid)
        test, worker = self.item.nodeid, role(self.session.config).worker
        for place in (own,) if CASE not in self.item.stash else (out, own):
            owner = self._owner(file_name(self.case.id) if place == out else own.name, f"{test}@{worker}")
            if owner == f"{test}@{worker}":
                return place
            if owner.rpartition("@")[0] == test:
                break
        # Another worker runs, or ran, the same test.
        return own.with_name(f"{own.name}_{worker}")

    def _owner(self, place: str, asks: str) -> str:
        """Whose a place is: of the first that asked."""
        claim = self.session.claims / f"{place}.owner"
        temp_dirs.ours(claim.parent)
        try:
            with claim.open("x", encoding="utf-8") as file:
                file.write(asks)
        except FileExistsError:
            return claim.read_text(encoding="utf-8")
        return asks

    def _next_command(self) -> str:
        """What to type about a result: what records a baseline, or, in an A/B run, which no baseline changes, what
        compares the launches of both engines."""
        if self.settings.mode == "against" and self.settings.out is not None:
            return self._comparing(self._folder_in(self.settings.out))
        if self._base_recorded and self.settings.replay is not None:
            return self._comparing(self._place_in(self.settings.replay))
        # A recording that does not do for a baseline does not do the second time.
        launches = self._too_few() is not None or self.settings.mode == "update"
        return self._recording(replay=None if launches else self.settings.replay)

    def _too_few(self) -> int | None:
        """How many launches the replayed recording of one engine has if they are too few for a baseline; else None."""
        made = len(self._recorded)
        few = self.settings.replay is not None and not self._base_recorded and made < self.case.recorded_launches
        return made if few else None

    def _comparing(self, out: Path) -> str:
        folders = (recordings.launch_folder(side, self.case.id, 0).parent for side in (out / recordings.AGAINST, out))
        return command_line.line(["sgdiff", "compare", *(self.settings.typed(folder) for folder in folders)])

    def _recording(self, *, replay: Path | None) -> str:
        """The command with this run's own places, which launches or records what is in the folder `replay`."""
        settings = self.settings
        words = [
            "pytest",
            f"--sgdiff-replay={settings.typed(replay)}"
            if replay is not None
            else f"--sgdiff-cluster={settings.cluster}"
            if settings.cluster is not None
            else f"--sgdiff-gpus={settings.gpus or self.case.gpus or 'none'}",
        ]
        if settings.live and settings.engine_cmd != ("sglang",):
            words.append(f"--sgdiff-engine-cmd={command_line.line(settings.engine_cmd)}")
        words += settings.typed_places(assets=replay is None and bool(self.case.assets))
        named = self.case.node_id if CASE in self.item.stash else self.item.nodeid
        return command_line.line([*words, "--sgdiff-update", settings.typed_id(named)])
