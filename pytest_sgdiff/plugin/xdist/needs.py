"""What tests need, told by the workers, which collect, to the controller, which does not, through a file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass

# What upstream's own partitioning takes for a case that nobody has timed yet.
UNKNOWN_S = 300.0


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseNeed:
    """What one test needs: GPUs, and for how long as far as anybody knows."""

    node_id: str
    gpus: int
    estimate_s: float | None = None

    @property
    def gpu_seconds(self) -> float:
        return self.gpus * self.seconds

    @property
    def seconds(self) -> float:
        return UNKNOWN_S if self.estimate_s is None else self.estimate_s


def write_needs(path: str, needs: Sequence[CaseNeed]) -> None:
    """Tells the controller, which never collects. Every worker writes the same; the last one's file stays."""
    own = f"{path}.{os.getpid()}"
    with open(own, "w", encoding="utf-8") as file:
        json.dump([asdict(need) for need in needs], file)
    os.replace(own, path)


def read_needs(path: str) -> dict[str, CaseNeed]:
    """Node id -> need; empty if no worker collected a case."""
    try:
        with open(path, encoding="utf-8") as file:
            return {row["node_id"]: CaseNeed(**row) for row in json.load(file)}
    except FileNotFoundError:
        return {}
