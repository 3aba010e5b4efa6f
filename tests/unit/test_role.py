"""What a process is in a run."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import execnet
import pytest

from pytest_sgdiff.plugin.role import NEEDS, POOL, RUN_ID, Role, dismissed, give, role
from tests.waiting import wait_for


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


WORKER = """
import signal, sys, time
from pathlib import Path
from types import SimpleNamespace

signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a background job of a script
sys.path[:0] = [channel.receive()]
folder = Path(channel.receive())
from pytest_sgdiff.plugin.role import dismissed

class WorkerInteractor:
    pass

interactor = WorkerInteractor()
interactor.channel = channel
channel.setcallback(print, endmarker=None)  # as that of xdist
config = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugins=lambda: {object(), interactor}))
while not dismissed(config):
    (folder / "asked").touch()
    time.sleep(0.01)
(folder / "dismissed").touch()
"""


def test_a_worker_knows_when_its_controller_hangs_up(tmp_path: Path) -> None:
    group = execnet.Group()
    channel = group.makegateway("popen").remote_exec(WORKER)
    channel.send(str(Path(__file__).parents[2]))
    channel.send(str(tmp_path))
    wait_for((tmp_path / "asked").exists)
    assert not (tmp_path / "dismissed").exists()
    group.terminate(timeout=20)
    assert (tmp_path / "dismissed").exists()
    nobody = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugins=lambda: {object()}))
    assert not dismissed(nobody)
