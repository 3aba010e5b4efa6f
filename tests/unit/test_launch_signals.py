"""Signals that act as Ctrl-C for a while."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from pytest_sgdiff.launch.signals import as_ctrl_c

FATAL = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def handlers_of_a_new_process() -> Iterator[None]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in FATAL}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", FATAL)
def test_what_would_end_the_process_is_an_interrupt(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt), as_ctrl_c():
        os.kill(os.getpid(), number)
    assert [signal.getsignal(each) for each in FATAL] == [signal.SIG_DFL, signal.SIG_DFL]


def test_nohup_and_the_handlers_of_others_are_left_alone() -> None:
    seen = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    with as_ctrl_c():
        for number in FATAL:
            os.kill(os.getpid(), number)
    assert seen == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL


def test_a_thread_which_may_set_no_handlers_does_without() -> None:
    seen = []

    def work() -> None:
        with as_ctrl_c():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
