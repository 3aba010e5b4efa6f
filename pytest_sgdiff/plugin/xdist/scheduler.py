"""The scheduler: an idle worker sits on the park item, and `[case, park]` sets it going."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import pytest

from pytest_sgdiff.plugin.xdist.needs import CaseNeed
from pytest_sgdiff.plugin.xdist.worker_side import PARK


class Worker(Protocol):
    """xdist's WorkerController, as far as it is used here."""

    gateway: Any
    shutting_down: bool

    def send_runtest_some(self, indices: Sequence[int]) -> None: ...


class Queue:
    """What is still to be handed out, in order. Cases of as many GPUs stand in one line, so that those that fit are
    found without going through all that do not."""

    def __init__(self, gpus: Callable[[tuple[int, ...]], int], units: Sequence[tuple[int, ...]] = ()) -> None:
        self._gpus = gpus
        self._lines: dict[int, deque[tuple[int, tuple[int, ...]]]] = {}
        self._first = 0
        for place, unit in enumerate(units):
            self._line(unit).append((place, unit))

    def put_first(self, unit: tuple[int, ...]) -> None:
        """Hand this out before all others."""
        self._first -= 1
        self._line(unit).appendleft((self._first, unit))

    def take(self, *, at_most: int | None) -> tuple[int, ...] | None:
        """The first that needs no GPU or at most so many; with None the first whatever it needs. None if there is
        none."""
        fits = [need for need, line in self._lines.items() if line and (not need or at_most is None or need <= at_most)]
        return self._lines[min(fits, key=lambda need: self._lines[need][0])].popleft()[1] if fits else None

    def __bool__(self) -> bool:
        return any(self._lines.values())

    def _line(self, unit: tuple[int, ...]) -> deque[tuple[int, tuple[int, ...]]]:
        return self._lines.setdefault(self._gpus(unit), deque())


class GpuScheduling:
    """An xdist scheduler (xdist.scheduler.Scheduling) that starts a case on an idle worker once its GPUs are free."""

    def __init__(
        self,
        config: pytest.Config,
        *,
        workers: int,
        size: int,
        needs: Callable[[], Mapping[str, CaseNeed]],
        held_by_others: Callable[[], int] = lambda: 0,
        on_collected: Callable[[int], None] = lambda tests: None,
    ) -> None:
        self.config = config
        self.numnodes = workers
        self.collection: list[str] | None = None
        self._size = size
        self._read_needs = needs
        self._held_by_others = held_by_others
        self._on_collected = on_collected
        self._collections: dict[Worker, list[str]] = {}
        self._sent: dict[Worker, list[int]] = {}
        self._needs: dict[int, CaseNeed] = {}
        self._queue = Queue(self._gpus)
        self._park = -1

    # What xdist asks ---------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> list[Worker]:
        return list(self._sent)

    @property
    def collection_is_completed(self) -> bool:
        return self.collection is not None or len(self._collections) >= self.numnodes

    @property
    def tests_finished(self) -> bool:
        return self.collection_is_completed and not self._queue and all(map(self._is_idle, self._sent))

    @property
    def has_pending(self) -> bool:
        return bool(self._queue) or not all(map(self._is_idle, self._sent))

    @property
    def waits(self) -> bool:
        """Whether a worker stands idle while a case waits for GPUs."""
        return bool(self._queue) and any(self._is_idle(node) for node in tuple(self._sent))

    # What xdist tells --------------------------------------------------------------------------------------------

    def add_node(self, node: Worker) -> None:
        self._sent[node] = []

    def add_node_collection(self, node: Worker, collection: Sequence[str]) -> None:
        if self.collection is not None and list(collection) != self.collection:
            return  # a replacement that collects something else is not used; xdist's own schedulers do the same
        self._collections[node] = list(collection)

    def schedule(self) -> None:
        if self.collection is None and not self._begin():
            return
        for node in self._collections:
            if node in self._sent and not self._sent[node] and self.collection:
                self._send(node, [self._park])
        self._dispatch()

    def mark_test_complete(self, node: Worker, item_index: int, duration: float = 0) -> None:
        self._sent[node].remove(item_index)
        self._dispatch()

    def mark_test_pending(self, item: str) -> None:
        if self.collection is not None:
            self._queue.put_first((self.collection.index(item),))
            self._dispatch()

    def remove_pending_tests_from_node(self, node: Worker | None, indices: Sequence[int]) -> None:
        """The poke: nothing was unscheduled, but GPUs may be free by now."""
        self._dispatch()

    def remove_node(self, node: Worker) -> str | None:
        sent = [index for index in self._sent.pop(node) if index != self._park]
        self._collections.pop(node, None)
        if not sent or self.collection is None:
            return None
        crashed, *rest = sent
        if rest:
            self._queue.put_first(tuple(rest))
        self._dispatch()
        return self.collection[crashed]

    # How it decides ----------------------------------------------------------------------------------------------

    def _begin(self) -> bool:
        """Takes the collection once all workers have the same; reports the difference and does nothing otherwise."""
        from xdist.report import report_collection_diff

        (first, collection), *others = self._collections.items()
        same = True
        for node, other in others:
            difference = report_collection_diff(collection, other, first.gateway.id, node.gateway.id)
            if difference:
                same = False
                report = pytest.CollectReport(node.gateway.id, "failed", longrepr=difference, result=[])
                self.config.hook.pytest_collectreport(report=report)
        if not same:
            return False
        self.collection = collection
        known = self._read_needs()
        self._needs = {index: known[node_id] for index, node_id in enumerate(collection) if node_id in known}
        parks = [index for index, node_id in enumerate(collection) if node_id.endswith(PARK)]
        self._park = parks[0] if parks else -1
        tests = [index for index in range(len(collection)) if index not in parks]
        self._queue = Queue(self._gpus, units(collection, tests, self._needs, workers=len(self._collections)))
        self._on_collected(len(tests))
        return True

    def _is_idle(self, node: Worker) -> bool:
        return all(index == self._park for index in self._sent[node]) and len(self._sent[node]) < 2

    def _dispatch(self) -> None:
        """Gives idle workers what fits now. Decided anew at each event, since estimates are often wrong."""
        idle = [node for node in self._sent if self._is_parked(node)]
        if not idle or not self._queue:
            return
        running = sum(self._gpus(tuple(sent)) for sent in self._sent.values())
        left = self._size - running - self._held_by_others()
        while idle:
            # With nothing of ours on GPUs the next case goes out anyway: its lease holds our place in the host's queue.
            unit = self._queue.take(at_most=left if running else None)
            if unit is None:
                return
            need = self._gpus(unit)
            self._send(idle.pop(0), [*unit, self._park])
            running, left = running + need, left - need

    def _is_parked(self, node: Worker) -> bool:
        return self._sent[node] == [self._park] and not node.shutting_down

    def _gpus(self, indices: tuple[int, ...]) -> int:
        """GPUs that the tests will hold; none for a case that is too wide, which its fixture refuses at once."""
        needed = max((self._needs[index].gpus for index in indices if index in self._needs), default=0)
        return needed if needed <= self._size else 0

    def _send(self, node: Worker, indices: list[int]) -> None:
        self._sent[node] += indices
        node.send_runtest_some(indices)


def units(
    collection: Sequence[str], tests: Sequence[int], needs: Mapping[int, CaseNeed], *, workers: int
) -> list[tuple[int, ...]]:
    """What is handed out at a time, in order: cases one by one, most GPU-seconds first; then tests that are no cases,
    neighbours of one file together, so that their fixtures are set up once and a trip to the worker is worth while."""
    cases = [index for index in tests if index in needs]
    cases.sort(key=lambda index: (-needs[index].gpu_seconds, -needs[index].seconds, index))
    others = [index for index in tests if index not in needs]
    most = max(1, len(others) // (4 * max(1, workers)))
    groups: list[list[int]] = []
    for index in others:
        file = collection[index].partition("::")[0]
        if groups and len(groups[-1]) < most and collection[groups[-1][0]].partition("::")[0] == file:
            groups[-1].append(index)
        else:
            groups.append([index])
    return [(index,) for index in cases] + [tuple(group) for group in groups]
