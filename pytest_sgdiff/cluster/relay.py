"""What Ray runs on a node: it starts a process of this plugin and passes lines between that and pytest.

Ray gets this module by value, so that a node without the plugin can say so: at its top it imports the standard library
only.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

UNHEARD_S = 60.0
"""How long nobody may ask for news before the launch is ended: pytest asks every few seconds while it lives."""

LOOK_S = 1.0
"""How often to look whether the node still is one."""

ENDING_S = 60.0
"""How long a launch may take to end after the end of its process's input: as long as `process_group.KILLED_S`."""


def lacks(version: str) -> dict[str, str] | None:
    """What keeps this node from launching: it lacks the plugin, or has another version of it."""
    try:
        import pytest_sgdiff
    except ImportError as error:
        return {"code": "no-plugin", "wanted": version, "error": str(error)}
    found = pytest_sgdiff.__version__
    return None if found == version else {"code": "other-plugin", "found": found, "wanted": version}


def started_with() -> dict[str, str]:
    """The environment of `ray start` on this node, as the parent of this worker has it. Ray adds to the one
    (LD_PRELOAD) and to the other (OMP_NUM_THREADS)."""
    try:
        with open(f"/proc/{os.getppid()}/environ", "rb") as file:
            words = file.read().decode("utf-8", "surrogateescape").split("\0")
        with open(f"/proc/{os.getppid()}/cmdline", "rb") as file:
            raylet = b"raylet" in file.read()
    except OSError:
        raylet, words = False, []
    if raylet:
        parents = dict(word.split("=", 1) for word in words if "=" in word)
        return {name: value for name, value in parents.items() if name in os.environ}
    return {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}


def environment(forwarded: Mapping[str, str], *, gpus: bool) -> dict[str, str]:
    """What the process starts from: the node's environment, what the job's runtime environment adds, and what pytest
    forwards. With `gpus` it sees those that Ray assigned, and no others."""
    import ray

    context = ray.get_runtime_context()
    env = started_with() | dict(context.runtime_env.get("env_vars") or {}) | dict(forwarded)
    env = {name: value for name, value in env.items() if not name.startswith("RAY_")}
    if gpus:
        env["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, context.get_accelerator_ids().get("GPU", [])))
    return env


def start(forwarded: Mapping[str, str], *, gpus: bool) -> subprocess.Popen[bytes]:
    """The process of this plugin that launches."""
    import pytest_sgdiff

    root = os.path.dirname(os.path.dirname(os.path.abspath(pytest_sgdiff.__file__)))
    code = f"import sys; sys.path.insert(0, {json.dumps(root)}); from pytest_sgdiff.cluster.node import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env=environment(forwarded, gpus=gpus),
    )


def once(version: str, forwarded: Mapping[str, str], line: str) -> dict[str, Any]:
    """The answer of such a process to one line."""
    if (trouble := lacks(version)) is not None:
        return {"trouble": trouble}
    process = start(forwarded, gpus=False)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline().decode()
    finally:
        with contextlib.suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        if process.stdout is not None:
            process.stdout.close()
        process.wait()
    return (
        {"answer": answer}
        if answer.endswith("\n")
        else {"trouble": {"code": "no-answer", "error": "its launcher died"}}
    )


class Relay:
    """An actor: the process of one lease, and the lines in both directions. Its methods are called at the same time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lines: list[str] = []
        self._ended = False
        self._news = threading.Condition()
        self._asked_at = time.monotonic()
        self._raylet = os.getppid()

    def open(self, version: str, forwarded: Mapping[str, str]) -> dict[str, Any]:
        """Start the process; says where, or why not."""
        if (trouble := lacks(version)) is not None:
            return {"trouble": trouble}
        self._process = start(forwarded, gpus=True)
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=self._listened_to, daemon=True).start()
        return {"node": os.uname().nodename}

    def _listen(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break  # killed in the middle of it: half a line says nothing
            with self._news:
                self._lines.append(line.decode())
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def _listened_to(self) -> None:
        """Ends the launch if pytest is gone, or Ray on this node, and this worker did not notice: Ray takes its raylet
        for alive as long as nobody has asked for its exit code."""
        while not self._ended:
            time.sleep(LOOK_S)
            if os.getppid() != self._raylet or time.monotonic() - self._asked_at > UNHEARD_S:
                self.close()
                return

    def news(self, seen: int, wait_s: float) -> dict[str, Any]:
        """The lines after the first `seen`, once there are some or the time is over, and whether there will be more."""
        self._asked_at = time.monotonic()
        with self._news:
            self._news.wait_for(lambda: len(self._lines) > seen or self._ended, wait_s)
            # What was seen is not asked for again.
            self._lines[:seen] = [""] * min(seen, len(self._lines))
            return {"lines": self._lines[seen:], "ended": self._ended}

    def tell(self, line: str) -> None:
        """Pass a line on."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()

    def close(self) -> None:
        """End what runs, and wait until it has ended."""
        if self._process is None:
            return
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(ENDING_S)
