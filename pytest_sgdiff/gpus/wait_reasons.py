"""Who has the GPUs that a waiter waits for, as the policy counts it and as people are told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from pytest_sgdiff.data import Gpu
from pytest_sgdiff.gpus.devices import Use
from pytest_sgdiff.gpus.devices import in_words as uses_in_words
from pytest_sgdiff.gpus.lease_records import Busy, LeaseRecord, Waiter
from pytest_sgdiff.gpus.orphans import ORPHAN_GRACE_S, ORPHAN_TERM_S
from pytest_sgdiff.gpus.policy import Holding


def holdings(leases: Sequence[LeaseRecord], taken: frozenset[str]) -> list[Holding]:
    """Whom the taken GPUs belong to: leases, launches that outlived theirs, and what nobody accounts for."""
    found = []
    for lease in leases:
        # The engine's workers do not inherit the locks: until the dead lease is buried, one of them may live.
        # Of another user's lease only the locks are believed: it may name any GPU.
        whole = lease.ours and (lease.alive or lease.reapable)
        uuids = frozenset(lease.uuids) if whole else frozenset(lease.uuids) & taken
        ends_in_s = lease.ends_in_s if lease.alive else ORPHAN_GRACE_S + ORPHAN_TERM_S
        found.append(Holding(uuids=uuids, run=lease.run, ends_in_s=ends_in_s))
    known = {uuid for holding in found for uuid in holding.uuids}
    found.append(Holding(uuids=taken - known, ends_in_s=math.inf, foreign=True))
    return found


Code = Literal["held", "outlived", "busy", "in-use", "locked", "queue", "promised", "launches"]
"""What is waited for: a lease; a launch that outlived its worker; a GPU that was found in use lately, or is now; a lock
without a record; those before in the queue; GPUs that others in the queue get; launches on the host."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """Somebody before in the queue: the case, and for how many GPUs it waits."""

    tag: str
    count: int
    stalled: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class WaitReason:
    """One thing that is waited for. `gpus` are indices; `tag` and `pid` the case and the process that hold them;
    `child` the launch that outlived it, which only `owner` can end unless it is `reapable`; `mark` is what
    whoever found the GPU busy wrote down, `uses` what speaks against it now; `cases` are the launches on the host."""

    code: Code
    gpus: tuple[int, ...] = ()
    tag: str = ""
    pid: int | None = None
    child: int | None = None
    owner: int | None = None
    reapable: bool = False
    mark: str = ""
    uses: tuple[Use, ...] = ()
    before: tuple[Before, ...] = ()
    cases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """What a case waits for (`count` GPUs, exclusive or shared use of the host, or that the GPUs of its last launch
    are free), and why. Its text is the line that is shown."""

    aim: Literal["gpus", "alone", "shared", "free"]
    reasons: tuple[WaitReason, ...]
    count: int = 0

    def __str__(self) -> str:
        if self.aim == "gpus":
            return f"waiting for {gpus_in_words(self.count)}: {in_words(self.reasons)}"
        if self.aim == "free":
            return f"waiting until the GPUs are free: {in_words(self.reasons, between=', ')}"
        return f"waiting for {AIMS[self.aim]}: {in_words(self.reasons)} still running"


AIMS: Mapping[str, str] = {"alone": "exclusive use of the host", "shared": "shared use of the host"}


def reasons_to_wait(
    gpus: Sequence[Gpu],
    ident: str,
    queue: Sequence[Waiter],
    leases: Sequence[LeaseRecord],
    busy: Mapping[str, Busy],
    taken: Set[str],
) -> tuple[WaitReason, ...]:
    """Who has the GPUs, and who waits before the ticket `ident`; that others in the queue get them if nobody does.

    `leases`, `busy` and `taken` (GPUs whose lock somebody has) are what the last look found.
    """
    index = {gpu.uuid: gpu.index for gpu in gpus}
    found = []
    told: set[str] = set()
    for lease in leases:
        whole = lease.ours and (lease.alive or lease.reapable)
        mine = [uuid for uuid in lease.uuids if uuid in index and (whole or uuid in taken)]
        if mine:
            told.update(mine)
            found.append(
                WaitReason(
                    code="held" if lease.alive else "outlived",
                    gpus=_indices(index, mine),
                    tag=lease.tag,
                    pid=lease.pid,
                    child=lease.child,
                    owner=lease.owner,
                    reapable=lease.reapable,
                )
            )
    for uuid, mark in busy.items():
        if uuid in index and uuid not in told:
            told.add(uuid)
            found.append(WaitReason(code="busy", gpus=_indices(index, [uuid]), mark=mark.reason))
    rest = [uuid for uuid in index if uuid in taken and uuid not in told]
    if rest:
        found.append(WaitReason(code="locked", gpus=_indices(index, rest)))
    before = []
    for waiter in queue:
        if waiter.ticket.id == ident:
            break
        before.append(Before(tag=waiter.tag, count=waiter.ticket.count, stalled=waiter.ticket.stalled))
    if before:
        found.append(WaitReason(code="queue", before=tuple(before)))
    return tuple(found) or (WaitReason(code="promised"),)


def in_words(reasons: Sequence[WaitReason], *, between: str = "; ") -> str:
    """`GPU 0,1: held by ltx2 (process 42); GPU 2: busy, process 77 (python3, 1002 MiB); 1 ahead in the queue`."""
    return between.join(_WORDS[one.code](one) for one in reasons)


def gpus_in_words(count: int) -> str:
    """`2 GPUs`"""
    return f"{count} GPU{'s' * (count > 1)}"


def _indices(index: Mapping[str, int], uuids: Sequence[str]) -> tuple[int, ...]:
    return tuple(sorted(index[uuid] for uuid in uuids))


def _names(r: WaitReason) -> str:
    return "GPU " + ",".join(map(str, r.gpus))


def _outlived(r: WaitReason) -> str:
    child = f"process {r.child}" if r.child else "a process"
    fate = "it is being ended" if r.reapable else f"only user {r.owner} or its container can end it"
    return f"{_names(r)}: {child} of {r.tag or 'a test'} outlived its pytest worker {r.pid}; {fate}"


def _queue(r: WaitReason) -> str:
    told = [f"{one.tag or 'a test'} ({gpus_in_words(one.count)}{', stalled' * one.stalled})" for one in r.before]
    return f"{len(told)} ahead in the queue: {', '.join(told)}"


_WORDS: Mapping[Code, Callable[[WaitReason], str]] = {
    "held": lambda r: f"{_names(r)}: held by {r.tag or 'a test'} (process {r.pid})",
    "outlived": _outlived,
    "busy": lambda r: f"{_names(r)}: busy, {r.mark or uses_in_words(r.uses)}",
    "in-use": lambda r: f"{_names(r)}: {uses_in_words(r.uses)}",
    "locked": lambda r: f"{_names(r)}: locked by a process without a record",
    "queue": _queue,
    "promised": lambda r: "its GPUs are reserved for others in the queue",
    "launches": lambda r: ", ".join(r.cases) or "another launch",
}
