"""What passes lines between a node and pytest: only whole ones, whatever ends the process in the middle of one."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping

import pytest

from pytest_sgdiff import __version__
from pytest_sgdiff.cluster import relay

SAYS = """import os, sys
sys.stdin.readline()
os.write(1, b'{"kind": "wait"}\\n{"kind": "laun')
"""


@pytest.fixture
def dies(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A launcher that is killed while it says something."""
    started: list[subprocess.Popen[bytes]] = []

    def start(forwarded: Mapping[str, str], *, gpus: bool) -> subprocess.Popen[bytes]:
        text = SAYS if gpus else SAYS.replace('{"kind": "wait"}\\n', "")
        command = [sys.executable, "-S", "-c", text]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        return started[-1]

    monkeypatch.setattr(relay, "start", start)
    yield
    for process in started:
        with contextlib.suppress(OSError), process:
            pass


@pytest.mark.usefixtures("dies")
def test_half_a_line_of_a_launcher_that_is_killed_is_not_passed_on() -> None:
    passes = relay.Relay()
    passes.open(__version__, {})
    passes.tell("{}")
    lines: list[str] = []
    while not (news := passes.news(len(lines), 10.0))["ended"]:
        lines += news["lines"]
    lines += news["lines"]
    assert [json.loads(line) for line in lines] == [{"kind": "wait"}]
    passes.close()


@pytest.mark.usefixtures("dies")
def test_half_an_answer_is_none() -> None:
    assert relay.once(__version__, {}, "{}") == {"trouble": {"code": "no-answer", "error": "its launcher died"}}
