"""Baseline files: where they lie, how they are found, written and checked.

`ROOT/<machine>/<case>.json`, one file for each machine and case. `pytest_sgdiff.baselinefile` knows the text form,
`pytest_sgdiff.renewal` how fresh launches make a new baseline of an old one.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from pytest_sgdiff import baselinefile
from pytest_sgdiff.data import Baseline, LaunchRecord, Machine
from pytest_sgdiff.errors import BaselineError, NewerBaselineError, WireError
from pytest_sgdiff.files import TEMPORARY, file_name, write_atomically
from pytest_sgdiff.renewal import centres, placed, renew

__all__ = [
    "apply",
    "centres",
    "check",
    "every",
    "find",
    "find_replaceable",
    "load",
    "only_machine",
    "others",
    "path_for",
    "renew",
    "save",
    "suite",
    "update",
]

LOCK = ".lock"
LOCK_TIMEOUT_S = 30.0
"""How long a writer waits for another: writing takes milliseconds, so the other one hangs."""

CLOCK_NOISE_MS = 1.0
"""How far `denoise_gap` may be below zero: it is the difference of what two clocks say."""


# ----------------------------------------------------------------------------------------------------------- finding


def path_for(root: Path, machine: Machine, case: str) -> Path:
    """Where the baseline of a case on a machine lies, whether there is one or not."""
    return root / machine.slug / f"{file_name(case)}.json"


def load(path: Path) -> Baseline:
    """The baseline in a file. Raises BaselineError with file and line for everything that is wrong with it."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BaselineError(f"{path}: cannot be read: {_reason(error)}") from None
    try:
        return replace(baselinefile.from_text(text), path=str(path))
    except baselinefile.MistakeError as mistake:
        cure = "restore the file with git, or record it anew with --sgdiff-update"
        kind = NewerBaselineError if mistake.newer else BaselineError
        raise kind(f"{path}:{mistake.line}: {mistake} ({cure})") from None


def find(root: Path, machine: Machine, case: str) -> Baseline | None:
    """The baseline of a case on a machine, None if there is none.

    Raises BaselineError for a file that is wrong, or that was copied here from another case or machine.
    """
    path = path_for(root, machine, case)
    if not path.exists():
        return None
    baseline = load(path)
    misplaced = _misplaced(baseline, path)
    if misplaced:
        raise BaselineError(misplaced)
    return baseline


def find_replaceable(root: Path, machine: Machine, case: str) -> Baseline | None:
    """As `find` for a baseline that is about to be replaced as a whole: one that is corrupt is none.

    Raises NewerBaselineError for a file of a newer schema, which an older version must not overwrite.
    """
    try:
        return find(root, machine, case)
    except NewerBaselineError:
        raise
    except BaselineError:
        return None


def others(root: Path, case: str) -> tuple[str, ...]:
    """Slugs of the machines that have a baseline of the case, sorted."""
    return tuple(sorted(path.parent.name for path in root.glob("*/*.json") if path.stem == file_name(case)))


def only_machine(root: Path, case: str) -> Machine | None:
    """The machine of the case's baseline, None unless exactly one machine has one: what a recording that does not say
    where it was made is compared with."""
    slugs = others(root, case)
    return load(root / slugs[0] / f"{file_name(case)}.json").measurement.machine if len(slugs) == 1 else None


def every(root: Path) -> Iterator[Path]:
    """All baseline files, by machine and case."""
    yield from sorted(root.glob("*/*.json"))


def suite(root: Path, machine: Machine) -> Iterator[Baseline]:
    """All baselines of a machine, by case. A file that is wrong is left out here: it is told of where its own case is
    judged, and spoils no other."""
    for path in sorted((root / machine.slug).glob("*.json")):
        with suppress(BaselineError):
            baseline = load(path)
            if _misplaced(baseline, path) is None:
                yield baseline


def _misplaced(baseline: Baseline, path: Path) -> str | None:
    measurement = baseline.measurement
    right = path_for(path.parent.parent, measurement.machine, measurement.case)
    if path == right:
        return None
    return f"{path}: is the baseline of {right.parent.name}/{right.name}: move it there, or record this one anew"


# ----------------------------------------------------------------------------------------------------------- writing


def save(root: Path, baseline: Baseline, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> Path:
    """Put a baseline in its place, atomically and one writer at a time; gives the path.

    Raises BaselineError, and then leaves what was there: another run writes, the disk is full, the folder is not
    writable, or the baseline is one that `load` would refuse.
    """
    measurement = baseline.measurement
    path = path_for(root, measurement.machine, measurement.case)
    return _write(root, path, lambda: baseline, lock_timeout_s)


def update(
    root: Path,
    machine: Machine,
    case: str,
    make: Callable[[Baseline | None], Baseline],
    *,
    read: Callable[[Path, Machine, str], Baseline | None] = find,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> Path:
    """Replace the baseline of a case by what `make` makes of it, with nobody else writing in between: of two runs that
    extend it at once, neither loses its launches. `read` is `find` or `find_replaceable`. Raises BaselineError as
    `read`, `make` and `save` do."""
    return _write(root, path_for(root, machine, case), lambda: make(read(root, machine, case)), lock_timeout_s)


def apply(root: Path, candidates: Sequence[Baseline]) -> Iterator[Path]:
    """Put reviewed candidates in place of what is there now; gives the path of each that was written.

    Raises BaselineError as `update` does; what `pytest_sgdiff.renewal.placed` refuses is found before any is written.
    """
    refused = [refusal for candidate in candidates if (refusal := _refusal(root, candidate)) is not None]
    if refused:
        raise BaselineError("\n".join(refused))
    for candidate in candidates:
        machine, case = candidate.measurement.machine, candidate.measurement.case
        yield update(root, machine, case, partial(placed, candidate=candidate), read=find_replaceable)


def _refusal(root: Path, candidate: Baseline) -> str | None:
    try:
        placed(find_replaceable(root, candidate.measurement.machine, candidate.measurement.case), candidate)
    except BaselineError as error:
        return str(error)
    return None


def _write(root: Path, path: Path, make: Callable[[], Baseline], lock_timeout_s: float) -> Path:
    try:
        with _locked(root, lock_timeout_s):
            text = _checked_text(path, make())
            path.parent.mkdir(exist_ok=True)
            for left in path.parent.glob(f"{TEMPORARY}*"):  # of a killed writer: we hold the lock, so nobody writes now
                left.unlink()
            write_atomically(path, text)
    except OSError as error:
        raise BaselineError(
            f"{path}: cannot be written: {_reason(error)}; nothing was changed. Make room or make it writable, or name "
            "another folder with --sgdiff-baselines"
        ) from None
    return path


def _checked_text(path: Path, baseline: Baseline) -> str:
    try:
        text = baselinefile.to_text(baseline)
        baselinefile.from_text(text)
    except (WireError, baselinefile.MistakeError) as error:
        raise BaselineError(f"{path}: not written: {error}") from None
    return text


@contextmanager
def _locked(root: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of a baselines folder. The kernel lets it go when the holder dies, however it dies."""
    import fcntl

    root.mkdir(parents=True, exist_ok=True)
    path = root / LOCK
    deadline = time.monotonic() + timeout_s
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The last holder took the file away: a lock on a file without a name keeps nobody out.
            if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                break
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another run"
                os.close(descriptor)
                raise BaselineError(
                    f"{path}: {holder} has been writing baselines for {timeout_s:g} s; nothing was changed. "
                    "Wait until it ends, or end it, then repeat"
                ) from None
            time.sleep(0.02)
        os.close(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is not UTF-8 text"


# ---------------------------------------------------------------------------------------------------------- checking


def check(root: Path, cases: Mapping[str, int]) -> tuple[str, ...]:
    """Everything that is wrong with the committed baselines, one line each; `cases` maps the ids of all cases to the
    launches that their baselines ought to have."""
    found: list[str] = []
    for path in every(root):
        try:
            baseline = load(path)
        except BaselineError as error:
            found.append(str(error))
            continue
        found += [f"{path}: {complaint}" for complaint in _complaints(baseline, cases)]
        if misplaced := _misplaced(baseline, path):
            found.append(misplaced)
    strays = (path for path in root.glob("*/*") if path.suffix != ".json")
    found += [f"{path}: is no baseline: delete it" for path in sorted(strays)]
    return tuple(found)


def _complaints(baseline: Baseline, cases: Mapping[str, int]) -> Iterable[str]:
    measurement = baseline.measurement
    if measurement.case not in cases and not measurement.case.startswith(baselinefile.SCENARIO):
        yield f"there is no case {measurement.case} (any more): delete the file, or rename it with its case"
    if baseline.kind == "reference":
        return
    wanted = cases.get(measurement.case, 0)
    if len(measurement.launches) < wanted:
        yield f"has {len(measurement.launches)} of {wanted} launches: extend it with --sgdiff-update=extend"
    if not measurement.values.keys() & {"denoise", "e2e"}:
        yield "holds neither denoise nor e2e, so no time is judged by it: record it anew with --sgdiff-update"
    for name, values in measurement.values.items():
        lacking = [str(number) for number, value in enumerate(values) if value is None]
        if lacking:
            yield f"{name} is missing in launch {', '.join(lacking)}"
    gaps = [gap for gap in measurement.values.get("denoise_gap", ()) if gap is not None]
    if gaps and max(gaps) < -CLOCK_NOISE_MS:
        yield (
            f"every denoise_gap is below zero, {max(gaps):g} ms at most: the steps cannot take longer than the loop "
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
    for launch in measurement.launches:
        if not launch.started_at or not launch.session:
            yield f"launch {launch.number} has no provenance: started_at and session must be told"
        yield from _impossible(launch)
    if baseline.engine_version is None:
        yield "has no provenance: `engine` must be the version of sglang"


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
