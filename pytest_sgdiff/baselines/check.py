"""What is wrong with committed baselines, though each can be read (`sgdiff baselines check`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from pytest_sgdiff import metrics
from pytest_sgdiff.baselines import file_format
from pytest_sgdiff.baselines.find import Once, entries, every, misplaced, suite
from pytest_sgdiff.baselines.flaws import Flaw, of_case, of_power
from pytest_sgdiff.baselines.renew import centres, moment
from pytest_sgdiff.data import Baseline, Case, LaunchPlan, LaunchRecord, MetricChoice, MetricClass
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.series import own_series
from pytest_sgdiff.judging.suite_prior import suite_priors
from pytest_sgdiff.judging.workload import digest_of
from pytest_sgdiff.metrics import DENOISE_GAP, cost

__all__ = ["check"]

CLOCK_NOISE_MS = 1.0
"""How far `denoise_gap` may be below zero: it is the difference of what two clocks say."""


def check(
    root: Path, cases: Mapping[str, Case], *, assets: Callable[[Case], Mapping[str, str]] = lambda _: {}
) -> tuple[Flaw, ...]:
    """Everything that is wrong with the committed baselines or worth a warning, and what each of them finds. `cases`
    are all cases by id, `assets` gives the hashes of the input files of a case that are there, by flag."""
    found: list[Flaw] = []
    read = Once()
    priors: dict[str, Mapping[MetricClass, Prior]] = {}
    for path in every(root):
        try:
            baseline = read(path, below=root)
        except BaselineError as error:
            found.append(Flaw(level="error", code="file", path=str(path), line=error.line, message=error.why))
            continue
        found += [
            Flaw(level="error", code="file", path=str(path), message=complaint)
            for complaint in _complaints(baseline, cases)
        ]
        if mistake := misplaced(baseline, path):
            found.append(Flaw(level="error", code="misplaced", path=str(path), message=mistake))
        case = cases.get(baseline.measurement.case)
        choice = MetricChoice() if case is None else case.metrics
        own = own_series(baseline, choice)
        if case is not None:
            found += of_case(baseline, case, assets(case), own)
        machine = baseline.measurement.machine
        if machine.slug not in priors:
            priors[machine.slug] = suite_priors(suite(root, machine, read=read))
        plan = LaunchPlan() if case is None else case.launches
        found += of_power(baseline, own, looks=plan.looks[-1], priors=priors[machine.slug])
    strays = (path for path in entries(root) if path.suffix != ".json" and path.parent != root)
    found += [Flaw(level="error", code="file", path=str(path), message="is no baseline: delete it") for path in strays]
    return tuple(found)


def _complaints(baseline: Baseline, cases: Mapping[str, Case]) -> Iterable[str]:
    measurement = baseline.measurement
    if measurement.case not in cases and not measurement.case.startswith(file_format.SCENARIO):
        yield f"there is no case {measurement.case} (any more): delete the file, or rename it with its case"
    if baseline.kind == "reference":
        return
    wanted = cases[measurement.case].recorded_launches if measurement.case in cases else 0
    if len(measurement.launches) < wanted:
        yield f"has {len(measurement.launches)} of {wanted} launches: extend it with --sgdiff-update=extend"
    times = [metric.name for metric in metrics.METRICS if metric.metric_class == "primary" and metric.gates]
    if measurement.values.keys().isdisjoint(times):
        yield f"holds neither {' nor '.join(times)}, so no time is judged by it: record it anew with --sgdiff-update"
    for name, values in measurement.values.items():
        lacking = [str(number) for number, value in enumerate(values) if value is None]
        if lacking:
            yield f"{name} is missing in launch {', '.join(lacking)}"
    gaps = [gap for gap in measurement.values.get(DENOISE_GAP, ()) if gap is not None]
    if gaps and max(gaps) < -CLOCK_NOISE_MS:
        yield (
            f"every {DENOISE_GAP} is below zero, {max(gaps):g} ms at most: the steps cannot take longer than the loop "
            "around them; record it anew with --sgdiff-update"
        )
    if not baseline.recorded.at or not baseline.recorded.sessions:
        yield "has no provenance: `recorded` must say when and in which sessions"
    if baseline.recorded.at and not _is_moment(baseline.recorded.at):
        yield f"recorded.at is no ISO date-time: '{baseline.recorded.at}': write it as 2026-11-23T17:20:54Z"
    if not baseline.recorded.command:
        yield "recorded.command is empty: write there how it was recorded, or record it anew with --sgdiff-update"
    if not measurement.workload.digest:
        yield "workload.digest is empty, so nothing can be compared with it: record it anew with --sgdiff-update"
    elif measurement.workload.digest != digest_of(measurement.workload.fields):
        yield (
            "workload.digest is not that of workload.fields: one of them was edited by hand; restore the file with "
            "git, or record it anew with --sgdiff-update"
        )
    for name, middle in centres(measurement).items():
        if cost(name, baseline.best.get(name, middle)) > cost(name, middle):
            yield (
                f"best.{name} is {baseline.best[name]:g}, worse than {middle:g}, the median of its own launches: "
                "restore the file with git, or record it anew with --sgdiff-update"
            )
    unnamed = dict.fromkeys(launch.session for launch in measurement.launches if launch.session)
    lacking = [session for session in unnamed if session not in baseline.recorded.sessions]
    if lacking and baseline.recorded.sessions:
        yield (
            f"recorded.sessions lacks {', '.join(lacking)}, of which it has launches: restore the file with git, or "
            "record it anew with --sgdiff-update"
        )
    yield from _twice(measurement.launches)
    for launch in measurement.launches:
        if not launch.started_at or not launch.session:
            yield f"launch {launch.number} has no provenance: started_at and session must be told"
        yield from _impossible(launch)
    if baseline.engine_version is None:
        yield "has no provenance: `engine` must be the version of sglang"


def _twice(launches: Sequence[LaunchRecord]) -> Iterator[str]:
    """Launches that stand in the file more than once, as after a merge by hand: evidence that is none."""
    first: dict[tuple[str, str], int] = {}
    for place, launch in enumerate(launches):
        key = moment(launch)
        if key is not None and first.setdefault(key, place) != place:
            yield (
                f"launches[{place}] is launches[{first[key]}] again, started at {key[0]}: "
                "record it anew with --sgdiff-update"
            )


def _impossible(launch: LaunchRecord) -> Iterator[str]:
    """Times of a launch that no clock can have shown."""
    steps = [str(index) for index, step in enumerate(launch.steps_ms) if step <= 0]
    if steps:
        yield (
            f"launch {launch.number}: steps_ms[{', '.join(steps)}] must be greater than zero: "
            "record it anew with --sgdiff-update"
        )
    if launch.wall_s is not None and launch.wall_s <= 0:
        yield (
            f"launch {launch.number}: wall_s must be greater than zero, got {launch.wall_s!r}: "
            "record it anew with --sgdiff-update"
        )


def _is_moment(text: str) -> bool:
    """Whether a text is an ISO 8601 date with a time."""
    try:
        # Python 3.10 does not know the Z.
        datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return "T" in text or " " in text
