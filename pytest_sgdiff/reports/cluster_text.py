"""The words for what a cluster lacks, and for what was lost there. The one place that has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from pytest_sgdiff.data import Gpu, Loss, LossCode, NodeTrouble, TroubleCode
from pytest_sgdiff.errors import ClusterError
from pytest_sgdiff.reports.numbers import plural


class Node(Protocol):
    """A node, as far as a header names it."""

    @property
    def name(self) -> str: ...

    @property
    def gpus(self) -> tuple[Gpu, ...]: ...

    @property
    def note(self) -> str: ...


def message(error: ClusterError) -> str:
    """Why a run with a cluster cannot start: one line for each node."""
    if error.said:
        return f"{error.said}; `ray status` shows whether one runs here, --sgdiff-cluster=HOST:PORT names another"
    if not error.troubles:
        return "the cluster has no node that lives"
    return "\n".join(trouble(one) for one in error.troubles)


def trouble(t: NodeTrouble) -> str:
    """What keeps cases from a node, and what helps."""
    return f"node {t.node}: {_TROUBLES[t.code](t)}"


def _unusable(one: Loss) -> str:
    return f"node {one.node} cannot launch any more" if one.trouble is None else trouble(one.trouble)


def lost(losses: Sequence[Loss]) -> str:
    """`node a died, then node b was preempted`: what became of a launch."""
    return ", then ".join(_LOSSES[one.code](one) for one in losses)


def header(address: str, nodes: Sequence[Node]) -> str:
    """`Ray cluster at auto: 2 nodes, 8 x NVIDIA H200`."""
    counts = Counter(gpu.name for node in nodes for gpu in node.gpus)
    gpus = ", ".join(f"{count} x {name}" for name, count in sorted(counts.items())) or "no GPUs"
    notes = "; ".join(f"{node.name}: {node.note}" for node in nodes if node.note)
    return f"Ray cluster at {address}: {plural(len(nodes), 'node')}, {gpus}" + (f" ({notes})" if notes else "")


_TROUBLES: Mapping[TroubleCode, Callable[[NodeTrouble], str]] = {
    "no-plugin": lambda t: (
        f"pytest-sgdiff is not installed in the Python of Ray there ({t.error}); install version {t.wanted} on every "
        "node that has GPUs"
    ),
    "other-plugin": lambda t: (
        f"it has pytest-sgdiff {t.found}, and here it is {t.wanted}; install one version everywhere"
    ),
    "no-engine": lambda t: f"{t.error} (the command is looked for in the PATH with which `ray start` ran there)",
    "no-base-engine": lambda t: f"{t.error} (the command is looked for in the PATH with which `ray start` ran there)",
    "other-engine": lambda t: (
        f"its engine is sglang {t.found}, and that of node {t.error} is {t.wanted}; a run measures one version"
    ),
    "no-answer": lambda t: f"it does not answer: {t.error}",
}

_LOSSES: Mapping[LossCode, Callable[[Loss], str]] = {
    "node-died": lambda one: f"node {one.node} died",
    "preempted": lambda one: f"node {one.node} was preempted",
    "launcher-died": lambda one: f"the launcher on node {one.node} died",
    "unusable": _unusable,
    "connection": lambda one: "the connection to the cluster broke" + (f" (node {one.node})" if one.node else ""),
    "cluster-lost": lambda one: "the cluster does not answer any more",
    "no-node": lambda one: "no node that is left has what the case needs",
}
