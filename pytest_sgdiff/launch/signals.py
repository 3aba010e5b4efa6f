"""Signals that would end this process at once, and leave the engines that it started on their GPUs, act as Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

# What CI servers, systemd and containers end a job with, and what a terminal that is closed sends.
_FATAL = (signal.SIGTERM, signal.SIGHUP)

Handler = Callable[[int, FrameType | None], object]


@contextlib.contextmanager
def as_ctrl_c(handler: Handler = signal.default_int_handler) -> Iterator[None]:
    """SIGTERM and SIGHUP raise KeyboardInterrupt in the main thread for the time of the block, or call `handler` there.

    Only the main thread may set handlers: in any other one this does nothing. A handler that somebody else has set is
    respected, and so is a signal that is ignored, as SIGHUP is under nohup.
    """
    main = threading.current_thread() is threading.main_thread()
    taken = [number for number in _FATAL if main and signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, handler)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)
