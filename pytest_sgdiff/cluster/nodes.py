"""The nodes of a cluster: what they have, and which of them a case may get. Pure."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_sgdiff import machine
from pytest_sgdiff.data import EngineInfo, Gpu, Machine, NodeTrouble, is_one_of
from pytest_sgdiff.errors import ClusterError
from pytest_sgdiff.gpus import Eligible

LITTLE = 0.001
"""How much of the resource `accelerator_type:X` a bundle asks for: it marks a node, and runs never use it up (Ray's
own tasks with an accelerator type ask for the same)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One node, as it answered. `declared` GPUs are what Ray counts there, of the type `accelerator` (empty where Ray
    knows none); `gpus` are those of them that the driver shows, and `note` says why there are none. `cpu` is its
    machine for cases without GPUs, `host` the hash of its host's name. `token`: whether it has a token for gated
    models."""

    id: str
    name: str
    declared: int = 0
    cpus: int = 0
    accelerator: str = ""
    gpus: tuple[Gpu, ...] = ()
    note: str = ""
    cpu: Machine | None = None
    host: str = ""
    driver: str = ""
    engine: EngineInfo | None = None
    base: EngineInfo | None = None
    token: bool = False
    trouble: NodeTrouble | None = None

    @property
    def uuids(self) -> frozenset[str]:
        """Its GPUs by the names that are theirs alone."""
        return frozenset(gpu.uuid for gpu in self.gpus)

    def machine(self, count: int) -> Machine | None:
        """The machine that a case with `count` GPUs gets here."""
        return machine.machine_of(self.gpus[:count]) if count else self.cpu

    def is_one_of(self, products: Sequence[str]) -> bool:
        """Whether its GPUs are one of the products: by what Ray calls them where Ray knows, else by their names."""
        if self.accelerator:
            return not products or any(same_type(word, self.accelerator) for word in products)
        return not products or any(is_one_of(gpu.name, products) for gpu in self.gpus)


def same_type(word: str, accelerator: str) -> bool:
    """Whether a product word of a case (`H100`, `RTX PRO 6000`) means Ray's accelerator type (`RTX-PRO-6000`)."""
    plain = re.sub(r"[\s_-]+", " ", accelerator)
    return is_one_of(plain, [re.sub(r"[\s_-]+", " ", word)])


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterEligible(Eligible):
    """The GPUs of a cluster: those of one node at a time, since no case spans two."""

    nodes: tuple[Node, ...] = ()

    @property
    def size(self) -> int:
        """The most GPUs that one case can have."""
        return max((len(node.gpus) for node in self.nodes), default=0)

    @property
    def total(self) -> int:
        """The GPUs that cases of one run can have at a time."""
        return sum(len(node.gpus) for node in self.nodes)

    def of(self, products: Sequence[str]) -> ClusterEligible:
        """The nodes whose GPUs are one of `products`."""
        return eligible(tuple(node for node in self.nodes if node.is_one_of(products)), spec=self.spec)

    def refusal(self, count: int) -> str | None:
        """Why a case with `count` GPUs can never run here; None if it can."""
        if count <= self.size:
            return None
        notes = "; ".join(f"{node.name}: {node.note}" for node in self.nodes if node.note)
        have = f"no node of the cluster has more than {self.size}" if self.size else "no node of the cluster has one"
        return f"needs {count} GPU{'s' * (count > 1)}, and {have}" + (f" ({notes})" if notes else "")

    def machines(self, count: int) -> Iterator[Machine]:
        """The machines that a case with `count` GPUs may be measured on, each once."""
        found = (node.machine(count) for node in self.nodes if len(node.gpus) >= count)
        yield from dict.fromkeys(one for one in found if one is not None)

    ways = machines


def eligible(nodes: tuple[Node, ...], *, spec: str) -> ClusterEligible:
    """The GPUs of these nodes."""
    drivers = sorted({node.driver for node in nodes if node.driver})
    return ClusterEligible(
        gpus=tuple(itertools.chain.from_iterable(node.gpus for node in nodes)),
        spec=spec,
        driver=", ".join(drivers),
        place="this cluster",
        nodes=nodes,
    )


def usable(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes that cases may have: all that answer well. A node without GPUs that lacks plugin or engine, as the head
    of many clusters, is left out.

    Raises ClusterError, with every trouble, if one with GPUs has some, if none is left, or if the engines differ.
    """
    troubles = tuple(node.trouble for node in nodes if node.trouble is not None)
    good = tuple(node for node in nodes if node.trouble is None)
    if not good or any(node.declared for node in nodes if node.trouble is not None):
        raise ClusterError(troubles)
    first = good[0]
    for node in good[1:]:
        for mine, other in ((node.engine, first.engine), (node.base, first.base)):
            if mine is not None and other is not None and mine.version != other.version:
                apart = NodeTrouble(
                    code="other-engine", node=node.name, found=mine.version, wanted=other.version, error=first.name
                )
                raise ClusterError((apart,))
    return good


@dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """What is asked of Ray for a case: the resources of one bundle, the ids of the nodes that may give them, and of the
    one that is asked first (empty where it does not matter)."""

    bundle: Mapping[str, float]
    among: tuple[str, ...]
    first: str = ""


def place(
    nodes: Sequence[Node],
    count: int,
    *,
    products: Sequence[str] = (),
    homes: Callable[[Machine], frozenset[str] | None] = lambda machine: None,
    machine_was: Machine | None = None,
    avoid: frozenset[str] = frozenset(),
) -> Placement | None:
    """Where a case with `count` GPUs of one of `products` may run; None if no node can have it.

    `homes` gives the GPUs (UUIDs) and hosts on which the baseline for a machine was recorded, None where there is no
    baseline for it. Where some kinds of machine have a baseline and others do not, only those that do are asked; among
    them the baseline's own node comes first. A case that was launched before, on `machine_was`, stays on such machines,
    and off the nodes to `avoid`.
    """
    fitting = [
        node
        for node in nodes
        if node.id not in avoid
        and (len(node.gpus) >= count if count else node.cpus > 0)
        and (not count or node.is_one_of(products))
        and machine_was in (None, node.machine(count))
    ]
    known = {node.id: homes(kind) for node in fitting if (kind := node.machine(count)) is not None}
    with_baseline = [node for node in fitting if known.get(node.id) is not None]
    fitting = with_baseline or fitting
    if not fitting:
        return None
    home = next((node for node in fitting if node.uuids & (known.get(node.id) or frozenset())), None)
    home = home or next((node for node in fitting if node.host in (known.get(node.id) or ())), None)
    bundle: dict[str, float] = {"GPU": float(count)} if count else {"CPU": 1.0}
    types = [node.accelerator for node in ([home] if home else fitting)]
    if count and products and types[0]:
        # One bundle asks for one type: that of the baseline's node, or else of which there are most nodes.
        chosen = max(dict.fromkeys(types), key=types.count)
        bundle[f"accelerator_type:{chosen}"] = LITTLE
        fitting = [node for node in fitting if node.accelerator == chosen]
    return Placement(bundle=bundle, among=tuple(node.id for node in fitting), first=home.id if home else "")


def unknown_products(nodes: Sequence[Node], products: Sequence[str], types: Sequence[str]) -> tuple[str, ...]:
    """Those of the product words that no node has and that are none of Ray's accelerator types: typing mistakes."""
    return tuple(
        word
        for word in products
        if not any(same_type(word, one) for one in types) and not any(node.is_one_of([word]) for node in nodes)
    )
