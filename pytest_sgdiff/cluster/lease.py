"""Leases on a cluster, taken and used where pytest runs."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from pytest_sgdiff import __version__, errors
from pytest_sgdiff.cluster import client as clients
from pytest_sgdiff.cluster.client import Client, LineEndedError, Message
from pytest_sgdiff.cluster.nodes import ClusterEligible, Node, Placement, eligible, place, unknown_products, usable
from pytest_sgdiff.data import Case, EngineInfo, Gpu, Loss, LossCode, Machine, NodeTrouble
from pytest_sgdiff.errors import ClusterError, LaunchLostError, LeaseError, OptionError, SgdiffError
from pytest_sgdiff.files.wire import from_plain, to_plain
from pytest_sgdiff.launch.engine_help import TIMEOUT_S as HELP_S
from pytest_sgdiff.launch.engine_help import Answer

ELSEWHERE_AT_MOST = 2
"""How often a launch whose node is lost is started on another one."""

WAITING = "waiting for a node of the cluster that has what the case needs"

ELSEWHERE_S = 60.0
"""How long another node is waited for at least, where one is lost after most of `--sgdiff-gpu-timeout` was waited for
the first. A choice, not measured."""

ENDING_S = 70.0
"""How long the end of a launch on a node is waited for: SIGTERM, its time, SIGKILL (`launch.run`), and the way."""

HURRIED_S = 15.0
"""How long it is waited for by whoever was interrupted. The node ends it, whether or not anybody waits."""


class NodeLostError(Exception):
    """The node of a lease, or what launches there, is gone: `loss`."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss.code)
        self.loss = loss


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a lease is to be, so that it can be had again elsewhere."""

    count: int
    products: tuple[str, ...]
    homes: Callable[[Machine], frozenset[str] | None]
    timeout_s: float
    estimate_s: float | None
    on_wait: Callable[[str], None]
    tag: str


class ClusterPool:
    """Leases of one process of pytest on the cluster at `address`; `types` are Ray's names of accelerators. Several
    processes of a run have one each, and Ray shares the nodes out among them."""

    folder = None
    reader = None

    def __init__(self, address: str, nodes: Sequence[Node], types: Sequence[str], *, run_id: str) -> None:
        self.address, self.nodes, self.types, self.run_id = address, tuple(nodes), tuple(types), run_id
        self.eligible: ClusterEligible = eligible(self.nodes, spec="")
        self.joined: Client | None = None
        self._head: tuple[str, int] | None = None
        self._gone = False

    @classmethod
    def found(
        cls, address: str, *, engine: Sequence[str], base: Sequence[str], run_id: str, environ: Mapping[str, str]
    ) -> ClusterPool:
        """The cluster, with what its nodes have. Raises ClusterError if there is none, or cases cannot be launched on
        its nodes, and MissingExtraError without Ray."""
        clients.require_ray()
        client = clients.connect(address)
        try:
            nodes, types = clients.look(client, engine=engine, base=base, environ=environ)
        except LineEndedError:
            raise ClusterError((), f"the Ray cluster at {address} was lost") from None
        finally:
            client.close()
        return cls(address, usable(nodes), types, run_id=run_id)

    @property
    def handed(self) -> dict[str, Any]:
        """What another process of the run needs to have the same pool: plain builtins."""
        return {"nodes": [to_plain(node) for node in self.nodes], "types": list(self.types)}

    @classmethod
    def of_handed(cls, address: str, handed: Mapping[str, Any], *, run_id: str) -> ClusterPool:
        """The pool that the controller found."""
        nodes = tuple(from_plain(Node, one) for one in handed["nodes"])
        return cls(address, nodes, handed["types"], run_id=run_id)

    @property
    def engine(self) -> EngineInfo:
        """The engine of the nodes."""
        return _first(node.engine for node in self.nodes)

    @property
    def base(self) -> EngineInfo:
        """Their base engine, in an A/B run."""
        return _first(node.base for node in self.nodes)

    @property
    def token(self) -> bool:
        """Whether gated models can be fetched on every node."""
        return all(node.token for node in self.nodes)

    def check(self, case: Case) -> None:
        """Raises OptionError for a GPU of the case that no cluster could have."""
        if unknown := unknown_products(self.nodes, case.requires.gpu, self.types):
            have = sorted({gpu.name for node in self.nodes for gpu in node.gpus})
            raise OptionError(
                f"{case.at('requires.gpu')}: Ray has no accelerator type for {', '.join(unknown)}, and no node of the "
                f"cluster has such a GPU ({', '.join(have) or 'none has any'}): correct the name"
            )

    def flags(self, info: EngineInfo) -> Answer:
        """What an engine of a node says of its flags."""
        line = json.dumps({"kind": "flags", "info": to_plain(info)})
        node, wait_s = self.nodes[0], HELP_S + 60.0
        try:
            client = self.client()
            fields = {"version": __version__, "forwarded": clients.forwarded(os.environ), "line": line}
            client.say("ask", node=node.id, timeout_s=wait_s, **fields)
            answer = client.answer("answer", wait_s + 10.0)
        except (LineEndedError, NodeLostError):
            # What it answers later would pass for the answer to another question.
            self.broken()
            return Answer(flags=None, why="the cluster was lost")
        told = json.loads(answer["answer"]) if "answer" in answer else answer["trouble"]
        if told.get("kind") != "flags":
            return Answer(flags=None, why=f"node {node.name}: {told.get('message') or told.get('error')}")
        return from_plain(Answer, told["answer"])

    def lease(self, wanted: Wanted) -> ClusterLease:
        """A place on a node with the GPUs of a case. Raises LeaseError, and LaunchLostError if nodes die on the way."""
        return ClusterLease(self, wanted)

    def client(self) -> Client:
        """The process that talks to Ray. Raises NodeLostError where the cluster is gone: it is asked once more where
        that process has ended, and then not again."""
        if self.joined is None:
            # Ray would try for a minute.
            self._gone = self._gone or (self._head is not None and not clients.answers(self._head))
            if self._gone:
                raise NodeLostError(Loss(code="cluster-lost"))
            try:
                self.joined = clients.connect(self.address)
                self._head = self.joined.head
            except ClusterError:
                self._gone = True
                raise NodeLostError(Loss(code="cluster-lost")) from None
        return self.joined

    def lost(self) -> None:
        """The cluster does not answer: nothing more is asked of it."""
        self._gone = True
        self.broken()

    def broken(self) -> None:
        """The process has ended, or is to end."""
        client, self.joined = self.joined, None
        if client is not None:
            client.close()


def _first(engines: Iterator[EngineInfo | None]) -> EngineInfo:
    found = next((one for one in engines if one is not None), None)
    if found is None:
        raise AssertionError("nodes without an engine are not used")
    return found


class ClusterLease:
    """GPUs of one node, held there by a process that launches on them. Used as a `gpus.Lease` is by whoever asks which
    GPUs it has; what is started on the machine of pytest cannot have them."""

    def __init__(self, pool: ClusterPool, wanted: Wanted) -> None:
        self._pool, self._wanted = pool, wanted
        self._lost: dict[str, LossCode] = {}
        self._node: Node | None = None
        self._open = False
        self._left_s = wanted.timeout_s
        self.gpus: tuple[Gpu, ...] = ()
        self.machine: Machine | None = None
        self._take(())

    @property
    def tag(self) -> str:
        """The case."""
        return self._wanted.tag

    @property
    def node(self) -> str:
        """The name of the node."""
        return "" if self._node is None else self._node.name

    @property
    def indices(self) -> tuple[int, ...]:
        """The GPUs' numbers on the node."""
        return tuple(gpu.index for gpu in self.gpus)

    def env(self) -> dict[str, str]:
        """Raises LeaseError: these GPUs are elsewhere."""
        raise self._elsewhere()

    @property
    def pass_fds(self) -> tuple[int, ...]:
        """Raises LeaseError: these GPUs are elsewhere."""
        raise self._elsewhere()

    def _elsewhere(self) -> LeaseError:
        return LeaseError(
            f"{self.tag}: its GPUs are on the node {self.node} of the cluster, where only the plugin launches: a test "
            "that starts a process itself needs --sgdiff-gpus in place of --sgdiff-cluster"
        )

    def _take(self, losses: tuple[Loss, ...]) -> tuple[Loss, ...]:
        """A place, and the GPUs there; another one where the node dies meanwhile. Gives the losses so far. All of it,
        and whatever is taken later in place of a node that is lost, has the time that the case may wait for GPUs; each
        after the first has ELSEWHERE_S at least, or that time if it is shorter. Raises LeaseError, LaunchLostError."""
        until = time.monotonic() + self._left_s
        try:
            while (loss := self._lost_at_once(until)) is not None:
                losses = (*losses, loss)
                if len(losses) > ELSEWHERE_AT_MOST or loss.code in ("no-node", "cluster-lost"):
                    raise LaunchLostError(losses)
                until = max(until, time.monotonic() + self._least_s)
        finally:
            self._left_s = max(until - time.monotonic(), 0.0)
        return losses

    def _lost_at_once(self, until: float) -> Loss | None:
        """Take a place; gives the loss where the node died meanwhile."""
        try:
            self._take_once(until)
        except NodeLostError as error:
            return error.loss
        return None

    def _take_once(self, until: float) -> None:
        wanted, pool = self._wanted, self._pool
        # A node that lives is better than none.
        dead = frozenset(node for node, code in self._lost.items() if code != "launcher-died")
        placement = self._place(frozenset(self._lost)) or self._place(dead)
        if placement is None:
            raise NodeLostError(Loss(code="no-node"))
        began, said = time.monotonic(), False

        def waiting() -> None:
            nonlocal said
            now = time.monotonic()
            if now >= until:
                raise LeaseError(
                    f"{wanted.tag} got no place on the cluster within {round(until - began, 1):g} s: Ray has no "
                    f"node with {_in_words(placement.bundle)} free (`ray status` shows who has what); a larger "
                    "--sgdiff-gpu-timeout waits longer"
                )
            if not said and now - began > 2.0:
                said = True
                wanted.on_wait(WAITING)

        with self._of_line():
            client = pool.client()
            try:
                heard = clients.opened(client, placement, environ=os.environ, waiting=waiting)
            except LineEndedError:
                raise
            except BaseException:
                self._open = True
                self.release(wait_s=HURRIED_S)
                raise
            self._node = next((node for node in pool.nodes if node.id == heard.get("node")), None)
            if heard["kind"] == "lost":
                raise self._lost_by(heard)
            if heard["kind"] == "trouble":
                # It could launch when the run began: somebody changed it since.
                self._mark_lost("unusable")
                trouble = from_plain(NodeTrouble, {"node": self.node, **heard["trouble"]})
                raise NodeLostError(Loss(code="unusable", node=self.node, trouble=trouble))
            self._open = True
            try:
                self._held(until)
            except BaseException:
                self.release()
                raise

    def _place(self, avoid: frozenset[str]) -> Placement | None:
        wanted = self._wanted
        return place(
            self._pool.nodes,
            wanted.count,
            products=wanted.products,
            homes=wanted.homes,
            machine_was=self.machine,
            avoid=avoid,
        )

    def _held(self, until: float) -> None:
        """Have the node take its own lease of the GPUs: others on its host may use the plugin without Ray. What Ray
        took of the time to wait is not left for it."""
        wanted = self._wanted
        self._tell(
            kind="lease",
            count=wanted.count,
            run=self._pool.run_id,
            estimate_s=wanted.estimate_s,
            timeout_s=round(max(until - time.monotonic(), 0.0), 1),
            tag=wanted.tag,
            products=list(wanted.products),
        )
        while (said := self._next(lambda: False))["kind"] != "leased":
            if said["kind"] == "wait":
                wanted.on_wait(f"node {self.node}: {said['text']}")
            else:
                raise self._error(said)
        self.gpus = tuple(from_plain(Gpu, one) for one in said["gpus"])
        self.machine = from_plain(Machine, said["machine"])

    def again(self, losses: tuple[Loss, ...]) -> tuple[Loss, ...]:
        """The same on another node, since this one is lost. Gives the losses so far. Raises LeaseError,
        LaunchLostError."""
        self._open = False
        self._left_s = max(self._left_s, self._least_s)
        return self._take(losses)

    @property
    def _least_s(self) -> float:
        """How long another node is waited for at least."""
        return min(ELSEWHERE_S, self._wanted.timeout_s)

    def converse(
        self,
        first: Mapping[str, object],
        *,
        abandoned: Callable[[], bool],
        answers: Callable[[Message], Message | None],
    ) -> Message:
        """Ask the node for a launch, answer what it asks meanwhile, and give its result. Raises NodeLostError if the
        node is lost, SgdiffError for what the node says, KeyboardInterrupt once nobody waits."""
        with self._of_line():
            self._tell(**first)
            while True:
                said = self._next(abandoned)
                if said["kind"] in ("launched", "missing"):
                    return said
                if said["kind"] == "error":
                    raise self._error(said)
                if (answer := answers(said)) is not None:
                    self._tell(**answer)

    def _tell(self, **message: object) -> None:
        self._pool.client().say("tell", line=json.dumps(message))

    def _next(self, abandoned: Callable[[], bool]) -> Message:
        """What the node says next."""
        client = self._pool.client()
        while True:
            heard = client.hear()
            if heard is None:
                if abandoned():
                    raise KeyboardInterrupt
            elif heard["kind"] == "line":
                return dict(json.loads(heard["line"]))
            elif heard["kind"] == "lost":
                raise self._lost_by(heard)

    @contextlib.contextmanager
    def _of_line(self) -> Iterator[None]:
        """Where the process that talks to Ray ends, so does the lease."""
        try:
            yield
        except LineEndedError:
            self._open = False
            self._pool.broken()
            raise NodeLostError(Loss(code="connection", node=self.node)) from None

    def _lost_by(self, heard: Message) -> NodeLostError:
        self._open = False
        self._node = next((node for node in self._pool.nodes if node.id == heard["node"]), self._node)
        if heard["code"] == "cluster-lost":
            self._pool.lost()
        elif heard["code"] == "connection":
            self._pool.broken()
        else:
            self._mark_lost(heard["code"])
        return NodeLostError(Loss(code=heard["code"], node=self.node if heard["node"] else ""))

    def _mark_lost(self, code: LossCode) -> None:
        if self._node is not None:
            self._lost[self._node.id] = code

    def _error(self, said: Message) -> SgdiffError:
        """The error that the node met, as one of this process."""
        kind = getattr(errors, said["of"], SgdiffError) if said["of"] else SgdiffError
        plain = isinstance(kind, type) and issubclass(kind, SgdiffError) and kind.__init__ is SgdiffError.__init__
        error: SgdiffError = (kind if plain else SgdiffError)(f"node {self.node}: {said['message']}")
        return error

    def release(self, *, wait_s: float = ENDING_S) -> None:
        """End what runs on the node, and give its GPUs back."""
        if not self._open:
            return
        self._open = False
        client = self._pool.joined
        if client is None:
            return
        try:
            client.say("close", wait_s=wait_s)
            client.answer("closed", wait_s + 10.0)
        except LineEndedError:
            self._pool.broken()

    def __enter__(self) -> ClusterLease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _in_words(bundle: Mapping[str, float]) -> str:
    """`2 GPU of the type H200`."""
    counts = [f"{amount:g} {name}" for name, amount in bundle.items() if ":" not in name]
    types = [f"of the type {name.partition(':')[2]}" for name in bundle if ":" in name]
    return " ".join([*counts, *types])
