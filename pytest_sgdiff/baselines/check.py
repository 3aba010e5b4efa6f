"""What is wrong with committed baselines, though each can be read (`sgdiff baselines check`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_sgdiff.baselines import file_format, profiles, references
from pytest_sgdiff.baselines.find import Once, entries, every, right_place, suite
from pytest_sgdiff.baselines.flaws import Code, Flaw, of_case, of_power
from pytest_sgdiff.baselines.renew import centres, moment
from pytest_sgdiff.data import Baseline, Case, LaunchPlan, LaunchRecord, MetricChoice, MetricClass, QualityChoice
from pytest_sgdiff.errors import BaselineError
from pytest_sgdiff.files.data_files import kind, names
from pytest_sgdiff.judging.rules import Prior
from pytest_sgdiff.judging.series import own_series
from pytest_sgdiff.judging.suite_prior import suite_priors
from pytest_sgdiff.judging.workload import digest_of
from pytest_sgdiff.metrics import DENOISE_GAP, cost, table
from pytest_sgdiff.quality.judge import exceeds

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
            found.append(Flaw(level="error", code="unreadable", path=str(path), line=error.line, why=error.why))
            continue
        found += [replace(flaw, path=str(path)) for flaw in _complaints(baseline, cases)]
        found += _profile(path, root)
        if right := right_place(baseline, path):
            found.append(Flaw(level="error", code="misplaced", path=str(path), name=right))
        case = cases.get(baseline.measurement.case)
        choice = MetricChoice() if case is None else case.metrics
        own = own_series(baseline, choice)
        found += _pictures(baseline, path, root, choice=None if case is None else case.quality)
        if case is not None:
            found += of_case(baseline, case, assets(case), own)
        machine = baseline.measurement.machine
        if machine.slug not in priors:
            priors[machine.slug] = suite_priors(suite(root, machine, read=read))
        plan = LaunchPlan() if case is None else case.launches
        found += of_power(baseline, own, looks=plan.looks, priors=priors[machine.slug])
    strays = (
        path
        for path in entries(root)
        if path.suffix != ".json" and path.parent != root and not (_is_profile(path, root) or _is_kept(path, root))
    )
    found += [Flaw(level="error", code="stray", path=str(path)) for path in strays]
    return tuple(found)


def _profile(path: Path, root: Path) -> Iterator[Flaw]:
    """What is wrong with the profile beside a baseline, if there is one."""
    beside = path.with_suffix(profiles.SUFFIX)
    try:
        profiles.load(beside, below=root)
    except BaselineError as error:
        yield Flaw(level="error", code="unreadable", path=str(beside), line=error.line, why=error.why)


def _is_profile(path: Path, root: Path) -> bool:
    """Whether it is the profile of a baseline that is there."""
    return path.suffix == profiles.SUFFIX and kind(path.with_suffix(".json"), below=root) == "file"


def _pictures(baseline: Baseline, path: Path, root: Path, *, choice: QualityChoice | None) -> Iterator[Flaw]:
    """What is wrong with the pictures beside a baseline."""
    for file, why in references.flaws(baseline, path, root=root):
        yield Flaw(level="error", code="unreadable", path=str(file), why=why)
    kept = baseline.reference.outputs if baseline.reference else ()
    folder = references.folder_of(path)
    named = {output.file for output in kept}
    for name in names(folder, below=root) if kind(folder, below=root) == "folder" else ():
        if name not in named:
            yield Flaw(level="error", code="stray-picture", path=str(folder / name))
    noisy = choice is not None and choice.mode == "bounded" and any(exceeds(choice, one.noise) for one in kept)
    if noisy:
        yield Flaw(level="warning", code="noisy-pictures", path=str(path))


def _is_kept(path: Path, root: Path) -> bool:
    """Whether it is the folder with the pictures of a baseline that is there."""
    baseline = path.with_name(f"{path.name.removesuffix(references.SUFFIX)}.json")
    is_folder = path.suffix == references.SUFFIX and kind(path, below=root) == "folder"
    return is_folder and kind(baseline, below=root) == "file"


def _complaints(baseline: Baseline, cases: Mapping[str, Case]) -> Iterator[Flaw]:
    measurement, recorded = baseline.measurement, baseline.recorded
    if measurement.case not in cases and not measurement.case.startswith(file_format.SCENARIO):
        yield _error("no-case", name=measurement.case)
    if baseline.kind == "reference":
        return
    wanted = cases[measurement.case].recorded_launches if measurement.case in cases else 0
    if len(measurement.launches) < wanted:
        yield _error("few-launches", number=len(measurement.launches), of=wanted)
    times = tuple(metric.name for metric in table.METRICS if metric.metric_class == "primary" and metric.gates)
    if measurement.values.keys().isdisjoint(times):
        yield _error("no-times", names=times)
    for name, values in measurement.values.items():
        lacking = tuple(str(number) for number, value in enumerate(values) if value is None)
        if lacking:
            yield _error("missing-values", name=name, names=lacking)
    gaps = [gap for gap in measurement.values.get(DENOISE_GAP, ()) if gap is not None]
    if gaps and max(gaps) < -CLOCK_NOISE_MS:
        yield _error("negative-gap", value=max(gaps))
    if not recorded.at or not recorded.sessions:
        yield _error("no-provenance")
    if recorded.at and not _is_moment(recorded.at):
        yield _error("no-moment", name=recorded.at)
    if not recorded.command:
        yield _error("no-command")
    if not measurement.workload.digest:
        yield _error("no-digest")
    elif measurement.workload.digest != digest_of(measurement.workload.fields):
        yield _error("edited-workload")
    for name, middle in centres(measurement).items():
        if cost(name, baseline.best.get(name, middle)) > cost(name, middle):
            yield _error("edited-best", name=name, value=baseline.best[name], expected=middle)
    unnamed = dict.fromkeys(launch.session for launch in measurement.launches if launch.session)
    lost = tuple(session for session in unnamed if session not in recorded.sessions)
    if lost and recorded.sessions:
        yield _error("lacking-sessions", names=lost)
    yield from _twice(measurement.launches)
    for launch in measurement.launches:
        if not launch.started_at or not launch.session:
            yield _error("launch-without-provenance", number=launch.number)
        yield from _impossible(launch)
    if baseline.engine_version is None:
        yield _error("no-engine")


def _error(code: Code, **figures: Any) -> Flaw:
    """An error about the file that is being checked."""
    return Flaw(level="error", code=code, path="", **figures)


def _twice(launches: Sequence[LaunchRecord]) -> Iterator[Flaw]:
    """Launches that stand in the file more than once, as after a merge by hand: evidence that is none."""
    first: dict[tuple[str, str], int] = {}
    for place, launch in enumerate(launches):
        key = moment(launch)
        if key is not None and first.setdefault(key, place) != place:
            yield _error("launch-twice", number=place, of=first[key], name=key[0])


def _impossible(launch: LaunchRecord) -> Iterator[Flaw]:
    """Times of a launch that no clock can have shown."""
    steps = tuple(str(index) for index, step in enumerate(launch.steps_ms) if step <= 0)
    if steps:
        yield _error("impossible-step", number=launch.number, names=steps)
    if launch.wall_s is not None and launch.wall_s <= 0:
        yield _error("impossible-wall", number=launch.number, value=launch.wall_s)


def _is_moment(text: str) -> bool:
    """Whether a text is an ISO 8601 date with a time."""
    try:
        # Python 3.10 does not know the Z.
        datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return False
    return "T" in text or " " in text
