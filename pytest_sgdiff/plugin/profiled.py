"""`--sgdiff-profile`: which cases of this run are launched once more with the engine's profiler, and what their profile
is compared with. `runner/profile.py` launches them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from pytest_sgdiff.baselines import profiles
from pytest_sgdiff.data import Case, CaseResult, Machine, Profiled, ProfileSummary
from pytest_sgdiff.plugin.kept_launches import RecordedTest
from pytest_sgdiff.plugin.session import Session
from pytest_sgdiff.plugin.settings import Settings
from pytest_sgdiff.runner import profile
from pytest_sgdiff.runner.job import Source
from pytest_sgdiff.runner.live import LiveSource


def wanted(settings: Settings, result: CaseResult) -> bool:
    """Whether somebody asked for what the engine's profiler shows of the case."""
    if settings.profile is None or not result.measured or result.outcome == "invalid":
        return False
    return settings.profile != "regressed" or (result.outcome == "regressed" and not result.recorded)


def launched(
    session: Session, case: Case, result: CaseResult, folder: Path, source: Source, base: Callable[[], Source]
) -> Profiled | None:
    """What the engine's profiler shows of the case, which is launched once more from `source`, and in an A/B run from
    `base`, too. In other runs it is compared with what is kept with the baseline in `folder`."""
    kept, settings = _kept(session, case, result, folder), session.settings
    other = base() if settings.mode == "against" else None
    if not isinstance(source, LiveSource) or not isinstance(other, LiveSource | None):
        # The trace would lie on a node of the cluster.
        return Profiled(code="unsupported-cluster")
    return _near(settings, profile.profile(result, source, base=other, kept=kept))


def replayed(
    session: Session, case: Case, result: CaseResult, folder: Path, recorded: RecordedTest, *, against: bool
) -> Profiled | None:
    """What the profiler showed when the launches were recorded, `against` a base engine or not. None where the
    recording has no trace of the case."""
    kept = _kept(session, case, result, folder)
    told = profile.replayed(recorded.place, case.id, sessions=recorded.sessions, against=against, kept=kept)
    return None if told is None else _near(session.settings, told)


def _kept(
    session: Session, case: Case, result: CaseResult, folder: Path
) -> Callable[[], ProfileSummary | Profiled] | None:
    """Finds the profile to compare with; None where a baseline is recorded, or no machine is known."""
    if session.settings.mode == "update" or result.machine is None:
        return None
    digest = "" if result.workload is None else result.workload.digest
    return partial(profile.kept_beside, partial(_beside_baseline, session, case, folder, result.machine), digest)


def _beside_baseline(session: Session, case: Case, folder: Path, machine: Machine) -> tuple[str, ProfileSummary] | None:
    """The digest and figures of the profile that was recorded with the case's baseline; None if there is none."""
    found = profiles.load(profiles.path_of(folder, machine, case.id), below=folder)
    baseline = session.find(folder, machine, case.id)
    if found is None or baseline is None or found.session not in baseline.recorded.sessions:
        return None
    return found.workload, found.summary


def _near(settings: Settings, told: Profiled) -> Profiled:
    """With the names of traces as people type them."""
    trace, base_trace = (None if path is None else settings.near(path) for path in (told.trace, told.base_trace))
    return replace(told, trace=trace, base_trace=base_trace)
