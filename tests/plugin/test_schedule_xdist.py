"""Real pytest and real xdist on a faked machine with four GPUs: the schedule saves time, the leases keep order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_sgdiff.gpus import queue_state
from tests.waiting import alive, wait_for

pytestmark = pytest.mark.faults

NVML = Path(__file__).parents[1] / "data" / "nvml" / "h200-x4.json"

CONFTEST = """
import json, os, time
import pytest
from pytest_sgdiff.gpus import Pool, lock_dir, resolve
from pytest_sgdiff.plugin.role import NEEDS, role
from pytest_sgdiff.plugin.xdist import CaseNeed, GpuSchedule, ParkItems

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = lock_dir()
POOL = pytest.StashKey()


def need_of(item):
    mark = item.get_closest_marker("need")
    return None if mark is None else CaseNeed(node_id=item.nodeid, gpus=mark.args[0], estimate_s=mark.args[1])


def pytest_addoption(parser):
    parser.addoption("--gpus", default="all")
    parser.addoption("--run", default="run")


def pytest_configure(config):
    config.addinivalue_line("markers", "need(gpus, seconds): what a test needs")
    eligible = resolve(config.getoption("gpus"), visible="0,1,2,3")
    run = config.getoption("run")
    config.stash[POOL] = Pool(eligible, run_id=run, folder=FOLDER, settle_s=0)
    needs = role(config).given.get(NEEDS)
    if needs:
        config.pluginmanager.register(ParkItems(needs, need_of), "park")
    if not hasattr(config, "workerinput"):
        schedule = GpuSchedule(eligible, run_id=run, needs_path=os.path.join(HERE, run + "-needs.json"), folder=FOLDER)
        config.pluginmanager.register(schedule, "schedule")


@pytest.fixture
def gpus(request):
    count, seconds = request.node.get_closest_marker("need").args
    pool = request.config.stash[POOL]
    refusal = pool.eligible.refusal(count)
    if refusal:
        pytest.skip(refusal)
    began = time.time()
    with pool.lease(count, estimate_s=seconds, timeout_s=60, tag=request.node.name) as lease:
        got = time.time()
        yield lease
        row = {"test": request.node.name, "gpus": lease.indices, "from": got, "to": time.time(), "waited": got - began}
        with open(os.path.join(HERE, "log.jsonl"), "a") as file:
            file.write(json.dumps(row) + "\\n")
"""

SUITE = (
    """
import time
import pytest

@pytest.fixture(scope="session", autouse=True)
def session_fixture():
    yield
    with open("ended.txt", "a") as file:
        file.write("x")

"""
    + "\n".join(
        f"@pytest.mark.need({count}, {seconds})\ndef test_{name}(gpus):\n    time.sleep({seconds})\n"
        for name, count, seconds in [
            ("a1", 1, 0.2),
            ("b1", 1, 0.3),
            ("c2", 2, 0.3),
            ("d4", 4, 0.3),
            ("e1", 1, 0.6),
            ("f2", 2, 0.2),
            ("g0", 0, 0.1),
            ("h8", 8, 0.1),
        ]
    )
    + "\n\ndef test_no_case():\n    pass\n"
)


@pytest.fixture
def bench(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("SGDIFF_NVML_FILE", str(NVML))
    monkeypatch.setenv("SGDIFF_LOCK_DIR", str(pytester.path / "locks"))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    pytester.makeconftest(CONFTEST)
    return pytester


def start(bench: pytest.Pytester, *args: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "no:cacheprovider", *args]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(argv, cwd=bench.path, start_new_session=True, **pipes)  # type: ignore[call-overload, no-any-return]


def finish(run: subprocess.Popen[str], limit_s: float = 60) -> tuple[int, str]:
    try:
        output, _ = run.communicate(timeout=limit_s)
    finally:
        run.kill()
        run.wait()
    return run.returncode, output


def log(bench: pytest.Pytester) -> list[dict[str, object]]:
    return [json.loads(line) for line in (bench.path / "log.jsonl").read_text().splitlines()]


def assert_no_overlap(rows: list[dict[str, object]]) -> None:
    for place, one in enumerate(rows):
        for other in rows[place + 1 :]:
            if set(one["gpus"]) & set(other["gpus"]):  # type: ignore[call-overload]
                assert one["to"] <= other["from"] or other["to"] <= one["from"], (one, other)  # type: ignore[operator]


@pytest.mark.parametrize("how", ["-n0", "-n2 --dist worksteal", "-n3", "-n2 --gpus 2"])
def test_every_way_to_run_gives_the_same_results_and_no_gpu_twice(bench: pytest.Pytester, how: str) -> None:
    bench.makepyfile(SUITE)
    code, output = finish(start(bench, *how.split()))
    wide = 2 if "--gpus 2" in how else 1
    assert f"{9 - wide} passed, {wide} skipped" in output
    assert code == 0
    rows = log(bench)
    assert len(rows) == 8 - wide
    assert_no_overlap(rows)
    if how == "-n3":
        assert "100%" in output
        assert "sgdiff-park" not in output
        waited = {row["test"]: row["waited"] for row in rows}
        assert max(waited.values()) < 0.3, "a worker was given a case before its GPUs were free"  # type: ignore[type-var]
        order = [row["test"] for row in sorted(rows, key=lambda row: row["from"]) if row["gpus"]]  # type: ignore[arg-type, return-value]
        assert order[0] == "test_d4"
        assert {"test_e1", "test_c2"} <= set(order[1:4])
        assert (bench.path / "ended.txt").read_text() == "xxx", "session fixtures are torn down in every worker"
    if "--gpus 2" in how:
        edges = [(row["from"], len(row["gpus"])) for row in rows] + [(row["to"], -len(row["gpus"])) for row in rows]  # type: ignore[arg-type]
        held = peak = 0
        for _, change in sorted(edges):  # type: ignore[type-var]
            held += change
            peak = max(peak, held)
        assert peak == 2


def test_a_worker_that_is_killed_fails_its_case_and_frees_its_gpus(bench: pytest.Pytester) -> None:
    """Its launch, which holds all four GPUs, survives it; the controller ends it, and the other cases run."""
    bench.makepyfile(
        """
        import os, signal, subprocess, time
        import pytest

        @pytest.mark.need(4, 100)
        def test_killed(gpus):
            child = subprocess.Popen(["sleep", "60"], env={**os.environ, **gpus.env()}, pass_fds=gpus.pass_fds,
                                     start_new_session=True)
            gpus.launched(child.pid)
            with open("child", "w") as file:
                file.write(str(child.pid))
            os.kill(os.getpid(), signal.SIGKILL)

        @pytest.mark.need(2, 1)
        @pytest.mark.parametrize("number", range(3))
        def test_other(gpus, number):
            pass
        """
    )
    code, output = finish(start(bench, "-n2"))
    assert code == 1
    assert "1 failed, 3 passed" in output
    assert "worker 'gw0' crashed while running" in output or "worker 'gw1' crashed while running" in output
    assert not alive(int((bench.path / "child").read_text()))
    state = queue_state(str(bench.path / "locks"))
    assert (state["holders"], state["queue"]) == ([], [])


def test_an_interrupt_leaves_nothing_held(bench: pytest.Pytester) -> None:
    bench.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.need(2, 60)
        @pytest.mark.parametrize("number", range(4))
        def test_long(gpus, number):
            open(f"started{number}", "w").close()
            time.sleep(60)
        """
    )
    run = start(bench, "-n2")
    wait_for(lambda: len(list(bench.path.glob("started*"))) == 2)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does
    code, output = finish(run, 20)
    assert code == 2, output
    locks = str(bench.path / "locks")
    wait_for(lambda: {row["state"] for row in queue_state(locks)["gpus"]} == {"free"})
    assert queue_state(locks)["queue"] == []


def test_stopping_at_the_first_failure_leaves_nothing_held(bench: pytest.Pytester) -> None:
    bench.makepyfile(
        """
        import pytest

        @pytest.mark.need(4, 60)
        @pytest.mark.parametrize("number", range(4))
        def test_fails(gpus, number):
            assert False
        """
    )
    code, output = finish(start(bench, "-n2", "-x"))
    assert code == 2, output
    assert "1 failed" in output
    state = queue_state(str(bench.path / "locks"))
    assert (state["holders"], state["queue"]) == ([], [])


def test_two_runs_side_by_side_share_the_gpus_and_neither_waits_for_ever(bench: pytest.Pytester) -> None:
    bench.makepyfile(
        """
        import time
        import pytest

        @pytest.mark.need(1, 0.2)
        @pytest.mark.parametrize("number", range(8))
        def test_narrow(gpus, number):
            time.sleep(0.2)

        @pytest.mark.need(4, 0.2)
        @pytest.mark.parametrize("number", range(2))
        def test_wide(gpus, number):
            time.sleep(0.2)
        """
    )
    runs = [start(bench, "-n2", "--run", name) for name in ("one", "two")]
    for run in runs:
        code, output = finish(run)
        assert "10 passed" in output
        assert code == 0
    rows = log(bench)
    assert len(rows) == 20
    assert_no_overlap(rows)
