"""The readers/writer lock of the host: launches that may share it, and launches that must be alone on it.

It is taken for the time of one launch, by a lease that has its GPUs already, so nobody waits for GPUs while holding
it. The descriptor is inherited by the launch like those of the GPUs. A second lock is the turnstile: whoever wants to
be alone holds it while waiting, so that launches that come later do not keep slipping in before.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Literal

from pytest_sgdiff.errors import LeaseError, LeaseLostError
from pytest_sgdiff.files.locks import is_at, try_lock
from pytest_sgdiff.gpus.lease_records import read_tag, write_locked
from pytest_sgdiff.gpus.lock_files import is_locked, mutex, names, open_lock_file, remove, usable
from pytest_sgdiff.gpus.wait_reasons import AIMS, Wait, WaitReason, in_words

_POLL_S = 0.02


@contextlib.contextmanager
def entered(
    folder: str, *, ident: str, tag: str, alone: bool, timeout_s: float, on_wait: Callable[[Wait], None] | None = None
) -> Iterator[tuple[int, ...]]:
    """Holds the host, shared or alone, and yields the descriptors that the launch must inherit.

    Raises LeaseError naming the launches in the way if the host cannot be had within `timeout_s`, or the file of the
    lock directory that cannot be used; LeaseLostError if the lock's file was removed meanwhile.
    """
    deadline = time.monotonic() + timeout_s
    said = False

    def wait(fd: int, *, shared: bool) -> None:
        nonlocal said
        while not try_lock(fd, shared=shared):
            others = (WaitReason(code="launches", cases=running(folder, besides=ident)),)
            aim: Literal["alone", "shared"] = "alone" if alone else "shared"
            if time.monotonic() > deadline:
                raise LeaseError(
                    f"{tag or 'a launch'} did not get {AIMS[aim]} within {timeout_s:g} s: "
                    f"{in_words(others)} still running; "
                    "see `sgdiff gpus`, or choose another --sgdiff-isolation"
                )
            if on_wait is not None and not said:
                on_wait(Wait(aim=aim, reasons=others))
                said = True
            time.sleep(_POLL_S)

    with usable(folder, not_launched(tag)):
        turn = open_lock_file(os.path.join(folder, "turnstile"))
        try:
            wait(turn, shared=not alone)
            host_path = os.path.join(folder, "host")
            host = open_lock_file(host_path)
            try:
                wait(host, shared=not alone)
            except BaseException:
                os.close(host)
                raise
            if not is_at(host, host_path):
                os.close(host)
                raise lost(tag, host_path)
        finally:
            os.close(turn)
    path = os.path.join(folder, "launch", ident)
    mark = None
    try:
        with usable(folder, not_launched(tag)), mutex(folder):
            remove(path)
            about = {"tag": tag, "alone": alone, "pid": os.getpid()}
            try:
                mark = write_locked(path, about)
            except FileExistsError:  # another user's, who read the lease's name
                path = f"{path}.{secrets.token_hex(6)}"
                mark = write_locked(path, about)
        yield (host, mark)
    finally:
        # The mark goes before the lock: whoever gets the host to itself then must not take this for a launch beside it.
        try:
            if mark is not None:
                os.close(mark)
                with usable(folder, f"the end of the launch of {tag or 'a test'} cannot be recorded"), mutex(folder):
                    if not is_locked(path):  # a launch that outlives this is still to be seen
                        remove(path)
        finally:
            os.close(host)


def not_launched(tag: str) -> str:
    """What comes of a file of the lock directory that cannot be used, between the lease and the launch."""
    return f"{tag or 'the test'} cannot be launched"


def lost(tag: str, path: str) -> LeaseLostError:
    """What is said of a file of the lock directory that is no longer the one whose lock is held."""
    return LeaseLostError(
        f"{not_launched(tag)}: {path} was removed or replaced while its lock was held, so another run may have the "
        "same GPUs; exclude the lock directory from the cleanup of temporary files, or name another one with "
        "--sgdiff-lock-dir, the same for all runs of the host, and run it again"
    )


def running(folder: str, *, besides: str = "") -> tuple[str, ...]:
    """Case ids of the launches that run on this host now, without that of the lease `besides`."""
    found = []
    with mutex(folder):
        for name in names(folder, "launch"):
            path = os.path.join(folder, "launch", name)
            told = read_tag(path)
            if told is None or name.partition(".")[0] == besides:
                continue
            tag, runs = told
            if runs:
                found.append(tag or name)
            else:
                remove(path)
    return tuple(found)
