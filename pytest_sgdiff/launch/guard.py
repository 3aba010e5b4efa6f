"""Ends a launch whose launcher is dead: a server, which never ends by itself and keeps its GPUs; and every launch on a
node of a cluster, where no later run may come by to end it.

A process of its own: it waits on a pipe whose other end the launcher holds. A pipe that ends without a word means that
the launcher does not live any more.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pytest_sgdiff.launch import process_group

GRACE_S = 10.0
"""How long the server may take to end after SIGTERM: nobody waits for what it would still write."""

_DONE = b"done"


class Guard:
    """The process that watches over one launch, which carries `tag`; `folders` are removed with it."""

    def __init__(self, tag: str, folders: Sequence[str] = ()) -> None:
        root = str(Path(__file__).parents[2])
        code = (
            f"import sys; sys.path.insert(0, {json.dumps(root)}); from pytest_sgdiff.launch.guard import main; main()"
        )
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, tag, *folders],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
        )

    def watch(self, leader: int) -> None:
        """Tell it the leader of the launch's processes."""
        self._say(f"{leader}\n".encode())

    def close(self, *, gone: bool) -> None:
        """Let it go, if nothing of the launch is left (`gone`); else have it end that, and wait until it has."""
        if gone:
            self._say(_DONE)
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process.wait()

    def _say(self, word: bytes) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):  # somebody ended it
                self._process.stdin.write(word)
                self._process.stdin.flush()


def main() -> None:
    """Wait for the end of the pipe; end the launch if it came without a word."""
    tag, heard = sys.argv[1], b""
    while part := os.read(0, 4096):
        heard += part
    if heard.endswith(_DONE):
        return
    leader = heard.split(b"\n")[0]
    if leader.isdigit():
        process_group.end(int(leader), tag, grace_s=GRACE_S, linger_s=0.0, between=time.sleep)
    else:
        process_group.end_unknown(tag)
    for folder in sys.argv[2:]:
        shutil.rmtree(folder, ignore_errors=True)
