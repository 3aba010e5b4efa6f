"""The process that talks to Ray (`driver`), as pytest has it: started, asked, ended."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pytest_sgdiff import __version__
from pytest_sgdiff.cluster.nodes import Node, Placement
from pytest_sgdiff.data import EngineInfo, Gpu, Machine, NodeTrouble
from pytest_sgdiff.errors import ClusterError, MissingExtraError
from pytest_sgdiff.files.wire import from_plain
from pytest_sgdiff.judging.inherited import inherited, is_work

CONNECT_S = 60.0
"""How long joining a cluster may take. Ray itself gives up after some 30 s where nobody answers."""

NODES_S = 180.0
"""How long all nodes together may take to say what they have."""

POLL_S = 0.2
"""How often a wait looks whether anybody still waits."""

SYNC_STAGES = "SGLANG_DIFFUSION_SYNC_STAGE_PROFILING"
"""Changes which numbers are comparable, though not what is done."""

Message = dict[str, Any]


class LineEndedError(Exception):
    """The process that talks to Ray is gone: Ray ends it where the cluster, or its node, is lost."""


def require_ray() -> None:
    """Raises MissingExtraError where Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise MissingExtraError(
            "--sgdiff-cluster needs Ray, which is not installed here: pip install 'ray>=2.50', here and on every node"
        )


def forwarded(environ: Mapping[str, str]) -> dict[str, str]:
    """What of the shell of pytest every launch on a node inherits, as it would here: what changes the work. Libraries
    that are loaded first are files of this machine."""
    names = (name for name in inherited(environ) if is_work(name) or name == SYNC_STAGES)
    return {name: environ[name] for name in names if not name.startswith("LD_")}


class Client:
    """The process, from the first question to `close`. One question at a time. `head` is where the head of the cluster
    listens, once it is known."""

    def __init__(self) -> None:
        mine, other = socket.socketpair()
        root = str(Path(__file__).parents[2])
        code = (
            f"import sys; sys.path.insert(0, {json.dumps(root)}); from pytest_sgdiff.cluster.driver import main; main()"
        )
        with mine, other:
            # In a session of its own: Ctrl-C is for pytest, which says what becomes of the launch.
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, str(other.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(other.fileno(),),
                start_new_session=True,
            )
            self._line = Connection(mine.detach())
        self.head: tuple[str, int] | None = None

    def say(self, do: str, **fields: object) -> None:
        """Ask for something. Raises LineEndedError."""
        try:
            self._line.send({"do": do, **fields})
        except OSError:
            raise LineEndedError from None

    def hear(self, wait_s: float = POLL_S) -> Message | None:
        """What it answers within that time, None if nothing. Raises LineEndedError."""
        try:
            return dict(self._line.recv()) if self._line.poll(wait_s) else None
        except (EOFError, OSError):
            raise LineEndedError from None

    def answer(self, kind: str, wait_s: float, *, besides: Sequence[str] = ()) -> Message:
        """The answer of that kind, or of one of `besides`; others are passed over. Raises LineEndedError, also where
        it does not come in time."""
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0:
            heard = self.hear(min(left, POLL_S))
            if heard is not None and heard["kind"] in (kind, *besides):
                return heard
        raise LineEndedError

    def close(self) -> None:
        """End it, and with it what it still has on the cluster."""
        self._line.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(15.0)
            return
        self._process.kill()
        self._process.wait()


def connect(address: str) -> Client:
    """Join the cluster at `address`, or the one that is found (`auto`). Raises ClusterError if there is none."""
    try:
        client = Client()
    except OSError as error:
        raise ClusterError((), f"no process to ask the Ray cluster at {address}: {error.strerror or error}") from None
    said = "it does not answer"
    try:
        client.say("connect", address=address)
        answer = client.answer("connected", CONNECT_S, besides=("failed",))
        if answer["kind"] == "connected":
            client.head = answer["head"]
            return client
        said = answer["error"]
    except LineEndedError:
        pass
    except BaseException:
        client.close()
        raise
    client.close()
    raise ClusterError((), f"no Ray cluster at {address}: {' '.join(said.split())}")


def answers(head: tuple[str, int]) -> bool:
    """Whether the head of a cluster accepts a connection."""
    try:
        socket.create_connection(head, 5.0).close()
    except OSError:
        return False
    return True


def look(
    client: Client, *, engine: Sequence[str], base: Sequence[str], environ: Mapping[str, str]
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """Every node of the cluster with what it has, and Ray's names of accelerators. Raises LineEndedError."""
    line = json.dumps({"kind": "look", "engine": list(engine), "base": list(base)})
    client.say("nodes", version=__version__, forwarded=forwarded(environ), line=line)
    answer = client.answer("nodes", NODES_S)
    names = [said["name"] for said in answer["nodes"]]
    for said in answer["nodes"]:
        # Two nodes of one host, as of containers, are told apart by what Ray calls them.
        said["name"] += f" ({said['id'][:6]})" * (names.count(said["name"]) > 1)
    return tuple(map(_node, answer["nodes"])), tuple(answer["types"])


def _node(said: Message) -> Node:
    resources, name = said["resources"], said["name"]
    types = [one.partition(":")[2] for one in sorted(resources) if one.startswith("accelerator_type:")]
    declared = int(resources.get("GPU", 0))
    node = Node(
        id=said["id"],
        name=name,
        declared=declared,
        cpus=int(resources.get("CPU", 0)),
        # The most general of several: `A100` beside `A100-80G`.
        accelerator=min(types, key=len, default=""),
    )
    if "trouble" in said:
        return _troubled(node, said["trouble"])
    told = json.loads(said["answer"])
    if told["kind"] != "look":
        return _troubled(node, {"code": "no-answer", "error": told["message"]})
    for key, code in (("engine", "no-engine"), ("base", "no-base-engine")):
        if "error" in told[key]:
            return _troubled(node, {"code": code, "error": told[key]["error"]})
    gpus = tuple(from_plain(Gpu, one) for one in told["gpus"])[:declared]
    return Node(
        id=node.id,
        name=name,
        declared=declared,
        cpus=node.cpus,
        accelerator=node.accelerator,
        gpus=gpus,
        note=f"Ray counts {declared} GPUs there, {told['note']}" if declared and not gpus else "",
        cpu=from_plain(Machine, told["cpu"]),
        host=told["host"],
        driver=told["driver"],
        engine=from_plain(EngineInfo, told["engine"]["info"]),
        base=from_plain(EngineInfo, told["base"]["info"]) if told["base"] else None,
        token=told["token"],
    )


def _troubled(node: Node, trouble: Mapping[str, str]) -> Node:
    import dataclasses

    return dataclasses.replace(node, trouble=from_plain(NodeTrouble, {"node": node.name, **trouble}))


def opened(client: Client, placement: Placement, *, environ: Mapping[str, str], waiting: Callable[[], None]) -> Message:
    """The answer to a place that is asked for: `opened`, `trouble`, or `lost`. `waiting` is called while Ray has none,
    and may raise. Raises LineEndedError."""
    client.say(
        "open",
        bundle=dict(placement.bundle),
        among=list(placement.among),
        first=placement.first,
        version=__version__,
        forwarded=forwarded(environ),
    )
    placed = False
    while True:
        heard = client.hear()
        if heard is None:
            if not placed:
                waiting()
        elif heard["kind"] == "placed":
            placed = True
        else:
            return heard
