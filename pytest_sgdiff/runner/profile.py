"""One more launch of a case with the engine's own profiler on: not judged, in no baseline, history or figure.

Its launches lie in `OUT/profile/<case>/`, those of the base engine of an A/B run in `OUT/profile/against/<case>/`, and
the traces in a folder `traces` beside each: a replay of `OUT` takes none of them for a launch of the case. Whatever
goes wrong here is a code of `Profiled`, and never touches the verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_sgdiff.data import (
    CaseResult,
    Launch,
    ProfileCode,
    Profiled,
    ProfilePlan,
    ProfileReach,
    ProfileSummary,
    Reading,
)
from pytest_sgdiff.engines.perf_dump import read_dump
from pytest_sgdiff.engines.profiling import Profiling, cannot_profile, plan
from pytest_sgdiff.errors import BaselineError, SgdiffError
from pytest_sgdiff.files.data_files import DataFileError, file_name, kind, make_folder, names, opened, remove
from pytest_sgdiff.gpus import runs_alone
from pytest_sgdiff.metrics import is_denoising, is_stage, parameter
from pytest_sgdiff.profiling.row_changes import changes, comparable
from pytest_sgdiff.profiling.trace_events import TraceError
from pytest_sgdiff.profiling.trace_summary import summary_of, trimmed
from pytest_sgdiff.recordings import store as recordings
from pytest_sgdiff.recordings.store import TRACE_KEPT
from pytest_sgdiff.runner.live import LiveSource

TIMES: Final = 2.0
"""A profiled launch may take so many times as long as others: the trace is written before it ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """What came of one engine's profiled launch: a summary, or why there is none."""

    made: Profiled
    trace: str | None = None


def plan_for(result: CaseResult) -> ProfilePlan:
    """What to profile of a case: all of a short request, and of a long one the denoising steps, as far as the verdicts
    do not point elsewhere."""
    steps = max((len(launch.steps_ms) for launch in result.launches), default=0)
    slower = [v for v in result.verdicts if v.outcome == "regressed"]
    of_steps = [v for v in slower if v.metric.startswith("denoise") or is_denoising(parameter(v.metric))]
    # A whole request or a pause that is longer, where denoising is not: then it lies somewhere else.
    elsewhere = [v for v in slower if v.metric_class != "memory" and v not in of_steps]
    held = [v.finding.first for v in of_steps if v.finding.first is not None]
    return plan(steps, other_stage=bool(elsewhere) and not of_steps, until=min(held) + 2 if held else None)


def profile(
    result: CaseResult,
    source: LiveSource,
    *,
    base: LiveSource | None = None,
    kept: Callable[[], ProfileSummary | Profiled] | None = None,
) -> Profiled:
    """Launch the case once more with the profiler on, and say what changed: against the `base` engine, launched and
    profiled too, or against what is `kept` beside the baseline; None for a recording of a baseline. Never raises on
    what the engine does."""
    then: ProfileSummary | Profiled | None = None
    wanted = plan_for(result)
    if base is None and kept is not None:
        then = kept()
        if isinstance(then, ProfileSummary):
            wanted = _as_before(then, wanted)
    now = _launched(source, wanted)
    if now.made.now is None:
        return now.made
    before = None if base is None else _launched(base, wanted)
    return _beside(now, before, then)


def replayed(
    root: Path,
    case: str,
    *,
    sessions: Collection[str],
    against: bool,
    kept: Callable[[], ProfileSummary | Profiled] | None = None,
) -> Profiled | None:
    """What the traces in a recording show, None if it has none of the case that one of the `sessions` made, which are
    those of its launches. `against`: it is of an A/B run; of another run `kept` is as for `profile`."""
    now = _recorded(root, root / recordings.PROFILE, case, sessions)
    if now is None or now.made.now is None:
        return None if now is None else now.made
    if not against:
        return _beside(now, None, None if kept is None else kept())
    return _beside(now, _recorded(root, root / recordings.PROFILE / recordings.AGAINST, case, sessions), None)


def _beside(now: _Side, before: _Side | None, then: ProfileSummary | Profiled | None) -> Profiled:
    told = replace(now.made, trace=now.trace)
    kept = None if told.now is None else trimmed(told.now)
    if before is not None:
        told = replace(told, base_trace=before.trace)
        if before.made.now is None:
            return replace(told, now=kept, code="base-failed", why=before.made.why, problem=before.made.problem)
        then = before.made.now
    if isinstance(then, Profiled):
        return replace(told, now=kept, code=then.code, why=then.why)
    if then is None or told.now is None:
        return replace(told, now=kept)
    if not comparable(then, told.now):
        return replace(told, now=kept, code="other-reach")
    # The rows of both sides stand in the change.
    return replace(told, code="compared", change=changes(then, told.now), now=None)


def _as_before(then: ProfileSummary, wanted: ProfilePlan) -> ProfilePlan:
    """What was profiled for the baseline: only the same can be compared."""
    if then.reach == "stages":
        return ProfilePlan(reach="stages")
    return ProfilePlan(reach="steps", steps=max(len(then.steps) - 1, 1)) if then.steps else wanted


def _launched(source: LiveSource, wanted: ProfilePlan) -> _Side:
    """One profiled launch, with what is in its trace."""
    if (lack := cannot_profile(source.engine)) is not None:
        return _Side(made=Profiled(code=lack))
    root = source.out
    out = root.parent / recordings.PROFILE / root.name if root.name == recordings.AGAINST else root / recordings.PROFILE
    traces = out / file_name(source.case.id) / recordings.TRACES
    profiled = replace(
        source,
        # Nobody looks at what it draws.
        case=replace(
            source.case,
            timeout_s=TIMES * source.case.timeout_s,
            quality=replace(source.case.quality, mode="off"),
        ),
        keep_bytes=0,
        engine=Profiling(source.engine, wanted, str(traces)),
        out=out,
        number=0,
        of=1,
        exact=True,
        profiled=True,
        expected_s=None,
    )
    try:
        make_folder(traces, below=out)
        recordings.forget_traces(out, source.case.id, below=out)
        launch = profiled.launch(alone=runs_alone(source.isolation, look=1, recording=True))
    except (SgdiffError, OSError) as error:
        return _Side(made=Profiled(code="launch-failed", why=str(error)))
    if launch is None:
        return _Side(made=Profiled(code="launch-failed"))
    reading = source.engine.read(launch, source.case)
    if reading.problems:
        return _Side(made=Profiled(code="launch-failed", problem=reading.problems[0]))
    return _read(traces, out, wanted, reading, source.info.version, most=TRACE_KEPT)


def _recorded(root: Path, out: Path, case: str, sessions: Collection[str]) -> _Side | None:
    """The profiled launch that a recording holds."""
    folder = out / file_name(case)
    try:
        if kind(folder / recordings.TRACES, below=root) is None:
            return None
        launches = [one for one in recordings.read_launches(out, case, below=root) if one.session in sessions]
    except SgdiffError as error:
        return _Side(made=Profiled(code="launch-failed", why=str(error)))
    if not launches:
        return None
    launch = launches[-1]
    dump, _ = read_dump(launch.dump)
    reading = Reading(dump=dump, backend=None, pipeline=None, warmup="none")
    wanted = ProfilePlan(reach=_reach(launch))
    # A recording stays as it is.
    return _read(folder / recordings.TRACES, root, wanted, reading, launch.environment.engine_version, most=math.inf)


def _reach(launch: Launch) -> ProfileReach:
    return "stages" if "--profile-all-stages" in launch.argv else "steps"


def _read(
    traces: Path, below: Path, wanted: ProfilePlan, reading: Reading, version: str | None, *, most: float
) -> _Side:
    """What the trace says that the engine left: the largest one, should there be several. One of more than `most` bytes
    is removed."""
    try:
        found = [traces / name for name in names(traces, below=below) if recordings.is_trace(name)]
        found = [path for path in found if kind(path, below=below) == "file"]
        if not found:
            return _Side(made=Profiled(code="no-trace"))
        path = max(found, key=lambda one: one.lstat().st_size)
        stages = () if reading.dump is None else tuple(s.name for s in reading.dump.stages if is_stage(s.name))
        with opened(path, below=below) as descriptor:
            if descriptor is None:
                return _Side(made=Profiled(code="no-trace"))
            with open(descriptor, "rb", closefd=False) as file:
                summary = summary_of(file, reach=wanted.reach, stages=stages, engine_version=version)
        size = path.lstat().st_size
        dropped = size > most
        if dropped:
            remove(path, below=below)
    except TraceError as error:
        return _Side(made=_none(error.code, str(error)), trace=str(path))
    except (ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        # Foreign data, and a verdict that is decided: nothing of a trace may end the run.
        return _Side(made=_none("torn", f"{type(error).__name__}: {error}"), trace=str(path))
    except (DataFileError, OSError) as error:
        return _Side(made=_none("no-trace", str(error)))
    if summary is None:
        return _Side(made=Profiled(code="empty"), trace=str(path))
    made = Profiled(code="alone", now=summary, dropped_bytes=size if dropped else None)
    return _Side(made=made, trace=None if dropped else str(path))


def _none(code: ProfileCode, why: str) -> Profiled:
    return Profiled(code=code, why=why)


def kept_beside(find: Callable[[], tuple[str, ProfileSummary] | None], digest: str) -> ProfileSummary | Profiled:
    """The profile that is kept beside the baseline, or why there is none to compare with. `find` gives the digest of
    its workload and its figures, `digest` is that of the launches."""
    try:
        found = find()
    except BaselineError as error:
        return Profiled(code="bad-baseline-profile", why=str(error))
    if found is None:
        return Profiled(code="no-baseline-profile")
    return found[1] if found[0] == digest else Profiled(code="other-work")
