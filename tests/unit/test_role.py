"""What a process is in a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_sgdiff.plugin.role import NEEDS, POOL, RUN_ID, Role, give, role


def config(*, plugins: tuple[str, ...] = (), dist: str = "no", **more: object) -> Any:
    """As far as a role depends on it."""
    manager = SimpleNamespace(hasplugin=lambda name: name in plugins)
    return SimpleNamespace(pluginmanager=manager, getoption=lambda name, default=None: {"dist": dist}[name], **more)


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (config(), "serial"),
        (config(dist="load"), "controller"),
        (config(plugins=("dsession",)), "controller"),
        (config(workerinput={"workerid": "gw3"}), "worker"),
        # A worker has its controller's options.
        (config(workerinput={"workerid": "gw3"}, dist="load"), "worker"),
    ],
)
def test_a_process_is_one_of_three(asked: Any, kind: str) -> None:
    own = role(asked)
    assert (own.kind, own.worker, own.leads) == (kind, "gw3" if kind == "worker" else "main", kind != "worker")


def test_a_worker_has_what_its_controller_gave_it() -> None:
    node = SimpleNamespace(workerinput={"workerid": "gw0"})
    for name, value in ((RUN_ID, "r"), (POOL, {"gpus": "0", "note": ""}), (NEEDS, "/n.json")):
        give(node, name, value)
    own = role(config(workerinput=node.workerinput))
    assert own == Role("worker", "gw0", node.workerinput)
    assert (own.given[RUN_ID], own.given[NEEDS]) == ("r", "/n.json")
    assert role(config()).given == {}
