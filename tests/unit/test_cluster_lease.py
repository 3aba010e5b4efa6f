"""A lease on a cluster as pytest sees it: how long it is waited for, and what becomes of it where a node has none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_sgdiff import machine
from pytest_sgdiff.cluster import client as clients
from pytest_sgdiff.cluster import lease as leases
from pytest_sgdiff.cluster.client import Client, LineEndedError
from pytest_sgdiff.cluster.lease import ClusterLease, ClusterPool, Wanted
from pytest_sgdiff.cluster.nodes import Node
from pytest_sgdiff.data import EngineInfo, Gpu, NodeTrouble
from pytest_sgdiff.errors import ClusterError, LaunchLostError, LeaseError
from pytest_sgdiff.files.wire import to_plain

GPU = Gpu(uuid="GPU-00000000-0000-4000-8000-000000000000", index=0, name="NVIDIA H200", memory_mb=143771)
ENGINE = EngineInfo(command=("sglang",), version="0.5.17")
NODES = tuple(Node(id=name, name=name, declared=1, cpus=1, gpus=(GPU,), engine=ENGINE) for name in "abcd")
LEASED = {
    "kind": "leased",
    "gpus": [to_plain(GPU)],
    "machine": to_plain(machine.machine_of((GPU,))),
}
TROUBLE = {"code": "other-plugin", "found": "1.0", "wanted": "1.1"}

Message = Mapping[str, Any]


@dataclass
class Clock:
    """Time that passes only where a test has it pass."""

    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Cluster:
    """The process that talks to Ray: each of `opens` is the answer to a place that is asked for, after so many seconds,
    and each of `says` a line of the node. None: it has ended."""

    clock: Clock
    opens: list[tuple[float, Message | None]] = field(default_factory=list)
    says: list[Message | None] = field(default_factory=list)
    told: list[Message] = field(default_factory=list)
    asked: list[Message] = field(default_factory=list)
    closed: int = 0
    head: Any = None

    def say(self, do: str, **fields: Any) -> None:
        if do == "open":
            self.asked.append(fields)
        if do == "tell":
            self.told.append(json.loads(fields["line"]))

    def hear(self, wait_s: float = 0.0) -> Message | None:
        if self.opens and len(self.asked) > len(self.told):
            after, answer = self.opens[0]
            if after > 0:
                self.opens[0] = (after - 1.0, answer)
                self.clock.now += 1.0
                return None
            self.opens.pop(0)
            return self._or_ended(answer)
        said = self.says.pop(0)
        if said is not None and "kind" in said and said["kind"] == "lost":
            return said
        return {"kind": "line", "line": json.dumps(self._or_ended(said))}

    @staticmethod
    def _or_ended(answer: Message | None) -> Message:
        if answer is None:
            raise LineEndedError
        return answer

    def answer(self, kind: str, wait_s: float, *, besides: Any = ()) -> Message:
        raise LineEndedError

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    clock = Clock()
    monkeypatch.setattr(leases, "time", clock)
    made = Cluster(clock)
    monkeypatch.setattr(clients, "connect", lambda address: made)
    return made


def pool() -> ClusterPool:
    return ClusterPool("auto", NODES, (), run_id="run")


def lease(of: ClusterPool, *, timeout_s: float = 60.0) -> ClusterLease:
    return of.lease(
        Wanted(
            count=1,
            products=(),
            homes=lambda machine: None,
            timeout_s=timeout_s,
            estimate_s=None,
            on_wait=lambda text: None,
            tag="tiny",
        )
    )


def test_what_ray_took_of_the_time_to_wait_is_not_left_for_the_node(cluster: Cluster) -> None:
    cluster.opens = [(40.0, {"kind": "opened", "node": "a"})]
    cluster.says = [LEASED]
    held = lease(pool())
    assert (held.node, held.gpus) == ("a", (GPU,))
    (asked,) = cluster.told
    assert asked["timeout_s"] == 20.0


def test_a_place_that_is_taken_anew_has_what_is_left_of_the_time(cluster: Cluster) -> None:
    cluster.opens = [(40.0, {"kind": "opened", "node": "a"}), (15.0, {"kind": "opened", "node": "b"})]
    cluster.says = [LEASED, LEASED]
    held = lease(pool(), timeout_s=200.0)
    # A launch takes as long as it takes.
    cluster.clock.now += 3000.0
    held.again(())
    assert [one["timeout_s"] for one in cluster.told] == [160.0, 145.0]


@pytest.mark.parametrize(("timeout_s", "least_s"), [(200.0, 60.0), (20.0, 20.0)])
def test_after_a_long_wait_a_place_that_is_taken_anew_has_a_least_time(
    cluster: Cluster, timeout_s: float, least_s: float
) -> None:
    cluster.opens = [(timeout_s - 2.0, {"kind": "opened", "node": "a"})]
    cluster.opens += [(least_s - 3.0, {"kind": "opened", "node": node}) for node in "bc"]
    cluster.says = [LEASED, LEASED, LEASED]
    held = lease(pool(), timeout_s=timeout_s)
    for _ in "bc":
        held.again(())
    assert [one["timeout_s"] for one in cluster.told] == [2.0, 3.0, 3.0]


def test_a_node_that_dies_late_while_a_place_is_taken_leaves_a_least_time(cluster: Cluster) -> None:
    cluster.opens = [
        (198.0, {"kind": "trouble", "node": "a", "trouble": TROUBLE}),
        (0.0, {"kind": "opened", "node": "b"}),
    ]
    cluster.says = [LEASED]
    assert lease(pool(), timeout_s=200.0).node == "b"
    assert [one["timeout_s"] for one in cluster.told] == [60.0]


def test_a_place_that_ray_does_not_have_in_time_is_an_error_of_the_lease(cluster: Cluster) -> None:
    cluster.opens = [(90.0, {"kind": "opened", "node": "a"})]
    with pytest.raises(LeaseError, match="got no place on the cluster within 60 s"):
        lease(pool())
    assert cluster.clock.now < 1062.0


def test_a_node_that_cannot_launch_any_more_is_left_for_another_one(cluster: Cluster) -> None:
    cluster.opens = [
        (0.0, {"kind": "trouble", "node": "a", "trouble": TROUBLE}),
        (0.0, {"kind": "opened", "node": "b"}),
    ]
    cluster.says = [LEASED]
    held = lease(pool())
    assert held.node == "b"
    assert cluster.asked[1]["among"] == ["b", "c", "d"]


def test_where_no_node_can_launch_any_more_the_losses_say_why(cluster: Cluster) -> None:
    cluster.opens = [(0.0, {"kind": "trouble", "node": node, "trouble": TROUBLE}) for node in "abc"]
    with pytest.raises(LaunchLostError) as caught:
        lease(pool())
    assert [(loss.code, loss.node) for loss in caught.value.losses] == [("unusable", node) for node in "abc"]
    assert caught.value.losses[0].trouble == NodeTrouble(code="other-plugin", node="a", found="1.0", wanted="1.1")


@pytest.mark.parametrize("ends", ["opening", "leasing"])
def test_a_connection_that_breaks_while_a_lease_opens_is_tried_again(cluster: Cluster, ends: str) -> None:
    first: Message | None = None if ends == "opening" else {"kind": "opened", "node": "a"}
    cluster.opens = [(0.0, first), (0.0, {"kind": "opened", "node": "b"})]
    cluster.says = [LEASED] if ends == "opening" else [None, LEASED]
    held = lease(pool())
    assert held.node == "b"
    assert cluster.closed == 1


def test_a_cluster_that_cannot_be_joined_is_a_typed_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(address: str) -> Client:
        raise ClusterError((), "no Ray cluster")

    monkeypatch.setattr(clients, "connect", gone)
    with pytest.raises(LaunchLostError) as caught:
        lease(pool())
    assert [loss.code for loss in caught.value.losses] == ["cluster-lost"]


def test_without_a_process_to_ask_there_is_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(clients.subprocess, "Popen", none)
    with pytest.raises(ClusterError, match="Resource temporarily unavailable"):
        clients.connect("auto")


def test_an_answer_that_comes_too_late_is_not_taken_for_another_one(cluster: Cluster) -> None:
    """Which flags the engine has is asked of a process that a lease then uses."""
    of = pool()
    answer = of.flags(ENGINE)
    assert answer.flags is None
    assert (cluster.closed, of.joined) == (1, None)
