"""A lease: GPUs and ports that nobody else on this host has while it, or a launch that inherited it, lives."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any

from pytest_sgdiff.data import Gpu, Machine, Ports
from pytest_sgdiff.files.locks import is_at
from pytest_sgdiff.files.procfs import is_descendant, process
from pytest_sgdiff.gpus import host_lock
from pytest_sgdiff.gpus import ports as port_blocks
from pytest_sgdiff.gpus.devices import use_of
from pytest_sgdiff.gpus.lease_records import rewrite
from pytest_sgdiff.gpus.lock_files import bump, closing, gpu_file, is_locked, mutex, remove, usable
from pytest_sgdiff.gpus.nvml import NvmlReader
from pytest_sgdiff.gpus.orphans import LEASE_VARIABLE, RUN_VARIABLE, UUIDS_VARIABLE
from pytest_sgdiff.gpus.wait_reasons import Wait, WaitReason
from pytest_sgdiff.machine import machine_of

# Usually the first look finds the memory free; what takes longer is worth a word.
FREED_S = 2.0


class Lease:
    """What `Pool.lease` gives. Hand `pass_fds` and `env()` to the launch, and tell `launched` its PID.

    `gpus` are in PCI order; `cpus` those of their NUMA nodes that this process may use. Do not start the launch with
    `preexec_fn`: it runs Python in the forked child, which gives the lease up.
    """

    def __init__(
        self,
        *,
        folder: str,
        ident: str,
        run_id: str,
        tag: str,
        gpus: tuple[Gpu, ...],
        ports: Ports,
        gpu_fds: Mapping[str, int],
        port_fd: int,
        record_fd: int,
        record: dict[str, Any],
        reader: NvmlReader,
        on_release: Callable[[], None],
        gpu_0: str = "",
        blocks: Sequence[int] = (),
    ) -> None:
        self.id = ident
        self.run = run_id
        self.tag = tag
        self.gpus = gpus
        self.ports = ports
        self.cpus = cpus_of(gpus)
        self.reader = reader
        self._folder = folder
        self._gpu_fds = dict(gpu_fds)
        self._port_fd = port_fd
        self._record_fd = record_fd
        self._record = record
        self._host_fds: tuple[int, ...] = ()
        self._on_release = on_release
        self._gpu_0 = gpu_0
        self._blocks = tuple(blocks)
        self._released = False

    @property
    def indices(self) -> tuple[int, ...]:
        """The GPUs' numbers in PCI order over the whole machine."""
        return tuple(gpu.index for gpu in self.gpus)

    @property
    def machine(self) -> Machine:
        """What its launches are measured on."""
        return machine_of(self.gpus)

    def usable_ports(self) -> Ports:
        """The lease's ports, or others from now on where something keeps one of them: what an earlier launch left, and
        nobody can find. Raises LeaseError if there are none."""
        if not port_blocks.free(self.ports):
            block, fd = port_blocks.take(self._folder, self._blocks or port_blocks.blocks())
            os.close(self._port_fd)
            self.ports, self._port_fd = block, fd
        return self.ports

    @contextlib.contextmanager
    def halves(self) -> Iterator[tuple[LeaseHalf, LeaseHalf]]:
        """The GPUs of the lease in two halves, for two launches at the same time: each has ports of its own. Whoever
        uses them has entered the lease by `alone` or `shared`. Raises LeaseError if there are no ports."""
        middle = len(self.gpus) // 2
        block, fd = port_blocks.take(self._folder, self._blocks or port_blocks.blocks())
        second = LeaseHalf(self, self.gpus[middle:], block, fd)
        try:
            yield LeaseHalf(self, self.gpus[:middle], self.usable_ports(), self._port_fd), second
        finally:
            os.close(second.port_fd)

    @property
    def pass_fds(self) -> tuple[int, ...]:
        """Descriptors that the launch must inherit, so that nothing is free before it is dead; ask anew per launch."""
        return (*self._gpu_fds.values(), self._port_fd, *self._host_fds)

    def env(self) -> dict[str, str]:
        """What the launch's environment needs: numbers, since SGLang Diffusion does `int()` on every entry; a MIG slice
        has none and goes by its UUID, unless it is all that there is, which CUDA counts as 0. Empty for a case without
        GPUs, so that the engine sees none. Whoever wants to know the GPUs by name has their UUIDs, in the same order.
        """
        visible = (
            "0" if gpu.uuid == self._gpu_0 else gpu.uuid if gpu.mig_profile else str(gpu.index) for gpu in self.gpus
        )
        return {
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "CUDA_VISIBLE_DEVICES": ",".join(visible),
            UUIDS_VARIABLE: ",".join(gpu.uuid for gpu in self.gpus),
            LEASE_VARIABLE: self.id,
            RUN_VARIABLE: self.run,
        }

    @contextlib.contextmanager
    def shared(self, *, timeout_s: float = 3600.0, on_wait: Callable[[Wait], None] | None = None) -> Iterator[None]:
        """For the time of a launch that may have others beside it. Raises LeaseError; LeaseLostError if the lock
        directory lost the lease before the launch or during it."""
        with self._on_host(alone=False, timeout_s=timeout_s, on_wait=on_wait):
            yield

    @contextlib.contextmanager
    def alone(self, *, timeout_s: float = 3600.0, on_wait: Callable[[Wait], None] | None = None) -> Iterator[None]:
        """For the time of a launch that must be the only one of all runs on this host. Raises as `shared`."""
        with self._on_host(alone=True, timeout_s=timeout_s, on_wait=on_wait):
            yield

    @contextlib.contextmanager
    def _on_host(self, *, alone: bool, timeout_s: float, on_wait: Callable[[Wait], None] | None) -> Iterator[None]:
        with host_lock.entered(
            self._folder, ident=self.id, tag=self.tag, alone=alone, timeout_s=timeout_s, on_wait=on_wait
        ) as fds:
            self._host_fds = fds
            try:
                self._check()
                yield
                self._check()
            finally:
                self._host_fds = ()

    def _check(self) -> None:
        """Raises LeaseLostError if the lock directory no longer says that the GPUs are held: somebody else may hold
        them by now."""
        for uuid, fd in self._gpu_fds.items():
            path = gpu_file(self._folder, uuid)
            if not is_at(fd, path):
                raise host_lock.lost(self.tag, path)
        path = os.path.join(self._folder, "lease", self.id)
        if not is_at(self._record_fd, path):
            raise host_lock.lost(self.tag, path)

    def launched(self, pid: int) -> None:
        """Notes the process that was started, the leader of a session of its own, for whoever must end it.

        Raises LeaseError if that cannot be written: nobody would find the process after the death of this one.
        """
        started = process(pid)
        self._record |= {"child": pid, "child_started": None if started is None else started.started}
        with usable(self._folder, host_lock.not_launched(self.tag)):
            rewrite(self._record_fd, self._record)

    def owns(self, pid: int) -> bool:
        """Whether the process comes from this lease's launch (or, before one is noted, from this process)."""
        child = self._record["child"]
        found = process(pid, environ=True)
        if found is None:
            return False
        if f"{LEASE_VARIABLE}={self.id}".encode() in (found.environ or b"").split(b"\0"):
            return True
        return found.session == child or is_descendant(pid, child or os.getpid())

    def co_runners(self) -> tuple[str, ...]:
        """Case ids of the other launches on this host now. Raises LeaseError if they cannot be read."""
        with usable(self._folder, f"what runs at the same time as {self.tag or 'the test'} cannot be read"):
            return host_lock.running(self._folder, besides=self.id)

    def wait_until_free(
        self, timeout_s: float, on_wait: Callable[[Wait], None] | None = None
    ) -> tuple[WaitReason, ...]:
        """Waits until the driver has taken back what the launch used: it does so some time after the process's end. A
        foreign process that came meanwhile gets the same time to end, or it would disturb the next launch too.

        Returns what still speaks against it after `timeout_s`, one use of one GPU each; empty if free.
        `on_wait` is told that once it takes longer than FREED_S.
        """
        began = time.monotonic()
        deadline, said = began + timeout_s, False
        while True:
            # Utilisation is an average over the last second, which the launch was part of.
            left = tuple(
                WaitReason(code="in-use", gpus=(gpu.index,), uses=(use,))
                for gpu in self.gpus
                for use in use_of(gpu, self.reader)
                if use.kind != "utilisation"
            )
            if not left or time.monotonic() >= deadline:
                return left
            if on_wait is not None and not said and time.monotonic() - began > FREED_S:
                on_wait(Wait(aim="free", reasons=left))
                said = True
            time.sleep(0.1)

    def release(self) -> None:
        """Gives everything back, except to a child that still lives: its lease stays on record for the reaper."""
        if self._released:
            return
        self._released = True
        self._on_release()
        record = os.path.join(self._folder, "lease", self.id)
        # Where the lock directory is gone nothing is left on record; what is held is given back all the same.
        with (
            contextlib.suppress(OSError),
            closing(*self._gpu_fds.values(), self._port_fd, self._record_fd) as held,
            mutex(self._folder),
        ):
            held.close()
            if not any(is_locked(gpu_file(self._folder, uuid)) for uuid in self._gpu_fds):
                remove(record)
        bump(self._folder)

    def forget(self) -> None:
        """In a forked child: closes the copies, which would otherwise keep the lease after the owner gave it back."""
        self._released = True
        for fd in (*self._gpu_fds.values(), self._port_fd, self._record_fd, *self._host_fds):
            with contextlib.suppress(OSError):
                os.close(fd)

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class LeaseHalf(Lease):
    """Half of a lease's GPUs, which is used as a lease is; it ends with that."""

    def __init__(self, whole: Lease, gpus: tuple[Gpu, ...], ports: Ports, port_fd: int) -> None:
        self.__dict__.update(whole.__dict__)
        self.gpus, self.cpus = gpus, cpus_of(gpus)
        self.ports, self._port_fd = ports, port_fd

    @property
    def port_fd(self) -> int:
        """What holds its ports."""
        return self._port_fd

    @contextlib.contextmanager
    def _on_host(self, *, alone: bool, timeout_s: float, on_wait: Callable[[Wait], None] | None) -> Iterator[None]:
        # The whole is on the host already.
        yield

    def release(self) -> None:
        """Nothing: the whole is given back."""


def cpus_of(gpus: tuple[Gpu, ...]) -> tuple[int, ...]:
    """The CPUs of the GPUs' NUMA nodes that this process may run on; all of those if nothing is known."""
    allowed = os.sched_getaffinity(0)
    near: set[int] = set()
    for node in {gpu.numa_node for gpu in gpus if gpu.numa_node is not None}:
        with contextlib.suppress(OSError, ValueError), open(f"/sys/devices/system/node/node{node}/cpulist") as file:
            for part in file.read().strip().split(","):
                first, _, last = part.partition("-")
                near |= set(range(int(first), int(last or first) + 1))
    return tuple(sorted(near & allowed or allowed))
