"""Baselines put in their place: atomically, one writer at a time, and losing nothing where that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from pytest_sgdiff.baselines import file_format
from pytest_sgdiff.baselines.find import find, find_replaceable, path_for, reason
from pytest_sgdiff.baselines.lock import LOCK_TIMEOUT_S, locked
from pytest_sgdiff.baselines.renew import placed
from pytest_sgdiff.data import Baseline, Machine
from pytest_sgdiff.errors import BaselineError, WireError
from pytest_sgdiff.files.data_files import TEMPORARY, DataFileError, kind, make_folder, names, remove, write

__all__ = ["apply", "save", "update"]


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

    Raises BaselineError as `update` does; what `renew.placed` refuses is found before any is written.
    """
    refused = [refusal for candidate in candidates if (refusal := _refusal(root, candidate)) is not None]
    if refused:
        raise BaselineError(*refused)
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
        with locked(root, lock_timeout_s):
            text = _checked_text(path, make())
            make_folder(path.parent, below=root)
            for name in names(path.parent, below=root):
                if name.startswith(TEMPORARY):  # of a killed writer: we hold the lock, so nobody writes now
                    remove(path.parent / name, below=root)
            if (what := kind(path, below=root)) not in ("file", None):
                raise BaselineError(f"{path}: is a {what}, not written over: take it away, then repeat")
            write(path, text, below=root)
    except DataFileError as error:
        raise BaselineError(f"{path}: cannot be written: {error}; nothing was changed") from None
    except OSError as error:
        raise BaselineError(
            f"{path}: cannot be written: {reason(error)}; nothing was changed. Make room or make it writable, or name "
            "another folder with --sgdiff-baselines"
        ) from None
    return path


def _checked_text(path: Path, baseline: Baseline) -> str:
    try:
        text = file_format.to_text(baseline)
        file_format.from_text(text)
    except (WireError, file_format.MistakeError) as error:
        raise BaselineError(f"{path}: not written: {error}") from None
    return text
