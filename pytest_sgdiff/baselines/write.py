"""Baselines put in their place: atomically, one writer at a time, and losing nothing where that fails."""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from pytest_sgdiff.baselines import file_format, references
from pytest_sgdiff.baselines.find import find, find_replaceable, path_for, reason
from pytest_sgdiff.baselines.renew import placed
from pytest_sgdiff.data import Baseline, Machine
from pytest_sgdiff.errors import BaselineError, WireError
from pytest_sgdiff.files.data_files import TEMPORARY, DataFileError, kind, make_folder, names, remove, write
from pytest_sgdiff.files.locks import is_at, try_lock

__all__ = ["LOCK", "LOCK_TIMEOUT_S", "apply", "locked", "save", "update"]

LOCK = ".lock"
_NO_LOCK = "is not a lock file of this plugin, but a link or another kind of file; remove it, then repeat"
LOCK_TIMEOUT_S = 30.0
"""How long a writer waits for another: writing takes milliseconds, so the other one hangs."""


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
            baseline = make()
            text = _checked_text(path, baseline)
            make_folder(path.parent, below=root)
            for name in names(path.parent, below=root):
                if name.startswith(TEMPORARY):  # of a killed writer: we hold the lock, so nobody writes now
                    remove(path.parent / name, below=root)
            if (what := kind(path, below=root)) not in ("file", None):
                raise BaselineError(f"{path}: is a {what}, which is not overwritten: remove it, then repeat")
            references.put(baseline, path, root=root)
            write(path, text, below=root)
            references.clear(baseline, path, root=root)
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


@contextmanager
def locked(root: Path, timeout_s: float) -> Iterator[None]:
    """Hold the lock of a baselines folder. The kernel lets it go when the holder dies, however it dies.

    Raises BaselineError if another run holds it for more than `timeout_s`.
    """
    root.mkdir(parents=True, exist_ok=True)
    path = root / LOCK
    deadline = time.monotonic() + timeout_s
    while True:
        descriptor = _open(path)
        if try_lock(descriptor):
            # The last holder took the file away: a lock on a file without a name keeps nobody out.
            if is_at(descriptor, path):
                break
        else:
            if time.monotonic() >= deadline:
                holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another run"
                os.close(descriptor)
                raise BaselineError(
                    f"{path}: {holder} has been writing baselines for {timeout_s:g} s; nothing was changed. "
                    "Wait until it ends, or end it, then repeat"
                )
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


def _open(path: Path) -> int:
    """The lock file, made if it is not there. It comes with the folder, which others may have filled: a link would have
    another file emptied, and so would a file that has a second name."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise BaselineError(f"{path}: {_NO_LOCK}") from None
        raise
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(descriptor)
        raise BaselineError(f"{path}: {_NO_LOCK}")
    return descriptor
