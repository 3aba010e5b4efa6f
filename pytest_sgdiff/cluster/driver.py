"""The process that talks to Ray for one process of pytest.

Ray ends a process that is connected to it and loses its node or the head of the cluster. So pytest is not connected: it
starts this process, and its end is one of the things that may happen to a launch.

    asked by pytest                            answered
    connect   address                          connected | failed
    nodes     version, forwarded, line         nodes
    ask       node, version, forwarded, line   answer
    open      placement, version, forwarded    placed, opened | trouble | refused | lost
    tell      line
                                               line..., lost
    close                                      closed
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from pytest_sgdiff.cluster import relay

POLL_S = 0.05
"""How often both sides are looked at."""

NEWS_S = 2.0
"""How long one question for news may wait on the node."""

ANSWER_S = 120.0
"""How long a node may take to say what it has: a worker of Ray and an interpreter of the engine start for it."""

OPENING_S = 300.0
"""How long a worker of Ray may take to start on a node that has room for it."""

UNAVAILABLE_S = 45.0
"""How long a node that cannot be reached may be so before its launch counts as lost. Ray says after at most 25 s that a
node is dead (its health check: five times, every 3 s, with a time-out of 10 s for the first)."""

LEAVE_S = 10.0
"""How long leaving the cluster may take."""

HEAD_S = 15.0
"""How long the head of the cluster may refuse connections while a node cannot be reached either, or none is to be had:
Ray itself waits for 60 s, and ends this process then. A launch whose node answers is not asked about the head."""

HEAD_ANSWERS_S = 2.0
"""How long the head may take to accept a connection."""


class Driver:
    """What answers. `_ray` is the module: importing it takes a second."""

    def __init__(self, line: Connection) -> None:
        self._line = line
        self._ray: Any = None
        self._group: Any = None
        self._actor: Any = None
        self._pending: Any = None
        self._stage = ""
        self._node = ""
        self._asked: dict[str, Any] = {}
        self._head = ("", 0)
        self._seen, self._silent_since, self._looked_at, self._headless_since = 0, 0.0, 0.0, 0.0

    def serve(self) -> None:
        """Answer until pytest is gone."""
        while True:
            try:
                heard = self._line.poll(POLL_S if self._stage else None)
                message = self._line.recv() if heard else None
            except (EOFError, OSError):
                return
            if message is not None:
                getattr(self, f"do_{message['do']}")(message)
            elif self._stage:
                self._step()

    def _say(self, kind: str, **fields: object) -> None:
        self._line.send({"kind": kind, **fields})

    # ------------------------------------------------------------------------------------------------ the cluster

    def do_connect(self, message: dict[str, Any]) -> None:
        """Join the cluster."""
        try:
            import ray

            ray.init(
                address=message["address"],
                namespace="pytest-sgdiff",
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
            ray.cloudpickle.register_pickle_by_value(relay)
        except Exception as error:  # Ray raises many kinds
            self._say("failed", error=f"{type(error).__name__}: {error}")
            return
        self._ray = ray
        host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
        self._head = (host.strip("[]"), int(port))
        self._say("connected", head=self._head)

    def do_nodes(self, message: dict[str, Any]) -> None:
        """Ask every node what it has."""
        from ray.util.accelerators import accelerators

        alive = [node for node in self._ray.nodes() if node["Alive"]]
        refs = [self._once(node["NodeID"], message) for node in alive]
        self._ray.wait(refs, num_returns=len(refs), timeout=ANSWER_S) if refs else None
        found = [
            {
                "id": node["NodeID"],
                "name": node["NodeManagerHostname"],
                "resources": dict(node["Resources"]),
                **self._answer(ref),
            }
            for node, ref in zip(alive, refs, strict=True)
        ]
        types = [value for name, value in vars(accelerators).items() if name.isupper() and isinstance(value, str)]
        self._say("nodes", nodes=found, types=types)

    def do_ask(self, message: dict[str, Any]) -> None:
        """Ask one node."""
        ref = self._once(message["node"], message)
        self._ray.wait([ref], timeout=message["timeout_s"])
        self._say("answer", **self._answer(ref))

    def _once(self, node: str, message: dict[str, Any]) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        remote = self._ray.remote(relay.once).options(num_cpus=0, max_retries=1, scheduling_strategy=there)
        return remote.remote(message["version"], message["forwarded"], message["line"])

    def _answer(self, ref: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._ray.get(ref, timeout=0)
        except Exception as error:
            self._ray.cancel(ref, force=True)
            said = str(error).strip().splitlines()
            return {"trouble": {"code": "no-answer", "error": said[-1] if said else type(error).__name__}}
        return answer

    # ---------------------------------------------------------------------------------------------------- one lease

    def do_open(self, message: dict[str, Any]) -> None:
        """Ask for a place, and start what launches there."""
        self._asked, self._node, self._seen = message, "", 0
        self._group = self._ray.util.placement_group(
            [dict(message["bundle"])],
            strategy="STRICT_PACK",
            _soft_target_node_id=message["first"] or None,
            bundle_label_selector=[{"ray.io/node-id": f"in({','.join(message['among'])})"}],
        )
        self._pending, self._stage, self._looked_at = self._group.ready(), "placing", time.monotonic()

    def do_tell(self, message: dict[str, Any]) -> None:
        """Pass a line on."""
        if self._stage == "open":
            # That it did not arrive is seen by the next look.
            self._actor.tell.remote(message["line"])

    def do_close(self, message: dict[str, Any]) -> None:
        """End what runs on the node, and give the place back."""
        self._leave(wait_s=message["wait_s"])
        self._say("closed")

    def _leave(self, *, wait_s: float) -> None:
        actor, group = self._actor, self._group
        self._actor = self._group = self._pending = None
        self._stage = ""
        try:
            if actor is not None:
                self._ray.wait([actor.close.remote()], timeout=wait_s)
                self._ray.kill(actor)
        finally:
            if group is not None:
                self._ray.util.remove_placement_group(group)

    def _step(self) -> None:
        """One look at what was asked of Ray."""
        ready, _ = self._ray.wait([self._pending], timeout=POLL_S)
        try:
            if ready:
                {"placing": self._placed, "opening": self._opened, "open": self._heard}[self._stage]()
            elif self._stage == "placing" and time.monotonic() - self._looked_at > 1.0:
                self._looked_at = time.monotonic()
                if self._has_head():
                    self._refuse_own_death()
                    self._refuse_hopeless()
            elif self._stage == "opening" and time.monotonic() - self._looked_at > OPENING_S:
                self._gone("launcher-died")
        except self._ray.exceptions.RayError as error:
            self._lost(error)

    def _has_head(self) -> bool:
        """Whether the head of the cluster answers. Ends this process, as Ray would do later, where it has not done so
        for HEAD_S."""
        try:
            socket.create_connection(self._head, HEAD_ANSWERS_S).close()
        except OSError:
            now = time.monotonic()
            self._headless_since = self._headless_since or now
            if now - self._headless_since > HEAD_S:
                self._say("lost", code="cluster-lost", node=self._node)
                os.kill(os.getpid(), signal.SIGKILL)
            return False
        self._headless_since = 0.0
        return True

    def _refuse_hopeless(self) -> None:
        """Ray waits for ever for a node that has what is asked for; of those that may have it none may be left."""
        wanted, among = self._asked["bundle"], self._asked["among"]
        for node in self._ray.nodes():
            fits = all(node["Resources"].get(name, 0.0) >= amount for name, amount in wanted.items())
            if node["Alive"] and node["NodeID"] in among and fits:
                return
        self._leave(wait_s=0.0)
        self._say("lost", code="no-node", node="")

    def _placed(self) -> None:
        from ray.util.placement_group import placement_group_table
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        self._ray.get(self._pending)
        table = placement_group_table(self._group)
        self._node = next(iter(table["bundles_to_node_id"].values()))
        bundle = self._asked["bundle"]
        remote = self._ray.remote(relay.Relay).options(
            num_cpus=bundle.get("CPU", 0),
            num_gpus=bundle.get("GPU", 0),
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=4,
            scheduling_strategy=PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=0),
        )
        self._say("placed", node=self._node)
        self._actor = remote.remote()
        self._pending = self._actor.open.remote(self._asked["version"], self._asked["forwarded"])
        self._stage, self._looked_at = "opening", time.monotonic()

    def _opened(self) -> None:
        answer = self._ray.get(self._pending)
        if "trouble" in answer:
            self._leave(wait_s=0.0)
            self._say("trouble", node=self._node, trouble=answer["trouble"])
            return
        self._say("opened", node=self._node)
        self._stage, self._silent_since = "open", 0.0
        self._ask_for_news()

    def _ask_for_news(self) -> None:
        self._pending = self._actor.news.remote(self._seen, NEWS_S)

    def _heard(self) -> None:
        try:
            news = self._ray.get(self._pending)
        except self._ray.exceptions.ActorUnavailableError:
            # Dead or not, Ray will know.
            now = time.monotonic()
            self._silent_since = self._silent_since or now
            if self._has_head() and now - self._silent_since > UNAVAILABLE_S:
                raise
            time.sleep(POLL_S)
            self._ask_for_news()
            return
        self._silent_since = 0.0
        self._seen += len(news["lines"])
        for line in news["lines"]:
            self._say("line", line=line)
        if news["ended"]:
            self._gone("launcher-died" if self._lives(self._node) else "node-died")
        else:
            self._ask_for_news()

    def _lost(self, error: Exception) -> None:
        """Say how, and give the place back."""
        if getattr(error, "preempted", False):
            self._gone("preempted")
        else:
            self._gone("launcher-died" if self._lives(self._node) else "node-died")

    def _gone(self, code: str) -> None:
        self._leave(wait_s=0.0)
        self._say("lost", code=code, node=self._node)

    def _lives(self, node: str) -> bool:
        """Whether the node does, once Ray had the time to notice its end: what ran on it is missed at once."""
        until = time.monotonic() + UNAVAILABLE_S
        while time.monotonic() < until:
            if not self._has_head():
                time.sleep(POLL_S)
                continue
            state = next((one for one in self._ray.nodes() if one["NodeID"] == node), None)
            if state is None or not state["Alive"]:
                return False
            self._refuse_own_death()
            if self._answers(node):
                return True
        return True

    def _refuse_own_death(self) -> None:
        """Ends this process if the node that it is connected to is dead, whatever else is: Ray ends what it had
        started, and nothing can be asked from here any more. The cluster may live."""
        mine = self._ray.get_runtime_context().get_node_id()
        if any(one["NodeID"] == mine and not one["Alive"] for one in self._ray.nodes()):
            self._say("lost", code="connection", node=self._node)
            os.kill(os.getpid(), signal.SIGKILL)

    def _answers(self, node: str) -> bool:
        """Whether a node that Ray takes for alive starts a task."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node_id=node, soft=False)
        ref = self._ray.remote(relay.lacks).options(num_cpus=0, max_retries=0, scheduling_strategy=there).remote("")
        ready, _ = self._ray.wait([ref], timeout=5.0)
        if not ready:
            return False
        try:
            self._ray.get(ref)
        except self._ray.exceptions.RayError:
            return False
        return True

    def leave(self) -> None:
        """Leave the cluster, which ends what still runs there."""
        if self._ray is not None:
            timer = threading.Timer(LEAVE_S, os.kill, (os.getpid(), signal.SIGKILL))
            timer.daemon = True
            timer.start()
            self._ray.shutdown()


def main() -> None:
    """Serve on the descriptor that the command line names."""
    driver = Driver(Connection(int(sys.argv[1])))
    try:
        driver.serve()
    finally:
        driver.leave()
