"""One process's part of a run: which cases it can measure, with which GPUs and engine, and what is refused. Made only
in runs that measure (or show commands); `pytest_sgdiff.plugin.case_run` does the rest."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_sgdiff import baselines, gpus, machine
from pytest_sgdiff.cases import here
from pytest_sgdiff.cases.accepted import read_acceptances
from pytest_sgdiff.cases.transformers import folders, transformers
from pytest_sgdiff.data import (
    Acceptance,
    Advice,
    Baseline,
    Case,
    CaseResult,
    EngineInfo,
    Gpu,
    Machine,
    MetricClass,
    Selection,
)
from pytest_sgdiff.engines.conditioning import to_be_off
from pytest_sgdiff.engines.flags.check import has_flags
from pytest_sgdiff.engines.flags.translate import NEWEST, complaints, flags_of, meant_for
from pytest_sgdiff.errors import (
    BaselineError,
    EngineNotFoundError,
)
from pytest_sgdiff.judging.comparable import encodings_cached, work_differences
from pytest_sgdiff.judging.inherited import inherited
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.suite_prior import suite_priors
from pytest_sgdiff.judging.workload import chosen_in, with_inherited, workload
from pytest_sgdiff.launch.engine_help import AskedEngines
from pytest_sgdiff.lint import advise, together
from pytest_sgdiff.metrics import by_steadiness
from pytest_sgdiff.plugin.collect import CASE
from pytest_sgdiff.plugin.hook_calls import Extensions
from pytest_sgdiff.plugin.role import dismissed, role
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.plugin.skips import HAS_BASELINE
from pytest_sgdiff.plugin.xdist import CaseNeed
from pytest_sgdiff.recordings.shards import Shards, read_shards
from pytest_sgdiff.redact import Redaction
from pytest_sgdiff.reports.difference_text import of_baseline
from pytest_sgdiff.runner import command_line
from pytest_sgdiff.runner.ab import PAIR_LOOKS

if TYPE_CHECKING:
    from pytest_sgdiff.cluster.lease import ClusterPool

STARTUP_S = 120.0
"""Seconds that an engine takes beside its request, where no launch of it is known: SGLang's own estimate
(STARTUP_OVERHEAD_SECONDS of its diffusion tests' partitioning)."""

RESULT = pytest.StashKey[dict[str, Any]]()
"""On an item: its result as plain builtins, ready to cross to the controller."""


def launch_s(baseline: Baseline) -> float | None:
    """How long a launch took for the baseline: the median of its launches. Of published numbers, of which no launch is
    known, their longest time (e2e, or denoising where there is no more) and STARTUP_S; None where there is neither."""
    launches = baseline.measurement.launches
    if walls := [entry.wall_s for entry in launches if entry.wall_s]:
        return usual_s(walls)
    took_ms = [value for entry in launches for name, value in entry.metrics.items() if name in by_steadiness()]
    return max(took_ms) / 1000 + STARTUP_S if took_ms else None


def usual_s(walls: Sequence[float]) -> float:
    """How long a launch takes where some took so long: their median, of an even number the longer one."""
    return sorted(walls)[len(walls) // 2]


class Session:
    """Settings, the GPU pool, the engine and the baselines of this process.

    `claims` is the folder in which tests of one case settle which of them keeps its launches where; `decided` maps a
    node id to the result that a rerun of the test gets again; `say` shows a line to whoever waits. `selection` is what
    all shards of `--sgdiff-shard` measure, once this process has collected it.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        pool: gpus.Pool | ClusterPool | None,
        notify: Callable[..., None],
        claims: Path,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.config, self.settings, self.pool, self.notify, self.claims = config, settings, pool, notify, claims
        self.extensions = Extensions(config)
        self.decided: dict[str, CaseResult] = {}
        self.selection: Selection | None = None
        self._read = baselines.Once()
        self._fitted: dict[tuple[Path, Machine], Mapping[MetricClass, Prior]] = {}
        self._compared: frozenset[str] | None = None
        self.cluster = None if pool is None or isinstance(pool, gpus.Pool) else pool
        elsewhere = None if self.cluster is None else self.cluster.flags
        self._asked = AskedEngines(claims, say, elsewhere, abandoned=self.abandoned)
        self._controller = None if role(config).leads else os.getppid()

    @cached_property
    def acceptances(self) -> tuple[Acceptance, ...]:
        """The slowdowns that somebody accepted for a time, where this run judges; also those whose time is over.

        Raises:
            SgdiffError: lines of their files are wrong, or a file cannot be read.
        """
        if self.settings.mode not in ("gate", "replay", "against"):
            return ()
        return read_acceptances(self.settings.accept, self.settings.root, today=self.today)

    @cached_property
    def today(self) -> date:
        """The day of the run (UTC), by which acceptances expire."""
        return datetime.now(timezone.utc).date()

    def compared(self, items: Sequence[pytest.Item]) -> frozenset[str]:
        """Ids of the cases of this run that stand on either side of a `faster_than`, both of which are in it. Found
        once: the `items` of a session that runs are the same for all of them."""
        if self._compared is None:
            cases = [case for item in items if (case := item.stash.get(CASE, None)) is not None]
            ids = {case.id for case in cases}
            pairs = [{case.id, case.faster_than.case} for case in cases if case.faster_than is not None]
            self._compared = frozenset().union(*(pair for pair in pairs if pair <= ids))
        return self._compared

    def abandoned(self) -> bool:
        """Whether this is a worker whose controller is gone, so that nobody waits for its results any more."""
        return self._controller is not None and (os.getppid() != self._controller or dismissed(self.config))

    @cached_property
    def _engine(self) -> EngineInfo:
        if self.cluster is not None:
            return self.cluster.engine
        return machine.engine_info(self.settings.engine_cmd, abandoned=self.abandoned)

    @cached_property
    def _base(self) -> EngineInfo:
        if self.cluster is not None:
            return self.cluster.base
        return machine.engine_info(self.settings.against, option="--sgdiff-against", abandoned=self.abandoned)

    @property
    def engine_info(self) -> EngineInfo:
        """The engine of `--sgdiff-engine-cmd`, its version, read once, and its flags if it was asked for them."""
        return self._asked.of(self._engine)

    @property
    def base_info(self) -> EngineInfo:
        """Likewise the engine of `--sgdiff-against`."""
        return self._asked.of(self._base)

    @cached_property
    def shards(self) -> Shards | None:
        """The shards of the recording that is replayed; None if it is none of shards. Raises RecordingError."""
        return None if self.settings.replay is None else read_shards(self.settings.replay)

    def ask_engines(self, cases: Iterable[Case]) -> None:
        """Ask the engines of this run for their flags if it takes that to say what they would do with these cases.
        Before anything is leased, since it takes the real engine half a minute. Nothing is asked for a replay."""
        if not (self.settings.live or self.settings.mode == "dry-run"):
            return
        with contextlib.suppress(EngineNotFoundError):
            engines = [self._engine]
            engines += [self._base] if self.settings.mode == "against" else []
            every = tuple(cases)
            for engine in engines:
                self._asked.ask(engine, every)

    def to_lease(self, case: Case) -> int:
        """How many GPUs the case leases: twice its own where both engines of an A/B run have some at once."""
        return 2 * case.gpus if self.settings.mode == "against" and case.side_by_side else case.gpus

    def fitting(self, case: Case) -> tuple[Gpu, ...]:
        """The GPUs of the pool that the case may have."""
        return () if self.pool is None else self.pool.eligible.of(case.requires.gpu).gpus

    def need_of(self, item: pytest.Item) -> CaseNeed | None:
        """What the schedule must know of an item; None for a test that is no case."""
        case = item.stash.get(CASE, None)
        if case is None:
            return None
        return CaseNeed(node_id=item.nodeid, gpus=self.to_lease(case), estimate_s=self.estimate_s(case))

    def estimate_s(self, case: Case) -> float | None:
        """How long the case takes by its baseline's launches, None if there is none yet: one launch of an unchanged
        engine at a gate, all those of a recording or of the first A/B look."""
        launch_s = self.launch_s(case)
        return None if launch_s is None else self.estimated(case, launch_s)

    def estimated(self, case: Case, launch_s: float) -> float:
        """The same of a case of which a launch takes so long."""
        launches = {"update": case.recorded_launches, "against": 2 * PAIR_LOOKS[0]}
        return launch_s * launches.get(self.settings.mode, 1.2)

    def launch_s(self, case: Case) -> float | None:
        """How long a launch takes by the case's baseline, None if there is none."""
        if self.pool is None:
            return None
        try:
            for where in self.pool.eligible.of(case.requires.gpu).machines(case.gpus):
                baseline = baselines.find(self.settings.baselines, where, case.id, read=self._read)
                if baseline is not None:
                    return launch_s(baseline)
        except BaselineError:
            # It only orders and shows: the case itself says what is wrong with the file.
            return None
        return None

    def refuse_recorded(self, item: pytest.Item, case: Case, machines: Iterable[Machine]) -> None:
        """`--sgdiff-update=missing` leaves alone what has launches on each machine that the case may be measured on;
        a published number is none."""
        if self.settings.update != "missing":
            return
        told = [self._recorded(case, machine_) for machine_ in dict.fromkeys(machines)]
        if told and all(told):
            item.stash[HAS_BASELINE] = True
            pytest.skip(f"{case.location}: has a baseline for {' and for '.join(told)}; --sgdiff-update renews it")

    def _recorded(self, case: Case, machine_: Machine) -> str:
        """The machine, and for which different workload, if the case has launches on it; else empty."""
        found = self.find(self.settings.baselines, machine_, case.id)
        if found is None or found.kind != "recorded":
            return ""
        # What an asset holds is not asked here: files may be large, and lie elsewhere where they are not launched.
        asks = workload(case, asset_hashes={}, redaction=Redaction({**os.environ, **case.env}))
        if found.measurement.workload.inherited is not None:
            asks = with_inherited(asks, Redaction(os.environ).env(inherited(os.environ, besides=case.env)))
        then = found.measurement.workload
        # Nor what the engine will choose by itself.
        unknown = ("assets.", *(f"engine-chose.{name}" for name in chosen_in(then)))
        then = replace(then, fields={key: v for key, v in then.fields.items() if not key.startswith(unknown)})
        cached = encodings_cached(found.measurement.launches, found.measurement.workload) and to_be_off(case)
        differs = [of_baseline(one) for one in work_differences(then, asks)]
        apart = "; ".join([*differs, *(["conditioning cache: on in the baseline"] if cached else [])])
        return f"{machine_.slug}, of a different workload ({apart})" if apart else machine_.slug

    def find(self, folder: Path, machine_: Machine, case_id: str) -> Baseline | None:
        """The baseline of the case in `folder`; one that is to be replaced may be in any state that can be."""
        replaced = self.settings.update == "all"
        return (baselines.find_replaceable if replaced else baselines.find)(folder, machine_, case_id, read=self._read)

    def only_machine(self, folder: Path, case_id: str) -> Machine | None:
        """The machine of the case's baseline in `folder`, None unless exactly one machine has one."""
        return baselines.only_machine(folder, case_id, read=self._read)

    def priors(self, folder: Path, machine_: Machine) -> Mapping[MetricClass, Prior]:
        """What the suite's baselines on the machine say of its noise: read when the first case is judged, then kept,
        so that every case of the run and every worker judges by the same."""
        key = (folder, machine_)
        if key not in self._fitted:
            self._fitted[key] = suite_priors(baselines.suite(folder, machine_, read=self._read))
        return self._fitted[key]

    @property
    def info_to_show(self) -> EngineInfo:
        """The engine, or the newest that is known where none is installed: a command can be shown, and a recording
        judged, all the same."""
        try:
            return self.engine_info
        except EngineNotFoundError:
            return EngineInfo(command=self.settings.engine_cmd, version=NEWEST)

    def show_command(self, item: pytest.Item, case: Case) -> None:
        """`--sgdiff-dry-run`: put the command line on the item's report; of a case that would not be launched, why."""
        engine, advice = self.extensions.engine(case), self.advice(case)
        advice = (*advice, *here.lacking(case, assets=self.settings.assets, env=os.environ))
        info, errors = self.info_to_show, []
        if not meant_for(case, info.version):
            command, advice = f"# not for sglang {info.version}: the case requires {case.requires.engine}", ()
        elif errors := [str(one) for one in advice if one.level == "error"]:
            # A command that is rejected, or runs as something else, is not for copying.
            command = "# not launched: see the errors above"
        else:
            took = inherited(os.environ, besides=case.env)
            command = command_line.text(case, engine, info, self.settings.assets, inherited=took)
        item.stash[RESULT] = {"command": command, "advice": [str(one) for one in advice]}
        if errors:
            pytest.fail("\n".join(errors), pytrace=False)

    def advice(self, case: Case) -> tuple[Advice, ...]:
        """What is known against the case, in general and on this engine; errors of the engine first. In an A/B run
        also what the base engine would not do of it."""
        self.ask_engines([case])
        info = self.info_to_show
        engine = flags_of(info)
        products = tuple(gpu.name for gpu in self.fitting(case)) or case.requires.gpu
        refused = [*self._refused(case, info)]
        if self.settings.mode == "against" and self.settings.live:
            refused = list(dict.fromkeys([*refused, *self._refused(case, self.base_info)]))
        # A node of a cluster, and what a hook makes of the command, may see another folder by that name.
        here_too = self.cluster is None and not self.extensions.change_commands
        found = transformers(case) if here_too else None if folders(case) is None else ()
        return together(refused, advise(case, engine=engine, gpu_products=products, transformers=found))

    def allowed(self, case: Case, *, looked_for: bool = True) -> tuple[Advice, ...]:
        """The advice on a case of a live run. Fails the test of one that cannot work: before it waits for GPUs, and
        again where a fixture changed the case since. `looked_for`: the engine is about to look for its model."""
        advice = self.advice(case)
        # A node of a cluster has folders of its own.
        if self.cluster is None:
            native = self.engine_info.installed and not self.extensions.change_commands
            models = here.models(case, looked_for_here=looked_for and native)
            advice = tuple(sorted((*advice, *models), key=lambda one: one.level))  # errors first
        if any(one.level == "error" for one in advice):
            pytest.fail("\n".join(str(one) for one in advice), pytrace=False)
        if case.serves and self.cluster is None and (lacks := _client_lacks()):
            pytest.fail(f"{case.at('engine')}: {lacks}", pytrace=False)
        return advice

    def _refused(self, case: Case, info: EngineInfo) -> Iterator[Advice]:
        for one in complaints(case, flags_of(info)):
            yield Advice(level=one.level, slug=one.slug, message=one.message, location=case.at(one.key), key=one.key)
        # An engine that a plugin brings may have a help of another form.
        if has_flags(case) and (why := self._asked.why(info)):
            message = (
                f"{command_line.line((*info.command, 'generate', '--help'))} does not list the engine's flags: {why}"
            )
            yield Advice(
                level="warning",
                slug="engine-help",
                message=message,
                location=case.at("requires.engine"),
                key="requires.engine",
            )


def _client_lacks() -> str:
    # It brings an event loop, which no other case needs.
    from pytest_sgdiff.launch.client import missing

    return missing()
