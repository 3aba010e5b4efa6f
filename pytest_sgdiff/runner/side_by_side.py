"""The two launches of an A/B pair at the same time, each on its own half of the lease's GPUs.

It takes half the time of one after the other, and both meet the same state of the host. What they share (CPUs, memory,
power) is shared by both alike. They change GPUs from pair to pair, so that a slower GPU is on each side as often.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from pytest_sgdiff.data import Launch
from pytest_sgdiff.gpus import Lease
from pytest_sgdiff.launch.signals import as_ctrl_c
from pytest_sgdiff.runner.job import Source
from pytest_sgdiff.runner.live import LiveSource

JOIN_S = 0.2
"""How often the thread that waits for both looks for Ctrl-C."""


class SideBySide:
    """Makes the launches of two sources together: whichever is asked first, the other's is kept until it is asked."""

    def __init__(self, base: LiveSource, now: LiveSource, lease: Lease) -> None:
        self._stop = threading.Event()
        self._sources = tuple(replace(one, abandoned=self._or_stopped(one.abandoned)) for one in (base, now))
        self._lease = lease
        self._made: tuple[deque[Launch | None], deque[Launch | None]] = (deque(), deque())
        self._pairs = 0

    @property
    def base(self) -> Source:
        """The launches of the base engine."""
        return _Side(self, 0)

    @property
    def now(self) -> Source:
        """Those of the current engine."""
        return _Side(self, 1)

    def launch(self, place: int, *, alone: bool) -> Launch | None:
        """The next launch of one of the two."""
        if not self._made[place]:
            self._both(alone=alone)
        return self._made[place].popleft()

    def _both(self, *, alone: bool) -> None:
        enter = self._lease.alone if alone else self._lease.shared
        with enter(timeout_s=self._sources[0].host_timeout_s), self._lease.halves() as halves:
            turned = halves if self._pairs % 2 == 0 else halves[::-1]
            self._pairs += 1
            for source, half in zip(self._sources, turned, strict=True):
                source.lease = half
            threads = [_Launching(source, alone=alone, failed=self._stop.set) for source in self._sources]
            # Only this thread hears of signals.
            with as_ctrl_c():
                try:
                    for thread in threads:
                        thread.start()
                    while any(thread.is_alive() for thread in threads):
                        for thread in threads:
                            thread.join(JOIN_S)
                finally:
                    self._stop.set()
                    for thread in threads:
                        thread.join()
                    self._stop.clear()
        errors = [thread.error for thread in threads if thread.error is not None]
        # The other one was given up because of it.
        for error in sorted(errors, key=lambda error: isinstance(error, KeyboardInterrupt)):
            raise error
        for made, thread in zip(self._made, threads, strict=True):
            made.append(thread.made)

    def _or_stopped(self, abandoned: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: self._stop.is_set() or abandoned()


class _Side:
    def __init__(self, both: SideBySide, place: int) -> None:
        self._both, self._place = both, place

    def launch(self, *, alone: bool) -> Launch | None:
        """The next launch of this side."""
        return self._both.launch(self._place, alone=alone)


class _Launching(threading.Thread):
    """One launch in a thread of its own; `failed` is called where it raises."""

    def __init__(self, source: LiveSource, *, alone: bool, failed: Callable[[], None]) -> None:
        super().__init__(name="sgdiff-launch")
        self._source, self._alone, self._failed = source, alone, failed
        self.made: Launch | None = None
        self.error: BaseException | None = None

    def run(self) -> None:
        """Launch, and keep what comes of it."""
        try:
            self.made = self._source.launch(alone=self._alone)
        except BaseException as error:
            self.error = error
            self._failed()
