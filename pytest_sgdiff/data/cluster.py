"""What a cluster of several machines did to a launch, as values. `reports/loss_text.py` has the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LossCode = Literal["node-died", "preempted", "launcher-died", "unusable", "connection", "cluster-lost", "no-node"]
"""How a launch, or the place for one, was lost: its node died or was taken away by whoever lends it; what launches on a
node died, and the node lives; a node cannot launch any more that could when the run began; the connection of pytest to
the cluster broke, or the cluster does not answer at all; no node that is left has what the case needs."""


TroubleCode = Literal["no-plugin", "other-plugin", "no-engine", "no-base-engine", "other-engine", "no-answer"]
"""What keeps cases from a node: it lacks this plugin, or has another version of it; it lacks the engine, or the base
engine of an A/B run; its engine is of another version than that of the other nodes; it does not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeTrouble:
    """Why a node cannot be used. `found` and `wanted` are versions, `error` what the node said."""

    code: TroubleCode
    node: str
    found: str = ""
    wanted: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """One launch that was lost. `node` is the name of the machine, empty where none had it yet; `trouble` says what
    keeps launches from one that is unusable."""

    code: LossCode
    node: str = ""
    trouble: NodeTrouble | None = None
