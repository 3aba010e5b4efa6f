"""How a baseline is renewed by fresh launches: pure, no file is opened here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from itertools import pairwise
from operator import or_
from statistics import median

from pytest_sgdiff.baselines.file_format import rounded
from pytest_sgdiff.data import Baseline, Difference, GpuSeries, LaunchRecord, Measurement, Recorded, Reference, Watch
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.judging.comparable import cache_differences, same_work, work_differences
from pytest_sgdiff.metrics import cost, may_be_zero

BUSY_PCT = 50
"""Utilisation from which a sample counts as the GPU at work: the clocks of an idle GPU say nothing."""

SAMPLES = 3
"""Samples of each GPU that are kept for a launch; the fewest of which `pytest_sgdiff.watch` takes a median."""

STEPS_KEPT = 200
"""Steps of the longest profile that is kept: one line of the file per launch, which must stay readable."""


def renew(
    old: Baseline | None,
    measurement: Measurement,
    recorded: Recorded,
    *,
    engine_version: str | None,
    extend: bool = False,
    reference: Reference | None = None,
) -> Baseline:
    """The baseline that fresh launches make; disturbed ones are left out.

    All values are replaced together: picking the better of old and new, metric by metric, would make a baseline that no
    launch ever reached. With `extend` the launches are added to the old ones, as another session.
    `reference` is what the launches drew.
    `best` keeps the best centre ever recorded, as long as machine and workload stay the same.

    Raises BaselineError if no launch counts, or for an extension by launches that are not comparable.
    """
    launches = tuple(_kept(launch) for launch in measurement.launches if launch.counts)
    launches = tuple(launch for launch in launches if launch.metrics)
    if not launches:
        raise BaselineError(f"{measurement.case}: no launch counts, so no baseline can be made of them")
    if extend and old is not None:
        refuse_mixture(old, measurement, engine_version, launches)
        launches = old.measurement.launches + launches
        before = old.recorded.sessions
        recorded = replace(recorded, sessions=tuple(dict.fromkeys(before + recorded.sessions)), extends=before)
    renumbered = tuple(replace(launch, number=number) for number, launch in enumerate(launches))
    new = replace(measurement, launches=renumbered)
    return Baseline(
        measurement=new,
        recorded=recorded,
        engine_version=engine_version,
        best=_best(old, new),
        path=old.path if old else None,
        reference=reference,
    )


def placed(old: Baseline | None, candidate: Baseline) -> Baseline:
    """The candidate as it replaces what lies in the tree by now: its `best` is the best that either knows, as long as
    the two are comparable.

    Raises BaselineError for an extension of an earlier file, which would take later launches away.
    """
    if old is None:
        return candidate
    # What was made from a file must be from this one; what was recorded as a whole replaces it as a whole.
    if candidate.recorded.extends:
        lost = [session for session in old.recorded.sessions if session not in candidate.recorded.sessions]
        if lost:
            raise BaselineError(
                f"{old.path or candidate.measurement.case}: the candidate lacks the launches of session "
                f"{', '.join(lost)}; nothing was changed. To extend the current baseline, repeat the run with "
                "--sgdiff-update=extend"
            )
    if old.kind != "recorded" or not _comparable(old.measurement, candidate.measurement):
        return candidate
    return replace(
        candidate, best={name: _better(name, one, old.best.get(name, one)) for name, one in candidate.best.items()}
    )


def centres(measurement: Measurement) -> dict[str, float]:
    """The median of each metric over the launches that have it, as the rule takes it (docs/decision-evidence.md)."""
    return {
        name: rounded(median(value for value in values if value is not None))
        for name, values in measurement.values.items()
    }


def _best(old: Baseline | None, new: Measurement) -> dict[str, float]:
    best = {name: centre for name, centre in centres(new).items() if not may_be_zero(name)}
    if old is None or old.kind != "recorded" or not _comparable(old.measurement, new):
        return best
    earlier = centres(old.measurement)
    for name in best:
        best[name] = _better(name, best[name], *(known[name] for known in (earlier, old.best) if name in known))
    return best


def _better(name: str, *values: float) -> float:
    return min(values, key=lambda value: cost(name, value))


def _comparable(old: Measurement, new: Measurement) -> bool:
    if old.machine != new.machine or old.workload.digest != new.workload.digest or _synced(old) != _synced(new):
        return False
    return not cache_differences(old.launches, old.workload, new.launches, new.workload)


def _synced(measurement: Measurement) -> set[bool]:
    return {launch.environment.sync_stages for launch in measurement.launches}


def refuse_mixture(
    old: Baseline, new: Measurement, engine_version: str | None, launches: tuple[LaunchRecord, ...]
) -> None:
    """Raise BaselineError if fresh launches cannot stand beside those of the old baseline, or stand there already."""
    differs, fix = None, "replace it with --sgdiff-update=all"
    if old.kind != "recorded":
        differs = "a published reference has no launches to add to"
    elif old.measurement.machine != new.machine:
        differs = f"the baseline is of {old.measurement.machine.slug}, the launches of {new.machine.slug}"
    elif not same_work(old.measurement.workload, new.workload):
        fields = "; ".join(map(_then_and_now, work_differences(old.measurement.workload, new.workload)))
        differs = "the case asks for a different workload now" + (f" ({fields})" if fields else "")
    elif old.measurement.workload.inherited is None and new.workload.inherited:
        names = ", ".join(new.workload.inherited)
        differs = (
            f"it does not record what its launches inherited from the shell, and the new launches inherited {names}"
        )
    elif _synced(old.measurement) != {launch.environment.sync_stages for launch in launches}:
        differs = "one was recorded with synchronised stage timers and the other without"
    elif cached := cache_differences(old.measurement.launches, old.measurement.workload, launches, new.workload):
        differs = (
            f"the conditioning cache was {'on' if cached[0].then else 'off'}, and is {'on' if cached[0].now else 'off'}"
        )
    elif old.engine_version != engine_version:
        differs = f"the baseline was recorded with sglang {old.engine_version}, the launches with {engine_version}"
    elif again := _known(old.measurement.launches, launches):
        # Counted twice they would look like twice the evidence.
        differs, fix = f"the launch of {again} is in it already", "add launches of another day or node"
    if differs:
        raise BaselineError(f"{old.path or new.case}: cannot be extended: {differs}; {fix}")


def _then_and_now(one: Difference) -> str:
    then, now = ("not set" if value is None else str(value) for value in (one.then, one.now))
    return f"{one.key} was {then}, and is {now}"


def _known(old: Sequence[LaunchRecord], new: Sequence[LaunchRecord]) -> str:
    """When the first of the new launches started that is one of the old; empty if none is."""
    there = {key for launch in old if (key := moment(launch)) is not None}
    return next((key[0] for launch in new if (key := moment(launch)) in there and key is not None), "")


def moment(launch: LaunchRecord) -> tuple[str, str] | None:
    """Start and session, which no two launches of a case share; None where they are not told."""
    return (launch.started_at, launch.session) if launch.started_at and launch.session else None


def _kept(launch: LaunchRecord) -> LaunchRecord:
    """What a baseline keeps of a launch: no folder of the recording host, no long series, no number that is none, and
    none of the engine's hundred settings, which hold ports and paths of that host."""
    return replace(
        launch,
        metrics={n: rounded(v) for n, v in launch.metrics.items() if v > 0 or may_be_zero(n)},
        steps_ms=tuple(rounded(s) for s in launch.steps_ms) if len(launch.steps_ms) <= STEPS_KEPT else (),
        wall_s=None if launch.wall_s is None else rounded(launch.wall_s),
        watch=None if launch.watch is None else _summary(launch.watch),
        server_args={},
        could_stay=None,
        folder=None,
    )


def _summary(watch: Watch) -> Watch:
    """The watch with three samples for each GPU that was at work; what a later launch's clocks are compared with."""
    gpus = tuple(series for gpu in watch.gpus if (series := _at_work(gpu)) is not None)
    return replace(watch, gpus=gpus, foreign=(), gpu_events=(), hidden_mb=None, hidden_by_gpu={}, cost_ms=None)


def _at_work(gpu: GpuSeries) -> GpuSeries | None:
    """The medians of the first, the middle and the last third of the time at work, so that clocks which sag show; and
    every reason that was given for them. None where the GPU was seen at work fewer than three times."""
    busy = [index for index, util in enumerate(gpu.util_pct) if util is not None and util >= BUSY_PCT]
    if len(busy) < SAMPLES:
        return None
    bounds = [len(busy) * part // SAMPLES for part in range(SAMPLES + 1)]
    thirds = [busy[start:end] for start, end in pairwise(bounds)]

    def middle(values: Sequence[float | None]) -> list[float | None]:
        told = ([values[i] for i in third if i < len(values)] for third in thirds)
        known = ([value for value in third if value is not None] for third in told)
        return [median(third) if third else None for third in known]

    def whole(values: Sequence[int | None]) -> tuple[int | None, ...]:
        return tuple(None if value is None else round(value) for value in middle(values))

    def tenths(values: Sequence[float | None]) -> tuple[float | None, ...]:
        return tuple(None if value is None else round(value, 1) for value in middle(values))

    def together(third: Sequence[int]) -> int | None:
        masks = [mask for i in third if i < len(gpu.reasons) and (mask := gpu.reasons[i]) is not None]
        return reduce(or_, masks) if masks else None

    return GpuSeries(
        gpu_uuid=gpu.gpu_uuid,
        at_s=tuple(at for at in tenths(gpu.at_s) if at is not None),
        sm_mhz=whole(gpu.sm_mhz),
        mem_mhz=whole(gpu.mem_mhz),
        power_w=tenths(gpu.power_w),
        temperature_c=whole(gpu.temperature_c),
        util_pct=whole(gpu.util_pct),
        memory_mb=whole(gpu.memory_mb),
        reasons=tuple(together(third) for third in thirds),
    )
