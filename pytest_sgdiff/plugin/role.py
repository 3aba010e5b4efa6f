"""What this process is in a run: alone, xdist's controller, or one of its workers. Nothing else asks xdist for that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import pytest

RUN_ID = "sgdiff_run_id"
"""What the controller gives a worker under this name: the name of the run, which is that of its folder too."""
POOL = "sgdiff_pool"
"""What of its GPU pool: `gpus` and `note`, as in `Eligible`."""
NEEDS = "sgdiff_needs"
"""The path of the file in which the workers say what their cases need."""


class Role(NamedTuple):
    """One process. `worker` is xdist's name of it, `main` where it is no worker; `given` is what the controller gave
    it, empty where there is none."""

    kind: Literal["serial", "controller", "worker"]
    worker: str
    given: Mapping[str, Any]

    @property
    def leads(self) -> bool:
        """Whether this process speaks for the run: it alone checks options, prints, and writes what the run leaves."""
        return self.kind != "worker"


def role(config: pytest.Config) -> Role:
    """The part that the process of this config has."""
    given: Mapping[str, Any] | None = getattr(config, "workerinput", None)
    if given is not None:
        return Role("worker", str(given["workerid"]), given)
    distributes = config.pluginmanager.hasplugin("dsession") or config.getoption("dist", "no") != "no"
    return Role("controller" if distributes else "serial", "main", {})


def dismissed(config: pytest.Config) -> bool:
    """In a worker: whether the controller has hung up, so that nobody waits for results any more. xdist then sends the
    worker SIGINT, which has no effect where whatever started the run has it ignored, as a shell's background job."""
    for plugin in config.pluginmanager.get_plugins():
        if type(plugin).__name__ == "WorkerInteractor":
            try:
                plugin.channel.waitclose(0)
            except plugin.channel.TimeoutError:
                return False
            except Exception:  # how it ended is all the same
                return True
            return True
    return False


def give(node: Any, name: str, value: object) -> None:
    """On the controller: have xdist give a worker that it is about to start (`node`) one of the things above, which
    must be plain builtins."""
    node.workerinput[name] = value
