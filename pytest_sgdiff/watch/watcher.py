"""What the GPUs did and who else used them while a launch ran.

A thread in the pytest process reads the driver about once a second; nothing runs in the engine's processes. Counters
that the driver does not report stay "unknown": they neither clear a launch nor discard it.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Literal, Protocol

from pytest_sgdiff.data import Gpu, GpuEvent, GpuProcess, GpuSeries, GpuState, Watch
from pytest_sgdiff.data.displays import only_draw
from pytest_sgdiff.errors import SgdiffError
from pytest_sgdiff.files import procfs
from pytest_sgdiff.watch.unlisted import HIDDEN_MB

# Looks in a row that must show it: memory and processes are read a moment apart, and ends of processes take a second.
LASTING = 3
_COUNTERS = ("sm_mhz", "mem_mhz", "power_w", "temperature_c", "util_pct", "used_mb", "reasons")


class StateReader(Protocol):
    """The driver, as far as it is asked here; `pytest_sgdiff.gpus.NvmlReader` is one."""

    def state(self, uuid: str) -> GpuState: ...

    def processes(self, uuid: str) -> tuple[GpuProcess, ...] | None: ...

    def thermal_ns(self, uuid: str) -> int | None: ...

    def xids(self) -> tuple[GpuEvent, ...]: ...


class Watcher:
    """Watches `gpus` from entry to exit; `watch` is what it saw. `owns` tells the launch's processes from others,
    `co_runners` the case ids of other launches on the host now, `stolen_s` what a hypervisor withheld so far. Errors of
    the driver end in "unknown", never here.

    Which processes are the launch's: `exact` where some listed PID is one that `owns` knows; `calibrated` where none
    is (a container with PIDs of its own): what is listed by `settled_s` after the start is then ours, the GPUs having
    been empty and locked, and any later PID is not; `unusable` where nothing is listed though memory is used.
    """

    def __init__(
        self,
        gpus: Sequence[Gpu],
        *,
        reader: StateReader | None,
        owns: Callable[[int], bool],
        co_runners: Callable[[], Iterable[str]] = tuple,
        to_be_alone: bool | None = None,
        isolation: str | None = None,
        interval_s: float = 1.0,
        settled_s: float = 30.0,
        stolen_s: Callable[[], float | None] = procfs.stolen_s,
    ) -> None:
        self._gpus = tuple(gpus)
        self._reader = reader
        self._owns = owns
        self._co_runners = co_runners
        self._to_be_alone = to_be_alone
        self._isolation = isolation
        self._interval_s = interval_s
        self._settled_s = settled_s
        self._stolen_s = stolen_s
        self._stolen_before: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._started = 0.0
        self._cost_s = 0.0
        self._at: list[float] = []
        self._states: dict[str, list[GpuState]] = {gpu.uuid: [] for gpu in gpus}
        self._seen: dict[tuple[str, int], tuple[GpuProcess, float]] = {}
        self._most_mb: dict[tuple[str, int], int] = {}
        self._ours: set[int] = set()
        self._vanished: set[int] = set()
        self._beside: dict[str, None] = {}
        self._neighbours_told = False
        self._unlisted: dict[str, list[int | None]] = {gpu.uuid: [] for gpu in gpus}
        self._events: list[GpuEvent] = []
        self._heat: dict[str, int | None] = {}
        self._answered: set[str] = set()
        self.watch = Watch(to_be_alone=to_be_alone, isolation=isolation)

    def __enter__(self) -> Watcher:
        self._started = time.monotonic()
        self._stolen_before = self._stolen_s()
        if self._reader is not None:
            with contextlib.suppress(SgdiffError):
                self._reader.xids()
                self._heat = {gpu.uuid: self._reader.thermal_ns(gpu.uuid) for gpu in self._gpus}
        self._look("start")
        self._thread = threading.Thread(target=self._run, name="sgdiff-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            # A driver call may hang for seconds after an Xid; the launch's result does not wait for it.
            self._thread.join(timeout=10.0)
        self._look("end")
        if self._reader is not None:
            with contextlib.suppress(SgdiffError):
                self._events += filter(self._concerns, self._reader.xids())
                self._events += [heat for gpu in self._gpus if (heat := self._heated(gpu, self._reader))]
        self.watch = self._result()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            self._look("during")

    def _look(self, when: Literal["start", "during", "end"]) -> None:
        """One reading of everything; about 2 ms per GPU on a real H200."""
        began = time.monotonic()
        with contextlib.suppress(SgdiffError):
            self._beside |= dict.fromkeys(self._co_runners())
            self._neighbours_told = True
        if self._reader is not None:
            with contextlib.suppress(SgdiffError):
                states = {gpu.uuid: self._reader.state(gpu.uuid) for gpu in self._gpus}
                self._at.append(round(began - self._started, 3))
                for uuid, state in states.items():
                    self._states[uuid].append(state)
                for gpu in self._gpus:
                    listed = self._look_at_processes(gpu.uuid, self._reader, began - self._started, when)
                    self._unlisted[gpu.uuid].append(unlisted_mb(states[gpu.uuid], listed))
        self._cost_s += time.monotonic() - began

    def _look_at_processes(
        self, uuid: str, reader: StateReader, at_s: float, when: Literal["start", "during", "end"]
    ) -> tuple[GpuProcess, ...] | None:
        listed = reader.processes(uuid)
        if listed is None:
            return None
        self._answered.add(uuid)
        for process in listed:
            # Asked while it lives: afterwards nobody can tell whose it was.
            if process.pid not in self._ours and self._owns(process.pid):
                self._ours.add(process.pid)
            # Gone before it could be asked about, as short-lived helpers are; one that stays is listed again.
            if (uuid, process.pid) not in self._seen and not procfs.exists(process.pid):
                self._vanished.add(process.pid)
            else:
                self._vanished.discard(process.pid)
            first = self._seen.get((uuid, process.pid))
            if first is None:
                shown = replace(process, when=when)
            else:
                # What computed once is no mere display, whatever it is listed for later.
                work = "compute" if first[0].work == "compute" else process.work
                shown = replace(process, when=first[0].when, work=work)
            self._most_mb[uuid, process.pid] = max(self._most_mb.get((uuid, process.pid), 0), process.used_mb or 0)
            self._seen[uuid, process.pid] = (shown, at_s if first is None else first[1])
        return listed

    def _concerns(self, xid: GpuEvent) -> bool:
        """Whether the error is of the launch's GPUs: that of another is for another launch to answer. Errors of MIG
        slices bear the name of the whole GPU, which is not known here, so there every one counts."""
        return not xid.gpu_uuid.startswith("GPU-") or any(
            gpu.mig_profile or gpu.uuid == xid.gpu_uuid for gpu in self._gpus
        )

    def _heated(self, gpu: Gpu, reader: StateReader) -> GpuEvent | None:
        before, after = self._heat.get(gpu.uuid), reader.thermal_ns(gpu.uuid)
        if before is None or after is None or after <= before:
            return None
        return GpuEvent(kind="heat", gpu_uuid=gpu.uuid, ms=(after - before) / 1e6)

    def _result(self) -> Watch:
        drawing = self._drawing()
        foreign, pids = self._foreign(drawing)
        every = [state for states in self._states.values() for state in states]
        unknown = (
            [name for name in _COUNTERS if all(getattr(state, name) is None for state in every)] if self._gpus else []
        )
        # An empty list is an answer; each GPU has to give one.
        if pids == "unusable" or any(gpu.uuid not in self._answered for gpu in self._gpus):
            unknown.append("processes")
        # A list that shows nothing of the launch hides the launch's own memory as well.
        hidden = self._hidden_by_gpu() if pids in ("exact", "calibrated") else {}
        return Watch(
            gpus=tuple(_series(gpu.uuid, self._at, self._states[gpu.uuid]) for gpu in self._gpus),
            foreign=foreign,
            drawing=drawing,
            co_runners=tuple(self._beside),
            to_be_alone=self._to_be_alone,
            alone=not self._beside if self._neighbours_told else None,
            isolation=self._isolation,
            hidden_mb=max(hidden.values(), default=None),
            hidden_by_gpu=hidden,
            stolen_s=self._stolen(),
            unknown=tuple(unknown),
            gpu_events=tuple(self._events),
            pids=pids,
            cost_ms=round(self._cost_s * 1000, 1),
        )

    def _stolen(self) -> float | None:
        now = self._stolen_s()
        # The counter of a machine that was moved to another host may start anew.
        return None if now is None or self._stolen_before is None else round(max(0.0, now - self._stolen_before), 2)

    def _drawing(self) -> tuple[GpuProcess, ...]:
        """Processes that only draw a screen, none of them the launch's; on a GPU where they used much, none."""
        found = []
        for gpu in self._gpus:
            listed = [one for (uuid, pid), (one, _) in self._seen.items() if uuid == gpu.uuid and pid not in self._ours]
            most = (replace(one, used_mb=self._most_mb[gpu.uuid, one.pid]) for one in listed)
            draw = {one.pid for one in only_draw(most)}
            found += [one for one in listed if one.pid in draw]
        return tuple(found)

    def _foreign(
        self, drawing: Sequence[GpuProcess]
    ) -> tuple[tuple[GpuProcess, ...], Literal["exact", "calibrated", "unusable"] | None]:
        """Processes that are not the launch's and do more than draw, and how far they could be distinguished."""
        seen = [(process, at_s) for process, at_s in self._seen.values() if process not in drawing]
        if self._ours:
            known = self._ours | self._vanished
            return tuple(process for process, _ in seen if process.pid not in known), "exact"
        used = [state.used_mb for states in self._states.values() for state in states if state.used_mb is not None]
        if not seen:
            hidden = bool(used) and max(used) - min(used) > HIDDEN_MB
            return (), "unusable" if hidden else None
        foreign = [process for process, at_s in seen if process.when == "start" or at_s > self._settled_s]
        return tuple(foreign), "calibrated"

    def _hidden_by_gpu(self) -> dict[str, int]:
        """The growth of unlisted memory since the first look that lasted for some looks, in MiB; 0 if it shrank.
        Without the GPUs that do not report enough."""
        grown = {uuid: lasting_growth(values) for uuid, values in self._unlisted.items()}
        return {uuid: growth for uuid, growth in grown.items() if growth is not None}


def unlisted_mb(state: GpuState, listed: Sequence[GpuProcess] | None) -> int | None:
    """Memory in use (MiB) that the listed processes do not account for; None where either is not told.

    The two are read a moment apart, so one such figure alone says nothing while the launch allocates.
    """
    if state.used_mb is None or listed is None or any(process.used_mb is None for process in listed):
        return None
    return state.used_mb - sum(process.used_mb or 0 for process in listed)


def lasting_growth(values: Sequence[int | None]) -> int | None:
    """By how much the values exceed the first of them in LASTING successive ones; 0 if they never do."""
    known = [value for value in values if value is not None]
    if len(known) < LASTING:
        return None
    lasting = (min(known[at : at + LASTING]) for at in range(len(known) - LASTING + 1))
    return max(0, max(lasting) - known[0])


def _series(uuid: str, at_s: Sequence[float], states: Sequence[GpuState]) -> GpuSeries:
    return GpuSeries(
        gpu_uuid=uuid,
        at_s=tuple(at_s),
        sm_mhz=tuple(state.sm_mhz for state in states),
        mem_mhz=tuple(state.mem_mhz for state in states),
        power_w=tuple(state.power_w for state in states),
        temperature_c=tuple(state.temperature_c for state in states),
        util_pct=tuple(state.util_pct for state in states),
        memory_mb=tuple(state.used_mb for state in states),
        reasons=tuple(state.reasons for state in states),
    )
