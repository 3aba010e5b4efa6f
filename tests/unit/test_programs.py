"""Small programs: what they say, and that none of them outlives whoever asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_sgdiff.files import programs
from pytest_sgdiff.files.programs import Answer, ask
from tests.waiting import alive, wait_for

ASKING = """
import signal, sys
from pytest_sgdiff.files.programs import ask
# A run under nohup, or in the background of a shell, has started this with them ignored.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
ask(["bash", "-c", "sleep 600 & echo $BASHPID $! > pids.new && mv pids.new pids; wait"], timeout_s=60.0)
print("went on", flush=True)
"""


def test_what_a_program_says_comes_back_with_its_code() -> None:
    answer = ask(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=30.0)
    assert answer == Answer(code=3, out="out\n", err="err\n")


def test_one_that_does_not_end_or_is_not_there_has_no_code(tmp_path: Path) -> None:
    assert ask(["sleep", "600"], timeout_s=0.0).why == "it did not end within 0 s"
    for argv in (["/no/such/program"], ["a\0b"], [str(tmp_path)]):
        answer = ask(argv, timeout_s=30.0)
        assert answer.code is None
        assert answer.why.startswith("it cannot be run: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=lambda number: number.name)
def test_nothing_of_it_outlives_a_signal_that_ends_whoever_asked(tmp_path: Path, number: signal.Signals) -> None:
    """It has a session of its own, which no signal to the group of pytest reaches."""
    env = {**os.environ, "PYTHONPATH": str(Path(programs.__file__).parents[2])}
    asking = subprocess.Popen([sys.executable, "-c", ASKING], cwd=tmp_path, env=env, stdout=-1, stderr=-1, text=True)
    wait_for(lambda: (tmp_path / "pids").exists())
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert all(map(alive, pids))
    # GNU timeout sends two in a row.
    asking.send_signal(number)
    asking.send_signal(number)
    out, err = asking.communicate(timeout=30)
    assert asking.returncode == -number, err
    assert out == ""
    wait_for(lambda: not any(map(alive, pids)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_signal_while_it_is_started_waits_until_it_can_be_ended(
    monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """An exception out of the start would leave a process whose number nobody knows."""
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **more: object) -> None:
            super().__init__(*args, **more)  # type: ignore[call-overload]
            started.append(self)
            os.kill(os.getpid(), number)
            started.append(self)  # which an exception in the handler would have left out

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, interrupt)
    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            ask(["sleep", "600"], timeout_s=60.0)
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)
    assert len(started) == 2
    assert started[0].returncode == -signal.SIGKILL


def test_a_signal_that_is_ignored_ends_nothing_and_a_thread_sets_no_handlers() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ask(["sh", "-c", f"kill -HUP {os.getpid()}; echo out"], timeout_s=30.0).out == "out\n"
    finally:
        signal.signal(signal.SIGHUP, before)
    said = []
    thread = threading.Thread(target=lambda: said.append(ask(["echo", "out"], timeout_s=30.0).out))
    thread.start()
    thread.join()
    assert said == ["out\n"]
