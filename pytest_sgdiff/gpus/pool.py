"""The pool: a fair queue for GPUs over all workers, runs and users of the host.

    with pool.lease(2, estimate_s=90, timeout_s=3600, tag="ltx2") as lease, lease.shared():
        env = {**os.environ, **lease.env()}
        child = subprocess.Popen(argv, env=env, pass_fds=lease.pass_fds, start_new_session=True)
        lease.launched(child.pid)

There is no server. A GPU belongs to whoever holds the lock of `<lock-dir>/gpu/<uuid>`; who may take it is worked out
by every waiter alike (`policy.plan`) under a short mutex, all GPUs of a lease or none.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_sgdiff.errors import LeaseError, NeverIdleError
from pytest_sgdiff.files.locks import is_at
from pytest_sgdiff.files.procfs import where
from pytest_sgdiff.gpus import lease_records, ports
from pytest_sgdiff.gpus.devices import PATIENCE_S, Use, in_use, never_idle
from pytest_sgdiff.gpus.devices import in_words as uses_in_words
from pytest_sgdiff.gpus.lease import Lease
from pytest_sgdiff.gpus.lease_records import Busy, LeaseRecord
from pytest_sgdiff.gpus.lock_files import bump, closing, generation, lock_dir, mutex, remove, usable
from pytest_sgdiff.gpus.nvml import NvmlReader, default_reader
from pytest_sgdiff.gpus.orphans import Reaper
from pytest_sgdiff.gpus.policy import Slot, plan
from pytest_sgdiff.gpus.selection import Eligible
from pytest_sgdiff.gpus.wait_reasons import Wait, WaitReason, gpus_in_words, holdings, in_words, reasons_to_wait

# The death of a holder bumps nothing, so waiters also look by themselves; cases last minutes.
SLOW_POLL_S = 1.0
POLL_S = 0.05
# NVML averages utilisation over up to a second, so two readings that far apart are needed to call a GPU idle.
SETTLE_S = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """A lease on record whose GPUs are locked but not yet found idle."""

    fds: Mapping[str, int]
    record_fd: int
    record: dict[str, Any]


class Pool:
    """Leases GPUs of `eligible`. One per process; `run_id` is common to all workers of a pytest run, and its budget.

    `settle_s` is the time between the two readings of the idle check, `patience_s` how long a busy GPU is given to
    become idle before it is left alone for a while, `poll_s` the time between two glances at the queue. Raises
    LeaseError if `folder` cannot be used.
    """

    def __init__(
        self,
        eligible: Eligible,
        *,
        run_id: str,
        folder: str | None = None,
        reader: NvmlReader | None = None,
        settle_s: float = SETTLE_S,
        patience_s: float = PATIENCE_S,
        poll_s: float = POLL_S,
        port_base: int = ports.BASE,
    ) -> None:
        self.eligible = eligible
        self.folder = lock_dir(folder)
        self.run_id = run_id
        self.reader = reader or default_reader()
        self._settle_s = settle_s
        self._patience_s = patience_s
        self._poll_s = poll_s
        self._blocks = ports.blocks(port_base)
        self._by_uuid = {gpu.uuid: gpu for gpu in eligible.gpus}
        self._reaper = Reaper(self.folder)
        self._found_busy: dict[str, lease_records.Busy] = {}
        self._lease: Lease | None = None
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget(this))

    def lease(
        self,
        count: int,
        *,
        timeout_s: float,
        estimate_s: float | None = None,
        on_wait: Callable[[Wait], None] | None = None,
        tag: str = "",
        products: Sequence[str] = (),
    ) -> Lease:
        """`count` idle GPUs (0: ports only) of one of the `products` (`Eligible.of`). `estimate_s` is how long they
        will be kept, as far as anybody knows.

        `on_wait` is told whenever what is waited for changes. Raises LeaseError if the pool can never give
        that many (NeverIdleError: because of a display or the MPS daemon), or not within `timeout_s`.
        """
        if self._lease is not None:
            raise LeaseError(
                f"{tag or 'this test'} asks for GPUs while the lease of {self._lease.tag or 'this test'} is held: "
                "a test that holds GPUs and waits for more can block others forever. Release the first lease, or ask "
                "for all GPUs at once"
            )
        among = self.eligible.of(products)
        refusal = among.refusal(count)
        if refusal is not None:
            raise LeaseError(f"{tag or 'the test'} {refusal}")
        self._refuse_never_idle(count, among, tag)
        ident = secrets.token_hex(6)
        with usable(self.folder, f"{tag or 'the test'} got no GPUs"):
            grant = self._wait(ident, count, among, estimate_s, timeout_s, on_wait, tag)
            try:
                block, port_fd = ports.take(self.folder, self._blocks)
            except BaseException:
                give_back(self.folder, ident, grant)
                raise
        self._lease = Lease(
            folder=self.folder,
            ident=ident,
            run_id=self.run_id,
            tag=tag,
            gpus=tuple(sorted((self._by_uuid[uuid] for uuid in grant.fds), key=lambda gpu: (gpu.index, gpu.uuid))),
            ports=block,
            gpu_fds=grant.fds,
            port_fd=port_fd,
            blocks=self._blocks,
            record_fd=grant.record_fd,
            record=grant.record,
            reader=self.reader,
            on_release=self._released,
            gpu_0=self.eligible.gpu_0,
        )
        return self._lease

    def _released(self) -> None:
        self._lease = None

    def _wait(
        self,
        ident: str,
        count: int,
        among: Eligible,
        estimate_s: float | None,
        timeout_s: float,
        on_wait: Callable[[Wait], None] | None,
        tag: str,
    ) -> Grant:
        """Draws a ticket and stays in the queue until its turn has come and the GPUs are found idle."""
        deadline = time.monotonic() + timeout_s
        about = {"run": self.run_id, "pid": os.getpid(), "tag": tag, "estimate_s": estimate_s, "since": time.time()}
        if count == 0:
            with mutex(self.folder):
                return enter(self.folder, ident, {}, about)
        asked = {"count": count, "eligible": sorted(gpu.uuid for gpu in among.gpus), "budget": among.budget}
        ticket, ticket_fd = self._draw(ident, {**about, **asked})
        said: tuple[WaitReason, ...] = ()
        seen, next_look = b"", 0.0
        try:
            while True:
                now = time.monotonic()
                if (latest := generation(self.folder)) != seen or now >= next_look:
                    seen, next_look = latest, now + SLOW_POLL_S
                    if not is_at(ticket_fd, ticket):  # nobody would serve a ticket that was removed
                        removed, (ticket, ticket_fd) = ticket_fd, self._draw(ident, {**about, **asked})
                        os.close(removed)
                    os.utime(ticket_fd)
                    grant, why = self._look(ident, about)
                    if grant is not None:
                        busy = self._verify(ident, grant)
                        if not busy:
                            return grant
                        self._refuse_never_idle(count, among, tag)
                        why = self._in_use(busy)
                    if now >= deadline:
                        raise LeaseError(_too_late(tag, count, timeout_s, why))
                    if on_wait is not None and why != said:
                        said = why
                        on_wait(Wait(aim="gpus", count=count, reasons=why))
                time.sleep(min(self._poll_s, max(0.0, deadline - now)))
                if time.monotonic() >= deadline:
                    next_look = 0.0
        finally:
            os.close(ticket_fd)
            remove(ticket)
            bump(self.folder)

    def _draw(self, ident: str, content: dict[str, Any]) -> tuple[str, int]:
        """A ticket at the end of the queue: its path, and the descriptor that holds its lock."""
        with mutex(self.folder):
            name = lease_records.ticket_name(lease_records.next_number(self.folder), ident)
            path = os.path.join(self.folder, "queue", name)
            return path, lease_records.write_locked(path, content)

    def _look(self, ident: str, about: dict[str, Any]) -> tuple[Grant | None, tuple[WaitReason, ...]]:
        """The GPUs if it is this ticket's turn, else what is in the way; orphans are helped out of it."""
        while True:
            now = time.time()
            self._found_busy = {uuid: mark for uuid, mark in self._found_busy.items() if mark.until > now}
            grant, leases, why = look_at_queue(self.folder, self.eligible, ident, about, self._found_busy)
            if grant is not None or not self._reaper.step(leases):
                return grant, why

    def _verify(self, ident: str, grant: Grant) -> Mapping[str, tuple[Use, ...]]:
        """UUID -> by what, for the granted GPUs that are in use after all; if any is, the grant is given back."""
        busy: Mapping[str, tuple[Use, ...]] | None = None
        try:
            gpus = [self._by_uuid[uuid] for uuid in grant.fds]
            busy = in_use(gpus, self.reader, settle_s=self._settle_s, patience_s=self._patience_s)
        finally:
            if busy is None or busy:
                found = {uuid: uses_in_words(uses) for uuid, uses in (busy or {}).items()}
                until = time.time() + lease_records.QUARANTINE_S
                self._found_busy |= {
                    uuid: lease_records.Busy(uuid=uuid, until=until, reason=reason) for uuid, reason in found.items()
                }
                give_back(self.folder, ident, grant, found)
        return busy

    def _refuse_never_idle(self, count: int, among: Eligible, tag: str) -> None:
        """Raises NeverIdleError if what does not end by itself leaves too few GPUs: waiting would be no use."""
        lasting = never_idle(among.gpus, self.reader) if count else {}
        if len(among.gpus) - len(lasting) < count:
            why = in_words(self._in_use(lasting))
            raise NeverIdleError(f"{tag or 'the test'} got no {gpus_in_words(count)}, and waiting does not help: {why}")

    def _in_use(self, busy: Mapping[str, tuple[Use, ...]]) -> tuple[WaitReason, ...]:
        return tuple(
            WaitReason(code="busy", gpus=(self._by_uuid[uuid].index,), uses=uses) for uuid, uses in busy.items()
        )


def _too_late(tag: str, count: int, timeout_s: float, why: Sequence[WaitReason]) -> str:
    return (
        f"{tag or 'the test'} got no {gpus_in_words(count)} within {timeout_s:g} s: {in_words(why)}. "
        "`sgdiff gpus` shows the queue; a larger --sgdiff-gpu-timeout waits longer"
    )


def _forget(reference: weakref.ref[Pool]) -> None:
    """In a forked child of the owner."""
    pool = reference()
    if pool is not None and pool._lease is not None:
        with contextlib.suppress(OSError):
            pool._lease.forget()
        pool._lease = None


def look_at_queue(
    folder: str, eligible: Eligible, ident: str, about: dict[str, Any], found_busy: Mapping[str, Busy]
) -> tuple[Grant | None, list[LeaseRecord], tuple[WaitReason, ...]]:
    """One look at the queue for the ticket `ident`: a grant or why not, and all leases on record. `found_busy` are the
    GPUs that this process found in use lately, whether or not it could leave a mark of it."""
    usable = frozenset(gpu.uuid for gpu in eligible.gpus)
    with mutex(folder):
        waiting = lease_records.waiters(folder)
        leases = lease_records.lease_records(folder)
        busy = {**lease_records.busy_marks(folder), **found_busy}
        queue = lease_records.unserved(waiting, leases)
        wanted = frozenset().union(*(waiter.ticket.eligible for waiter in queue))
        unmarked = wanted - busy.keys()
        free, free_for_others = lease_records.lock_gpus(folder, unmarked & usable, unmarked - usable)
        try:
            granted = plan(
                [waiter.ticket for waiter in queue],
                holdings(leases, wanted - free.keys() - free_for_others),
                _slots(eligible, wanted),
            ).get(ident, ())
            mine = {uuid: free.pop(uuid) for uuid in granted}
        finally:
            for fd in free.values():
                os.close(fd)
        if mine:
            return enter(folder, ident, mine, about), leases, ()
    asked = {uuid for waiter in queue if waiter.ticket.id == ident for uuid in waiter.ticket.eligible}
    gpus = [gpu for gpu in eligible.gpus if gpu.uuid in asked]
    return None, leases, reasons_to_wait(gpus, ident, queue, leases, busy, wanted - free.keys() - free_for_others)


def enter(folder: str, ident: str, fds: Mapping[str, int], about: dict[str, Any]) -> Grant:
    """Puts the lease on record. With the mutex."""
    record = {
        **about,
        "uuids": sorted(fds),
        "uid": os.getuid(),
        "where": where(),
        "since": time.time(),
        "child": None,
        "child_started": None,
    }
    try:
        fd = lease_records.write_locked(os.path.join(folder, "lease", ident), record)
    except BaseException:
        for gpu_fd in fds.values():
            os.close(gpu_fd)
        raise
    return Grant(fds=fds, record_fd=fd, record=record)


def give_back(folder: str, ident: str, grant: Grant, busy: Mapping[str, str] | None = None) -> None:
    """Undoes a grant; the GPUs in `busy` are left alone for a while. The ticket keeps its place."""
    with closing(*grant.fds.values(), grant.record_fd) as held, mutex(folder):
        for uuid, reason in (busy or {}).items():
            lease_records.mark_busy(folder, uuid, reason)
        held.close()
        remove(os.path.join(folder, "lease", ident))
    bump(folder)


def _slots(eligible: Eligible, uuids: frozenset[str]) -> dict[str, Slot]:
    """Where the GPUs sit. Those that only other runs can see come last, each in a group of its own."""
    known = {gpu.uuid: gpu for gpu in eligible.gpus}
    slots = {}
    for place, uuid in enumerate(sorted(uuids), 1000):
        gpu = known.get(uuid)
        slots[uuid] = (
            Slot(uuid=uuid, index=place, clique=place)
            if gpu is None
            else Slot(uuid=uuid, index=gpu.index, numa=gpu.numa_node, clique=eligible.cliques.get(uuid, 0))
        )
    return slots
