"""Signals that end this process, held back while something is half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a run: Ctrl-C, what CI servers and containers send, and a terminal that is closed."""


@contextlib.contextmanager
def held_back() -> Iterator[Callable[[], bool]]:
    """Signals that end this process act at the end of the block, as they would have without it. Gives a function that
    says whether one came. Only the main thread may set handlers, and only it is interrupted."""
    came: list[signal.Signals] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number))

    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.getsignal(number) for number in _ENDING} if main else {}
    taken = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in taken:
        signal.signal(number, note)
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
