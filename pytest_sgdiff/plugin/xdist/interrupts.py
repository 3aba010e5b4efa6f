"""In the controller: signals that end the run, raised where that breaks nothing.

xdist's loop waits in a queue that threads fill. An exception that a signal handler raises in there leaves the queue's
lock in a state that nobody expects ("release unlocked lock"), above all where two signals follow one another: GNU
`timeout` sends SIGTERM to its child and then to the whole group. So a signal only leaves a note, and the loop raises
KeyboardInterrupt when it handles its next event.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from queue import SimpleQueue
from types import FrameType
from typing import Any, Literal

from pytest_sgdiff.launch.signals import as_ctrl_c

PATIENCE_S = 5.0
"""How long after the first signal another one is taken for the same order. A loop that has not come round by then
hangs in a hook, and is interrupted there."""

_EVENT = "sgdiff_interrupt"


class Interrupts:
    """What the controller does at SIGTERM and SIGHUP, and while xdist's loop runs at Ctrl-C."""

    def __init__(self) -> None:
        self._at: Literal["start", "loop", "end"] = "start"
        self._heard_s: float | None = None
        # Written to by signal handlers, which may interrupt one another: it is the one queue that bears that.
        self._notes: SimpleQueue[str] = SimpleQueue()

    @contextlib.contextmanager
    def of_run(self) -> Iterator[None]:
        """From the start of the session until pytest is done. Before the loop the first signal raises. From the end of
        the loop on signals are ignored: the run ends, in bounded time, and what it still does is to leave nothing."""
        with as_ctrl_c(self._hear):
            yield

    @contextlib.contextmanager
    def in_loop(self, dsession: Any) -> Iterator[None]:
        """While xdist's loop runs. Raises KeyboardInterrupt out of it."""
        setattr(dsession, f"worker_{_EVENT}", self._raise)
        carrier = threading.Thread(target=self._carry, args=(dsession.queue,), name="sgdiff-interrupts", daemon=True)
        carrier.start()
        # Only the main thread may set handlers, and pytest may run in another one.
        main = threading.current_thread() is threading.main_thread()
        ctrl_c = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        self._at = "loop"
        if ctrl_c:
            signal.signal(signal.SIGINT, self._hear)
        try:
            yield
        finally:
            self._at = "end"
            if ctrl_c:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            self._notes.put("")
            carrier.join()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        """The handler. It takes no lock: the thread that it interrupts may hold it."""
        now = time.monotonic()
        if self._at == "start":
            self._at = "end"
            raise KeyboardInterrupt
        if self._at == "loop":
            if self._heard_s is None:
                self._heard_s = now
                self._notes.put(_EVENT)
            elif now - self._heard_s > PATIENCE_S:
                self._heard_s = now
                raise KeyboardInterrupt

    def _carry(self, queue: Any) -> None:
        while event := self._notes.get():
            queue.put((event, {}))

    def _raise(self) -> None:
        raise KeyboardInterrupt
